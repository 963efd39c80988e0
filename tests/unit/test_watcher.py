"""The watcher, with a store that answers what the test wants."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence

import pytest

from tornado_shared_session import MemoryStore, SessionManager, StoreError
from tornado_shared_session.connections import Connection, Phase
from tornado_shared_session.notices import Notice
from tornado_shared_session.record import Peek, generate_id
from tornado_shared_session.watcher import watch


class Fading(MemoryStore):
    """A store in which one session is left, a provisional one."""

    def __init__(self, left: str) -> None:
        super().__init__()
        self._left = left

    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        """Say so."""
        return [Peek(1, 30.0, True) if id == self._left else None for id in ids]


class Noted(Connection):
    """A connection that sets an event when it is closed."""

    def __init__(self, id: str, closed: asyncio.Event) -> None:
        super().__init__(id)
        self._closed = closed

    def _close(self, reason: str, *, final: bool) -> None:
        self._closed.set()


async def test_a_stop_between_many_closings_leaves_nothing_half_begun() -> None:
    """What was still to be renewed is not: no coroutine is left that nobody awaits (T23)."""
    left, closed = generate_id(), asyncio.Event()
    async with SessionManager(Fading(left)) as manager:
        watcher = watch(manager)
        await asyncio.sleep(0)  # its first look, at nothing
        for id in (left, *(generate_id() for _ in range(60))):
            manager.connections.add(Noted(id, closed))
            if id != left:
                watcher._ask(id, "expired")
        watcher._ask_all(renew=True)
        await closed.wait()
        await watcher.stop()
        gc.collect()  # which is when Python complains


class Counted(MemoryStore):
    """A store in which every session lives, as the test says, and which counts the questions."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []  # how many ids each question names
        self.peeks: dict[str, Peek | None] = {}

    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        """Answer in a later turn of the loop."""
        self.asked.append(len(ids))
        await asyncio.sleep(0)
        return [self.peeks.get(id, Peek(1, 1800.0)) for id in ids]


def opened(manager: SessionManager, count: int, generation: int = 1) -> list[Noted]:
    """Enter open connections, each with a session of its own."""
    connections = [Noted(generate_id(), asyncio.Event()) for _ in range(count)]
    for connection in connections:
        connection.generation, connection.phase = generation, Phase.OPEN
        manager.connections.add(connection)
    return connections


@pytest.mark.parametrize("sessions", [1, 600])
async def test_a_flood_of_notices_is_a_few_questions(sessions: int) -> None:
    """However many sessions it names, as often as it likes (C5)."""
    store = Counted()
    async with SessionManager(store) as manager:
        watcher = watch(manager)
        ids = tuple(one.id for one in opened(manager, sessions))
        store.asked.clear()
        begun = time.monotonic()
        while time.monotonic() < begun + 0.2:
            watcher.notice(Notice("logged_out", ids))
            await asyncio.sleep(0)
        assert 2 <= len(store.asked) <= (time.monotonic() - begun) / 0.005 + 3


async def test_many_are_asked_about_without_a_pause_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And with one as long as all of them at the end."""
    store, sleep = Counted(), asyncio.sleep
    log: list[float] = []  # a question as the number of its ids, a pause as its seconds

    async def noted(seconds: float, result: object = None) -> object:
        if 0 < seconds < 0.1:
            log.append(seconds)
        return await sleep(seconds, result)  # whoever asked for it knows why

    async with SessionManager(store) as manager:
        watcher = watch(manager)
        await sleep(0.02)  # past its first look, at nothing
        opened(manager, 1700)
        store.asked = log  # type: ignore[assignment]  # both in one list
        monkeypatch.setattr(asyncio, "sleep", noted)
        watcher._ask_all(renew=True)
        async with asyncio.timeout(5):
            while len(log) < 5:
                await sleep(0.001)  # the pauses are what is looked at
        assert log == [500, 500, 500, 200, pytest.approx(0.02)]


async def test_an_outage_ends_all_that_is_long_due_and_little_of_it_in_one_turn() -> None:
    """However many they are, at the first question that gets no answer (R2, R17)."""
    store, failed = Counted(), asyncio.Event()

    async def down(ids: Sequence[str]) -> list[Peek | None]:
        store.asked.append(len(ids))
        failed.set()
        raise StoreError("down")

    async with SessionManager(store, max_unverified=1) as manager:
        watcher = watch(manager)
        await asyncio.sleep(0)  # its first look, at nothing
        store.peek = down  # type: ignore[method-assign]  # from here on
        connections, now = opened(manager, 1200), time.monotonic()
        for number, one in enumerate(connections):
            one.deadline = now - (0 if number % 3 == 0 else 2)
        watcher._ask_all(renew=True)
        await failed.wait()
        most, before = 0, 0
        while before < 800:
            ended = sum(one.phase is Phase.ENDED for one in connections)
            most, before = max(most, ended - before), ended
            await asyncio.sleep(0)
        assert store.asked == [500]
        assert most <= 20
        assert all(one.phase is Phase.OPEN for one in connections if one.deadline >= now)


async def test_what_was_found_gone_ends_though_the_store_fails_then() -> None:
    """It waited for the notice that says why, not for the store (R2)."""
    store = Counted()
    async with SessionManager(store) as manager:
        watcher = watch(manager)
        await asyncio.sleep(0)  # its first look, at nothing
        (one,) = opened(manager, 1)
        one.deadline = time.monotonic() + 1800
        answers: list[Peek | StoreError | None] = [None, StoreError("down")]

        async def failing(ids: Sequence[str]) -> list[Peek | None]:
            answer = answers.pop(0)
            if isinstance(answer, StoreError):
                raise answer
            return [answer]

        store.peek = failing  # type: ignore[method-assign]  # from here on
        watcher._ask_all(renew=True)
        async with asyncio.timeout(5):
            await one._closed.wait()
        assert (one.reason, answers) == ("expired", [])


async def test_one_answer_about_sessions_of_every_kind() -> None:
    """Each connection gets what is its own: nothing, a minimum, or an end with its reason."""
    store = Counted()
    async with SessionManager(store) as manager:
        watcher = watch(manager)
        alive, rotated, gone, told = opened(manager, 4)
        (loading,) = opened(manager, 1)
        loading.phase, loading.generation = Phase.LOADING, 0
        store.peeks = {
            rotated.id: Peek(2, 1800.0),
            loading.id: Peek(3, 1800.0),
            gone.id: None,
            told.id: None,
        }
        watcher._ask_all(renew=True)
        watcher._ask(told.id, "revoked")
        async with asyncio.timeout(5):
            await asyncio.gather(*(one._closed.wait() for one in (rotated, gone, told)))
        assert (alive.phase, loading.phase, loading.minimum) == (Phase.OPEN, Phase.LOADING, 3)
        assert alive.deadline < time.monotonic() + 1801
        assert [one.reason for one in (rotated, gone, told)] == ["rotated", "expired", "revoked"]


async def test_few_sessions_end_in_one_turn_and_a_reason_that_comes_meanwhile_counts() -> None:
    """Closing takes longer than looking; and who is last may be told why (R17)."""
    store = Counted()
    async with SessionManager(store) as manager:
        watcher = watch(manager)
        connections = opened(manager, 100)
        store.peeks = dict.fromkeys((one.id for one in connections), None)
        last, most, before = connections[-1], 0, 0
        watcher._ask_all(renew=True)
        while (ended := sum(one.phase is Phase.ENDED for one in connections)) < 100:
            if ended:
                watcher._ask(last.id, "logged_out")
            most, before = max(most, ended - before), ended
            await asyncio.sleep(0)
        assert most <= 20
        assert {one.reason for one in connections[:-1]} == {"expired"}
        assert last.reason == "logged_out"

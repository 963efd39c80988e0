"""The sessions of one user: listed, ended, limited."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import (
    Session,
    SessionEnded,
    SessionEvent,
    SessionManager,
    StoreError,
)
from tornado_shared_session.notices import Notice, decode
from tornado_shared_session.record import Credential, generate_id
from tornado_shared_session.testing import FakeClock


async def logged_in(manager: SessionManager, user_id: str) -> tuple[Session, Paper]:
    """Return a session of a user."""
    session, paper = await visit(manager)
    await session.login(user_id)
    return session, paper


def told(store: NotingStore) -> list[Notice | None]:
    """Return the notices that were sent."""
    return [decode(message) for message in store.messages]


async def test_the_sessions_of_a_user_are_listed_oldest_first(
    manager: SessionManager, clock: FakeClock
) -> None:
    """Those that live and are still the user's, with their times (S20)."""
    lost, _ = await logged_in(manager, "ann")
    clock.advance(600)
    first, _ = await logged_in(manager, "ann")
    second, _ = await logged_in(manager, "ann")
    await logged_in(manager, "bob")
    clock.advance(500)  # the first one expires
    infos = await manager.list_user("ann")
    assert [info.id for info in infos] == [first.id, second.id]
    assert infos[0].created_at == first.created_at
    assert infos[0].expires_at > infos[0].created_at
    assert lost.id not in [info.id for info in infos]
    assert await manager.list_user("nobody") == []


async def test_an_entry_that_is_no_longer_the_users_is_not_listed(
    manager: SessionManager, store: NotingStore
) -> None:
    """The index is a hint; the record decides, also when something is to be ended."""
    session, _ = await logged_in(manager, "ann")
    await store.index_add("eve", session.id, 100)
    await store.index_add("eve", generate_id(), 100)
    assert await manager.list_user("eve") == []
    assert (await manager.destroy_user("eve")).sessions == 0
    assert await store.load(session.id) is not None


async def test_one_session_is_ended_by_its_id(manager: SessionManager, store: NotingStore) -> None:
    """It says whether there was one; the sockets are told why (S20)."""
    session, paper = await logged_in(manager, "ann")
    assert await manager.destroy(session.id)
    assert not await manager.destroy(session.id)
    assert told(store) == [Notice("revoked", (session.id,))]
    assert (await again(manager, paper))[0].is_new
    assert await store.index_list("ann") == []


async def test_a_session_is_only_ended_for_its_user(manager: SessionManager) -> None:
    """An id that a client names is checked against who the client is (V7.5.2)."""
    session, _ = await logged_in(manager, "ann")
    anonymous, _ = await visit(manager)
    for user_id in ("eve", ""):
        assert not await manager.destroy(session.id, user_id)
        assert not await manager.destroy(anonymous.id, user_id)
    assert await manager.destroy(session.id, "ann")


@pytest.mark.parametrize("id", ["", "x", "../../etc", "A" * 23, "é" * 22])
async def test_what_cannot_be_an_id_does_not_reach_the_store(
    manager: SessionManager, store: NotingStore, id: str
) -> None:
    """It is as good as unknown."""
    assert not await manager.destroy(id)
    assert store.writes == []


async def test_a_user_is_logged_out_everywhere_but_here(
    manager: SessionManager, store: NotingStore
) -> None:
    """One notice for all of them; other users stay (S20, V7.4.3)."""
    here, here_paper = await logged_in(manager, "ann")
    others = [await logged_in(manager, "ann") for _ in range(3)]
    bob, _ = await logged_in(manager, "bob")
    revoked = await manager.destroy_user("ann", keep=[here.id])
    assert revoked.sessions == 3
    assert [notice and (notice.reason, len(notice.ids)) for notice in told(store)] == [
        ("revoked", 3)
    ]
    assert not (await again(manager, here_paper))[0].is_new
    for session, paper in others:
        assert (await again(manager, paper))[0].is_new
        session["late"] = 1
        with pytest.raises(SessionEnded):
            await session.save()
    assert await store.index_list("ann") == [here.id]
    assert await store.load(bob.id) is not None


async def test_what_is_no_text_is_said_to_be_none(manager: SessionManager) -> None:
    """A number is no user's id, and one id no collection: its characters would keep nothing."""
    number: Any = 0
    for use, value in ((manager.list_user, number), (manager.destroy_user, number)):
        with pytest.raises(TypeError, match="a str is needed, not int"):
            await use(value)
    with pytest.raises(TypeError, match="keep"):
        await manager.destroy_user("ann", keep=generate_id())


async def test_what_could_be_ended_is_told_though_the_rest_failed(store: NotingStore) -> None:
    """Then the error comes out, for the rest may still live."""
    manager = SessionManager(store)
    sessions = [(await logged_in(manager, "ann"))[0] for _ in range(3)]
    real = store.delete

    async def delete(id: str, **options: object) -> object:
        if id == sessions[1].id:
            raise StoreError("not this one")
        return await real(id, **options)  # type: ignore[arg-type]  # as they came

    store.delete = delete  # type: ignore[assignment, method-assign]  # replaced for the test
    with pytest.raises(StoreError, match="not this one"):
        await manager.destroy_user("ann")
    assert told(store) == [Notice("revoked", (sessions[0].id, sessions[2].id))]
    assert await store.index_list("ann") == [sessions[1].id]


# -- max_sessions_per_user --------------------------------------------------------------


@pytest.fixture
def limited(store: NotingStore, events: list[SessionEvent]) -> SessionManager:
    """A manager that allows two sessions per user."""
    return SessionManager(
        store,
        idle_timeout=1000,
        absolute_timeout=5000,
        max_sessions_per_user=2,
        on_event=events.append,
    )


async def test_the_oldest_session_gives_way(limited: SessionManager, store: NotingStore) -> None:
    """With the reason "replaced", and only sessions of the same user (V7.1.2)."""
    bob, _ = await logged_in(limited, "bob")
    first, second, third = [(await logged_in(limited, "ann"))[0] for _ in range(3)]
    assert await store.index_list("ann") == [second.id, third.id]
    assert told(store) == [Notice("replaced", (first.id,))]
    assert await store.load(first.id) is None
    assert await store.load(bob.id) is not None


async def test_logging_in_again_makes_a_session_the_newest(
    limited: SessionManager, store: NotingStore
) -> None:
    """And ends none, for it is one already."""
    first, second = [(await logged_in(limited, "ann"))[0] for _ in range(2)]
    await first.login("ann")
    assert store.messages == []
    third, _ = await logged_in(limited, "ann")
    assert await store.index_list("ann") == [first.id, third.id]
    assert await store.load(second.id) is None


async def test_an_expired_session_counts_for_nothing(
    limited: SessionManager, store: NotingStore, clock: FakeClock
) -> None:
    """A live one does not give way to make room beside it."""
    active, paper = await logged_in(limited, "ann")
    second, _ = await logged_in(limited, "ann")
    clock.advance(600)
    await active.touch()
    clock.advance(600)  # the second one expires
    await store.index_add("ann", second.id, 3600)  # as an index does that is trimmed later
    await logged_in(limited, "ann")
    assert store.messages == []
    assert not (await again(limited, paper))[0].is_new


async def test_a_hundred_logins_at_once_leave_as_many_as_allowed(
    limited: SessionManager, store: NotingStore
) -> None:
    """The newest, whatever the order in which their steps interleave (S21, V7.1.2)."""
    visits = [await visit(limited) for _ in range(100)]

    async def login(session: Session, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)  # one turn of the loop: an interleaving, not a wait
        await session.login("ann")

    store_slow = Slow(store)
    limited.store = store_slow
    outcomes = await asyncio.gather(
        *(login(s, i % 7) for i, (s, _) in enumerate(visits)), return_exceptions=True
    )
    limited.store = store
    live = {session.id for session, _ in visits if await store.load(session.id) is not None}
    assert len(live) == 2
    assert all(o is None or getattr(o, "reason", "") == "replaced" for o in outcomes)
    assert live == set(await store.index_list("ann"))
    assert {info.id for info in await limited.list_user("ann")} == live


class Slow(NotingStore):
    """The same records, each step a few turns of the loop later."""

    def __init__(self, store: NotingStore) -> None:
        super().__init__()
        self._entries, self._users, self._clock = store._entries, store._users, store._clock
        self._turns = 0

    async def _note(self, name: str) -> None:
        self._turns = (self._turns * 31 + 7) % 11
        for _ in range(self._turns):
            await asyncio.sleep(0)


async def test_a_login_under_way_is_not_taken_from_the_index(
    limited: SessionManager, store: NotingStore
) -> None:
    """Held between index and record, it is found there, and gives way, when it goes on."""
    slow, _ = await visit(limited)
    store.gate = asyncio.Event()
    real, entered = store.index_add, asyncio.Event()

    async def index_add(user_id: str, id: str, lifetime: float) -> None:
        store.gate = None
        await real(user_id, id, lifetime)
        store.gate = gate
        entered.set()

    gate = store.gate
    store.index_add = index_add  # type: ignore[method-assign]  # replaced for the test
    login = asyncio.ensure_future(slow.login("ann"))
    await asyncio.wait_for(entered.wait(), 5)
    store.index_add = real  # type: ignore[method-assign]  # replaced for the test
    await asyncio.wait_for(store.reached.wait(), 5)
    store.gate = None
    for _ in range(3):
        await logged_in(limited, "ann")
    assert slow.id in await store.index_list("ann")
    gate.set()
    with pytest.raises(SessionEnded, match="gave way"):
        await login
    assert await store.load(slow.id) is None


async def test_a_session_that_is_another_users_by_now_does_not_count(
    limited: SessionManager, store: NotingStore
) -> None:
    """Though the index still names it, because it could not be trimmed."""
    mine, paper = await logged_in(limited, "ann")
    shared, _ = await logged_in(limited, "ann")
    store.failing = {"index_remove"}
    await shared.login("bob")
    store.failing = set()
    assert shared.id in await store.index_list("ann")
    await logged_in(limited, "ann")
    assert not (await again(limited, paper))[0].is_new
    assert mine.id in await store.index_list("ann")


async def test_a_limit_that_cannot_be_enforced_does_not_undo_the_login(
    limited: SessionManager, store: NotingStore, events: list[SessionEvent]
) -> None:
    """It is reported, and the next login comes back to it."""
    for _ in range(2):
        await logged_in(limited, "ann")
    session, _ = await visit(limited)
    store.failing = {"delete"}
    await session.login("ann")
    assert session.user_id == "ann"
    assert events[-1].kind == "store_failed"
    store.failing = set()
    await logged_in(limited, "ann")
    assert len(await limited.list_user("ann")) == 2


async def test_a_credential_of_an_ended_session_is_unknown(manager: SessionManager) -> None:
    """Whoever ended it (S20, I5, V7.4.2)."""
    session, paper = await logged_in(manager, "ann")
    await manager.destroy_user("ann")
    assert await manager.load(paper.credential) is None
    assert await manager.load(Credential.generate(session.id)) is None

"""One thing done in two worlds, ours and that of the simple model, and compared.

What was said, what the object shows, which credentials were issued, what is
stored, and which sockets are closed. The rules are in `histories.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.support.core import Paper
from tests.support.model import Loaded, Model, Refused
from tests.support.worlds import World
from tornado_shared_session import Session, SessionEnded, SessionError, SessionManager
from tornado_shared_session.connections import Connection
from tornado_shared_session.record import Credential, Record
from tornado_shared_session.watcher import watch

OBJECTS = 6  # in use at once
USERS = ["ann", "bob"]
Known = tuple[Credential, str, int]  # with its id and generation
SLOW = 20.0  # seconds that an example may take; all deadlines are far more apart


class Line(Connection):
    """A socket in the registry that notes how it was closed."""

    def __init__(self, id: str, manager: SessionManager, came_with: int) -> None:
        super().__init__(id)
        self.manager = manager
        self.came_with = came_with  # the generation
        self.loaded: Record | None = None  # until it is admitted
        self.closed = ""

    def _close(self, reason: str, *, final: bool) -> None:
        self.closed = reason


class Pair:
    """An object in a handler's hands, and the model's."""

    def __init__(self, session: Session, paper: Paper, loaded: Loaded) -> None:
        self.session, self.paper, self.loaded = session, paper, loaded

    def issued(self) -> tuple[int, bool, int]:
        """Return how many credentials it was given, and what else changes with each."""
        return len(self.paper.credentials), self.loaded.is_new, self.loaded.generation


def edit(mapping: Any, kind: str, key: str, number: int) -> None:
    """Change a mapping in one of the ways in which sessions are changed."""
    if kind == "set":
        mapping[key] = number
    elif kind == "list":
        mapping[key] = [number]
    elif kind == "delete":
        mapping.pop(key, None)
    elif kind == "clear":
        mapping.clear()
    elif isinstance(value := mapping.get(key), list):
        value.append(number)


def bump(session: Session) -> None:
    """Count."""
    session["n"] = session.get("n", 0) + 1


def refusal(act: Callable[[], None]) -> str | None:
    """Return what the model says instead of doing it."""
    try:
        act()
    except Refused as error:
        return str(error)
    return None


async def said(act: Awaitable[Any]) -> str | None:
    """Return what we say instead of doing it: why it ended, or "": no response to carry it."""
    try:
        await act
    except SessionEnded as error:
        return error.reason
    except SessionError as error:
        return "" if type(error) is SessionError else repr(error)
    return None


async def at_once(*acts: Awaitable[Any]) -> list[str | None]:
    """Do some things at once."""
    return await asyncio.gather(*map(said, acts))


class Both(RuleBasedStateMachine):
    """What the rules need: both worlds, and the comparison."""

    world: World
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.pairs: list[Pair] = []
        self.lines: list[Line] = []
        self.credentials: list[Known] = []
        self.why: dict[str, str] = {}  # how a session was ended, if not by time

    def run(self, work: Awaitable[Any]) -> Any:
        """Do something on the loop."""
        return self.loop.run_until_complete(work)

    def pick(self, h: int) -> Pair:
        """Return one of the objects in use."""
        return self.pairs[-1 - h % len(self.pairs)]

    def alive(self) -> list[str]:
        """Return the ids of the sessions that live."""
        return [id for id in self.model.sessions if self.model.find(id) is not None]

    def open(self, m: int, known: Known | None, can_issue: bool) -> Pair:
        """Load a session in both worlds."""
        paper = Paper(open=can_issue)
        presented = [] if known is None else [known[0]]
        session = self.run(self.world.managers[m].resolve(presented, paper))
        loaded = None if known is None else self.model.load(known[1], known[2], can_issue)
        pair = Pair(session, paper, loaded or Loaded(session.id, can_issue))
        self.pairs = [*self.pairs, pair][-OBJECTS:]
        self.compare(pair)
        return pair

    def act(self, pair: Pair, work: Awaitable[Any], expected: Callable[[], None]) -> None:
        """Do one thing in both worlds."""
        before = pair.issued()
        (got,) = self.run(at_once(work))
        self.judge(pair, got, expected, before)
        self.run(self.settle(pair.loaded.id))

    def judge(
        self, pair: Pair, got: str | None, expected: Callable[[], None], before: tuple[Any, ...]
    ) -> None:
        """Compare what was said, what is shown, and whether a credential was issued."""
        had_ended = pair.loaded.ended
        wanted = refusal(expected)
        # A save of what has ended says so only if there is something unsaved.
        assert got == wanted or (wanted is None and got == had_ended != "")
        self.compare(pair)
        after = pair.issued()
        assert (after[0] == before[0] + 1) == (after[1:] != before[1:])
        if after[0] > before[0]:
            loaded = pair.loaded
            self.credentials.append((pair.paper.credential, loaded.id, loaded.generation))

    def compare(self, pair: Pair) -> None:
        """Compare what an object shows."""
        session, loaded = pair.session, pair.loaded
        assert session._reason == loaded.ended
        if loaded.ended:
            assert session.user_id is None
            return
        assert dict(session) == loaded.shown
        assert (session.user_id, session.is_new) == (loaded.user, loaded.is_new)
        assert session.modified == any(loaded.changes())

    async def settle(self, *ids: str) -> None:
        """Compare what is stored of sessions, and which sockets are closed."""
        loads = (self.world.managers[n % 2].store.load(id) for n, id in enumerate(ids))
        for id, record in zip(ids, await asyncio.gather(*loads), strict=True):
            stored = self.model.find(id)
            if stored is None or record is None:
                assert record is None
                assert stored is None
                continue
            assert self.decoded(record) == stored.values
            assert record.generation == stored.generation
            assert (record.meta.user_id, record.provisional) == (stored.user, stored.provisional)
            assert -SLOW < record.ttl - (stored.deadline - self.model.now) < 0.1
        for line in list(self.lines):
            if not self.doomed(line):
                assert not line.closed
            elif not line.closed:
                await asyncio.wait_for(watch(line.manager).look([line.id]), 5)
                self.check_closed(line)

    def decoded(self, record: Record) -> dict[str, Any]:
        """Return what a record holds."""
        decode = self.world.managers[0].serializer.decode
        return {key.decode(): decode(value) for key, value in record.values.items()}

    def doomed(self, line: Line) -> bool:
        """Whether a socket must not live on."""
        stored = self.model.find(line.id)
        return stored is None or stored.generation != line.came_with

    def check_closed(self, line: Line) -> None:
        """A socket was closed for the right reason, or will be at its admission."""
        if self.model.find(line.id) is None:
            assert line.closed in ("expired", self.why.get(line.id))
        elif line.loaded is None:
            assert line.closed == "rotated"
        else:
            assert line.minimum > line.came_with

    def drop(self, line: Line) -> None:
        """The client went away."""
        line.manager.connections.discard(line)
        self.lines.remove(line)

    def teardown(self) -> None:
        """Compare everything once more, and leave nothing to the next example."""
        try:
            self.run(self.finish())
        finally:
            for line in list(self.lines):
                self.drop(line)
            self.run(self.world.forget())

    async def finish(self) -> None:
        """Ask about each socket, also those that must live; no login is missing in the index."""
        for line in self.lines:
            await asyncio.wait_for(watch(line.manager).look([line.id]), 5)
        await self.settle(*self.model.sessions)
        for user in USERS:
            index = await self.world.managers[0].store.index_list(user)
            assert {id for id in self.alive() if self.model.sessions[id].user == user} <= {*index}

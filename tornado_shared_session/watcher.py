"""Notices the end of sessions that have a connection here, and closes those.

Three hints lead to one question. A notice from another process, a
deadline that has come, and the periodic reload each name sessions;
the watcher asks the store about them and acts on what it says. Lost
notices therefore cost time, never safety; forged ones cost a question.

The reload is a task with a monotonic clock rather than a
`PeriodicCallback`: that one counts in wall-clock time, so that a clock
set back by an hour stops it for an hour, and a callback that hangs is
never called again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from . import liveness
from .agenda import Agenda
from .channel import Channel
from .connections import FINAL, Connection, Phase
from .deadlines import Deadlines
from .errors import StoreError
from .events import logger
from .manager import SessionManager
from .notices import Notice
from .record import Peek

_CLOSED = 20  # that may end before others have a turn
_PACE = 0.005  # seconds between two questions, so that a flood of notices is a few
_RETRY = 0.5  # seconds until a store that failed is asked again
_UNSAID = ("", "rotated")  # reasons that do not tell why a session is gone
_MARGIN = 0.005  # a deadline is looked at this much after it, for Redis counts in ms


def watch(manager: SessionManager) -> Watcher:
    """Return the manager's watcher; make one if it has none."""
    for service in manager.services:
        if isinstance(service, Watcher):
            return service
    watcher = Watcher(manager)
    manager.attach(watcher)
    return watcher


class _Look:
    """Sessions that somebody waits for the store's word about."""

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids
        self.done = asyncio.Event()

    def settle(self, ids: Iterable[str]) -> None:
        self.ids.difference_update(ids)
        if not self.ids:
            self.done.set()


class Watcher:
    """Keeps the connections of this process in step with the store.

    Args:
        manager: whose connections to watch.
        notices, deadlines: switch off the two ways of noticing an end
            before the next reload; for tests of the reload.
    """

    def __init__(
        self, manager: SessionManager, *, notices: bool = True, deadlines: bool = True
    ) -> None:
        self._manager = manager
        self._deadlines = Deadlines(self._on_deadline, manager.connections) if deadlines else None
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._due = Agenda()
        self._waiting: list[_Look] = []
        #: Called as `expect` is, with what the store said last.
        self.followers: list[Callable[[str, float], None]] = []
        hear = Channel(manager, self._spawn, self.notice, self._ask_all)
        self.channel = hear if notices else None

    # -- the service ------------------------------------------------------

    def start(self) -> None:
        """Start the tasks."""
        if self._running:
            return
        self._running = True
        self._wake = asyncio.Event()
        self._spawn(self._answer())
        self._spawn(self._reload())
        if self.channel is not None:
            self._manager.questions.attend(self)
            self.channel.start()
        if self._deadlines is not None:
            self._deadlines.start()
        self._ask_all()

    async def stop(self) -> None:
        """Cancel the tasks and wait for them.

        Nobody watches over the connections from here on, so they end.
        """
        self._running = False
        if self.channel is not None:
            self.channel.connected = False
        self._manager.questions.attend(None)
        for connection in self._manager.connections:
            self._manager.connections.end_one(connection, "shutdown")
        if self._deadlines is not None:
            self._deadlines.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def notice(self, notice: Notice) -> None:
        """Look at the sessions that a notice names."""
        self._ask_those(notice.ids if notice.reason else (), notice.reason)

    def health(self) -> Mapping[str, Any]:
        """Say whether notices are heard: the channel is subscribed, and not found deaf since."""
        return {"notices": self.channel is not None and self.channel.connected}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- three hints --------------------------------------------------------

    def expect(self, id: str, deadline: float) -> None:
        """Look at a session when it is due to expire (monotonic seconds)."""
        self._expect({id: deadline + _MARGIN})

    def _expect(self, times: dict[str, float]) -> None:
        if self._deadlines is not None:
            self._deadlines.expect_all(times)
        for follow in self.followers:
            for id, when in times.items():
                follow(id, when - _MARGIN)

    def _on_deadline(self, id: str) -> None:
        some = self._manager.connections.of(id)
        known = [one.deadline for one in some if one.phase is Phase.OPEN]
        if known and max(known) > time.monotonic():  # activity moved it on meanwhile
            self.expect(id, max(known))
        elif known:
            self._ask(id, "expired")

    async def _reload(self) -> None:
        """The periodic callback: ask about everything, and listen to ourselves."""
        interval = self._manager.policy.reload_interval
        while True:
            await asyncio.sleep(interval * random.uniform(0.8, 1.0))  # noqa: S311  # jitter
            self._ask_all(renew=True)
            if self.channel is not None:
                await self.channel.heartbeat(interval)

    # -- one question ---------------------------------------------------------

    def _ask(self, id: str, reason: str) -> None:
        self._due.add(id, reason)
        self._wake.set()

    def _ask_those(self, ids: Iterable[str], reason: str) -> None:
        """Ask about those of some sessions that have a connection here."""
        connections = self._manager.connections
        for id in ids:
            if id in connections:
                self._ask(id, reason)

    async def look(self, ids: Iterable[str], reason: str = "expired") -> None:
        """Ask the store about sessions that have a connection here, and act on the answer.

        It returns when that is done, however long the store takes; give
        it a timeout. `reason` is why, if one turns out to be gone.
        """
        connections = self._manager.connections
        look = _Look({id for id in ids if id in connections})
        if not look.ids:
            return
        self._ask_those(look.ids, reason)
        self._waiting.append(look)
        try:
            await look.done.wait()
        finally:
            self._waiting.remove(look)

    def _ask_all(self, *, renew: bool = False) -> None:
        if not renew:
            # Redis may have been away, and come back with an older state.
            for known in self._manager.connections.known.values():
                known.forget()
        self._due.add_all(self._manager.connections.ids(), renew=renew)
        self._wake.set()

    async def _answer(self) -> None:
        """Ask the store about what is due, and act on what it says."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            left, pause = 0, 0.0
            while self._due:
                left = left or len(self._due)  # of what is due now, not of what comes meanwhile
                ids, reasons = self._due.take()
                asked = time.monotonic()
                try:
                    peeks = await self._manager.store.peek(ids)
                except Exception as error:
                    if not isinstance(error, StoreError):
                        logger.exception("sessions could not be looked up")
                    self._due.put_back(ids, reasons)
                    await self._unverified()
                    await asyncio.sleep(_RETRY)
                    continue
                old = await self._act(ids, reasons, peeks, asked)
                for look in self._waiting:
                    look.settle(id for id in ids if not self._due.named(id))  # not asked again
                await liveness.renew(self._manager, old)
                # Of many the pauses come at the end, all in one: a processor that slept has
                # forgotten all of them, which costs it half as much again.
                left, pause = max(left - len(ids), 0), pause + _PACE
                if not left:
                    await asyncio.sleep(pause)
                    pause = 0.0

    async def _act(
        self, ids: list[str], reasons: list[str], peeks: list[Peek | None], asked: float
    ) -> list[tuple[str, Peek]]:
        """Act on what the store said, in a few turns of the loop; return what is to be renewed."""
        now, connections = time.monotonic(), self._manager.connections
        for connection, generation in connections.verified(ids, peeks, now):
            self._outdated(connection, generation)
        gone, unsaid, old = [], [], []
        times: dict[str, float] = {}  # when to look again
        soon, least = now + _MARGIN, liveness.renewed_at(self._manager.policy)
        known, renew = connections.known, self._due.renew
        for id, reason, peek in zip(ids, reasons, peeks, strict=True):
            if peek is None:
                if reason in _UNSAID:
                    unsaid.append(id)
                else:
                    gone.append((id, reason))
                continue
            _, ttl, provisional, _ = peek
            if ttl:  # else nobody knows when: it has no time to live
                times[id] = soon + ttl
            if (provisional or ttl <= least) and id in renew:
                renew.discard(id)
                old.append((id, peek))
            if known and id in known:
                known[id].peeked(peek, asked)
        self._expect(times)
        if unsaid:
            # The notice that says why may be on its way. After that they are asked about again,
            # and end; they do as well if the store has no answer then.
            connections.doubt(unsaid, now - self._manager.policy.max_unverified)
            later = asyncio.get_running_loop().call_later
            later(liveness.NOTICE_GRACE, self._ask_those, unsaid, "expired")
        for number, (id, reason) in enumerate(gone):
            if number % _CLOSED == 0:
                await asyncio.sleep(0)
            self._end(id, reason)
        return old

    def _end(self, id: str, reason: str) -> None:
        """A session is gone; `reason` is why, as far as it was known when the store was asked."""
        heard = self._due.named(id)  # meanwhile: why it is gone
        self._manager.connections.end(id, heard if heard in FINAL else reason)

    def _outdated(self, connection: Connection, generation: int) -> None:
        """A session lives, but a connection of it may rely on a credential that it has no more."""
        if connection.phase is Phase.LOADING:
            connection.minimum = max(connection.minimum, generation)
        elif connection.generation < generation:
            if connection.rotation is not None and connection.rotation.locked():
                # Perhaps by an event of its own: look again when it is done.
                asyncio.get_running_loop().call_later(_RETRY, self._ask, connection.id, "rotated")
            else:
                self._manager.connections.end_one(connection, "rotated")

    async def _unverified(self) -> None:
        """The store cannot be asked: an end that is long due is believed."""
        limit = time.monotonic() - self._manager.policy.max_unverified
        for number, id in enumerate(list(self._due)):
            if number % _CLOSED == 0:
                await asyncio.sleep(0)
            for connection in self._manager.connections.of(id):
                if connection.deadline < limit:
                    self._manager.connections.end_one(connection, "expired")

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
import heapq
import math
import random
import secrets
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from .connections import FINAL, Phase
from .errors import SessionEnded, StoreError
from .events import logger
from .manager import SessionManager
from .notices import Notice, decode
from .record import Delta, Peek

_BATCH = 500  # sessions asked about in one turn of the loop
_PACE = 0.005  # seconds between two questions, so that a flood of notices is a few
_RETRY = 0.5  # seconds until a store that failed is asked again
_MARGIN = 0.005  # a deadline is looked at this much after it, for Redis counts in ms


def watch(manager: SessionManager) -> Watcher:
    """Return the manager's watcher; make one if it has none."""
    for service in manager.services:
        if isinstance(service, Watcher):
            return service
    watcher = Watcher(manager)
    manager.attach(watcher)
    return watcher


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
        self._notices = notices
        self._deadlines = deadlines
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._due: dict[str, str] = {}  # session id -> reason if it turns out to be gone
        self._heap: list[tuple[float, str]] = []
        self._expected: dict[str, float] = {}  # what of the heap counts: one time per session
        self._timer: asyncio.TimerHandle | None = None
        self._nonce = secrets.token_hex(8)
        self._heard = 0.0  # when our own heartbeat last came back
        self._connected = False
        self._lost = False  # it was connected, and was found deaf

    # -- the service ------------------------------------------------------

    def start(self) -> None:
        """Start the tasks."""
        if self._running:
            return
        self._running = True
        self._wake = asyncio.Event()
        self._spawn(self._answer())
        self._spawn(self._reload())
        if self._notices:
            self._listen()
        self._set_timer()
        self._ask_all()

    async def stop(self) -> None:
        """Cancel the tasks and wait for them.

        Nobody watches over the connections from here on, so they end.
        """
        self._running = self._connected = False
        for connection in self._manager.connections:
            self._manager.connections.end_one(connection, "shutdown")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def notice(self, notice: Notice) -> None:
        """Look at the sessions that a notice names."""
        connections = self._manager.connections
        for id in notice.ids:
            if id in connections:
                self._ask(id, notice.reason)

    def health(self) -> Mapping[str, Any]:
        """Say whether notices are heard."""
        return {"notices": self._connected}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- three hints --------------------------------------------------------

    def _listen(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        self._listener = self._spawn(self._manager.store.listen(self._on_message, self._on_gap))
        self._heard = time.monotonic()

    def _on_message(self, message: bytes) -> None:
        notice = decode(message)
        if notice is None:
            logger.debug("not a notice of ours on the notice channel")
        elif notice.reason:
            self.notice(notice)
        elif notice.nonce == self._nonce:
            self._heard = time.monotonic()

    def _on_gap(self) -> None:
        """Notices may have been missed: look at everything at once."""
        self._connected = True
        if self._lost:
            self._lost = False
            self._manager.report("notices_back")
        self._heard = time.monotonic()
        self._ask_all()

    def expect(self, id: str, deadline: float) -> None:
        """Look at a session when it is due to expire (monotonic seconds)."""
        when = deadline + _MARGIN
        if not self._deadlines or when >= self._expected.get(id, math.inf):
            return
        self._expected[id] = when
        heapq.heappush(self._heap, (when, id))
        if self._heap[0][1] == id:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._running:
            delay = max(0.0, self._heap[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._heap and self._heap[0][0] <= now:
            when, id = heapq.heappop(self._heap)
            if self._expected.get(id) != when:
                continue  # an earlier time has taken its place
            del self._expected[id]
            some = self._manager.connections.of(id)
            known = [one.deadline for one in some if one.phase is Phase.OPEN]
            if known and max(known) > now:  # activity moved it on meanwhile
                self.expect(id, max(known))
            elif known:
                self._ask(id, "expired")
        self._set_timer()

    async def _reload(self) -> None:
        """The periodic callback: ask about everything, and listen to ourselves."""
        interval = self._manager.policy.reload_interval
        while True:
            await asyncio.sleep(interval * random.uniform(0.8, 1.0))  # noqa: S311  # jitter
            self._ask_all(renew=True)
            if self._notices:
                await self._heartbeat(interval)

    async def _heartbeat(self, interval: float) -> None:
        """A process that does not hear itself is deaf: subscribe anew."""
        if time.monotonic() - self._heard > 2 * interval:
            self._connected = False
            if not self._lost:
                self._lost = True
                self._manager.report("notices_lost")
            self._listen()
        try:
            await self._manager.store.publish(Notice("", nonce=self._nonce).encode())
        except StoreError:
            logger.debug("the heartbeat could not be sent")

    # -- one question ---------------------------------------------------------

    def _ask(self, id: str, reason: str) -> None:
        # Of several hints the one that says most: a decision, else a
        # deadline, else anything.
        known = self._due.get(id)
        if known not in FINAL and (known is None or reason != "rotated"):
            self._due[id] = reason
        self._wake.set()

    def _ask_all(self, *, renew: bool = False) -> None:
        for id in self._manager.connections.ids():
            self._due.setdefault(id, "renew" if renew else "expired")
        self._wake.set()

    async def _answer(self) -> None:
        """Ask the store about what is due, and act on what it says."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                some = list(self._due.items())[:_BATCH]
                for id, _ in some:
                    del self._due[id]
                try:
                    peeks = await self._manager.store.peek([id for id, _ in some])
                except Exception as error:
                    if not isinstance(error, StoreError):
                        logger.exception("sessions could not be looked up")
                    for id, reason in some:
                        self._due.setdefault(id, reason)
                        self._unverified(id)
                    await asyncio.sleep(_RETRY)
                    continue
                renewals = []
                for (id, reason), peek in zip(some, peeks, strict=True):
                    self._act(id, reason, peek)
                    if peek is not None and reason == "renew":
                        renewals.append(self._renew(id, peek))
                await asyncio.gather(*renewals, return_exceptions=True)
                await asyncio.sleep(_PACE)

    def _act(self, id: str, reason: str, peek: Peek | None) -> None:
        connections = self._manager.connections
        if peek is None:
            gone = reason if reason not in ("rotated", "renew") else "expired"
            connections.end(id, gone)
            return
        for connection in connections.of(id):
            if connection.phase is Phase.LOADING:
                connection.minimum = max(connection.minimum, peek.generation)
            elif connection.generation < peek.generation:
                if connection.rotation is not None and connection.rotation.locked():
                    # Perhaps by an event of its own: look again when it is done.
                    asyncio.get_running_loop().call_later(_RETRY, self._ask, id, "rotated")
                else:
                    connections.end_one(connection, "rotated")
            else:
                connection.verified(peek.ttl, peek.provisional)
                self.expect(id, connection.deadline)

    async def _renew(self, id: str, peek: Peek) -> None:
        """Keep alive what only its open connection keeps alive."""
        policy = self._manager.policy
        if peek.provisional:
            ttl = policy.provisional_timeout
        elif policy.sockets_keep_alive and peek.ttl <= policy.idle_timeout - policy.touch_interval:
            ttl = policy.idle_timeout
        else:
            return
        if id in self._manager.connections:
            try:
                await self._manager.store.commit(Delta(id, peek.generation, ttl, confirm=False))
            except (SessionEnded, StoreError) as error:
                logger.debug("session %s was not renewed: %s", id, error)

    def _unverified(self, id: str) -> None:
        """The store cannot be asked: an end that is long due is believed."""
        limit = time.monotonic() - self._manager.policy.max_unverified
        for connection in self._manager.connections.of(id):
            if connection.deadline < limit:
                self._manager.connections.end_one(connection, "expired")

"""Leave without losing anything: `drain()`.

Tornado's own way cuts responses and knows nothing of WebSockets, so this
is one that waits: requests and event handlers that have begun are let
through, what has not begun is refused, and sockets are sent to the
next process a few at a time. How a socket is told and closed is the
connection's business, what Tornado is in the middle of that of
`serving.py`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tornado.httpserver import HTTPServer

from .connections import Connection, Phase
from .errors import ConfigurationError, SessionError
from .events import logger
from .manager import SessionManager
from .policy import Duration, seconds
from .serving import Serving

_TICK = 0.1  # seconds between two batches of sockets
_LOOK = 0.02  # seconds between two looks at what is still under way
_HANDSHAKE = 1.0  # seconds for a handshake under way to come in, and be told as the others
_LAST = 5.0  # seconds of the timeout for what has to be cut, and for the store
_STORE = 2.0  # seconds of those for the manager's own close


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did.

    Attributes:
        sockets: how many sockets and streams were told, and are closed.
        requests: how many HTTP requests were under way when it began and
            were answered in full; the polls of Socket.IO clients count.
        cut: requests, handlers of events and sockets that were not through
            when the time was up.
        seconds: how long it took.
    """

    sockets: int
    requests: int
    cut: int
    seconds: float


async def drain(
    server: HTTPServer | Iterable[HTTPServer],
    manager: SessionManager,
    *,
    timeout: Duration = 30,  # noqa: ASYNC109  # what is cut at it is told
    pace: float = 500,
) -> Drained:
    """Stop serving, and lose nothing that was acknowledged.

    For the end of a process, on SIGTERM for instance. No connection is
    accepted any more, and a new socket on an old connection is answered
    503. Requests and events whose handlers run are let through; of those
    whose client has gone the events are, and the requests are not, for
    Tornado's server forgets them then. Sockets and streams are told
    `shutdown` and closed so that clients come back, `pace` of them a
    second and in no order, so that they do not come back all at once.
    Then the connections and the manager are closed.

    Calling it again, also meanwhile, returns the same result; after one
    that was cancelled it drains what is left.

    Args:
        server: what `Application.listen` returned, or several of those.
        timeout: seconds or a `timedelta`; what is not through is cut in the
            last five of them, or the last third if that is shorter.
        pace: sockets a second; faster if they would take more than a third
            of the timeout.

    Raises:
        ConfigurationError: an argument is of no use.
        SessionError: another call that this one waited for was cancelled.
    """
    servers = [server] if isinstance(server, HTTPServer) else list(server)
    if not all(isinstance(one, HTTPServer) for one in servers):
        raise ConfigurationError("drain() takes what Application.listen returned, or a list of it")
    if not isinstance(manager, SessionManager):
        raise ConfigurationError("drain()'s second argument is the SessionManager")
    limit = seconds("timeout", timeout)
    if isinstance(pace, bool) or not isinstance(pace, int | float) or not pace > 0:
        raise ConfigurationError(f"pace={pace!r} must be a number of sockets a second")
    serving = [Serving(one) for one in servers]
    for one in serving:
        one.stop()
    told = manager.draining
    if told is None or (told.done() and told.exception() is not None):
        told = manager.draining = asyncio.get_running_loop().create_future()
        return await _first(told, _Drain(serving, manager, limit, pace))
    result: Drained = await asyncio.shield(told)
    return result


async def _first(told: asyncio.Future[Drained], work: _Drain) -> Drained:
    """Drain, and tell who else waits for it."""
    try:
        result = await work.run()
    except BaseException as error:
        told.set_exception(SessionError(f"the drain did not end: {type(error).__name__}"))
        told.exception()  # nobody else has to wait
        raise
    told.set_result(result)
    return result


class _Drain:
    """One drain under way."""

    def __init__(
        self, servers: list[Serving], manager: SessionManager, timeout: float, pace: float
    ) -> None:
        self._servers = servers
        self._manager = manager
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        last = min(_LAST, timeout / 3)
        self._store_at = self._began + timeout - last * _STORE / _LAST
        self._cut_at = self._began + timeout - last  # whose handlers run is waited for until then
        self._pace, self._longest = pace, timeout / 3
        self._loading_until = math.inf
        self._told: set[Connection] = set()
        self._waiting: list[Connection] = []  # told once its handlers are through

    async def run(self) -> Drained:
        """Do it all, in its order."""
        before = {stream for server in self._servers for stream in server.busy()}
        logger.info("draining: %d sockets and streams", len(self._manager.connections))
        await self._tell_in_batches()
        self._loading_until = self._now() + _HANDSHAKE
        await self._until(self._cut_at, self._sockets_gone)
        # Not before: who polls fetches its farewell on the connection that it has.
        for server in self._servers:
            server.last_requests()
        await self._until(self._cut_at, self._quiet)
        for connection in [*self._waiting, *self._manager.connections]:
            self._end(connection)
        self._waiting = []
        cut, busy = self._manager.connections.running, {one for one in self._told if one.running}
        await self._until(self._store_at, self._closed)
        left, unfinished = set(self._manager.connections), self._requests()
        for server in self._servers:
            await server.close()
        await self._manager.close()
        result = Drained(
            sockets=len(self._told - left),
            requests=len(before) - len(before & unfinished),
            cut=cut + len(unfinished) + len(left - busy),
            seconds=round(self._now() - self._began, 3),
        )
        logger.info("drained: %s", result)
        return result

    async def _tell_in_batches(self) -> None:
        some = self._untold()
        random.shuffle(some)
        span = min(len(some) / self._pace, self._longest)
        size = math.ceil(len(some) / max(1, math.ceil(span / _TICK)))
        started = self._now()
        for number, start in enumerate(range(0, len(some), size or 1)):
            if number:
                # By the clock, so that a late batch does not delay the rest.
                due = started + (number + random.uniform(-0.5, 0.5)) * _TICK  # noqa: S311  # jitter
                await asyncio.sleep(max(0.0, due - self._now()))
            for connection in some[start : start + size]:
                self._tell(connection)
            self._tell_waiting()

    def _tell(self, connection: Connection) -> None:
        if connection.phase is Phase.ENDED:
            return  # by itself
        self._told.add(connection)
        connection.leaving = True  # from here on it may not begin anything
        if connection.running:
            self._waiting.append(connection)
        else:
            self._end(connection)

    def _tell_waiting(self) -> None:
        ready = [one for one in self._waiting if not one.running]
        self._waiting = [one for one in self._waiting if one.running]
        for connection in ready:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        self._told.add(connection)
        self._manager.connections.end_one(connection, "shutdown")

    def _untold(self) -> list[Connection]:
        phases = {Phase.OPEN}
        if self._now() > self._loading_until:
            phases.add(Phase.LOADING)  # some wait for a token
        some = [one for one in self._manager.connections if one.phase in phases]
        return [one for one in some if one not in self._told]

    def _sockets_gone(self) -> bool:
        """Whether no socket is left, and no handler; who came late is told on the way."""
        for connection in self._untold():
            self._tell(connection)
        self._tell_waiting()
        connections = self._manager.connections
        return not len(connections) and not connections.running

    def _quiet(self) -> bool:
        """Whether nothing is under way any more."""
        return self._sockets_gone() and self._closed()

    def _closed(self) -> bool:
        manager = self._manager
        return not len(manager.connections) and manager.settled and not self._requests()

    def _requests(self) -> set[object]:
        return {stream for server in self._servers for stream in server.busy()}

    async def _until(self, when: float, check: Callable[[], bool]) -> None:
        while not check() and self._now() < when:  # noqa: ASYNC110  # of others, who tell nobody
            await asyncio.sleep(_LOOK)

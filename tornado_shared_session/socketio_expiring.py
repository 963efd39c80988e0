"""Tells clients that their session is about to end: `session_expiring`.

For pages that ask "are you still there?". A deadline is believed only
once the store has been asked, for activity elsewhere may have moved it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .connections import Phase
from .deadlines import Deadlines
from .errors import ConfigurationError
from .events import logger
from .manager import SessionManager
from .notices import Notice
from .policy import Policy
from .transport import SocketConnection
from .watcher import watch

_SAME = 0.5  # seconds by which two looks at one deadline may differ
_RETRY = 0.5  # seconds until a namespace is connected, or the store answers again
_PATIENCE = 1.0  # seconds for the store's answer

Tell = Callable[[SocketConnection, float], Awaitable[None]]


class Expiring:
    """Runs with the manager, as the watcher does.

    Args:
        sessions: whose connections are told.
        notice: seconds before the end.
        tell: tells a connection how many seconds are left.

    Raises:
        ConfigurationError: a session would always be about to end.
    """

    def __init__(self, sessions: SessionManager, notice: float, tell: Tell) -> None:
        self._sessions = sessions
        self._notice = notice
        self._tell = tell
        self._quiet = _quiet(sessions.policy) - notice  # between a touch and the next warning
        if self._quiet <= 0:
            raise ConfigurationError(
                f"expiring_notice={notice:g} must be shorter than idle_timeout (with"
                " sockets_keep_alive=True: by more than reload_interval), or active users are"
                " told that their session is about to end"
            )
        self._deadlines = Deadlines(self._on_due, sessions.connections)
        self._due: set[str] = set()
        self._looking: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self._watcher = watch(sessions)
        self._watcher.followers.append(self._follow)
        sessions.attach(self)

    # -- the service ----------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._deadlines.start()

    async def stop(self) -> None:
        """Tell nobody any more."""
        self._deadlines.stop()
        self._due.clear()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None

    def notice(self, notice: Notice) -> None:
        """Notices are the watcher's affair."""

    def health(self) -> Mapping[str, Any]:
        """There is nothing to say."""
        return {}

    # -- deadlines ------------------------------------------------------------

    def _follow(self, id: str, deadline: float) -> None:
        """The watcher expects a session to end then."""
        if id in self._looking:
            return  # this is the answer; `_judge` sees to it
        when = deadline - self._notice
        if when > time.monotonic() or any(map(self._owes, self._open(id))):
            self._deadlines.expect(id, when)

    def _open(self, id: str) -> list[SocketConnection]:
        return [
            one
            for one in self._sessions.connections.of(id)
            if isinstance(one, SocketConnection) and one.phase is Phase.OPEN
        ]

    def _owes(self, connection: SocketConnection) -> bool:
        """Whether a connection has yet to be told of its deadline."""
        near = connection.deadline - self._notice <= time.monotonic()
        moved = connection.deadline > connection.warned + _SAME
        return near and moved and not connection.provisional

    def _on_due(self, id: str) -> None:
        some = self._open(id)
        if not some:
            return
        when = max(one.deadline for one in some) - self._notice
        if when > time.monotonic():  # activity moved it on meanwhile
            self._deadlines.expect(id, when)
            return
        self._due.add(id)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._due:
            ids, self._due = self._due, set()
            self._looking = ids
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._watcher.look(ids)
            except TimeoutError:
                later = time.monotonic() + _RETRY  # unknown, so nobody is told
                for id in ids:
                    self._deadlines.expect(id, later)
                continue
            finally:
                self._looking = set()
            for id in ids:
                await self._judge(id)
        self._worker = None

    async def _judge(self, id: str) -> None:
        """The store has been asked: tell whom it concerns, and when to look again."""
        some, now = self._open(id), time.monotonic()
        if not some:
            return
        deadline = max(one.deadline for one in some)
        if deadline <= now:
            return  # it is over, or has no time to live; the watcher says when it has one
        again = deadline - self._notice
        if again <= now:
            # Activity from now on leads to a warning this much later at the earliest.
            again = min(deadline, now + max(self._quiet, _RETRY))
        for connection in some:
            if self._owes(connection):
                if connection.sids:
                    connection.warned = connection.deadline
                    try:
                        await self._tell(connection, deadline - now)
                    except Exception:  # the others are told
                        logger.exception("a client could not be told that its session will end")
                else:
                    again = min(again, now + _RETRY)
        self._deadlines.expect(id, again)


def _quiet(policy: Policy) -> float:
    """How long after activity no session is about to end."""
    if policy.sockets_keep_alive:  # what counts then is the reload, and it may be late
        return policy.idle_timeout - max(policy.touch_interval, 1.25 * policy.reload_interval)
    return policy.idle_timeout

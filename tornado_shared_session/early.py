"""A page's session, asked for as soon as its request has come.

Tornado makes a task of a request, which begins a turn of the event loop
later. Asked before that, the store answers while the framework gets to
`prepare()`. That is for requests of which nothing changes until then.

Where answers come together, the sessions are made one after the other.
In each task when its turn comes it would take longer, for what runs in
between leaves nothing of this in the processor's caches.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from .carrier import ResponseCarrier
from .manager import SessionManager
from .record import Record, Verdict
from .response import SavedResponse
from .session import Session
from .users import Begun

#: With these settings Tornado checks what comes by other methods, and that before `prepare()`.
_CHECKS = ("xsrf_cookies", "cross_origin_protection")
_UNCHECKED = ("GET", "HEAD", "OPTIONS")


class Lookup:
    """The look for the session of a page.

    Args:
        handler: the page's.

    Attributes:
        manager: the Application's.
        presented: what the client presents.
        carrier: the way back to the client, if it presents anything.
    """

    __slots__ = ("_begun", "_session", "carrier", "manager", "presented")

    def __init__(self, handler: SavedResponse, manager: SessionManager) -> None:
        self.manager = manager
        self.presented = manager.credentials.read(handler.request)
        self.carrier = ResponseCarrier(handler) if self.presented else None
        self._begun: Begun | None = None
        self._session: Session | None = None

    def begin(self) -> None:
        """Ask the store for what the one credential names."""
        answer = self.manager.store.begin(self.presented[0].id, self._answered)
        if answer is not None:
            self._begun = answer, monotonic()

    def _answered(self, record: Record | None) -> None:
        # The usual page: all else is for resolve() to look at.
        manager, (credential,) = self.manager, self.presented
        if record is None or credential.renew or credential.id in manager.connections.known:
            return
        if not _resolves_as_usual(type(manager)):
            return
        if manager.policy.judge(record, credential) is Verdict.LIVE:
            self._session = Session(manager, record, carrier=self.carrier)

    async def result(self) -> Session:
        """Return the session, once the store has answered; raise as `resolve()` does."""
        begun = self._begun
        if begun is not None:
            try:
                await begun[0]
            except Exception:  # noqa: S110  # resolve() meets it again, and knows what it means
                pass
            if self._session is not None and self.manager._home is not None:  # not closed since
                return self._session
        return await self.manager.resolve(self.presented, self.carrier, begun)


def _resolves_as_usual(kind: type[SessionManager]) -> bool:
    """Tell whether this may go around `resolve()`: not if that is somebody's own."""
    return kind.resolve is SessionManager.resolve and kind.fetch is SessionManager.fetch


def look(handler: SavedResponse) -> Lookup | None:
    """Look at a request, and begin to load the session that it names; None: not yet.

    It never raises, whatever a store of an application's own does.
    """
    settings, method = handler.application.settings, handler.request.method
    manager: Any = settings.get("session_manager")
    if getattr(manager, "_settings", None) is not settings or not manager.reads_headers:
        return None  # it was not bound before, or may look at the body, which is not parsed
    if manager._home is not asyncio.get_running_loop():
        return None
    try:
        lookup = Lookup(handler, manager)
        checked = method not in _UNCHECKED and any(map(settings.get, _CHECKS))
        if len(lookup.presented) == 1 and not checked:
            lookup.begin()  # what is refused as forged costs no look at the store
    except Exception:  # prepare() meets it again; here it would cost the connection its answer
        return None
    return lookup

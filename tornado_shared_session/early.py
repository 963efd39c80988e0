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
from typing import Any, Literal

from .carrier import ResponseCarrier
from .manager import SessionManager
from .record import Credential, Record, Verdict
from .response import SavedResponse
from .session import Session
from .settings import WithManager
from .users import Begun

#: With these settings Tornado checks what comes by other methods, and that before `prepare()`.
_CHECKS = ("xsrf_cookies", "cross_origin_protection")
_UNCHECKED = ("GET", "HEAD", "OPTIONS")


class Lookup:
    """The look for the session of a page that presents something.

    Args:
        handler: the page's.

    Attributes:
        manager: the Application's.
        presented: what the client presents.
        carrier: the way back to the client.
    """

    __slots__ = ("_begun", "_session", "carrier", "manager", "presented")

    def __init__(
        self, handler: SavedResponse, manager: SessionManager, presented: list[Credential]
    ) -> None:
        self.manager = manager
        self.presented = presented
        self.carrier = ResponseCarrier(handler)
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
        kind = type(manager)
        if kind is not SessionManager and not _resolves_as_usual(kind):
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


class EarlyLook(WithManager, SavedResponse):
    """A page that looks for its session as soon as its request has come."""

    close_on_end = False
    _session_early = False  # nothing of the application's comes before prepare()
    #: For prepare(), which takes it. None: nobody has looked yet; False: nothing was presented.
    _session_lookup: Lookup | Literal[False] | None = None

    def _session_begin(self) -> None:
        # Not if something of its own comes first, or if it registers before it loads.
        if not self._session_early or self.close_on_end:
            return
        settings = self.application.settings
        manager: Any = settings.get("session_manager")
        if getattr(manager, "_settings", None) is not settings or not manager.reads_headers:
            return  # it was not bound before, or may look at the body, which is not parsed
        if manager._home is not asyncio.get_running_loop():
            return
        try:
            lookup: Lookup | Literal[False] = False
            presented = manager.credentials.read(self.request)
            if presented:
                lookup = Lookup(self, manager, presented)
                # What is refused as forged costs no look at the store.
                if len(presented) == 1 and (
                    self.request.method in _UNCHECKED or not any(map(settings.get, _CHECKS))
                ):
                    lookup.begin()
        except Exception:  # prepare() meets it again; here it would cost the connection its answer
            return
        self._session_manager = manager
        self._session_lookup = lookup

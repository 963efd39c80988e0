"""The session in Tornado's request handlers: `SessionMixin`.

It loads in `prepare()` and saves before the response head leaves, by
overriding `finish()` and `flush()`. Tornado does not await `finish()`,
so while a save is under way the response waits, as it was when the
handler finished it, and the handler counts as finished.

The only file that reaches into RequestHandler's private state, in
`_Response`; `tests/unit/test_web.py` fails when that goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPHeaders
from tornado.log import gen_log
from tornado.web import RequestHandler

from .errors import (
    ConfigurationError,
    SerializationError,
    SessionConflict,
    SessionEnded,
    SessionError,
    StoreError,
)
from .events import logger
from .manager import SessionManager
from .record import Credential
from .session import Session, State

_STATUS: tuple[tuple[type[SessionError], int], ...] = (
    (StoreError, 503),
    (SessionConflict, 409),
    (SessionEnded, 409),
    (SerializationError, 500),
)
_RETRY_AFTER = "1"  # seconds; a store that is back is used at once


class _Response:
    """A response as it stood when the handler finished it.

    What the handler does afterwards must have no effect, as after
    Tornado's own `finish()`.
    """

    __slots__ = ("_buffer", "_cookies", "_headers", "_reason", "_status")

    def __init__(self, handler: RequestHandler) -> None:
        self._status = handler._status_code
        self._reason = handler._reason
        self._headers: HTTPHeaders = handler._headers.copy()
        self._buffer = list(handler._write_buffer)
        cookies = getattr(handler, "_new_cookie", None)
        self._cookies = None if cookies is None else cookies.copy()

    def restore_head(self, handler: RequestHandler) -> None:
        handler._status_code = self._status
        handler._reason = self._reason
        handler._headers = self._headers
        if self._cookies is not None:
            handler._new_cookie = self._cookies

    def restore(self, handler: RequestHandler) -> None:
        self.restore_head(handler)
        handler._write_buffer = self._buffer


class _Carrier:
    """The way from a session back to the browser: this handler's response."""

    __slots__ = ("_handler", "credential", "revoke", "rotated")

    def __init__(self, handler: SessionMixin) -> None:
        self._handler = handler
        self.credential: Credential | None = None
        self.revoke = False
        self.rotated = False

    def can_issue(self) -> bool:
        return not self._handler._headers_written

    def issued(self, credential: Credential, user_id: str | None) -> None:
        self.credential = credential
        self.rotated = not credential.renew
        if user_id is not None and not credential.renew:
            self._handler.current_user = user_id

    def revoked(self) -> None:
        self.credential = None
        self.revoke = True
        self._handler.current_user = None


if TYPE_CHECKING:
    _Handler = RequestHandler
else:
    _Handler = object


class SessionMixin(_Handler):
    """Gives a `RequestHandler` its `session`. Name it first::

        class Note(SessionMixin, tornado.web.RequestHandler):
            async def post(self):
                self.session["note"] = self.get_body_argument("note")

    Changes are stored before the response leaves, unless it is a 5xx. If
    they cannot be stored, the response is a 503 instead. After a
    `flush()` the head has left: store later changes with
    ``await self.session.save()``.

    A handler with a `prepare()` of its own awaits ``super().prepare()``.

    Attributes:
        session_touch: False exempts the handler from counting as
            activity, for one that a page polls by itself.
    """

    session_touch = True

    _session: Session | None = None
    _session_carrier: _Carrier | None = None  # set by prepare()
    _session_failure: StoreError | None = None
    _session_used = False  # the handler looked at it, so the response depends on it
    _session_late = False  # the complaint about a late change was made
    _session_in_error = False
    _session_pending: asyncio.Task[None] | None = None  # a save before a flush or finish

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if RequestHandler in order and order.index(RequestHandler) < order.index(SessionMixin):
            raise ConfigurationError(
                f"class {cls.__name__}: name SessionMixin before the handler class, as in"
                f" class {cls.__name__}(SessionMixin, RequestHandler), or it is never asked"
            )

    @property
    def session_manager(self) -> SessionManager:
        """The Application's session manager.

        Raises:
            ConfigurationError: there is none.
        """
        manager = self.settings.get("session_manager")
        if not isinstance(manager, SessionManager):
            raise ConfigurationError(
                "the Application has no session manager: pass it as"
                " Application(..., session_manager=SessionManager(...))"
            )
        return manager

    @property
    def session(self) -> Session:
        """This visitor's session; a new one is stored when something is put in.

        Raises:
            StoreError: it could not be loaded. As a response: 503.
            ConfigurationError: `prepare()` was overridden without
                ``await super().prepare()``.
        """
        self._session_used = True
        if self._session is None:
            if self._session_failure is not None:
                raise StoreError(str(self._session_failure)) from self._session_failure
            if self._session_carrier is None:
                raise ConfigurationError(
                    f"{type(self).__name__}.session is not loaded: prepare() must be"
                    " async def and contain `await super().prepare()`"
                )
            self._session = Session(self.session_manager, carrier=self._session_carrier)
        return self._session

    async def prepare(self) -> None:
        """Load the session, if the client names one."""
        manager = self.session_manager
        manager.bind(self.settings)
        presented = manager.credentials.read(self.request)
        carrier = self._session_carrier = _Carrier(self)
        if presented:
            try:
                self._session = await manager.resolve(presented, carrier)
            except StoreError as error:
                # Whoever looks at the session will know; others go on.
                manager.report("store_failed", presented[0].id, str(error))
                self._session_failure = error
        following = super().prepare()
        if following is not None:
            await following

    def get_current_user(self) -> Any:
        """Return the session's `user_id`, for `current_user` and `authenticated`."""
        if self._session_in_error and (self._session_failure or self._session_carrier is None):
            return None  # an error page must not fail for want of a user
        return self.session.user_id

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """Finish the response, once what it depends on is stored.

        The future resolves when the response is sent.
        """
        pending = self._session_pending
        if pending is not None and self._finished:
            return pending
        if pending is None and not self._session_unsaved():
            return super().finish(chunk)
        if chunk is not None:
            self.write(chunk)
        response = _Response(self)
        self._finished = True
        return self._session_defer(self._session_finish(response, pending))

    def flush(self, include_footers: bool = False) -> asyncio.Future[None]:
        """Send what was written, once what it depends on is stored."""
        if self._headers_written:
            return super().flush(include_footers)
        if not include_footers:  # not called by finish(), which has seen to it
            if self._session_pending is not None:
                return self._session_pending
            if self._session_unsaved():
                return self._session_defer(self._session_flush(_Response(self)))
        self._session_seal()
        future = super().flush(include_footers)
        self._session_announce()
        return future

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Send an error page; errors of the session have a status of their own."""
        pending = self._session_pending
        if pending is not None:
            gen_log.error("Cannot send error response: the handler has sent another")
            if not self._finished:
                self.finish()
            return
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        if status_code == 500 and isinstance(error, SessionError):
            status_code = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        self._session_in_error = True
        super().send_error(status_code, **kwargs)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log what follows from the store's or a session's state in one line."""
        if isinstance(value, StoreError | SessionConflict | SessionEnded):
            logger.warning("%s: %s", self._request_summary(), value)
        else:
            super().log_exception(typ, value, tb)

    # -- saved before seen ------------------------------------------------

    def _session_unsaved(self) -> bool:
        """Whether the response has to wait for a save."""
        session = self._session
        if session is None or self._status_code >= 500:
            return False
        if not self._headers_written:
            return self.session_manager.unsettled(session, self.session_touch)
        if session.modified and session._state is not State.ENDED and not self._session_late:
            self._session_late = True
            raise SessionError(
                "the session was changed after the response head had left;"
                " store such changes with `await self.session.save()`"
            )
        return False

    def _session_defer(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._session_pending = asyncio.get_running_loop().create_task(work)
        # Nobody has to await it: a failed save has become the response.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return task

    async def _session_save(self) -> None:
        session = self._session
        assert session is not None
        modified = session.modified
        try:
            await self.session_manager.save(session, touch=self.session_touch)
        except (StoreError, SessionEnded) as error:
            if modified:
                raise
            # Only the deadline did not move: the response does not depend on it.
            self.session_manager.report("store_failed", session.id, f"not touched: {error}")

    async def _session_flush(self, response: _Response) -> None:
        try:
            await self._session_save()
            response.restore_head(self)
            self._session_seal()
            sent = super().flush()
        finally:
            self._session_pending = None
        self._session_announce()
        await sent

    async def _session_finish(
        self, response: _Response, flushed: asyncio.Task[None] | None
    ) -> None:
        failure: Exception | None = None
        try:
            if flushed is not None:
                await asyncio.wait([flushed])
            if self._session_unsaved():
                await self._session_save()
        except Exception as error:
            failure = error
        self._session_pending, self._finished = None, False
        try:
            if failure is not None:
                raise failure
            if not self._headers_written:
                response.restore(self)
            sent = super().finish()
        except Exception as error:
            self._handle_request_exception(error)  # as Tornado does when a handler raises
        else:
            await sent

    def _session_seal(self) -> None:
        """Put into the head what the session has to say to browser and caches."""
        carrier = self._session_carrier
        if self._session_in_error and self._status_code == 503:
            self.set_header("Retry-After", _RETRY_AFTER)
        if carrier is None:
            return
        if self._session_used:
            self.add_header("Vary", "Cookie")
        if carrier.credential is not None or carrier.revoke:
            self.session_manager.credentials.write(self, carrier.credential)
            self.set_header("Cache-Control", "no-store")

    def _session_announce(self) -> None:
        """The head has left: sockets of the replaced credential may go."""
        carrier, session = self._session_carrier, self._session
        if carrier is not None and carrier.rotated and session is not None and session._record:
            carrier.rotated = False
            if session._record.generation > 1:
                manager = self.session_manager
                manager.spawn(manager.announce("rotated", [session.id]))

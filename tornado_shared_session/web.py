"""The session in Tornado's request handlers: `SessionMixin`.

It loads for `prepare()` and saves before the response head leaves; how a
response is held back is the business of `response.py`. This file turns
errors of the session into statuses, and a new credential into a header.
"""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

from .attributes import share_names
from .autosave import Autosave
from .carrier import ResponseCarrier
from .early import Lookup
from .errors import (
    ConfigurationError,
    SerializationError,
    SessionConflict,
    SessionEnded,
    SessionError,
    StoreError,
)
from .events import logger
from .response import RESPONSE_NAMES
from .session import Session
from .stored import State
from .stores.base import ForeignRecord
from .streaming import StreamConnection, follow, load
from .users import NewerRecord

_STATUS: tuple[tuple[type[SessionError], int], ...] = (
    (StoreError, 503),
    (SessionConflict, 409),
    (SessionEnded, 409),
    (SerializationError, 500),
)
#: What a usual request sets on its handler in this file.
_SET = (
    "_session",
    "_session_prepared",
    "_session_manager",
    "_session_carrier",
    "_session_used",
    "_session_lookup",
)
_RETRY_AFTER = "1"  # seconds; a store that is back is used at once


class SessionMixin(Autosave):
    """Gives a `RequestHandler` its `session`. Name it first::

        class Note(SessionMixin, tornado.web.RequestHandler):
            async def post(self):
                self.session["note"] = self.get_body_argument("note")

    Changes are stored before the response leaves, unless it is a 5xx. If
    they cannot be stored, the response is an error instead: 503 if the
    store failed, 409 if the session has ended, 500 for a value that
    cannot be stored. After a `flush()` the head has left: store later
    changes with ``await self.session.save()``.

    A handler with a `prepare()` of its own awaits ``super().prepare()``.

    Attributes:
        session_touch: False exempts the handler from counting as
            activity, for one that a page polls by itself.
        close_on_end: True ends the response with the session, for server-
            sent events and long polls: a stream stops, what has not begun
            is a 401, and `on_connection_close()` tells the handler.
    """

    _session_prepared = False
    _session_failure: StoreError | None = None
    _session_used = False  # the handler looked at it, so the response depends on it
    _session_in_error = False
    _session_retry = False  # the error is one that passes
    _session_logged: BaseException | None = None
    _session_stream: StreamConnection | None = None  # with close_on_end

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if RequestHandler in order and order.index(RequestHandler) < order.index(SessionMixin):
            raise ConfigurationError(
                f"class {cls.__name__}: name SessionMixin before the handler class, as in"
                f" class {cls.__name__}(SessionMixin, RequestHandler), or it is never asked"
            )
        if WebSocketHandler in order:
            raise ConfigurationError(
                f"class {cls.__name__}: SessionMixin is for request handlers; name"
                " SessionWebSocketMixin in its place before a WebSocketHandler"
            )
        if RequestHandler in order:
            share_names(cls, (*RESPONSE_NAMES, *_SET))
        cls._session_early = cls.prepare is SessionMixin.prepare

    @property
    def session(self) -> Session:
        """This visitor's session; a new one is stored when something is put in.

        On an error page, that of a request which failed before its session
        was loaded, it is empty, and cannot be changed.

        Raises:
            StoreError: it could not be loaded. As a response: 503.
            ConfigurationError: `prepare()` was overridden without
                ``await super().prepare()``.
        """
        self._session_used = True
        if self._session is None:
            self._session_loose = False
            if self._session_in_error and (self._session_failure or not self._session_prepared):
                # Read-only: an error page must not fail for want of a session, nor make one.
                self._session = Session(self.session_manager, ended="unloaded")
                return self._session
            if self._session_failure is not None:
                raise StoreError(str(self._session_failure)) from self._session_failure
            if not self._session_prepared:
                raise ConfigurationError(
                    f"{type(self).__name__}.session is not loaded: prepare() must be"
                    " async def and contain `await super().prepare()`"
                )
            if self._session_carrier is None:
                self._session_carrier = ResponseCarrier(self)
            self._session = Session(self.session_manager, carrier=self._session_carrier)
        return self._session

    async def prepare(self) -> None:
        """Load the session, if the client names one."""
        lookup, self._session_lookup = self._session_lookup, None
        looked = lookup is not None
        if lookup is None:
            manager = self._session_manager = self.session_manager
            manager.bind(self.settings)
            presented = manager.credentials.read(self.request)
            lookup = Lookup(self, manager, presented) if presented else False
        self._session_prepared = True
        if self.close_on_end:
            self._session_loose = False
        try:
            if not looked:
                await manager.ready()
            if lookup:
                self._session_loose = False
                carrier = self._session_carrier = lookup.carrier
                if self.close_on_end:
                    session = await load(self, lookup.presented, carrier)
                else:
                    session = await lookup.result()
                self._session = session
                carrier.user_id = session.user_id
        except StoreError as error:
            # Whoever looks at the session will know; others go on.
            self._session_failure = error
            if not isinstance(error, ForeignRecord | NewerRecord):  # reported already
                id = lookup.presented[0].id if lookup else None
                self.session_manager.report("store_failed", id, str(error))
            if self.close_on_end:
                raise  # a stream that nobody could end
        following = super().prepare()
        if following is not None:
            await following

    def get_current_user(self) -> Any:
        """Return the session's `user_id`, for `current_user` and `authenticated`."""
        return self.session.user_id

    def check_xsrf_cookie(self) -> None:
        """Check what browsers send by themselves; an Authorization header is not of that kind."""
        by_header = self.session_manager.by_header
        if by_header is None or not by_header(self.request):
            super().check_xsrf_cookie()

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Send an error page; errors of the session have a status of their own."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        if status_code == 500 and isinstance(error, SessionError):
            status_code = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            self._session_retry = isinstance(error, StoreError)
            self._session_loose = False
            if self.close_on_end and isinstance(error, SessionEnded):
                status_code = 401
        self._session_in_error = True
        super().send_error(status_code, **kwargs)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log what follows from the store's or a session's state in one line."""
        if value is not None and value is self._session_logged:
            return  # a failed save, of which a handler that awaited finish() hears again
        self._session_logged = value
        if isinstance(value, StoreError | SessionConflict | SessionEnded):
            logger.warning("%s %s: %s", self.request.method, self.request.path, value)
        else:
            super().log_exception(typ, value, tb)

    # -- what else `SavedResponse` asks -------------------------------------

    def _session_seal(self) -> None:
        """Put into the head what the session has to say to browser and caches."""
        if self._session_retry and self.get_status() == 503:
            self.set_header("Retry-After", _RETRY_AFTER)
        if self._session_used:
            self._session_vary(self.session_manager.vary)
        carrier = self._session_carrier
        if carrier is not None and (carrier.credential is not None or carrier.revoke):
            # Taken, so that the error page of a failure here can leave.
            credential, carrier.credential, carrier.revoke = carrier.credential, None, False
            self.session_manager.credentials.write(self, credential)
            self.set_header("Cache-Control", "no-store")

    def _session_ended(self, status: int) -> None:
        session = self._session
        if session is None or session._state is State.ENDED or status >= 500:
            return
        if session._is_modified():
            logger.error(
                "%s %s: the session was changed after the response had been sent, and the"
                " change is not stored; change it before finish(), redirect() or render(),"
                " or `await self.session.save()`",
                self.request.method,
                self.request.path,
            )

    def _session_announce(self) -> None:
        """The head has left: sockets of the replaced credential may go."""
        carrier, session = self._session_carrier, self._session
        if self.close_on_end:
            follow(self)
        if carrier is not None and carrier.rotated and session is not None and session._record:
            carrier.rotated = False
            if session._record.generation > 1:
                manager = self.session_manager
                manager.spawn(manager.announce("rotated", [session.id]))

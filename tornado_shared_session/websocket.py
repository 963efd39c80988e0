"""The session in Tornado's WebSockets: `SessionWebSocketMixin`.

Who may come in is in `handshake.py`, what a message does to its session
in `liveness.py`. This file puts both around the methods of the handler,
and closes its socket when the session ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tornado.web import Finish, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from . import liveness
from .connections import Phase
from .errors import ConfigurationError, SessionConflict, SessionEnded, StoreError
from .events import REASONS, logger
from .handshake import Handshaker, Refused
from .limits import MESSAGE, QUEUED, TOO_SLOW
from .manager import SessionManager
from .session import Session
from .settings import WithManager
from .watcher import watch
from .websocket_close import WebSocketConnection
from .websocket_line import look

if TYPE_CHECKING:
    _Handler = WebSocketHandler
else:
    _Handler = object


class SessionWebSocketMixin(WithManager, _Handler):
    """Gives a `WebSocketHandler` its `session`. Name it first::

        class Chat(SessionWebSocketMixin, tornado.websocket.WebSocketHandler):
            async def on_message(self, message):
                self.session["last"] = message
                await self.session.save()

    When the session ends, in whichever process, the socket is closed with
    code 1008 and the reason, one of `events.REASONS`, and no message is
    handled any more. Messages are activity. A visitor without a session
    is given one with the handshake. Pages of other sites are let in if
    the manager's `cors_allowed_origins` lists them; an override of
    `check_origin()` can only refuse more.

    A handler with a `prepare()` of its own awaits ``super().prepare()``.

    Attributes:
        session_reload: True reads the session anew before each message.
            A message is dropped, and reported, if it cannot be read.
        session_anonymous: ``"refuse"`` answers a visitor without a
            session 401.
        session_login_required: True answers 401 if nobody is logged in.
        session_max_queued: bytes that wait for a client to read them; one
            for which more do is closed, and the next write to it raises
            `WebSocketClosedError`, as for any that has gone.
    """

    session_reload: bool = False
    session_anonymous: Literal["create", "refuse"] = "create"
    session_login_required: bool = False
    session_max_queued: int = QUEUED

    _session_connection: WebSocketConnection | None = None
    _session_client_gone = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if RequestHandler in order:
            if WebSocketHandler not in order:
                raise ConfigurationError(
                    f"class {cls.__name__}: SessionWebSocketMixin is for WebSocketHandlers; a"
                    f" RequestHandler takes SessionMixin: class {cls.__name__}(SessionMixin,"
                    " RequestHandler)"
                )
            if order.index(WebSocketHandler) < order.index(SessionWebSocketMixin):
                raise ConfigurationError(
                    f"class {cls.__name__}: name SessionWebSocketMixin before the handler class, as"
                    f" in class {cls.__name__}(SessionWebSocketMixin, WebSocketHandler)"
                )
        for name, allowed in (
            ("session_anonymous", ("create", "refuse")),
            ("session_login_required", (True, False)),
            ("session_reload", (True, False)),
        ):
            if getattr(cls, name) not in allowed:
                choice = " or ".join(map(repr, allowed))
                raise ConfigurationError(f"class {cls.__name__}: {name} must be {choice}")

    @property
    def session(self) -> Session:
        """This client's session, as last loaded: at the handshake, or for the message.

        After its end it can be read, not written. Store changes with
        ``await self.session.save()``.

        Raises:
            ConfigurationError: `prepare()` was overridden without
                ``await super().prepare()``, or this is no handshake.
        """
        connection = self._session_connection
        if connection is None or connection.session is None:
            raise ConfigurationError(
                f"{type(self).__name__}.session is not loaded: it is for WebSockets, and prepare()"
                " must be async def and contain `await super().prepare()`"
            )
        return connection.session

    def get_current_user(self) -> Any:
        """Return the session's `user_id`, for `current_user` and `authenticated`."""
        return None if self._session_connection is None else self.session.user_id

    # -- the handshake -----------------------------------------------------

    async def prepare(self) -> None:
        """Judge the handshake: the origin, then the session."""
        manager = self.session_manager
        manager.bind(self.settings)
        if _is_upgrade(self):
            vars(self)["on_close"] = _nothing  # until open() was called
            try:
                if not manager.origins.allows(self.request):
                    raise Refused(403, "this origin is not accepted")
                await self._session_open(manager)
            except Refused as refusal:
                refusal.begin(self)
                self.set_header("Content-Type", "text/plain; charset=UTF-8")
                raise Finish(str(refusal)) from None
        following = super().prepare()
        if following is not None:
            await following

    async def _session_open(self, manager: SessionManager) -> None:
        watch(manager)
        handshaker = Handshaker(
            manager,
            manager.origins,
            lambda id, presented: WebSocketConnection(manager, self, id),
            self._session_forget,
            anonymous=self.session_anonymous,
            login_required=self.session_login_required,
        )
        connection = self._session_connection = await handshaker.open(self)
        if connection.session is not None:
            # The response that could carry a new credential is this one,
            # and it leaves as it is.
            connection.session._carrier = None

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Upgrade the request, and handle what comes until the socket is closed."""
        connection = self._session_connection
        if connection is None:
            if _is_upgrade(self):
                raise ConfigurationError(
                    f"{type(self).__name__}: prepare() must be async def and contain"
                    " `await super().prepare()`, or the socket would have no session"
                )
            await super().get(*args, **kwargs)  # refuses it
            return
        if self._session_client_gone:
            raise Finish
        # On this one handler, in the place of its own methods: those of
        # an application do not call super().
        vars(self)["open"] = partial(self._session_opened, connection, self.open)
        vars(self)["on_message"] = partial(self._session_message, connection, self.on_message)
        try:
            await super().get(*args, **kwargs)
        finally:
            # With these it would hold itself, until the garbage collector comes.
            for name in ("open", "on_message"):
                vars(self).pop(name, None)
            self._session_forget(connection)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """Finish a response; any but the 101 is the end of the connection."""
        if self._session_connection is not None and self.get_status() != 101:
            self._session_forget(self._session_connection)
        return super().finish(chunk)

    def on_connection_close(self) -> None:
        """Take note that the client has gone."""
        self._session_client_gone = True
        if self._session_connection is not None:
            self._session_forget(self._session_connection)
        super().on_connection_close()

    def _session_forget(self, connection: WebSocketConnection) -> None:
        connection.leave()
        self.session_manager.connections.gone(connection)

    # -- what the client sends ------------------------------------------------

    async def _session_opened(
        self, connection: WebSocketConnection, handle: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        self.set_nodelay(True)  # Nagle held a close notice back for 40 ms
        assert self.ws_connection is not None
        connection.stream = self.ws_connection.stream
        if connection.phase is Phase.OPEN:
            del vars(self)["on_close"]
            await self._session_run(connection, partial(handle, *args, **kwargs))
        else:
            connection.say_why()  # it ended while the 101 was made

    async def _session_message(
        self, connection: WebSocketConnection, handle: Callable[..., Any], message: str | bytes
    ) -> None:
        # Tornado reads the next frame when this is done, so messages stay
        # in their order, one at a time.
        if connection.phase is not Phase.OPEN or connection.leaving:
            return
        manager, session = self.session_manager, None
        manager.connections.begin(connection)
        try:
            if self.session_reload:
                session = await liveness.reload(manager, connection)
                if session is None:
                    return
            await self._session_run(connection, partial(handle, message))
            await liveness.keep_alive(manager, connection, session)
        except StoreError as error:
            manager.report("store_failed", connection.id, f"message dropped: {error}")
        finally:
            manager.connections.finish(connection)

    async def _session_run(
        self, connection: WebSocketConnection, handle: Callable[[], Any]
    ) -> None:
        """Call a method of the application; what follows from the session's state is a line."""
        try:
            result = handle()
            if result is not None:
                await result
        except (SessionEnded, SessionConflict, StoreError) as error:
            told = "a message of session %s: %s"
            self.session_manager.report.warn(connection.id, told, connection.id, error)
        except WebSocketClosedError:
            if connection.reason not in REASONS and connection.reason != TOO_SLOW:
                raise
            logger.debug("session %s was written to after its end", connection.id)

    def write_message(
        self, message: str | bytes | dict[str, Any], binary: bool = False
    ) -> asyncio.Future[None]:
        """Send a message; see `WebSocketHandler.write_message`."""
        connection = self._session_connection
        if connection is not None and not connection.check_waiting(self.session_max_queued):
            raise WebSocketClosedError
        written = super().write_message(message, binary)
        written.add_done_callback(look)
        return written

    @property
    def max_message_size(self) -> int:
        """Bytes of one message; a client that sends more is closed, with code 1009."""
        return int(self.settings.get("websocket_max_message_size", MESSAGE))

    def check_trusted_origin(self, origin: str) -> bool:
        """Say what `prepare()` has said, by the one rule there is."""
        return self.session_manager.origins.allows(self.request)


def _is_upgrade(handler: RequestHandler) -> bool:
    return handler.request.headers.get("Upgrade", "").lower() == "websocket"


def _nothing() -> None:
    """In the place of `on_close()`: what was not opened is not closed."""

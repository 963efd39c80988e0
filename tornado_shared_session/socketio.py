"""The session in python-socketio: `SessionServer`.

What users call. How packets pass is in `socketio_gate.py` and
`socketio_admission.py`, who gets in in `handshake.py`, how a client is
made to go in `transport.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import socketio
from tornado.websocket import WebSocketHandler

from .connections import Phase
from .endpoint import make_handler
from .errors import ConfigurationError, SessionError
from .handshake import Handshaker
from .limits import ATTACHMENTS, QUEUED, at_least
from .manager import SessionManager
from .origins import Origins
from .policy import Duration, seconds
from .rooms import RESERVED_ROOMS, user_room
from .session import Session
from .socketio_expiring import Expiring
from .socketio_rooms import RoomIndex
from .socketio_sessions import Sessions
from .token_state import without_tokens
from .tokens import BearerToken
from .transport import SocketConnection, prepare
from .watcher import watch


class SessionServerMixin(Sessions):
    """The behaviour of `SessionServer`, for a subclass of your own::

        class MyServer(SessionServerMixin, socketio.AsyncServer): ...

    Args:
        sessions: the session manager.
        reload: ``"event"`` reads the session anew before each event and
            acknowledgement, so none is handled after its end;
            ``"interval"`` trusts the notices and the periodic reload, so
            that one may be until the notice has come, milliseconds as a
            rule, and shows an event the session as this process knows it:
            what others write is seen within `reload_interval`, what is
            written here at once.
        anonymous: ``"create"`` gives a visitor without a session one at
            the handshake; ``"refuse"`` answers 401.
        login_required: refuse sessions that nobody is logged in to.
        autosave: store what `get_session` returned when the handler that
            changed it returns, before its acknowledgement is sent; nothing
            if it raises.
        on_session_error: ``"refuse"`` refuses a client whose session could
            not be loaded; ``"pass"`` admits it without one, and
            `get_session` raises the error.
        connect_timeout: seconds until a transport on which no namespace
            was connected is closed.
        auth_timeout: in token mode, seconds until a client that has not
            shown its token is closed.
        max_attachments: binary attachments of one packet. Its bytes, with
            theirs, are limited by socketio's `max_http_buffer_size`.
        max_queued: bytes that wait for a client to read them; beyond it
            is closed.
        expiring_notice: seconds before its session ends that a client is
            told ``session_expiring {"seconds": left}``, again after
            activity has moved the end; None: it is not told.
        cors_allowed_origins: exact origins besides the page's own;
            default: those of the manager.
        kwargs: as for `socketio.AsyncServer`.

    Raises:
        ConfigurationError: it names the setting and the remedy.
    """

    def __init__(
        self,
        sessions: SessionManager,
        *,
        reload: Literal["event", "interval"] = "event",
        anonymous: Literal["create", "refuse"] = "create",
        login_required: bool = False,
        autosave: bool = False,
        on_session_error: Literal["refuse", "pass"] = "refuse",
        connect_timeout: Duration = 20,
        auth_timeout: Duration = 20,
        max_attachments: int = ATTACHMENTS,
        max_queued: int = QUEUED,
        expiring_notice: Duration | None = None,
        cors_allowed_origins: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(sessions, SessionManager):
            raise ConfigurationError("SessionServer's first argument is a SessionManager")
        if reload not in ("event", "interval"):
            raise ConfigurationError(f'reload={reload!r}: use "event" or "interval"')
        if on_session_error not in ("refuse", "pass"):
            raise ConfigurationError(
                f'on_session_error={on_session_error!r}: use "refuse" or "pass"'
            )
        if on_session_error == "pass" and login_required:
            raise ConfigurationError(
                'on_session_error="pass" admits clients without a session, and login_required=True'
                " refuses them: drop one of the two"
            )
        if type(autosave) is not bool:
            raise ConfigurationError(f"autosave={autosave!r} must be a bool")
        if kwargs.pop("async_mode", "tornado") != "tornado":
            raise ConfigurationError('async_mode must be "tornado", or be left out')
        listed = cors_allowed_origins
        origins = sessions.origins if listed is None else Origins(listed)
        self.sessions = sessions
        self._reload_events = reload == "event"
        self._autosave = autosave
        self._pass_errors = on_session_error == "pass"
        self.connect_timeout = seconds("connect_timeout", connect_timeout)
        self.auth_timeout = seconds("auth_timeout", auth_timeout)
        self.max_attachments = at_least("max_attachments", max_attachments, 0)
        self.max_queued = at_least("max_queued", max_queued, 1)
        credentials = sessions.credentials
        self.tokens = credentials if isinstance(credentials, BearerToken) else None
        self._creates, self._login_required = anonymous == "create", login_required
        self._by_eio: dict[str, SocketConnection] = {}
        self._by_sid: dict[str, SocketConnection] = {}
        self._events: set[asyncio.Task[None]] = set()
        self.handshaker = Handshaker(
            sessions,
            origins,
            lambda id, presented: SocketConnection(self, id, presented),
            self.forget,
            anonymous=anonymous,
            login_required=login_required,
            admit_errors=self._pass_errors,
        )
        watch(sessions)
        if expiring_notice is not None:
            Expiring(sessions, seconds("expiring_notice", expiring_notice), self.tell_expiring)
        super().__init__(
            async_mode="tornado",
            # One rule, ours; as a function, so that Engine.IO sends the
            # CORS headers that go with it.
            cors_allowed_origins=lambda _, env: origins.allows(env["tornado.handler"].request),
            **kwargs,
        )
        prepare(self)
        RoomIndex(self.manager)
        if self.tokens is not None:
            self.eio.logger.addFilter(without_tokens)

    async def online(self, namespace: str = "/") -> list[tuple[str, Session]]:
        """Return the clients connected here to a namespace, with their sessions.

        Raises:
            StoreError: one of them could not be loaded.
        """
        everybody = [c for c in self._by_eio.values() if c.error is None]
        known = [(c.sids[namespace], c) for c in everybody if namespace in c.sids]
        connections = [(sid, c) for sid, c in known if self.manager.is_connected(sid, namespace)]
        sessions = await asyncio.gather(*(self.load_session(c) for _, c in connections))
        pairs = zip(connections, sessions, strict=True)
        return [(sid, session) for (sid, _), session in pairs if session is not None]

    def is_online(self, user_id: str, namespace: str = "/") -> bool:
        """Whether a client of this user is connected here, to this process."""
        return any(
            self.manager.is_connected(sid, namespace)
            and self._by_sid[sid].phase is not Phase.ENDED  # and only has to be told so
            for sid, _ in self.manager.get_participants(namespace, user_room(user_id))
        )

    async def enter_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Enter a room.

        Raises:
            SessionError: it is a session's or a user's room, which are not
                for entering.
            ValueError: no such client is connected to the namespace.
        """
        _check_room(room)
        await super().enter_room(sid, room, namespace)

    async def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Leave a room that was entered.

        Raises:
            SessionError: it is a session's or a user's room.
        """
        _check_room(room)
        await super().leave_room(sid, room, namespace)

    async def close_room(self, room: str, namespace: str | None = None) -> None:
        """Close a room that was entered.

        Raises:
            SessionError: it is a session's or a user's room.
        """
        _check_room(room)
        await super().close_room(room, namespace)


class SessionServer(SessionServerMixin, socketio.AsyncServer):  # type: ignore[misc]  # untyped
    """A Socket.IO server whose clients have the application's session.

    See `SessionServerMixin` for the arguments. Put
    `get_tornado_handler(sio)` into the Application's handlers list.
    """


def get_tornado_handler(sio: SessionServerMixin) -> type[WebSocketHandler]:
    """Return the handler class for ``(r"/socket.io/", ...)``.

    Raises:
        ConfigurationError: `sio` is not a `SessionServer`.
    """
    if not isinstance(sio, SessionServerMixin):
        raise ConfigurationError(
            "get_tornado_handler takes a SessionServer; for a subclass of your own, inherit"
            " SessionServerMixin and socketio.AsyncServer"
        )
    return make_handler(socketio.get_tornado_handler(sio), sio)


def _check_room(room: object) -> None:
    if isinstance(room, str) and room.startswith(RESERVED_ROOMS):
        raise SessionError(
            f"rooms that begin with {' or '.join(map(repr, RESERVED_ROOMS))} belong to sessions;"
            " emit to them, but choose another name for a room of your own"
        )

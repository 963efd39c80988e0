"""A response that ends with its session: `SessionMixin.close_on_end`.

Server-sent events and long polls are connections like sockets: in the
registry, closed by the watcher, within the same bounds. How one of them
ends is here. Handlers without `close_on_end` never come here; of those
that have it, this file knows what `Streaming` says.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol

from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, StreamClosedError

from .connections import Connection, Phase
from .events import logger
from .manager import SessionManager
from .notices import Notice
from .record import Credential
from .session import Carrier, Session
from .stored import State
from .watcher import watch

_GRACE = 1.0  # seconds for a client to read what was written


class Pending(Carrier, Protocol):
    """What is to be said to the client with the head, if anything."""

    credential: Credential | None
    renewal: Credential | None
    revoke: bool


class Streaming(Protocol):
    """What is asked of a handler: a `SessionMixin`."""

    request: HTTPServerRequest
    current_user: Any
    _session: Session | None
    _session_stream: StreamConnection | None

    @property
    def session_manager(self) -> SessionManager: ...
    @property
    def _session_carrier(self) -> Pending | None: ...
    async def _session_settled(self) -> bool | None: ...
    def clear(self) -> None: ...
    def get_status(self) -> int: ...
    def set_status(self, status_code: int, reason: str | None = None) -> None: ...
    def send_error(self, status_code: int = 500, **kwargs: Any) -> None: ...
    def finish(self) -> asyncio.Future[None]: ...
    def on_connection_close(self) -> None: ...
    def on_finish(self) -> None: ...


class StreamConnection(Connection):
    """One response on its way, with the handler that makes it."""

    __slots__ = ("_handler", "_manager", "_told")

    def __init__(self, handler: Streaming, id: str) -> None:
        super().__init__(id)
        self._handler = handler
        self._manager = handler.session_manager
        self._told = False  # the handler knows that nobody listens

    def begin(self, session: Session) -> None:
        """Its session is loaded, or was just stored: watch over it until it is sent.

        Raises:
            SessionEnded: it ended, or was rotated, while it loaded.
        """
        assert session._record is not None
        connection: Any = self._handler.request.connection
        if connection.stream is None or connection.stream.closed():
            self.forget()  # the client left while it loaded, and the handler was told
            return
        self.admit(session._record)
        self.session = session
        handler = self._handler
        handler._session_stream = self
        # On this one handler, in the place of its methods: an application
        # overrides them without asking super(), and other handlers do not
        # pay for them.
        handler.on_finish = self._on_finish  # type: ignore[method-assign]  # as long as it is needed
        connection.set_close_callback(self._on_connection_close)
        watch(self._manager).expect(self.id, self.deadline)

    def forget(self) -> None:
        """The response is sent, or nobody is there to read it; twice is harmless."""
        self._manager.connections.gone(self)
        vars(self._handler).pop("on_finish", None)

    def _on_finish(self) -> None:
        self.forget()
        self._handler._session_stream = None  # what holds each other waits for the collector
        self._handler.on_finish()

    def _on_connection_close(self) -> None:
        self.forget()
        if not self._told:
            self._told = True
            self._handler.on_connection_close()

    def outlives(self, reason: str) -> bool:
        """Whether its own handler did it, and tells the client with the head."""
        session, carrier = self.session, self._handler._session_carrier
        if session is None or carrier is None or reason == "shutdown":
            return False
        if session._is_busy():  # perhaps with a login: look again when that is through
            self._manager.spawn(self._look_again(session, reason))
            return True
        record = session._record
        if reason == "rotated" and record is not None and record.generation > self.generation:
            self.generation = record.generation
            self._manager.spawn(self._look_again(session, reason))
            return True
        return carrier.revoke  # until the head has left: `follow`

    async def _look_again(self, session: Session, reason: str) -> None:
        async with session._alone():
            pass
        if self.phase is Phase.OPEN:
            watch(self._manager).notice(Notice(reason, (self.id,)))

    def _close(self, reason: str, *, final: bool) -> None:
        if self.session is not None:  # else load() finds out
            self._manager.spawn(self._really_close(self.session, reason))

    async def _really_close(self, session: Session, reason: str) -> None:
        handler, carrier = self._handler, self._handler._session_carrier
        connection: Any = handler.request.connection
        stream: IOStream | None = connection.stream
        head_left = await handler._session_settled()
        try:
            if stream is None or stream.closed() or head_left is None:
                return
            session._end(reason)  # what was not saved is dropped
            handler.current_user = None
            if carrier is not None:
                carrier.credential = carrier.renewal = None
            if head_left:
                await self._stop(stream)
            else:
                handler.send_error(503 if reason == "shutdown" else 401)
                self._mute()
            self._on_connection_close()
        except Exception:  # a handler's own methods are called here
            logger.exception("a response could not be ended; its connection is closed")
        finally:
            if stream is not None and not await _drained(stream):
                stream.close()
            self.forget()

    async def _stop(self, stream: IOStream) -> None:
        """End a stream where it is; one that the client does not read is cut off."""
        handler = self._handler
        self._mute()
        # Not before: finish() would leave a flush() that still waits for
        # the client waiting for ever.
        if not await _drained(stream):
            stream.close()
            self._unmute()  # a closed stream is mute
            return
        status = handler.get_status()
        handler.clear()  # what was written and not flushed is not for this client
        handler.set_status(status)
        self._unmute()
        try:
            handler.finish()
        except Exception as error:  # less than its Content-Length, for instance
            logger.debug("a response was cut off: %s", error)
            stream.close()
        self._mute()
        if handler.request.version == "HTTP/1.0" and await _drained(stream):
            stream.close()  # no chunks: only so is the end told from a pause, keep-alive or not

    def _mute(self) -> None:
        """From here on the handler is as one whose client has gone."""
        handler: Any = self._handler
        vars(handler).update(
            write=_write,
            flush=_closed,
            finish=_closed,
            send_error=partial(_send_error, handler),
            log_exception=partial(_log_exception, handler),
        )

    def _unmute(self) -> None:
        for name in ("write", "flush", "finish"):
            vars(self._handler).pop(name, None)


async def load(handler: Streaming, presented: list[Credential], carrier: Carrier) -> Session:
    """Register, then load, then admit.

    Raises:
        SessionEnded: it ended, or was rotated, while it loaded.
        StoreError: it could not be loaded.
    """
    manager = handler.session_manager
    watch(manager)  # from here on an end that comes during the load is heard of
    session: Session | None = None
    ids = {credential.id for credential in presented}
    if len(ids) > 1:  # one that names a live session decides
        session = await manager.resolve(presented, carrier)
        if session._state is not State.LIVE:
            return session
    connection = StreamConnection(handler, presented[0].id if session is None else session.id)
    manager.connections.add(connection)
    try:
        session = await manager.resolve(presented, carrier)
        if session._state is State.LIVE and session.id == connection.id:
            connection.begin(session)
    finally:
        if connection.session is None:
            connection.forget()
    return session


def follow(handler: Streaming) -> None:
    """The head has left: from here on it depends on what the head said."""
    session, connection = handler._session, handler._session_stream
    if session is None:
        return
    if connection is not None:
        if session._state is State.ENDED:  # by the handler itself
            handler.session_manager.connections.end_one(connection, session._reason)
    elif session._state is State.LIVE:
        # It was stored by this very request.
        connection = StreamConnection(handler, session.id)
        handler.session_manager.connections.add(connection)
        connection.begin(session)
        watch(handler.session_manager).notice(Notice("expired", (session.id,)))


def _write(chunk: object) -> None:
    logger.debug("a response was written to after its session had ended")


def _closed(*args: object, **kwargs: object) -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(StreamClosedError())
    future.exception()  # nobody has to await it
    return future


def _send_error(handler: Any, status_code: int = 500, **kwargs: Any) -> None:
    handler.finish()


def _log_exception(handler: Any, typ: Any, value: BaseException | None, traceback: Any) -> None:
    if isinstance(value, StreamClosedError):
        logger.debug("a response was written to after its session had ended")
    else:
        type(handler).log_exception(handler, typ, value, traceback)


async def _drained(stream: IOStream) -> bool:
    """Wait, for a while, until all that was written is with the operating system."""
    if stream.closed():
        return True
    written = stream.write(b"")
    await asyncio.wait({written}, timeout=_GRACE)  # cancels nothing, which Tornado resents
    return written.done()

"""The `/socket.io/` endpoint: python-socketio's Tornado handler behind our rules.

Each request is judged in `prepare()`, before a WebSocket is upgraded
and before Engine.IO sees it. Who may come in is in `handshake.py`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

from tornado.web import HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler

from .connections import Phase
from .errors import StoreError
from .frames import Frames, Taker
from .handshake import Handshaker, Refused
from .limits import MALFORMED, TOO_LARGE
from .origins import make_readable
from .payload import is_payload, read_query
from .record import Credential
from .session import Session
from .transport import SocketConnection


class Table(Taker, Protocol):
    """What the handler needs of the Socket.IO server beyond a `Taker`."""

    handshaker: Handshaker[SocketConnection]
    connect_timeout: float

    def connection_of(self, eio_sid: str) -> SocketConnection | None:
        """Return the connection of an Engine.IO id."""

    async def open_connection(self, handler: RequestHandler) -> SocketConnection:
        """Admit a new connection, or raise `Refused`."""

    async def load_session(self, connection: SocketConnection) -> Session | None:
        """Read a connection's session anew; None if that has ended."""


def make_handler(base: type[Any], server: Table) -> type[WebSocketHandler]:
    """Return python-socketio's handler class with the session in front."""

    @stream_request_body  # so that prepare() comes before the body, however large that is
    class SessionSocketHandler(Frames, base):  # type: ignore[misc]  # python-socketio is untyped
        """The `/socket.io/` endpoint."""

        session_host = server
        session_polls: SocketConnection | None = None
        session_posts: SocketConnection | None = None
        session_body = b""

        def set_default_headers(self) -> None:
            super().set_default_headers()
            make_readable(self.request)  # no other hook comes before Tornado's protection

        async def prepare(self) -> None:
            following = super().prepare()
            if following is not None:
                await following
            if self._finished:
                return
            try:
                await self._decide()
            except Refused as refusal:
                self._refuse(refusal)

        def _refuse(self, refusal: Refused) -> None:
            self.session_body = b""
            refusal.begin(self)
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"message": str(refusal)}))

        async def _decide(self) -> None:
            handshaker = server.handshaker
            handshaker.manager.bind(self.settings)
            if not handshaker.origins.allows(self.request):
                raise Refused(403, "this origin is not accepted")
            query = read_query(self.request.query_arguments)
            if "j" in query:
                raise Refused(400, "JSONP is not supported")
            if self.request.method == "OPTIONS":
                return
            upgrade = self.request.headers.get("Upgrade", "").lower() == "websocket"
            if upgrade != (query.get("transport", "polling") == "websocket"):
                raise Refused(400, "the transport does not match the request")
            if "sid" in query:
                await self._check_later(query["sid"], upgrade)
            elif self.request.method != "GET" or query.get("EIO") != "4":
                raise Refused(400, "not an Engine.IO 4 handshake")
            else:
                connection = await server.open_connection(self)
                connection.close_unless_connected(server.connect_timeout)
                self.session_connection = connection

        async def _check_later(self, eio_sid: str, upgrade: bool) -> None:
            """A request of an open connection shows the session it began with."""
            connection = server.connection_of(eio_sid)
            if connection is None:
                raise Refused(400, "unknown sid")
            presented = server.handshaker.manager.credentials.read(self.request)
            shown = connection.may_present(presented)
            if shown and connection.shows_another_secret(presented):
                shown = await self._is_newer(connection, presented)
            if connection.phase is Phase.ENDED and not upgrade:
                if not shown:  # after a logout there is no cookie left to show
                    connection.keep_farewell()
                return
            if not shown:
                raise Refused(400, "this connection belongs to another session")
            if upgrade:
                await self._check_upgrade(connection)
            elif self.request.method == "GET":
                self.session_polls = connection
                connection.polled = self.request.connection.stream
            else:
                self.session_posts = connection
                length = self.request.headers.get("Content-Length", "")
                self._check_length(int(length) if length.isdecimal() else 0)

        def _check_length(self, length: int) -> None:
            if length > server.eio.max_http_buffer_size:
                assert self.session_posts is not None
                self.session_drop(self.session_posts, TOO_LARGE, f"a POST of {length} bytes")
                raise Refused(400, "too large")

        def data_received(self, chunk: bytes) -> None:
            if self.session_posts is not None and not self._finished:
                self.session_body += chunk
                try:
                    self._check_length(len(self.session_body))  # where no header says it
                except Refused as refusal:
                    self._refuse(refusal)

        async def post(self, *args: Any, **kwargs: Any) -> None:
            if self._finished:
                return
            connection, body = self.session_posts, self.session_body
            if connection is not None and not is_payload(body):
                self.session_drop(connection, MALFORMED, "a POST")
                self._refuse(Refused(400, "malformed"))
                return
            self.request.body = body
            self.request.headers["Content-Length"] = str(len(body))  # Engine.IO goes by it
            await super().post(*args, **kwargs)

        async def _is_newer(
            self, connection: SocketConnection, presented: list[Credential]
        ) -> bool:
            """After a login the browser's polls show what the connection never saw."""
            manager = server.handshaker.manager
            try:
                record = await manager.fetch(connection.id)
            except StoreError as error:
                raise Refused(503, "the session store cannot be asked") from error
            if record is None or record.meta.digest not in [one.digest for one in presented]:
                return False
            manager.connections.end_one(connection, "rotated")
            return True

        async def _check_upgrade(self, connection: SocketConnection) -> None:
            """An upgrade is rare, so it asks the store."""
            asks = connection.error is None and connection.phase is not Phase.LOADING
            try:
                if asks and await server.load_session(connection) is None:
                    raise Refused(401, "the session has ended")
            except StoreError as error:
                raise Refused(503, "the session store cannot be asked") from error
            self.session_connection = connection

        def finish(self, chunk: Any = None) -> asyncio.Future[None]:
            written: asyncio.Future[None] = super().finish(chunk)
            connection = self.session_polls
            if connection is not None:
                stream = self.request.connection.stream
                written.add_done_callback(lambda _: connection.fetched(stream))
            return written

        def _log(self) -> None:
            report = server.handshaker.manager.report
            if report.tells(self.get_status(), self.request.remote_ip or ""):
                super()._log()

        def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
            if not isinstance(value, HTTPError):  # a refusal is a line of the access log
                super().log_exception(typ, value, tb)

        def on_finish(self) -> None:
            super().on_finish()
            connection = self.session_connection
            if connection is not None and not connection.eio_sid and self.get_status() != 101:
                server.forget(connection)

        def on_connection_close(self) -> None:
            super().on_connection_close()
            RequestHandler.on_connection_close(self)  # WebSocketHandler leaves the body awaited

        # The origin was judged in prepare(), by the one rule there is.

        def check_origin(self, origin: str) -> bool:
            return server.handshaker.origins.allows(self.request)

        def check_trusted_origin(self, origin: str) -> bool:
            return server.handshaker.origins.allows(self.request)

        def check_xsrf_cookie(self) -> None:
            """Polling POSTs carry no token; the origin rule protects them."""

        def get_compression_options(self) -> dict[str, Any] | None:
            """Say no: python-socketio's would compress secrets beside what others wrote."""
            return None

        @property
        def max_message_size(self) -> int:
            return int(server.eio.max_http_buffer_size)

    async def disconnect(sid: str | None = None) -> None:
        """Close the transport of one client, or of all.

        Engine.IO's own waits until the client has fetched everything, and
        it calls that where it rejects a POST.
        """
        for one in list(server.eio.sockets) if sid is None else [sid]:
            connection = server.connection_of(one)
            if connection is not None:
                server.handshaker.manager.connections.end_one(connection, "broken")

    server.eio.disconnect = disconnect
    return SessionSocketHandler

"""Token mode: how a Socket.IO client shows its token.

With the handshake, with a CONNECT, or in the event `getToken`. Until it
has, its namespaces are connected as far as the client can tell, so that
it can ask in them, but no handler of the application has run, nothing
reaches it and nothing that it sends is handled.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from socketio.packet import DISCONNECT
from tornado.web import RequestHandler

from .connections import Phase
from .errors import SessionEnded, StoreError
from .handshake import Handshaker, Refused
from .socketio_admission import REFUSALS, Admission, Event, current
from .socketio_switch import Switching
from .token_state import LOGIN_REQUIRED, REPLACED, TOO_MANY, TokenState, answer
from .transport import SocketConnection

_ASKS = "getToken"
_MOST = 8  # CONNECTs and getTokens of one connection that wait for each other


class Tokens(Switching):
    """The part of the server that clients without cookies meet."""

    handshaker: Handshaker[SocketConnection]
    auth_timeout: float

    # -- the handshake -----------------------------------------------------------

    async def open_connection(self, handler: RequestHandler) -> SocketConnection:
        """Admit a new connection, or raise `Refused`.

        In token mode one that shows neither a live session's token nor
        a cookie of the fallback is left to wait for a token.
        """
        tokens = self.tokens
        if tokens is None:
            return await self.handshaker.open(handler)
        self.handshaker.check_open()
        request = handler.request
        presented = tokens.read(request)
        if presented and not tokens.by_header(request):
            connection = await self.handshaker.open(handler)
            connection.tokens = TokenState(by_cookie=True)
            return connection
        connection = SocketConnection(self, "", frozenset(one.id for one in presented))
        state = connection.tokens = TokenState({one.digest for one in presented})
        connection.address = request.remote_ip or ""
        state.client = connection.address, request.headers.get("User-Agent", "")[:500]
        connection.rotation = asyncio.Lock()
        self.sessions.connections.add(connection)
        try:
            await self.sessions.ready()
            for credential in presented:
                token = tokens.token_of(request)
                errors = await self._join(connection, credential, token)
                if errors in (LOGIN_REQUIRED, REPLACED):
                    raise Refused(401, errors)
        except StoreError as error:
            self.sessions.report("store_failed", detail=f"handshake: {error}")
            if not self._pass_errors:
                self.forget(connection)
                raise Refused(503, "the session store cannot be asked") from error
            connection.admit_without(error)
        except (Refused, SessionEnded) as error:
            self.forget(connection)
            raise Refused(401, str(error)) from error
        except BaseException:
            self.forget(connection)
            raise
        if connection.phase is Phase.LOADING:
            later = asyncio.get_running_loop().call_later
            state.timer = later(self.auth_timeout, self._no_token, connection)
        return connection

    def _no_token(self, connection: SocketConnection) -> None:
        if connection.phase is Phase.LOADING:
            connection.end("no_token")

    def forget(self, connection: SocketConnection) -> None:
        """Drop what is kept of a connection; twice is harmless."""
        if connection.tokens is not None:
            connection.tokens.cancel_timer()
        super().forget(connection)

    # -- a CONNECT -----------------------------------------------------------------

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        connection = self._by_eio[eio_sid]
        state = connection.tokens
        if state is None:
            await super()._handle_connect(eio_sid, namespace, data)
            return
        namespace = namespace or "/"
        if state.asking >= _MOST:
            await self._refuse(connection, namespace)
            return
        state.asking += 1
        try:
            async with state.lock:
                await self._connect_in_turn(connection, state, namespace, data)
        finally:
            state.asking -= 1

    async def _connect_in_turn(
        self, connection: SocketConnection, state: TokenState, namespace: str, data: Any
    ) -> None:
        said: dict[str, str] | None = None
        if isinstance(data, dict) and "token" in data:
            # Ours; the rest is for the connect handler.
            said = await self._show(connection, _token_in(data), connecting=True)
            data = {key: value for key, value in data.items() if key != "token"} or None
        if connection.phase is Phase.LOADING:
            await self._connect_waiting(connection, namespace, data)
            if said is not None and namespace in state.waiting:
                self._tell(connection, namespace, said)
            return
        if connection.phase is Phase.OPEN:
            if said is not None:
                state.greetings[namespace] = said
            try:
                await super()._handle_connect(connection.eio_sid, namespace, data)
            finally:
                state.greetings.pop(namespace, None)
            await self._token_came(connection, state)

    async def _connect_waiting(
        self, connection: SocketConnection, namespace: str, data: Any
    ) -> None:
        """Connect a namespace in which a token may be shown, and no more than that."""
        token = current.set(Event(connection, None, False, connects=True))
        try:
            await super(Admission, self)._handle_connect(connection.eio_sid, namespace, data)
        finally:
            current.reset(token)

    async def _trigger_connect(self, namespace: str, sid: str, *args: Any) -> Any:
        event = current.get()
        state = None if event is None else event.connection.tokens
        if event is not None and state is not None:
            if event.connection.phase is Phase.LOADING:
                state.waiting[namespace] = args[1] if len(args) > 1 else None
                event.connection.cancel_timer()
                return None  # python-socketio answers that it is connected
            greeting = state.greetings.pop(namespace, None)
            if greeting is not None:
                self._tell(event.connection, namespace, greeting)
        return await super()._trigger_connect(namespace, sid, *args)

    # -- the event -------------------------------------------------------------------

    async def _took(self, eio_sid: str, namespace: str, id: Any, data: list[Any]) -> bool:
        """Answer `getToken`, and drop all else that comes before a token."""
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.tokens is None:
            return False
        if data[0] != _ASKS:
            return connection.phase is not Phase.OPEN
        state, namespace = connection.tokens, namespace or "/"
        if state.asking >= _MOST:
            if self._is_connected(eio_sid, namespace):
                self._tell(connection, namespace, answer("", TOO_MANY), id)
            return True
        state.asking += 1
        try:
            async with state.lock:
                if self._is_connected(eio_sid, namespace):
                    token = _token_in(data[1] if len(data) > 1 else None)
                    said = await self._show(connection, token)
                    if said is not None:
                        self._tell(connection, namespace, said, id)
                        await self._token_came(connection, state)
        finally:
            state.asking -= 1
        return True

    def _is_connected(self, eio_sid: str, namespace: str) -> bool:
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        return bool(sid and self.manager.is_connected(sid, namespace))

    # -- after it ----------------------------------------------------------------------

    async def _token_came(self, connection: SocketConnection, state: TokenState) -> None:
        """Run the connect handlers that waited for it, and tidy up."""
        for namespace in [one for one in state.waiting if one in state.late]:
            connect = partial(self._connect_late, connection, namespace, state.waiting[namespace])
            await self._decide(connection, namespace, connect)
            del state.waiting[namespace]
            state.late.discard(namespace)
            sid = self.manager.sid_from_eio_sid(connection.eio_sid, namespace)
            if sid is not None and namespace not in connection.sids:
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
        if connection.phase is Phase.OPEN and not connection.sids:
            connection.close_unless_connected(self.connect_timeout)
        await self._drop_left(connection)

    async def _connect_late(self, connection: SocketConnection, namespace: str, data: Any) -> None:
        """What python-socketio does at a CONNECT, except that it is answered already."""
        eio_sid = connection.eio_sid
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        environ = self.environ.get(eio_sid)
        if sid is None or environ is None:
            return  # it has left
        # Back to where a namespace is whose connect handler has not agreed.
        self.manager.pending_connect.setdefault(namespace, []).append(sid)
        if await self._agrees(namespace, sid, environ, data):
            await self.manager.connect(sid, namespace)
        else:
            await self._send_packet(eio_sid, self.packet_class(DISCONNECT, namespace=namespace))
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    async def _agrees(self, namespace: str, sid: str, environ: Any, data: Any) -> bool:
        """Ask the connect handler; without auth it may take two arguments only."""
        trigger = partial(self._trigger_event, "connect", namespace, sid, environ)
        try:
            try:
                return await trigger(data or None) is not False
            except TypeError:
                return await trigger() is not False
        except REFUSALS:
            return False


def _token_in(payload: Any) -> Any:
    """Return the token in a payload; "" if it is empty, None if there cannot be one."""
    if payload is None or payload in ("", {}):
        return ""
    if isinstance(payload, dict):
        token = payload.get("token")
        return "" if token is None else token
    return None

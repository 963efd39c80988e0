"""Token mode: how a connection comes to its session, and to another one.

In cookie mode the handshake decides that for good. Here a connection
may begin without a session, change to another, and stay when a new
credential replaces the one it came in with. How a client asks for that
is in `socketio_tokens.py`.
"""

from __future__ import annotations

import time

from socketio.packet import ACK, EVENT

from .connections import Phase
from .errors import SessionConflict, SessionEnded, StoreError
from .events import logger
from .handshake import NewCredential
from .notices import Notice
from .record import Credential, Delta
from .rooms import RESERVED_ROOMS, session_room, user_room
from .session import Session
from .socketio_admission import Admission
from .socketio_gate import Gate
from .stored import State
from .token_state import (
    BY_COOKIE,
    EXPIRED,
    LOGIN_REQUIRED,
    NO_STORE,
    NOT_FOUND,
    REPLACED,
    Away,
    TokenCarrier,
    answer,
)
from .transport import SocketConnection
from .watcher import watch


class Switching(Gate):
    """The part of the server that gives a connection its session."""

    _creates: bool
    _login_required: bool

    async def _show(
        self, connection: SocketConnection, token: object, *, connecting: bool = False
    ) -> dict[str, str] | None:
        """Take the token that a client shows; return what to answer.

        Args:
            token: as the client sent it; "" if it sent none.
            connecting: it came with a CONNECT. Clients send the same one
                with each, so one that is worth nothing does not cost a
                connection the session it has.

        Returns None if the connection ended over it.
        """
        state = connection.tokens
        assert state is not None
        if state.by_cookie:
            return answer("", BY_COOKIE)
        has = connection.phase is Phase.OPEN and connection.id != ""
        if has and token == "":
            return answer(state.token)
        assert self.tokens is not None
        credential = self.tokens.verify(token)
        if has and credential is not None and credential.id == connection.id:
            return answer(state.token)  # also for an older token of this session
        try:
            errors = NOT_FOUND
            if credential is not None:
                # While it changes a connection neither hears nor speaks, so
                # one that has a session asks first whether it will.
                errors = (await self._resolve(credential))[1] if has else ""
                errors = errors or await self._join(connection, credential, str(token))
            if not errors or (has and connecting):
                return answer(state.token)
            # Who shows a replaced one is about to be told the new one, by the
            # response to the login, and must not be given another instead.
            final = errors in (LOGIN_REQUIRED, REPLACED)
            if final or self._login_required or not self._creates:
                return answer("", errors)
            await self._begin(connection)
        except SessionEnded:
            return None
        except StoreError as error:
            self.sessions.report("store_failed", connection.id or None, f"getToken: {error}")
            if connecting and self._pass_errors and connection.phase is Phase.LOADING:
                connection.admit_without(error)
                self._wake(connection)
            return answer("", NO_STORE)
        return answer(state.token, errors)

    async def _join(self, connection: SocketConnection, credential: Credential, token: str) -> str:
        """Register, then load, then admit; return what is wrong, or "".

        Unless it is admitted, the connection is left as it was.

        Raises:
            SessionEnded: the connection ended meanwhile.
            StoreError: the session could not be loaded.
        """
        assert connection.rotation is not None
        async with connection.rotation:
            before, away = (connection.id, connection.phase), Away(connection)
            self._rekey(connection, credential.id, Phase.LOADING)
            self.sessions.connections.add(away)
            try:
                errors = await self._load(connection, credential, token)
            finally:
                self.sessions.connections.discard(away)
                if connection.phase is Phase.LOADING:
                    self._rekey(connection, *before)
                    if missed := away.missed():
                        self.sessions.connections.end_one(connection, missed)
                    self._look_up(connection.id)
        if connection.phase is Phase.ENDED:
            raise SessionEnded(connection.reason)
        return errors

    async def _load(self, connection: SocketConnection, credential: Credential, token: str) -> str:
        session, errors = await self._resolve(credential)
        if errors:
            return errors
        try:
            if session._record is not None and session._record.provisional:  # its token came back
                await self.sessions.touch(session)
            assert self.tokens is not None
            again = credential.renew  # it was signed with an older key
            self._admit(connection, session, self.tokens.sign(credential) if again else token)
        except SessionEnded as ended:
            return _ended(ended.reason)
        return ""

    async def _resolve(self, credential: Credential) -> tuple[Session, str]:
        """Load the session that a credential names; say what is wrong with it, or ""."""
        session = await self.sessions.resolve([credential], None)
        if session._state is not State.LIVE:
            return session, _ended(session._reason)
        if self._login_required and session.user_id is None:
            return session, LOGIN_REQUIRED
        return session, ""

    async def _begin(self, connection: SocketConnection) -> None:
        """Make a provisional session for a connection that has none to show.

        Raises:
            SessionEnded: the connection has ended, perhaps while this waited.
        """
        if connection.phase is Phase.ENDED:
            raise SessionEnded(connection.reason)
        kept = NewCredential()
        session = Session(self.sessions, carrier=kept)
        await self.sessions.create(session, {}, provisional=True)
        assert kept.credential is not None
        assert connection.rotation is not None
        assert connection.tokens is not None
        assert self.tokens is not None
        async with connection.rotation:
            # Registered after it is stored: nobody else can know the id yet,
            # and a reload in between must not find it missing.
            self._rekey(connection, session.id, Phase.LOADING)
            self._admit(connection, session, self.tokens.sign(kept.credential))
            connection.tokens.made = session.id

    def _rekey(self, connection: SocketConnection, id: str, phase: Phase) -> None:
        """Enter the connection under another session, or raise SessionEnded: it has ended."""
        if connection.phase is Phase.ENDED:
            raise SessionEnded(connection.reason)
        connections = self.sessions.connections
        connections.discard(connection)
        connection.id, connection.phase, connection.minimum = id, phase, 0
        connections.add(connection)

    def _look_up(self, id: str) -> None:
        """Ask the store about a session whose end may have been missed."""
        if id:
            watch(self.sessions).notice(Notice("expired", (id,)))

    def _admit(self, connection: SocketConnection, session: Session, token: str) -> None:
        """Let the connection hear and speak, as one of this session.

        In one go: nothing that is sent meanwhile reaches it in between.
        """
        state, record, rotation = connection.tokens, session._record, connection.rotation
        assert state is not None
        assert record is not None
        assert rotation is not None
        connection.admit(record)
        connection.error = None
        connection.session = session
        connection.carrier = session._carrier = TokenCarrier(self, connection, rotation)
        state.left, state.made = state.made, ""
        state.token, state.user_id = token, session.user_id
        self._move(connection, everything=True)
        self._wake(connection)
        watch(self.sessions).expect(connection.id, connection.deadline)

    def _wake(self, connection: SocketConnection) -> None:
        """It waits for a token no longer: the connect handlers may run."""
        state = connection.tokens
        assert state is not None
        state.cancel_timer()
        for namespace in list(state.waiting):
            if self.manager.sid_from_eio_sid(connection.eio_sid, namespace) is None:
                del state.waiting[namespace]  # it has left, and may connect again
            else:
                state.late.add(namespace)
                connection.withheld[namespace] = []

    def _move(self, connection: SocketConnection, *, everything: bool) -> None:
        """Leave the rooms of the session before, enter those of this one.

        Args:
            everything: leave the rooms too that the application entered it for.
        """
        assert connection.tokens is not None
        enter = [session_room(connection.id, connection.generation)]
        if connection.tokens.user_id is not None:
            enter.append(user_room(connection.tokens.user_id))
        manager = self.manager
        for namespace, sid in connection.sids.items():
            if manager.eio_sid_from_sid(sid, namespace) is None:
                continue  # it is leaving
            for room in manager.get_rooms(sid, namespace):
                if room != sid and (everything or str(room).startswith(RESERVED_ROOMS)):
                    manager.basic_leave_room(sid, namespace, room)
            for room in enter:
                manager.basic_enter_room(sid, namespace, room)

    async def _drop_left(self, connection: SocketConnection) -> None:
        """Delete the session that was made for a connection which has left it unused.

        Otherwise a client that asks again and again would fill the store.
        """
        state = connection.tokens
        assert state is not None
        id, state.left = state.left, ""
        if not id or id in self.sessions.connections:
            return
        store = self.sessions.store
        try:
            record = await store.load(id)
            # Once its token has come back, or something was written, it is
            # not provisional any more.
            if record is not None and record.provisional:
                # Nothing that is written from here on is lost in silence: either
                # it comes before this commit, or it is refused.
                generation, unknown = record.generation, Credential.generate(id).digest
                meta = record.meta.rotated(unknown, time.time(), 0)
                await store.commit(
                    Delta(id, generation, 0, record.version, meta=meta, confirm=False)
                )
                await store.delete(id, generation=generation + 1)
                self.sessions.report("ended", id, "unused")
        except (SessionEnded, SessionConflict, StoreError) as error:
            logger.debug("session %s was left, and not deleted: %s", id, error)

    def issued(
        self, connection: SocketConnection, credential: Credential, user_id: str | None
    ) -> None:
        """An event of this connection replaced its session's credential: it stays."""
        state = connection.tokens
        assert state is not None
        assert self.tokens is not None
        another = state.user_id not in (None, user_id)
        state.token, state.user_id, state.made = self.tokens.sign(credential), user_id, ""
        connection.generation += 1
        connection.digest = credential.digest
        self._move(connection, everything=another)
        for namespace in connection.sids:
            self._tell(connection, namespace, answer(state.token))
        self.spawn(self.sessions.announce("rotated", [connection.id]))

    def _tell(
        self, connection: SocketConnection, namespace: str, said: dict[str, str], id: object = None
    ) -> None:
        """Emit `gotToken`, and acknowledge if that was asked for.

        At once, past what is withheld; but after the answer to a CONNECT.
        """
        if connection.phase is Phase.ENDED:
            return
        assert connection.tokens is not None
        packets = [self.packet_class(EVENT, namespace=namespace, data=["gotToken", said])]
        if id is not None:
            packets.append(self.packet_class(ACK, namespace=namespace, id=id, data=[said]))
        held = connection.withheld.get(namespace)
        for packet in packets:
            if held is None or namespace in connection.tokens.late:
                connection.put(packet.encode())
            else:
                held.append((super(Admission, self)._send_packet, packet))


def _ended(reason: str) -> str:
    """Say why a token is worth nothing though it was signed by us."""
    return REPLACED if reason == "rotated" else EXPIRED

"""What users may write: mypy --strict has nothing to say about it."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime, timedelta
from logging import getLogger
from typing import Any, assert_type

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from tornado_shared_session import (
    BearerToken,
    CORSMixin,
    MemoryStore,
    MsgpackSerializer,
    RedisStore,
    Session,
    SessionEvent,
    SessionManager,
    SessionMixin,
    SessionServer,
    SessionWebSocketMixin,
    SignedCookie,
    get_tornado_handler,
)
from tornado_shared_session.record import Credential


def on_event(event: SessionEvent) -> None:
    """Take an event."""
    assert_type(event.kind, str)
    assert_type(event.id, str | None)


sessions = SessionManager(
    RedisStore("redis://localhost:6379/0", prefix="app:"),
    idle_timeout=1800,
    absolute_timeout=timedelta(hours=12),
    touch_interval=30.5,
    max_sessions_per_user=5,
    credentials=SignedCookie("__Host-sid", samesite="Strict", secure=True),
    serializer=MsgpackSerializer(),
    secret={1: "old", 2: b"new"},
    on_event=on_event,
    cors_allowed_origins=["https://app.example"],
    logger=getLogger("app.sessions"),
)
embedded = SessionManager()
by_token = SessionManager(MemoryStore(), credentials=BearerToken())
by_either = SessionManager(MemoryStore(), credentials=BearerToken(fallback=SignedCookie()))
tested = SessionManager(MemoryStore(clock=lambda: 1.0), on_event=print)
sio = SessionServer(sessions, cors_allowed_origins=["https://app.example"], reload="interval")
waiting = SessionServer(by_token, auth_timeout=timedelta(seconds=10))


def bump(session: Session) -> int:
    """Count."""
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


async def slowly(session: Session) -> str:
    """Count, and take time for it."""
    return str(bump(session))


class Chat(SessionWebSocketMixin, WebSocketHandler):
    """A WebSocket."""

    session_reload = True
    session_anonymous = "refuse"

    def open(self, *args: str) -> None:
        """Say who it is."""
        assert_type(self.session.user_id, str | None)

    async def on_message(self, message: str | bytes) -> None:
        """Store what was said."""
        self.session["said"] = message
        await self.session.save()


class Events(CORSMixin, SessionMixin, RequestHandler):
    """Server-sent events, for pages of another origin too."""

    close_on_end = True
    cors_headers = (*CORSMixin.cors_headers, "X-Trace")


class Handler(SessionMixin, RequestHandler):
    """A handler that uses everything."""

    session_touch = False

    async def prepare(self) -> None:
        """Have a prepare() of its own."""
        await super().prepare()

    async def post(self) -> None:
        """Read, write, count, log in and out."""
        session = self.session
        assert_type(session, Session)
        assert_type(session["x"], Any)
        session["x"] = {"any": ["value"]}
        session |= {"y": 1}
        session.update(z=2)
        del session["x"]
        assert_type(await session.transact(bump), int)
        assert_type(await session.transact(slowly), str)
        assert_type(await session.transact(lambda s: bool(s)), bool)
        assert_type(session.id, str)
        assert_type(session.user_id, str | None)
        assert_type(session.expires_at, datetime | None)
        assert_type(session.room, str)
        await session.login("ann")
        await session.regenerate()
        await session.save()
        await session.reload()
        await session.touch()
        await session.destroy()
        assert_type(await sessions.destroy(session.id, "ann"), bool)
        assert_type((await sessions.destroy_user("ann", keep=[session.id])).sessions, int)
        for info in await sessions.list_user("ann"):
            assert_type(info.expires_at, datetime)
        await sio.emit("hello", room=await sessions.room(session.id))
        await sio.emit("hello", room=sessions.user_room("ann"))


async def rename(sid: str, name: str) -> None:
    """Handle an event."""
    async with sio.session(sid) as session:
        assert_type(session, Session)
        session["name"] = name
    assert_type(await sio.get_session(sid, namespace="/chat"), Session)
    await sio.save_session(sid, {"name": name})
    sio.local(sid)["typing"] = True
    for other, session in await sio.online():
        assert_type(other, str)
        assert_type(session, Session)


class HeaderCredentials:
    """A way of one's own to carry a credential."""

    def read(self, request: HTTPServerRequest) -> list[Credential]:
        """Find it."""
        found = Credential.parse(request.headers.get("X-Session", ""))
        return [] if found is None else [found]

    def write(self, handler: RequestHandler, credential: Credential | None) -> None:
        """Hand it out."""
        handler.set_header("X-Session", str(credential or ""))


class Plain:
    """A serializer of one's own."""

    def encode(self, value: Any) -> bytes:
        """Return bytes."""
        return repr(value).encode()

    def decode(self, data: bytes) -> Any:
        """Return the value."""
        return data.decode()


custom = SessionManager(credentials=HeaderCredentials(), serializer=Plain(), secret="x")
app = Application([(r"/socket.io/", get_tornado_handler(sio))], session_manager=sessions)


async def main() -> Awaitable[None] | None:
    """Open, look and close."""
    async with sessions as same:
        assert_type(same, SessionManager)
        assert_type(await sessions.health(), dict[str, Any])
    return None

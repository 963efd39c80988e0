"""The application that the JavaScript client and the browser talk to.

Two processes of it share a Redis. Its page uses the socket.io-client's
defaults and writes down, with times, what its socket saw.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import argparse
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import socketio
import tornado.web

from tests.apps.runner import run
from tests.support.node_client import MODULES
from tornado_shared_session import (
    RedisStore,
    Session,
    SessionManager,
    SessionMixin,
    SessionServer,
    get_tornado_handler,
)

NAMESPACES = ("/", "/other")
PAGE = Path(__file__).with_name("client_page.html")


def bump(session: Session) -> int:
    """Add one, as a transaction."""
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


def describe(session: Session) -> dict[str, Any]:
    """Return what a client wants to know about its session."""
    expires = session.expires_at
    return {
        "id": None if session.is_new else session.id,
        "user": session.user_id,
        "count": session.get("count", 0),
        # It contains the generation, so it tells one credential from the next.
        "room": None if session.is_new else session.room,
        "expires": expires.timestamp() if expires else None,
        "pid": os.getpid(),
    }


class Handler(SessionMixin, tornado.web.RequestHandler):
    """What the request handlers have in common."""

    @property
    def sio(self) -> SessionServer:
        """The Socket.IO server of this process."""
        server = self.settings["sio"]
        assert isinstance(server, SessionServer)
        return server


class WhoAmI(Handler):
    """Say whose request it is, without counting as activity."""

    session_touch = False

    def get(self) -> None:
        self.write(describe(self.session))


class Count(Handler):
    """Add one and tell the sockets of this session."""

    async def post(self) -> None:
        count = await self.session.transact(bump)
        await self.sio.emit("count", count, room=self.session.room)
        self.write(describe(self.session))


class Login(Handler):
    """Log in whoever is named."""

    async def post(self) -> None:
        await self.session.login(self.get_body_argument("user"))
        self.write(describe(self.session))


class Logout(Handler):
    """End the session, everywhere."""

    async def post(self) -> None:
        await self.session.destroy()


class Page(tornado.web.RequestHandler):
    """The page for the browser."""

    def get(self) -> None:
        self.write(PAGE.read_text())


def add_events(sio: SessionServer, namespace: str) -> None:
    """Register the socket handlers of a namespace."""

    @sio.on("connect", namespace=namespace)
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        # Emitted while the client is not yet admitted: it must arrive
        # after the answer to its CONNECT, neither before nor never.
        hello = describe(await sio.get_session(sid, namespace))
        await sio.emit("hello", hello, to=sid, namespace=namespace)

    @sio.on("whoami", namespace=namespace)
    async def whoami(sid: str) -> dict[str, Any]:
        return describe(await sio.get_session(sid, namespace))

    @sio.on("incr", namespace=namespace)
    async def incr(sid: str) -> int:
        session = await sio.get_session(sid, namespace)
        count = await session.transact(bump)
        await sio.emit("count", count, room=session.room, namespace=namespace)
        return count

    @sio.on("keep", namespace=namespace)
    async def keep(sid: str, key: str, value: Any) -> None:
        async with sio.session(sid, namespace) as session:
            session[key] = value

    @sio.on("kept", namespace=namespace)
    async def kept(sid: str, key: str) -> Any:
        return (await sio.get_session(sid, namespace)).get(key)

    @sio.on("reverse", namespace=namespace)
    async def reverse(sid: str, data: bytes) -> bytes:
        await sio.emit("reversed", {"data": data[::-1]}, to=sid, namespace=namespace)
        return data[::-1]

    @sio.on("ask", namespace=namespace)
    async def ask(sid: str) -> None:
        # Not awaited: the answer is the next thing that this client sends.
        async def answered(*answer: Any) -> None:
            await sio.emit("answered", answer, to=sid, namespace=namespace)

        await sio.emit("question", "?", to=sid, namespace=namespace, callback=answered)


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application as a program of its own."""
    manager = SessionManager(
        RedisStore(args.redis, prefix=args.prefix),
        idle_timeout=args.idle,
        reload_interval=args.reload_interval,
    )
    await stack.enter_async_context(manager)
    sio = SessionServer(
        manager,
        namespaces=NAMESPACES,
        client_manager=socketio.AsyncRedisManager(args.redis, channel=f"{args.prefix}emits"),
    )
    for namespace in NAMESPACES:
        add_events(sio, namespace)
    static = {"path": MODULES / "socket.io-client" / "dist"}
    return tornado.web.Application(
        [
            (r"/", Page),
            (r"/whoami", WhoAmI),
            (r"/count", Count),
            (r"/login", Login),
            (r"/logout", Logout),
            (r"/socket.io/", get_tornado_handler(sio)),
            (r"/client/(.*)", tornado.web.StaticFileHandler, static),
        ],
        cookie_secret="a secret that both processes know, and nobody else",
        session_manager=manager,
        sio=sio,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what a test may choose."""
    parser.add_argument("--idle", type=float, default=1800)
    parser.add_argument("--reload-interval", type=float, default=15)


if __name__ == "__main__":
    run(make_app, add_arguments)

"""The socket handlers of `tests.apps.shared`, and what they share."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import socketio
import tornado.web

from tornado_shared_session import Session, SessionManager, SessionServer


@dataclass
class Shared:
    """The parts of the application, and what its handlers have told."""

    manager: SessionManager
    sio: SessionServer
    app: tornado.web.Application
    #: Lines said so far, newest last; as a program they go to stdout too.
    said: list[dict[str, Any]] = field(default_factory=list)
    #: Lets every `slow` handler go on.
    go: asyncio.Event = field(default_factory=asyncio.Event)
    #: Called with each line, besides.
    listener: Callable[..., None] = lambda **facts: None

    def tell(self, **facts: Any) -> None:
        """Keep an observation, and pass it on."""
        self.said.append(facts)
        self.listener(**facts)

    def heard(self, key: str) -> list[Any]:
        """Return what was said under a key so far."""
        return [line[key] for line in self.said if key in line]

    def counts(self) -> dict[str, int]:
        """Count whatever may leak."""
        sio = self.sio
        return {
            "registry": len(self.manager.connections),
            "by_eio": len(sio._by_eio),
            "by_sid": len(sio._by_sid),
            "environ": len(sio.environ),
            "engine": sum(not socket.closed for socket in sio.eio.sockets.values()),
            "rooms": sum(map(len, sio.manager.rooms.values())),
            "pending": len(sio.manager.pending_connect) + len(sio.manager.pending_disconnect),
            "binary": len(sio._binary_packet),
            "callbacks": len(sio.manager.callbacks),
        }


def describe(session: Session) -> dict[str, Any]:
    """Return what a test wants to know about a session."""
    return {
        "id": None if session.is_new else session.id,
        "user": session.user_id,
        "data": dict(session),
        "repr": repr(session),
    }


def bump(session: Session) -> int:
    """Add one, as a transaction."""
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


def add_events(shared: Shared, namespace: str = "/") -> None:
    """Register the socket handlers for a namespace."""
    sio = shared.sio
    on = sio.on

    @on("connect", namespace=namespace)
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        shared.tell(connect=sid, environ=sorted(environ), auth=auth)
        if isinstance(auth, dict):
            auth = auth.get("do")
        if auth == "refuse":
            raise socketio.exceptions.ConnectionRefusedError("not you", {"why": "told"})
        if auth == "raise":
            raise ValueError("a bug in the connect handler")
        if auth == "slow":
            await shared.go.wait()
        if auth == "greet":
            await sio.emit("greeting", "hello", to=sid, namespace=namespace)

    @on("disconnect", namespace=namespace)
    async def disconnect(sid: str, reason: str) -> None:
        shared.tell(disconnect=sid, reason=reason, at=time.monotonic())

    @on("get", namespace=namespace)
    async def get(sid: str, key: str = "note") -> Any:
        return (await sio.get_session(sid, namespace)).get(key)

    @on("set", namespace=namespace)
    async def set_value(sid: str, key: str, value: Any) -> str:
        shared.tell(set=key, sid=sid)
        async with sio.session(sid, namespace) as session:
            session[key] = value
        return "saved"

    @on("append", namespace=namespace)
    async def append(sid: str, key: str, value: Any) -> None:
        async with sio.session(sid, namespace) as session:
            session[key].append(value)

    @on("merge", namespace=namespace)
    async def merge(sid: str, values: dict[str, Any]) -> None:
        await sio.save_session(sid, values, namespace)

    @on("incr", namespace=namespace)
    async def incr(sid: str) -> int:
        session = await sio.get_session(sid, namespace)
        return await session.transact(bump)

    @on("whoami", namespace=namespace)
    async def whoami(sid: str) -> dict[str, Any]:
        return describe(await sio.get_session(sid, namespace))

    @on("slow", namespace=namespace)
    async def slow(sid: str, key: str, value: Any) -> None:
        async with sio.session(sid, namespace) as session:
            shared.tell(slow="socket")
            await shared.go.wait()
            session[key] = value

    @on("ask", namespace=namespace)
    async def ask(sid: str) -> None:
        def answered(*values: Any) -> None:
            shared.tell(acknowledged=values)

        await sio.emit("question", "?", to=sid, namespace=namespace, callback=answered)

    @on("rotate", namespace=namespace)
    async def rotate(sid: str, what: str) -> str:
        session = await sio.get_session(sid, namespace)
        try:
            await (session.login("mallory") if what == "login" else session.regenerate())
        except Exception as error:
            return type(error).__name__
        return "rotated"

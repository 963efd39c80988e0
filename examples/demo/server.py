"""One process of the demo: a page and a Socket.IO server on one session.

The launcher (`__main__.py`) starts it, once or twice.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import chat
import devices
import tornado.web
from shared import IDLE, ORIGINS, PORT, PORTS, REDIS_URL, WHO, BaseHandler, sessions, sio

from tornado_shared_session import Session, drain, get_tornado_handler

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / ".cache/js/node_modules/socket.io-client/dist"


def bump(session: Session) -> int:
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


def view(session: Session) -> dict[str, Any]:
    """What the page shows of a session, and which process looked."""
    expires = session.expires_at
    return {
        "id": None if session.is_new else session.id,
        "user": session.user_id,
        "count": session.get("count", 0),
        "note": session.get("note", ""),
        # Seconds, not a time of day: the browser's clock may be wrong.
        "left": (expires - datetime.now(UTC)).total_seconds() if expires else None,
        **WHO,
    }


async def share(session: Session) -> dict[str, Any]:
    """Show the session to each of its sockets, in both processes."""
    state = view(session)
    await sio.emit("state", state, room=session.room)
    if session.user_id is not None:
        await sio.emit("seen", session.id, room=session.user_room)
    return state


class Page(tornado.web.RequestHandler):
    def get(self) -> None:
        self.render("index.html", port=PORT, ports=PORTS, idle=IDLE, redis=bool(REDIS_URL))


class State(BaseHandler):
    async def get(self) -> None:
        if self.session.is_new:
            self.write(view(self.session))
        else:
            await self.session.touch()
            self.write(await share(self.session))


class Count(BaseHandler):
    async def post(self) -> None:
        await self.session.transact(bump)  # exact, however many click at once
        self.write(await share(self.session))


class Note(BaseHandler):
    async def post(self) -> None:
        self.session["note"] = self.get_body_argument("note", "")[:200]
        await self.session.save()  # others are told only of what is stored
        self.write(await share(self.session))


class Login(BaseHandler):
    async def post(self) -> None:
        name = self.get_body_argument("name", "").strip()[:40]
        if not name:
            raise tornado.web.HTTPError(400, reason="A name is needed")
        before = self.session.user_id
        # A new credential: the sockets come back with it, and hear then.
        await self.session.login(name)
        devices.changed(before, name)
        self.write(view(self.session))


class Logout(BaseHandler):
    async def post(self) -> None:
        user = self.session.user_id
        await self.session.destroy()
        devices.changed(user)
        self.write(WHO)


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def connect(sid: str, environ: dict[str, Any]) -> None:
    session = await sio.get_session(sid)
    if session.user_id is not None:
        sio.local(sid)["user"] = session.user_id  # an ended session does not say whose it was
        await sio.enter_room(sid, chat.ROOM)
        devices.changed(session.user_id)


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def disconnect(sid: str, reason: str) -> None:
    devices.changed(sio.local(sid).get("user"))


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def look(sid: str) -> dict[str, Any]:
    return view(await sio.get_session(sid))


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def count(sid: str) -> dict[str, Any]:
    async with sio.session(sid) as session:
        await session.transact(bump)
        return await share(session)


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def note(sid: str, text: str) -> dict[str, Any]:
    async with sio.session(sid) as session:
        session["note"] = str(text)[:200]
    return await share(session)


async def main() -> None:
    gc.set_threshold(5_000)  # see "The garbage collector" in docs/operations.md
    logging.basicConfig(format=f":{PORT} %(message)s", level=logging.INFO)
    logging.getLogger("tornado.access").setLevel(logging.WARNING)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    loop.add_reader(sys.stdin, stop.set)  # the launcher has died
    app = tornado.web.Application(
        [
            (r"/", Page),
            (r"/state", State),
            (r"/count", Count),
            (r"/note", Note),
            (r"/login", Login),
            (r"/logout", Logout),
            (r"/logout/others", devices.LogoutOthers),
            (r"/logout/everywhere", devices.LogoutEverywhere),
            (r"/revoke", devices.Revoke),
            (r"/socket.io/", get_tornado_handler(sio)),
            (r"/client/(.*)", tornado.web.StaticFileHandler, {"path": CLIENT}),
            (
                r"/((?:app|chat|devices)\.js|style\.css)",
                tornado.web.StaticFileHandler,
                {"path": HERE},
            ),
        ],
        cookie_secret=os.environ["DEMO_SECRET"],
        session_manager=sessions,
        cross_origin_protection=True,
        trusted_origins=ORIGINS,
        template_path=str(HERE),
    )
    async with sessions:
        server = app.listen(PORT, "127.0.0.1")
        await stop.wait()
        loop.remove_reader(sys.stdin)  # it stays readable, and would be heard in each turn
        await drain(server, sessions, timeout=3)  # the launcher waits for 5


if __name__ == "__main__":
    asyncio.run(main())

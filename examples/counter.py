"""A counter that a page moves over HTTP and over a socket.

Run it and open http://127.0.0.1:8888 in two tabs:

    python examples/counter.py

Sessions live in memory; set REDIS_URL to keep them in Redis. The page
loads the socket.io-client that `make js` has fetched.
"""

import asyncio
import os
import secrets
from pathlib import Path

import tornado.web

from tornado_shared_session import (
    MemoryStore,
    RedisStore,
    Session,
    SessionManager,
    SessionMixin,
    SessionServer,
    get_tornado_handler,
)

PORT = int(os.environ.get("PORT", "8888"))
REDIS_URL = os.environ.get("REDIS_URL")
CLIENT = Path(__file__).parents[1] / ".cache/js/node_modules/socket.io-client/dist"
PAGE = """<!doctype html>
<title>Counter</title>
<h1 id="count">{count}</h1>
<button onclick="fetch('/incr', {method: 'POST'})">+1 by HTTP</button>
<button onclick="socket.emit('incr')">+1 by socket</button>
<script src="/client/socket.io.min.js"></script>
<script>
  const socket = io();
  socket.on("count", (count) => { document.getElementById("count").textContent = count; });
</script>
"""

sessions = SessionManager(RedisStore(REDIS_URL) if REDIS_URL else MemoryStore(), idle_timeout=1800)
sio = SessionServer(sessions)


def bump(session: Session) -> int:
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


async def increase(session: Session) -> int:
    count = await session.transact(bump)  # no click is lost, however many come at once
    await sio.emit("count", count, room=session.room)  # each tab of this visitor
    return count


class Page(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(PAGE.replace("{count}", str(self.session.get("count", 0))))


class Incr(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        self.write(str(await increase(self.session)))


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def incr(sid: str) -> int:
    async with sio.session(sid) as session:
        return await increase(session)


async def main() -> None:
    app = tornado.web.Application(
        [
            (r"/", Page),
            (r"/incr", Incr),
            (r"/socket.io/", get_tornado_handler(sio)),
            (r"/client/(.*)", tornado.web.StaticFileHandler, {"path": CLIENT}),
        ],
        cookie_secret=os.environ.get("COOKIE_SECRET") or secrets.token_urlsafe(32),
        session_manager=sessions,
        cross_origin_protection=True,
    )
    async with sessions:
        app.listen(PORT, "127.0.0.1")
        print(f"http://127.0.0.1:{PORT}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass

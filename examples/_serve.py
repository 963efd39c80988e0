"""What the small examples share: where sessions live, a page, a server.

Not a part of the library. `counter.py` and `login.py` do without it and
show these lines in place.
"""

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import tornado.web

from tornado_shared_session import MemoryStore, RedisStore, SessionManager, Store, drain

PORT = int(os.environ.get("PORT", "8888"))
REDIS_URL = os.environ.get("REDIS_URL")
CLIENT = Path(__file__).parents[1] / ".cache/js/node_modules/socket.io-client/dist"


def store() -> Store:
    """Return Redis if REDIS_URL says where it is, else this process's memory."""
    return RedisStore(REDIS_URL) if REDIS_URL else MemoryStore()


class Page(tornado.web.RequestHandler):
    """Show a page that has nothing of the session in it."""

    def initialize(self, html: str) -> None:
        self.html = html

    def get(self) -> None:
        self.write(self.html)


def serve(sessions: SessionManager, handlers: list[Any], **settings: Any) -> None:
    """Serve on 127.0.0.1 until Ctrl-C or SIGTERM.

    With the socket.io-client that `make js` has fetched.
    """

    async def main() -> None:
        app = tornado.web.Application(
            [*handlers, (r"/client/(.*)", tornado.web.StaticFileHandler, {"path": CLIENT})],
            cookie_secret=os.environ.get("COOKIE_SECRET") or secrets.token_urlsafe(32),
            session_manager=sessions,
            cross_origin_protection=True,
            **settings,
        )
        stop = asyncio.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        server = app.listen(PORT, "127.0.0.1")
        print(f"http://127.0.0.1:{PORT}", flush=True)
        await stop.wait()
        await drain(server, sessions, timeout=10)

    asyncio.run(main())

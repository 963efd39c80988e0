"""python-socketio without sessions: what a socket costs in itself."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import socketio
import tornado.web

from .meter import Meter
from .program import COOKIE, application, main


class Seed(tornado.web.RequestHandler):
    """Set a cookie as long as a session's; nobody reads it."""

    def post(self) -> None:
        self.set_signed_cookie(COOKIE, secrets.token_urlsafe(48))
        self.write("nobody")


@asynccontextmanager
async def serve(
    arguments: argparse.Namespace,
) -> AsyncIterator[tuple[tornado.web.Application, Meter]]:
    """Serve sockets that nobody looks after."""
    sio = socketio.AsyncServer(async_mode="tornado", ping_interval=arguments.ping)
    yield (
        application((r"/seed", Seed), (r"/socket.io/", socketio.get_tornado_handler(sio))),
        Meter(),
    )


if __name__ == "__main__":
    main(serve)

"""What every subject shares, so that nothing but the session differs."""

from __future__ import annotations

from typing import Any

import socketio
import tornado.web

from ..content import COOKIE_SECRET

COOKIE = "session"


def application(
    read: type[tornado.web.RequestHandler],
    write: type[tornado.web.RequestHandler],
    plain: type[tornado.web.RequestHandler],
    begin: type[tornado.web.RequestHandler],
    sockets: type[tornado.web.RequestHandler] | None = None,
    **settings: Any,
) -> tornado.web.Application:
    """Return an Application with the routes that the clients know."""
    rules: list[Any] = [
        (r"/read", read),
        (r"/write", write),
        (r"/plain", plain),
        (r"/seed/(\w+)", begin),
    ]
    if sockets is not None:
        rules.append((r"/socket.io/", sockets))
    return tornado.web.Application(
        rules,
        cookie_secret=COOKIE_SECRET,
        log_function=lambda handler: None,  # the access log is nobody's session
        **settings,
    )


def plain_socketio() -> tuple[Any, type[tornado.web.RequestHandler]]:
    """Return a python-socketio server without us, and its handler."""
    server = socketio.AsyncServer(async_mode="tornado")
    return server, socketio.get_tornado_handler(server)

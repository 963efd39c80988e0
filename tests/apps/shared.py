"""One session shared by request handlers and socket handlers.

`build(options(...))` makes it in this process, for tests that look
inside; as a program it is one of several processes that share a Redis.
What a client cannot see it tells with `say(...)`: times are monotonic
seconds, which the processes of one machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import socketio
import tornado.web

from tests.apps.runner import run, say
from tests.apps.shared_events import Shared, add_events, bump, describe
from tornado_shared_session import (
    BearerToken,
    Credentials,
    MemoryStore,
    RedisStore,
    SessionManager,
    SessionMixin,
    SessionServer,
    SignedCookie,
    Store,
    get_tornado_handler,
)
from tornado_shared_session.watcher import Watcher

#: What `--credentials` may be.
CREDENTIALS: dict[str, Callable[[], Credentials]] = {
    "cookie": SignedCookie,
    "token": BearerToken,
    "both": lambda: BearerToken(fallback=SignedCookie()),
}
SECRET = "a secret that both processes know, and nobody else"


class Handler(SessionMixin, tornado.web.RequestHandler):
    """What the request handlers have in common."""

    @property
    def shared(self) -> Shared:
        """The application's parts."""
        shared = self.settings["shared"]
        assert isinstance(shared, Shared)
        return shared

    def tell_session(self) -> None:
        """Write what the session is and holds."""
        self.write(describe(self.session))


class Note(Handler):
    """Read and write one value."""

    def get(self) -> None:
        self.write(json.dumps(self.session.get(self.get_query_argument("key", "note"))))

    def post(self) -> None:
        key = self.get_body_argument("key", "note")
        self.session[key] = json.loads(self.get_body_argument("value"))


class Count(Handler):
    """A counter that loses nothing."""

    def get(self) -> None:
        self.write(str(self.session.get("count", 0)))

    async def post(self) -> None:
        self.write(str(await self.session.transact(bump)))


class Login(Handler):
    """Log in; with `emit`, tell the session's room from inside the handler."""

    async def post(self) -> None:
        await self.session.login(self.get_body_argument("user"))
        if event := self.get_body_argument("emit", ""):
            await self.shared.sio.emit(event, "secret", room=self.session.room)
        self.tell_session()


class Logout(Handler):
    async def post(self) -> None:
        await self.session.destroy()
        self.shared.tell(destroyed=time.monotonic())


class Regenerate(Handler):
    async def post(self) -> None:
        await self.session.regenerate()
        self.tell_session()


class WhoAmI(Handler):
    def get(self) -> None:
        self.tell_session()


class Emit(Handler):
    """Emit to a room: the session's, the user's, or everybody's."""

    async def post(self) -> None:
        room = {"session": lambda: self.session.room, "user": lambda: self.session.user_room}.get(
            self.get_body_argument("to", "session"), lambda: None
        )()
        event = self.get_body_argument("event", "news")
        await self.shared.sio.emit(event, self.get_body_argument("value", ""), room=room)


class Slow(Handler):
    """Load, wait for /go, then write: a request that was overtaken."""

    async def post(self) -> None:
        session = self.session
        session.get("note")
        self.shared.tell(slow="http")
        await self.shared.go.wait()
        session[self.get_body_argument("key")] = json.loads(self.get_body_argument("value"))


class Go(tornado.web.RequestHandler):
    def post(self) -> None:
        self.settings["shared"].go.set()


class Stats(tornado.web.RequestHandler):
    def get(self) -> None:
        gc.collect()
        tasks = sorted(str(task.get_coro()) for task in asyncio.all_tasks())
        self.write({**self.settings["shared"].counts(), "tasks": tasks})


def options(**changes: Any) -> argparse.Namespace:
    """Return the program's defaults, with changes."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    defaults = {**vars(parser.parse_args([])), "redis": "", "prefix": "tss:"}
    if unknown := changes.keys() - defaults:
        raise TypeError(f"no such option: {unknown}")
    return argparse.Namespace(**{**defaults, **changes})


def make_store(args: argparse.Namespace) -> Store:
    """Return the store that the arguments name."""
    if args.sql:
        from tornado_shared_session.stores.sql import SQLStore

        return SQLStore(args.sql, prefix=args.prefix, purge_interval=1)
    return RedisStore(args.redis, prefix=args.prefix or "tss:") if args.redis else MemoryStore()


def build(args: argparse.Namespace, store: Store | None = None, **server: Any) -> Shared:
    """Make the application; keyword arguments go to `SessionServer`."""
    store = make_store(args) if store is None else store
    manager = SessionManager(
        store,
        idle_timeout=args.idle,
        absolute_timeout=max(args.idle, 43200),
        touch_interval=args.touch_interval,
        reload_interval=args.reload_interval,
        max_unverified=args.max_unverified,
        max_sessions_per_user=args.max_sessions,
        sockets_keep_alive=args.sockets_keep_alive,
        credentials=CREDENTIALS[args.credentials](),
    )
    if args.no_notices or args.no_deadlines:
        watcher = Watcher(manager, notices=not args.no_notices, deadlines=not args.no_deadlines)
        manager.attach(watcher)
    if args.client_manager:
        server.setdefault("client_manager", socketio.AsyncRedisManager(args.redis))
    sio = SessionServer(
        manager,
        reload=args.reload,
        anonymous=args.anonymous,
        login_required=args.login_required,
        connect_timeout=args.connect_timeout,
        cors_allowed_origins=args.origin,
        **server,
    )
    shared = Shared(manager, sio, tornado.web.Application())
    for namespace in ("/", "/chat"):
        add_events(shared, namespace)

    class Socket(get_tornado_handler(sio)):  # type: ignore[misc]  # its base is untyped
        """It tells when its TCP connection is really gone."""

        def on_close(self) -> None:
            super().on_close()
            shared.tell(transport_closed=time.monotonic())

    shared.app = tornado.web.Application(
        [
            (r"/socket.io/", Socket),
            (r"/note", Note),
            (r"/count", Count),
            (r"/login", Login),
            (r"/logout", Logout),
            (r"/regenerate", Regenerate),
            (r"/whoami", WhoAmI),
            (r"/emit", Emit),
            (r"/slow", Slow),
            (r"/go", Go),
            (r"/stats", Stats),
        ],
        cookie_secret=SECRET,
        session_manager=manager,
        xsrf_cookies=args.xsrf,
        shared=shared,
    )
    return shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what a test may choose."""
    parser.add_argument("--sql", default="")
    parser.add_argument("--idle", type=float, default=1800)
    parser.add_argument("--touch-interval", type=float, default=None)
    parser.add_argument("--reload-interval", type=float, default=15)
    parser.add_argument("--max-unverified", type=float, default=30)
    parser.add_argument("--max-sessions", type=int, default=None)
    parser.add_argument("--sockets-keep-alive", action="store_true")
    parser.add_argument("--connect-timeout", type=float, default=20)
    parser.add_argument("--reload", default="event")
    parser.add_argument("--anonymous", default="create")
    parser.add_argument("--credentials", default="cookie")
    parser.add_argument("--login-required", action="store_true")
    parser.add_argument("--client-manager", action="store_true")
    parser.add_argument("--no-notices", action="store_true")
    parser.add_argument("--no-deadlines", action="store_true")
    parser.add_argument("--xsrf", action="store_true")
    parser.add_argument("--origin", action="append")


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application as a program of its own."""
    shared = build(args)
    shared.listener = say
    await stack.enter_async_context(shared.manager)
    return shared.app


if __name__ == "__main__":
    run(make_app, add_arguments)

"""Plain WebSockets, server-sent events and long polls that share a session.

`build(options(...))` makes it in this process, for tests that look
inside; as a program it is one of several processes that share a Redis.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import tornado.web
from tornado.websocket import WebSocketHandler

from tests.apps.runner import run, say
from tornado_shared_session import (
    RedisStore,
    SessionEvent,
    SessionManager,
    SessionMixin,
    SessionWebSocketMixin,
)
from tornado_shared_session.watcher import Watcher

SECRET = "a secret that both processes know, and nobody else"


@dataclass
class Streams:
    """The application's parts, and what its handlers have told."""

    manager: SessionManager
    events: list[SessionEvent]
    app: tornado.web.Application = field(default_factory=tornado.web.Application)
    said: list[dict[str, Any]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    speaks: bool = False  # also to stdout

    def tell(self, **facts: Any) -> None:
        """Keep an observation."""
        self.said.append(facts)
        if self.speaks:
            say(**facts)

    def heard(self, key: str) -> list[Any]:
        """Return what was said under a key so far."""
        return [line[key] for line in self.said if key in line]


class Chat(SessionWebSocketMixin, WebSocketHandler):
    """Does what a message says, and tells what it did."""

    def open(self, *args: str) -> None:
        self.streams: Streams = self.settings["streams"]
        self.streams.tell(open=self.session.id, user=self.current_user)

    async def on_message(self, message: str | bytes) -> None:
        words = str(message).split()
        self.streams.tell(message=message)
        if words[0] == "get":
            await self.write_message(json.dumps(self.session.get(words[1])))
        elif words[0] == "set":
            self.session[words[1]] = words[2]
            await self.session.save()
            await self.write_message("saved")
        elif words[0] == "slow":
            await self.streams.go.wait()
            self.session["slow"] = "x"
            await self.session.save()
            await self.write_message("slow")
        elif words[0] == "flood":
            while True:
                await self.write_message("x" * 100_000)
        elif words[0] == "spill":
            for _ in range(100):
                self.write_message("x" * 100_000)
        elif words[0] == "login":
            try:
                await self.session.login("mallory")
            except Exception as error:
                await self.write_message(type(error).__name__)
        elif words[0] == "destroy":
            await self.session.destroy()

    def on_close(self) -> None:
        self.settings["streams"].tell(
            closed=time.monotonic(), code=self.close_code, state=repr(self.session)
        )


class Reloading(Chat):
    session_reload = True


class Members(Chat):
    session_login_required = True


class Known(Chat):
    session_anonymous = "refuse"


class Events(SessionMixin, tornado.web.RequestHandler):
    """Server-sent events: with `flush`, the head leaves at once; with `writes`, it goes on."""

    close_on_end = True

    def initialize(self) -> None:
        self.gone = asyncio.Event()

    async def get(self) -> None:
        streams: Streams = self.settings["streams"]
        if user := self.get_query_argument("login", ""):
            await self.session.login(user)
        if change := self.get_query_argument("change", ""):
            self.session["change"] = change
        if self.get_query_argument("flush", ""):
            self.set_header("Content-Type", "text/event-stream")
            self.write("data: hello\n\n")
            await self.flush()
        if change := self.get_query_argument("late", ""):
            self.session["change"] = change
        if self.get_query_argument("flood", ""):
            while not self.gone.is_set():
                self.write("x" * 100_000)
                await self.flush()
        streams.tell(streaming=self.session.id)
        waits = [asyncio.ensure_future(event.wait()) for event in (self.gone, streams.go)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        streams.tell(woke=self.gone.is_set())
        try:
            for _ in range(int(self.get_query_argument("writes", "0"))):
                self.write("data: more\n\n")
                await self.flush()
            self.write("data: bye\n\n")
        finally:
            streams.tell(left=time.monotonic())

    post = get

    def on_connection_close(self) -> None:
        self.settings["streams"].tell(gone=time.monotonic())
        self.gone.set()

    def on_finish(self) -> None:
        self.settings["streams"].tell(finished=self.get_status())


class Note(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write({"data": dict(self.session), "user": self.current_user})

    def post(self) -> None:
        self.session["note"] = json.loads(self.get_argument("value"))


class Do(SessionMixin, tornado.web.RequestHandler):
    """Log in or out, or rotate."""

    async def post(self, what: str) -> None:
        if what == "login":
            await self.session.login("ann")
        elif what == "logout":
            await self.session.destroy()
        else:
            await self.session.regenerate()


HANDLERS: list[Any] = [
    (r"/ws", Chat),
    (r"/reloading", Reloading),
    (r"/members", Members),
    (r"/known", Known),
    (r"/events", Events),
    (r"/note", Note),
    (r"/do/(.*)", Do),
]


def options(**changes: Any) -> argparse.Namespace:
    """Return the program's defaults, with changes."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **changes})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what a test may choose."""
    parser.add_argument("--idle", type=float, default=1800)
    parser.add_argument("--touch-interval", type=float, default=None)
    parser.add_argument("--reload-interval", type=float, default=15)
    parser.add_argument("--no-notices", action="store_true")
    parser.add_argument("--no-deadlines", action="store_true")
    parser.add_argument("--origin", action="append")


def build(args: argparse.Namespace, **settings: Any) -> Streams:
    """Make the application; `settings` are Tornado's."""
    events: list[SessionEvent] = []
    manager = SessionManager(
        RedisStore(args.redis, prefix=args.prefix),
        idle_timeout=args.idle,
        touch_interval=args.touch_interval,
        reload_interval=args.reload_interval,
        cors_allowed_origins=args.origin,
        on_event=events.append,
    )
    if args.no_notices or args.no_deadlines:
        manager.attach(
            Watcher(manager, notices=not args.no_notices, deadlines=not args.no_deadlines)
        )
    streams = Streams(manager, events)
    given: dict[str, Any] = {"cookie_secret": SECRET, "session_manager": manager, **settings}
    streams.app = tornado.web.Application(HANDLERS, streams=streams, **given)
    return streams


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application as a program of its own."""
    streams = build(args)
    streams.speaks = True
    await stack.enter_async_context(streams.manager)
    return streams.app


if __name__ == "__main__":
    run(make_app, add_arguments)

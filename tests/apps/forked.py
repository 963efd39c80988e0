"""Two processes that are forked from one, which has made the application before.

`--before` says what was done with it before the fork, `--how` which of
Tornado's two ways it is. The port is that of both.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
from typing import Any, cast

import redis.asyncio
import tornado.ioloop
import tornado.process
import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from tests.apps.runner import die_with_parent, say
from tests.apps.shared import add_arguments, build
from tests.apps.shared_events import Shared
from tornado_shared_session import ConfigurationError, RedisStore
from tornado_shared_session.watcher import watch


class Where(tornado.web.RequestHandler):
    """Tell which process this is, and what it is called on the notice channel."""

    def get(self) -> None:
        channel = watch(self.settings["session_manager"]).channel
        assert channel is not None
        self.write({"pid": os.getpid(), "nonce": channel._nonce})


class EndAll(tornado.web.RequestHandler):
    """End all sessions of a user, and say what that was."""

    async def post(self) -> None:
        manager = self.settings["session_manager"]
        self.write(dataclasses.asdict(await manager.destroy_user(self.get_body_argument("user"))))


async def use(shared: Shared, close: bool) -> None:
    """Use the store, as a script does that prepares something."""
    await shared.manager.start()
    await shared.manager.list_user("ann")
    if close:
        await shared.manager.close()


async def serve(shared: Shared, server: HTTPServer, sockets: list[Any], start: bool) -> None:
    """Serve for ever."""
    if start:
        await shared.manager.start()
    server.add_sockets(sockets)
    await asyncio.Event().wait()


def go_on_after_fork(shared: Shared) -> None:
    """Fork in the middle, and go on in parent and child with the loop that there is."""
    store, loop = shared.manager.store, asyncio.new_event_loop()
    loop.run_until_complete(use(shared, close=False))
    child = os.fork()
    if child == 0:
        for name, work in (("manager", use(shared, close=False)), ("store", store.load("A" * 22))):
            try:
                loop.run_until_complete(work)
            except ConfigurationError as error:
                say(**{name: str(error)})
        os._exit(0)
    os.waitpid(child, 0)
    loop.run_until_complete(use(shared, close=True))
    say(parent="well")
    loop.close()


def main(args: argparse.Namespace) -> None:
    """Make it, do something with it, fork, serve."""
    client = redis.asyncio.Redis.from_url(args.redis)
    store = RedisStore(client, prefix=args.prefix) if args.before == "client" else None
    shared = build(args, store)
    shared.app.add_handlers(".*", [("/where", Where), ("/endall", EndAll)])
    shared.sio.on("pid", lambda sid: os.getpid())
    server = HTTPServer(shared.app)
    sockets = bind_sockets(args.port, "127.0.0.1")
    say(port=sockets[0].getsockname()[1], pid=os.getpid())
    if args.before in ("closed", "used"):
        asyncio.run(use(shared, close=args.before == "closed"))
    elif args.before == "client":
        asyncio.run(cast(Any, client).execute_command("PING"))
    elif args.before == "loop":
        go_on_after_fork(shared)
        return
    if args.how == "start":
        for one in sockets:  # as bind() and start(2) take them
            server._pending_sockets.append(one)
        server.start(2)
        die_with_parent()
        if args.before == "closed":
            tornado.ioloop.IOLoop.current().run_sync(shared.manager.start)
        tornado.ioloop.IOLoop.current().start()
        return
    tornado.process.fork_processes(2, max_restarts=0)
    die_with_parent()
    asyncio.run(serve(shared, server, sockets, args.before == "closed"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--redis", "--prefix", "--name"):
        parser.add_argument(name, default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--how", choices=["start", "fork"])
    parser.add_argument("--before", choices=["nothing", "closed", "used", "loop", "client"])
    add_arguments(parser)
    die_with_parent()
    main(parser.parse_args())

"""Thousands of Socket.IO clients in a process of their own, so that whoever measures is not slow.

`POST /join` with a JSON list of `Place`s opens them; `GET /seen` says when
each saw its transport closed (monotonic seconds, which the processes of
one machine share), and what it heard.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import AsyncExitStack, suppress
from typing import Any, TypedDict

import tornado.web

from tests.apps.runner import run
from tornado_shared_session.testing import ConnectionLost, SocketIOTestClient

_AT_ONCE = 30  # clients that connect together
_FOREVER = 3600.0


class Place(TypedDict):
    """One client to be: where, as whom, on what transport, and how it behaves.

    `manner` is "good"; "deaf": it reads no more, or polls no more; "silent":
    it never sends CONNECT; "again": it reacts to nothing, and sends CONNECT
    again once it has heard that its session ended.
    """

    url: str
    cookies: dict[str, str]
    transport: str
    manner: str


class Client:
    """One client, and what it saw."""

    def __init__(self, place: Place) -> None:
        self.place = place
        transport = place["transport"]
        if place["manner"] == "silent" and transport == "upgrade":
            transport = "websocket"  # an upgrade comes after CONNECT
        self.io = SocketIOTestClient(
            place["url"],
            transport=transport,  # type: ignore[arg-type]  # one of the three
            cookies=place["cookies"],
            timeout=60,
        )
        self.closed_at: float | None = None
        self.watching: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Connect, then behave as it does."""
        manner = self.place["manner"]
        if manner == "silent":
            await self.io.open()
        else:
            await self.io.connect()
        if manner == "deaf":
            await self.io.emit("get")  # so that it is reading, or polling, by now
            self.io.pause_reading()
            await self.io.emit("get")  # the last that it reads
        self.io.mute = manner == "again"
        self.watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        if self.place["manner"] == "again":
            await self.io.wait_for("session_ended", _FOREVER)
            self.io.sids.clear()
            with suppress(ConnectionLost, OSError):
                while not self.io.closed:
                    await self.io.send_raw("40")
                    await asyncio.sleep(0.05)  # again and again, but not all the time
        await self.io.wait_transport_closed(_FOREVER)
        self.closed_at = time.monotonic()

    def seen(self) -> dict[str, Any]:
        """Return what it saw."""
        return {
            "eio_sid": self.io.eio_sid,
            "closed_at": self.closed_at,
            "reasons": [one.args[0]["reason"] for one in self.io.events if one.args],
            "again": self.place["manner"] == "again" and bool(self.io.sids) and self.io.closed,
        }


class Join(tornado.web.RequestHandler):
    async def post(self) -> None:
        clients: list[Client] = self.settings["clients"]
        added = [Client(place) for place in json.loads(self.request.body)]
        clients += added
        room = asyncio.Semaphore(_AT_ONCE)

        async def join(client: Client) -> None:
            async with room:
                await client.join()

        await asyncio.gather(*map(join, added))
        self.write(json.dumps([client.io.eio_sid for client in added]))


class Seen(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(json.dumps([client.seen() for client in self.settings["clients"]]))


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application."""
    clients: list[Client] = []

    async def leave() -> None:
        watching = [client.watching for client in clients if client.watching]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await asyncio.gather(*(client.io.abort() for client in clients))

    stack.push_async_callback(leave)
    return tornado.web.Application([(r"/join", Join), (r"/seen", Seen)], clients=clients)


if __name__ == "__main__":
    run(make_app)

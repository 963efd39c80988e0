"""Bad input over the wire: no 500, no traceback, and no question about what cannot be an id.

`tests/unit/test_generated_input.py` feeds the readers themselves, far more of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from tests.apps.shared_events import Shared
from tests.support.generated import damage, line
from tests.support.proofs import measured, scale
from tests.support.sites import Site, session_id, site
from tests.support.streams import Socket
from tornado_shared_session.testing import SocketIOTestClient
from tornado_shared_session.testing.wire import Wire

REQUESTS = scale(6_000, long=100_000)
CONNECTIONS = scale(600, long=20_000)
AT_ONCE = 20
TARGET = "/socket.io/?EIO=4&transport=websocket"
PACKETS = (
    '42["any","note",{"a":[1,2]}]',
    '42/chat,7["any",1]',
    '452-["any",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    '40{"token":"x"}',
    "431[1]",
    "41",
    "2probe",
)


async def many(count: int, one: Callable[[random.Random], Coroutine[Any, Any, None]]) -> None:
    """Do something many times, some at once; the seeds are always the same."""
    seeds = iter(range(count))

    async def work() -> None:
        for seed in seeds:
            await one(random.Random(seed))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def note_loads(a: Site) -> set[str]:
    """Return a set of the ids that the store is asked for, from here on."""
    asked: set[str] = set()
    load = a.manager.store.load

    async def noted(id: str) -> Any:
        asked.add(id)
        return await load(id)

    a.manager.store.load = noted  # type: ignore[method-assign]  # to look on
    return asked


async def test_generated_credentials_are_no_500(redis_url: str, prefix: str) -> None:
    """Damaged cookies and tokens: a visitor without a session, or the owner; 100,000 of them
    (S2, S44)."""
    async with site(redis=redis_url, prefix=prefix, credentials="both") as a:
        jar = await a.visitor(note="mine")
        cookie, token = jar.header(), "Bearer " + jar["session"].strip('"')
        asked, found = note_loads(a), Counter[int]()

        async def ask(rng: random.Random) -> None:
            name, good = rng.choice((("Cookie", cookie), ("Authorization", token)))
            async with await Wire.open(a.url) as wire:
                headers = {name: line(damage(rng, good)).strip()}
                response = await wire.request("GET", "/note", headers)
                found[response.status] += 1
                assert response.status == 200 or 400 <= response.status < 500, headers
                assert response.body in (b"null", b'"mine"') or response.status != 200, headers

        await many(REQUESTS, ask)
        assert asked <= {session_id(jar)}
        measured("generated credentials over HTTP", dict(found))


def hear_anything(shared: Shared) -> None:
    """Take whatever comes with an event."""
    for namespace in ("/", "/chat"):
        shared.sio.on("any", lambda sid, *args: len(args), namespace=namespace)


async def test_generated_frames_and_posts_are_no_500(redis_url: str, prefix: str) -> None:
    """On live connections of both transports: handled, or the connection ends, and nothing is
    left (W24, C11)."""
    async with site(redis=redis_url, prefix=prefix, edit=hear_anything) as a:
        jar, found = await a.visitor(), Counter[str]()

        async def frame(rng: random.Random) -> None:
            async with await Socket.connect(a.url, TARGET, jar) as socket:
                await socket.send("40")
                for _ in range(3):
                    await socket.send(damage(rng, rng.choice(PACKETS)))
                await socket.send(b"attached")
                found["websocket"] += 1

        async def post(rng: random.Random) -> None:
            client = SocketIOTestClient(a.url, transport="polling", cookies=dict(jar))
            await client.open()
            body = damage(rng, "\x1e".join(rng.choices(PACKETS, k=3))).encode()
            status = (await client.engine._http("POST", body)).status
            found[f"post {status}"] += 1
            assert status in (200, 400)
            await client.abort()

        await many(CONNECTIONS, lambda rng: rng.choice((frame, post))(rng))
        for connection in list(a.manager.connections):
            a.manager.connections.end_one(connection, "expired")
        await a.empty(20)
        measured("generated frames and posts", dict(found))

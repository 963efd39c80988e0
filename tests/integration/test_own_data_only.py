"""Many visitors at once behind one slow wire: each sees their own data and nobody else's."""

from __future__ import annotations

import asyncio
import json
import random

from tests.support.proxy import FaultProxy
from tests.support.sites import Site, site
from tornado_shared_session.testing import CookieJar, RedisServer

TRANSPORTS = ("polling", "websocket", "upgrade")
VISITORS, EACH = 30, 12


async def visit(sites: list[Site], name: str, number: int) -> None:
    """Ask again and again who one is, in all ways there are, on either of two servers."""
    chance, jar = random.Random(number), CookieJar()
    here, there = sites[number % 2], sites[(number + 1) % 2]
    await there.http(jar).post("/login", {"user": name})
    await there.http(jar).post("/note", {"value": json.dumps(name)})
    async with here.client(TRANSPORTS[number % 3], jar) as client:
        await client.connect()
        for _ in range(EACH):
            match chance.randrange(4):
                case 0:
                    shown = json.loads((await chance.choice(sites).http(jar).get("/whoami")).body)
                    assert (shown["user"], shown["data"]) == (name, {"note": name})
                case 1:
                    assert await client.emit("get") == name
                case 2:
                    assert await client.emit("set", "note", name) == "saved"
                case _:
                    await here.sio.emit("yours", name, room=here.manager.user_room(name))
        await here.sio.emit("yours", "the last", room=here.manager.user_room(name))
        heard = [await client.wait_for("yours")]
        while heard[-1] != "the last":
            heard.append(await client.wait_for("yours"))
        assert {*heard} <= {name, "the last"}


async def test_no_response_event_or_emit_carries_another_visitors_data(
    redis_server: RedisServer, prefix: str
) -> None:
    """Thirty users on all transports of two servers, replies late and in small slices (I3)."""
    async with FaultProxy(redis_server.port) as proxy:
        async with (
            site(redis=proxy.url, prefix=prefix) as a,
            site(redis=proxy.url, prefix=prefix) as b,
        ):
            proxy.latency(to_server=0.001, to_client=0.003)
            proxy.slice_replies(16)
            names = [f"user-{number}" for number in range(VISITORS)]
            visits = (visit([a, b], name, number) for number, name in enumerate(names))
            async with asyncio.timeout(60):
                await asyncio.gather(*visits)
            await a.empty()
            await b.empty()

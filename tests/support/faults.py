"""All that can befall the wire to Redis, one thing after another."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.proofs import measured
from tests.support.proxy import FaultProxy


async def misbehave(proxy: FaultProxy, chance: random.Random, over: asyncio.Event) -> Counter[str]:
    """Do one thing after another to the wire, until it is over."""
    done: Counter[str] = Counter()
    while not over.is_set():
        fault = chance.choice(("latency", "slices", "reset", "lost", "hole", "held", "none"))
        done[fault] += 1
        match fault:
            case "latency":
                proxy.latency(to_server=chance.random() / 50, to_client=chance.random() / 50)
            case "slices":
                proxy.slice_replies(chance.randint(1, 7))
            case "reset":
                proxy.reset()
            case "lost":
                what = chance.choice((b"HGETALL", b"EVALSHA", b""))
                proxy.lose_replies(what, count=chance.randint(1, 3))
            case "hole":
                proxy.black_hole()
            case "held":
                proxy.hold_replies()
        with suppress(TimeoutError):
            # Time itself: a fault lasts until the next one.
            await asyncio.wait_for(over.wait(), chance.uniform(0.05, 0.4))
        proxy.heal()
    return done


@asynccontextmanager
async def faults(proxy: FaultProxy, seconds: float) -> AsyncIterator[asyncio.Event]:
    """Misbehave for some seconds; the event tells that it is over."""
    over = asyncio.Event()
    enemy = asyncio.ensure_future(misbehave(proxy, random.Random(200), over))
    asyncio.get_running_loop().call_later(seconds, over.set)
    yield over
    over.set()
    kinds = await enemy
    measured("faults", ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())))
    await proxy.normal()

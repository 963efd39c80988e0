"""That cost grows linearly or better: the same work at sizes ten times apart.

The sizes take turns, and of each the least is taken: the neighbours
only ever add to it. Where ten thousand sockets do not fit, they are
entries of the registry, as in `reload.py`, where both are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from statistics import median

from tornado_shared_session.testing.redis_server import RedisServer

from .children import Child, child, server
from .figures import Figure, shown
from .reload import INTERVAL

RECORDS = (1_000, 10_000, 100_000)
KEYS = (3, 30, 300)
SOCKETS = (10, 100, 1_000, 10_000)
STEP = 10.0  # from size to size; the cost may grow as much
_SINGLE = 30  # ends one by one


def series(
    name: str, title: str, unit: str, found: dict[int, list[float]], note: str
) -> list[Figure]:
    """Return the cost at each size, and the greatest ratio of one step."""
    least = {size: min(values) for size, values in found.items()}
    sizes = list(least)
    ratios = [least[b] / max(least[a], 1e-9) for a, b in pairwise(sizes)]
    each = ", ".join(f"x{shown(ratio)}" for ratio in ratios)
    figures = [
        Figure(
            f"growth/{name}/{size}",
            f"{title}, {size:,}",
            unit,
            least[size],
            tuple(found[size]),
            None,
            note if size == sizes[0] else f"x{shown(ratios[index - 1])}",
        )
        for index, size in enumerate(sizes)
    ]
    step = f"{title}: the greatest growth for a size {STEP:g} times larger"
    ratio = Figure(f"growth/{name}/step", step, "x", max(ratios), tuple(ratios), STEP, each)
    return [*figures, ratio]


async def _sites(stack: AsyncExitStack, count: int, *options: str) -> list[Child]:
    """Run servers, each with a Redis of its own."""
    commands = [
        server("ours", stack.enter_context(RedisServer()).url, *options) for _ in range(count)
    ]
    return [await stack.enter_async_context(child(*command)) for command in commands]


async def _use(
    sites: Sequence[Child], sizes: Sequence[int], do: str, rounds: int
) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(rounds + 1):
        for site, size in zip(sites, sizes, strict=True):
            cost = await site.ask(do, number=30)
            if turn:  # the first one warms it up
                found[size].append(cost * 1e6)
    return found


async def records(quick: bool) -> list[Figure]:
    """Loads and commits, with more and more sessions in the store."""
    async with AsyncExitStack() as stack:
        sizes, rounds = (RECORDS[:-1], 4) if quick else (RECORDS, 25)
        sites = await _sites(stack, len(sizes))
        for site, size in zip(sites, sizes, strict=True):
            await site.ask("fill", count=size, keys=4)
        reads = await _use(sites, sizes, "read", rounds)
        changes = await _use(sites, sizes, "change", rounds)
    note = "CPU of the process, 32 at once, of any session; by the number of stored sessions"
    return [
        *series("load", "load a session and read a key; stored", "us", reads, note),
        *series("change", "load, change a key, save; stored", "us", changes, note),
    ]


async def keys(quick: bool) -> list[Figure]:
    """One key of sessions with more and more keys."""
    async with AsyncExitStack() as stack:
        sites = await _sites(stack, len(KEYS))
        for site, size in zip(sites, KEYS, strict=True):
            await site.ask("fill", count=200, keys=size - 1)
        rounds = 3 if quick else 25
        reads = await _use(sites, KEYS, "read", rounds)
        changes = await _use(sites, KEYS, "change", rounds)
    note = "CPU of the process, 32 at once; by the number of keys in the session"
    return [
        *series("read-key", "load a session and read one key; keys", "us", reads, note),
        *series("change-key", "load, change one key, save; keys", "us", changes, note),
    ]


async def reloads(quick: bool) -> list[Figure]:
    """The reload of more and more sessions with a connection."""
    sizes, count = (SOCKETS[:-1], 3) if quick else (SOCKETS, 15)
    async with AsyncExitStack() as stack:
        sites = await _sites(stack, len(sizes), "--reload", str(INTERVAL))
        for site, size in zip(sites, sizes, strict=True):
            await site.ask("enter", count=size)
        periods = await asyncio.gather(
            *(site.ask("periods", count=count, turns=False) for site in sites)
        )
    found = {
        size: [one["used"] * 1000 for one in some]
        for size, some in zip(sizes, periods, strict=True)
    }
    # With what a process does anyway: less that, ten sessions are less than it varies by.
    note = f"CPU of the process in {INTERVAL:g} s, with one reload; entries of the registry"
    return series("reload", "one reload; sessions with a connection", "ms", found, note)


async def ends(quick: bool) -> list[Figure]:
    """Ends, with more and more connections in the other process."""
    sizes, rounds = (SOCKETS[:-1], 2) if quick else (SOCKETS, 10)
    single: dict[int, list[float]] = {size: [] for size in sizes}
    whole: dict[int, list[float]] = {size: [] for size in sizes}
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(RedisServer()).url
        a, b = [
            await stack.enter_async_context(child(*server("ours", redis_url))) for _ in range(2)
        ]
        for _ in range(rounds):
            for size in sizes:
                one_by_one = min(_SINGLE, size // 2)
                ids: list[str] = await b.ask("enter", count=size + one_by_one)
                for id in ids[:one_by_one]:
                    began = await a.ask("destroy", id=id)
                    (closed,) = await b.ask("entered_closed", ids=[id])
                    single[size].append((closed - began) * 1000)
                began = await a.ask("destroy_all", ids=ids[one_by_one:])
                times = await b.ask("entered_closed", ids=ids[one_by_one:])
                whole[size].append((max(times) - began) * 1000)
    middle = {size: [median(times)] for size, times in single.items()}
    title = "until the connections of the other process are told to close"
    note = "entries of the registry, so without their transports' closing"
    return [
        *series("end-one", f"destroy one, {title}; connections", "ms", middle, f"p50; {note}"),
        *series("end-all", f"destroy all, {title}; connections", "ms", whole, note),
    ]

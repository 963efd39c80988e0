"""What an idle WebSocket with a session takes, added to python-socketio's own.

The memory of a process with more sockets, less that with fewer, divided
by their difference: what the process itself takes cancels out, and so
does what is kept of the last thousand sessions only.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from tornado_shared_session.testing.redis_server import RedisServer

from .children import child, server
from .figures import Figure
from .people import crowd, people

KINDS = ("bare", "ours")
BOUND = 2.5  # KiB added for a connection
FIRST = 1_100  # sockets that fill what does not grow from there on
LISTED = 14  # files that are named


async def _resident(kind: str, count: int) -> float:
    """Return the resident KiB of each of `count` sockets that come last to a new process."""
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(RedisServer()).url
        site = await stack.enter_async_context(child(*server(kind, redis_url)))
        sockets = await stack.enter_async_context(crowd(site))
        await sockets.join(await people(site, FIRST))
        before: int = await site.ask("resident")
        await sockets.join(await people(site, count))
        after: int = await site.ask("resident")
        return (after - before) / count / 1024


async def resident(quick: bool) -> list[Figure]:
    """By the resident memory of the process."""
    rounds, count = (1, 500) if quick else (5, 2_000)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            found[kind].append(await _resident(kind, count))
    added = [ours - bare for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    note = (
        f"resident memory with {FIRST + count:,} sockets less that with {FIRST:,}, each with a"
        f" session of its own; {rounds} new processes of each kind, alternating; from"
        f" {min(added):.2f} to {max(added):.2f}"
    )
    title = "an idle WebSocket with a session, added"
    figure = Figure("memory/added", title, "KiB", median(added), tuple(added), BOUND, note)
    return [
        figure,
        _whole("memory/bare", "bare python-socketio", found["bare"]),
        _whole("memory/ours", "this library", found["ours"]),
    ]


def _whole(name: str, title: str, values: list[float]) -> Figure:
    return Figure(name, f"the whole socket, {title}", "KiB", median(values), tuple(values))


async def _traced(kind: str, count: int) -> dict[str, int]:
    """Return the bytes that each file allocated for one socket."""
    async with AsyncExitStack() as stack:
        redis_url = stack.enter_context(RedisServer()).url
        site = await stack.enter_async_context(child(*server(kind, redis_url)))
        sockets = await stack.enter_async_context(crowd(site))
        await sockets.join(await people(site, FIRST))
        await site.ask("trace")
        await sockets.join(await people(site, count))
        sizes: dict[str, int] = await site.ask("traced")
    return {name: size // count for name, size in sizes.items()}


async def files(quick: bool) -> list[Figure]:
    """By the file that allocated it, as tracemalloc sees it; not in a quick run."""
    if quick:
        return []
    count = 1_000
    bare, ours = [await _traced(kind, count) for kind in KINDS]
    added = Counter[str]()
    for name in bare.keys() | ours.keys():
        added[_short(name)] += ours.get(name, 0) - bare.get(name, 0)
    ordered = sorted(added.items(), key=lambda pair: -abs(pair[1]))
    note = ", ".join(f"{name} {size:+.0f}" for name, size in ordered[:LISTED])
    return [
        Figure(
            "memory/traced",
            "the same as tracemalloc counts it: Python's own blocks",
            "KiB",
            sum(added.values()) / 1024,
            tuple(size / 1024 for _, size in ordered),
            None,
            f"{count} sockets; bytes by file: {note}",
        )
    ]


def _short(file: str) -> str:
    """Name a file by its package and its own name."""
    path = Path(file)
    return f"{path.parent.name}/{path.name}" if path.suffix == ".py" else file

"""The periodic reload: what it costs a process that has nothing else to do.

The process reloads about once a second here, and sends no pings, which
are Engine.IO's affair. It is measured from one reload to the next,
beside a process without sockets that does the same, so that what the
machine does besides is seen in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from tornado_shared_session.testing.redis_server import RedisServer

from ..lanes import WrongAnswerError
from .children import Child, child, server
from .figures import Figure
from .people import crowd, people

INTERVAL = 1.0  # seconds from reload to reload
SLOWER = 2.5  # the same where the collector pauses for longer than that
_COUNTED = 2  # reloads whose commands are counted
CPU, STALL, COMMANDS = 20.0, 3.0, 25.0  # the bounds, of 10,000 sessions


@dataclass(frozen=True)
class Sites:
    """A process with sockets, and one without; each has a Redis of its own."""

    full: Child
    idle: Child
    redis_url: str


@dataclass
class Found:
    """What was measured of each reload."""

    cpu: list[float]  # milliseconds, beyond what the process needs at rest
    wall: list[float]  # the longest gap of the loop, milliseconds
    turn: list[float]  # the same in the thread's processor time, less the collector's
    pause: list[float]  # the longest pause for garbage collection
    floor: list[float]  # as `wall`, of the idle process
    commands: float
    inner: float


@asynccontextmanager
async def sites(count: int, *, real: bool) -> AsyncIterator[Sites]:
    """Run them, with sockets, or with entries of the registry in their place."""
    async with AsyncExitStack() as stack:
        urls = [stack.enter_context(RedisServer()).url for _ in range(2)]
        interval = str(SLOWER if real and count > 1_000 else INTERVAL)
        full, idle = [
            await stack.enter_async_context(
                child(*server("ours", url, "--reload", interval, "--ping", "3600"))
            )
            for url in urls
        ]
        if real:
            sockets = await stack.enter_async_context(crowd(full))
            await sockets.join(await people(full, count))
        else:
            await full.ask("enter", count=count)
        yield Sites(full, idle, urls[0])
        if (open := await full.ask("connections")) != count:
            raise WrongAnswerError(f"{open} of {count} connections are open after the reloads")


async def measure(some: Sites, rounds: int) -> Found:
    """Follow some reloads: first the processor time, then the gaps, then the commands."""
    found = Found([], [], [], [], [], 0, 0)
    await some.full.ask("periods", count=1, turns=False)  # the first one warms it up
    used = await _periods(some.full, 2 * rounds + 1, turns=False)
    found.cpu = [(one["used"] - one["rest"]) * 1000 for one in used]
    for _ in range(rounds):
        full, idle = [await _periods(site, 2, turns=True) for site in (some.full, some.idle)]
        found.wall += [one["wall"] * 1000 for one in full]
        found.turn += [one["cpu"] * 1000 for one in full]
        found.pause += [one["pause"] * 1000 for one in full]
        found.floor += [one["wall"] * 1000 for one in idle]
    found.commands, found.inner = await _commands(some)
    return found


async def _periods(site: Child, count: int, *, turns: bool) -> list[dict[str, float]]:
    periods: list[dict[str, float]] = await site.ask("periods", count=count, turns=turns)
    return periods


async def _commands(some: Sites) -> tuple[float, float]:
    """Return the commands of one reload: those that were sent, and those inside scripts."""
    parts = urlsplit(some.redis_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"MONITOR\r\n")
    sent = inner = beats = 0
    try:
        while beats <= _COUNTED:
            line = await asyncio.wait_for(reader.readline(), 10)
            if b'"PUBLISH"' in line:
                beats += 1
            elif beats and b" lua]" in line:
                inner += 1
            elif beats:
                sent += 1
    finally:
        writer.close()
    return sent / _COUNTED, inner / _COUNTED


async def _size(count: int, rounds: int, *, real: bool, bounds: bool) -> list[Figure]:
    async with sites(count, real=real) as some:
        found = await measure(some, rounds)
        by_hand = await some.idle.ask("get_each", count=count)
    kind = "sockets" if real else "connections"
    name = f"reload/{count}/{kind}"
    title = f"reload of {count:,} sessions ({'WebSockets' if real else 'entries of the registry'})"
    floor = f"an idle process in the same run: {median(found.floor):.2f}, {max(found.floor):.2f}"
    return [
        Figure(
            f"{name}/cpu",
            f"{title}: CPU",
            "ms",
            median(found.cpu),
            tuple(found.cpu),
            CPU if bounds else None,
            f"median of {len(found.cpu)} reloads, {min(found.cpu):.1f} to {max(found.cpu):.1f}",
            scales=True,
        ),
        Figure(
            f"{name}/stall",
            f"{title}: longest stall of the loop",
            "ms",
            median(found.wall),
            tuple(found.wall),
            STALL if bounds else None,
            f"the longest of each reload: median, of {len(found.wall)}; the worst of all is"
            f" {max(found.wall):.2f}. {floor}",
            scales=True,
        ),
        Figure(
            f"{name}/turn",
            f"{title}: longest turn of the loop in processor time",
            "ms",
            max(found.turn),
            tuple(found.turn),
            STALL if bounds else None,
            f"the worst of {len(found.turn)} reloads, without the neighbours and without the"
            f" collector's pauses; median {median(found.turn):.2f}",
            scales=True,
        ),
        Figure(
            f"{name}/pause",
            f"{title}: longest pause of the garbage collector in a reload",
            "ms",
            median(found.pause),
            tuple(found.pause),
            None,
            f"median of {len(found.pause)}, the worst is {max(found.pause):.1f}. It goes through"
            " all that the process holds, whoever made the garbage",
        ),
        Figure(
            f"{name}/commands",
            f"{title}: commands sent to Redis",
            "",
            found.commands,
            (),
            COMMANDS if bounds else None,
            f"of each reload, by MONITOR, the heartbeat not counted; {found.inner:,.0f} inside"
            " scripts",
        ),
        Figure(
            f"{name}/get",
            f"the same by one GET each, awaited one by one: CPU, {count:,} commands",
            "ms",
            by_hand["cpu"] * 1000,
            (),
            None,
            f"takes {by_hand['wall'] * 1000:,.0f} ms",
        ),
    ]


async def thousand(quick: bool) -> list[Figure]:
    """1,000 real WebSockets; not in a quick run."""
    return [] if quick else await _size(1_000, 6, real=True, bounds=False)


async def entries(quick: bool) -> list[Figure]:
    """1,000 in the registry, to compare with the real ones; and 10,000."""
    small = [] if quick else await _size(1_000, 6, real=False, bounds=False)
    return small + await _size(10_000, 1 if quick else 6, real=False, bounds=True)


async def ten_thousand(quick: bool) -> list[Figure]:
    """10,000 real WebSockets; not in a quick run."""
    return [] if quick else await _size(10_000, 5, real=True, bounds=True)

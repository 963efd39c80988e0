"""The measuring itself: servers up, rounds interleaved, servers down."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from time import monotonic

from tornado_shared_session.testing.redis_server import RedisServer

from .clocks import RedisMeter
from .installs import InstallError, install
from .measure import Pace, Sample, measure
from .plan import Cell, Row, Subject
from .processes import Server, pin, run_server

Samples = dict[Cell, list[Sample]]


class LeftOut:
    """The subjects that are left out, and why; each is told once."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def add(self, subject: Subject, reason: str) -> None:
        """Leave a subject out."""
        self.reasons[subject.name] = reason
        print(f"left out: {subject.title}: {reason}", file=sys.stderr)

    def without(self, cells: list[Cell]) -> list[Cell]:
        """Return the cells that can be measured, each with its baseline."""
        return [
            cell
            for cell in cells
            if not {cell.subject.name, cell.subject.base} & self.reasons.keys()
        ]


class Progress:
    """A line for each measurement, with an estimate of what is left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._seconds = 0.0
        self._last = monotonic()

    def skip(self) -> None:
        """Leave the time since the last measurement out of the estimate."""
        self._last = monotonic()

    def tell(self, cell: Cell, sample: Sample) -> None:
        """Count a measurement."""
        self._done += 1
        now = monotonic()
        self._seconds += now - self._last
        self._last = now
        left = self._seconds / self._done * (self._total - self._done)
        place = f"{self._done}/{self._total}, {left // 60:.0f}:{int(left % 60):02} left"
        print(
            f"[{place}] {cell.label}: {sample.cpu_us:.1f} us, {sample.per_second:.0f}/s",
            file=sys.stderr,
        )


def prepare(cells: list[Cell], left_out: LeftOut) -> list[Cell]:
    """Install what the cells need and return those that can be measured."""
    subjects = dict.fromkeys(cell.subject for cell in cells)
    failed: dict[str, str] = {}
    for kind in dict.fromkeys(subject.needs for subject in subjects if subject.needs):
        try:
            install(kind)
        except InstallError as error:
            failed[kind] = str(error)
    for subject in subjects:
        if subject.needs in failed:
            left_out.add(subject, failed[subject.needs])
    return left_out.without(cells)


class Family:
    """The servers of one family of rows.

    Args:
        cells: what is to be measured of it.
        redis_url: where they keep their sessions.
        core: theirs.
        profiles: the subjects to be profiled, and where to.
    """

    def __init__(
        self, cells: list[Cell], redis_url: str, core: int, profiles: dict[str, Path]
    ) -> None:
        self._redis_url, self._core, self._profiles = redis_url, core, profiles
        self._subjects = list(dict.fromkeys(cell.subject for cell in cells))

    async def start(
        self, stack: AsyncExitStack, left_out: LeftOut, *, staying: bool
    ) -> dict[Subject, Server]:
        """Start those that stay for all rounds, or the others, until the stack ends.

        Raises:
            RuntimeError: one of our own did not start. A peer is left out.
        """
        servers = {}
        for subject in self._subjects:
            profile = self._profiles.get(subject.name)  # one file, for all rounds
            stays = subject.runtime == "node" or profile is not None
            if stays is not staying or subject.name in left_out.reasons:
                continue
            server = run_server(subject, self._redis_url, self._core, profile)
            try:
                servers[subject] = await stack.enter_async_context(server)
            except RuntimeError as error:
                if not subject.needs:
                    raise
                left_out.add(subject, str(error))
        return servers


async def run(
    cells: list[Cell], rounds: int, pace: Pace, left_out: LeftOut, profiles: dict[str, Path]
) -> Samples:
    """Measure all cells, in rounds; row by row in each, and A/B/A/B what is compared.

    The subjects are interleaved, rather than one after the other, so that
    whatever the machine does besides hits all alike; those on the same
    framework by turns, see ``measure``. Each round has new processes, for
    the same code is faster or slower by a twentieth from one to the next,
    depending on where its memory happens to be. Those that compile what
    they run stay. ``profiles`` names the subjects to be profiled, and
    where to.

    Raises:
        WrongAnswerError: see ``measure``.
        RuntimeError: Redis or a server of our own did not start.
    """
    cells = prepare(cells, left_out)
    core = pin()
    progress = Progress(len(cells) * rounds)
    samples: Samples = {}
    with RedisServer() as redis:
        meter = RedisMeter(redis.url, redis.pid)
        # Only one family's servers idle beside the one that is measured.
        for _, group in groupby(cells, key=lambda cell: cell.row.family):
            chosen = list(group)
            family = Family(chosen, redis.url, core, profiles)
            async with AsyncExitStack() as whole:
                stay = await family.start(whole, left_out, staying=True)
                await _compile(left_out.without(chosen), stay, meter, pace)
                for _ in range(rounds):
                    async with AsyncExitStack() as stack:
                        new = await family.start(stack, left_out, staying=False)
                        progress.skip()
                        servers = {**stay, **new}
                        for _, some in groupby(left_out.without(chosen), key=_compared):
                            by_cell = {cell: servers[cell.subject] for cell in some}
                            for cell, sample in (await measure(by_cell, meter, pace)).items():
                                samples.setdefault(cell, []).append(sample)
                                progress.tell(cell, sample)
        meter.close()
    return {cell: samples[cell] for cell in left_out.without(cells)}  # in as many rounds each


async def _compile(
    cells: list[Cell], servers: dict[Subject, Server], meter: RedisMeter, pace: Pace
) -> None:
    """Send each kind of request until Node has compiled what answers it."""
    kinds = {
        (cell.subject, cell.row.action, cell.row.size): cell
        for cell in cells
        if cell.subject.runtime == "node"
    }
    for cell in kinds.values():
        long = replace(pace, seconds=pace.compile, turns=1)
        await measure({cell: servers[cell.subject]}, meter, long)


def _compared(cell: Cell) -> tuple[Row, str]:
    """Return what those that are measured by turns have in common."""
    return cell.row, cell.subject.bare

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
from .lanes import WrongAnswerError
from .measure import Pace, Sample, measure
from .plan import Cell, Subject
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


async def run(
    cells: list[Cell], rounds: int, pace: Pace, left_out: LeftOut, profiles: dict[str, Path]
) -> Samples:
    """Measure all cells, A/B/A/B within each row.

    The rounds of a row are interleaved, rather than one subject after
    the other, so that whatever the machine does besides hits all alike.
    ``profiles`` names the subjects to be profiled, and where to.

    Raises:
        WrongAnswerError: see ``measure``; the message names the cell.
        RuntimeError: Redis or a server of our own did not start.
    """
    cells = prepare(cells, left_out)
    core = pin()
    progress = Progress(len(cells) * rounds)
    samples: Samples = {}
    with RedisServer() as redis:
        meter = RedisMeter(redis.url, redis.pid)
        # Only one family's servers idle beside the one that is measured.
        for _, family in groupby(cells, key=lambda cell: cell.row.family):
            chosen = list(family)
            async with AsyncExitStack() as stack:
                servers: dict[Subject, Server] = {}
                for subject in dict.fromkeys(cell.subject for cell in chosen):
                    server = run_server(subject, redis.url, core, profiles.get(subject.name))
                    try:
                        servers[subject] = await stack.enter_async_context(server)
                    except RuntimeError as error:
                        if not subject.needs:
                            raise
                        left_out.add(subject, str(error))
                await _compile(left_out.without(chosen), servers, meter, pace)
                progress.skip()
                for _, row in groupby(left_out.without(chosen), key=lambda cell: cell.row):
                    await _row([*row], servers, meter, rounds, pace, samples, progress)
        meter.close()
    return samples


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
        await measure(cell, servers[cell.subject], meter, replace(pace, seconds=pace.compile))


async def _row(
    cells: list[Cell],
    servers: dict[Subject, Server],
    meter: RedisMeter,
    rounds: int,
    pace: Pace,
    samples: Samples,
    progress: Progress,
) -> None:
    """Measure the cells of one row, in turns."""
    for cell in cells * rounds:
        try:
            sample = await measure(cell, servers[cell.subject], meter, pace)
        except WrongAnswerError as error:
            raise WrongAnswerError(f"{cell.label}: {error}") from error
        samples.setdefault(cell, []).append(sample)
        progress.tell(cell, sample)

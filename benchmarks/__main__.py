"""The command: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from tornado_shared_session.testing.redis_server import RedisServer

from . import plan, report
from .clocks import RedisMeter
from .lanes import WrongAnswerError
from .measure import Pace, measure
from .plan import Cell, Subject
from .processes import Server, pin, run_server

RESULTS = Path(__file__).parent / "results"
FULL = (15, Pace(seconds=0.4, warm_up=0.1))
QUICK = (5, Pace(seconds=0.3, warm_up=0.1))


def profile_file(subject: str) -> Path:
    """Return where the profile of a subject goes."""
    return RESULTS / f"profile-{subject}.txt"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than 3 minutes")
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help='a regular expression for "row / subject"; bare always comes along',
    )
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write")
    parser.add_argument("--check", action="store_true", help="fail when a bound is exceeded")
    parser.add_argument(
        "--profile",
        metavar="SUBJECT",
        choices=[subject.name for subject in plan.SUBJECTS],
        help="run this one under cProfile; its figures mean nothing then",
    )
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        arguments.cells = plan.select(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    return arguments


async def run(cells: list[Cell], rounds: int, pace: Pace, profile: str | None) -> report.Samples:
    """Measure all cells, A/B/A/B within each row.

    The rounds of a row are interleaved, rather than one subject after
    the other, so that whatever the machine does besides hits all alike.

    Raises:
        WrongAnswerError: see ``measure``; the message names the cell.
        RuntimeError: Redis or a server did not start.
    """
    core = pin()
    samples: report.Samples = {cell: [] for cell in cells}
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        meter = RedisMeter(redis.url, redis.pid)
        stack.callback(meter.close)
        servers: dict[Subject, Server] = {}
        for subject in dict.fromkeys(cell.subject for cell in cells):
            file = profile_file(subject.name) if subject.name == profile else None
            servers[subject] = await stack.enter_async_context(
                run_server(subject, redis.url, core, file)
            )
        rows = groupby(cells, key=lambda cell: cell.row)
        turns = [cell for _, row in rows for cell in [*row] * rounds]
        for number, cell in enumerate(turns, 1):
            try:
                sample = await measure(cell, servers[cell.subject], meter, pace)
            except WrongAnswerError as error:
                raise WrongAnswerError(f"{cell.label}: {error}") from error
            samples[cell].append(sample)
            print(
                f"[{number}/{len(turns)}] {cell.label}: "
                f"{sample.cpu_us:.1f} us, {sample.per_second:.0f}/s",
                file=sys.stderr,
            )
    return samples


def main() -> int:
    """Run what is asked for and return the exit status."""
    arguments = _arguments()
    rounds, pace = QUICK if arguments.quick else FULL
    if arguments.rounds is not None:
        rounds = arguments.rounds
    try:
        samples = asyncio.run(run(arguments.cells, rounds, pace, arguments.profile))
    except (WrongAnswerError, RuntimeError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(report.table(samples))
    if arguments.profile:
        print(f"\nThe profile is in {profile_file(arguments.profile)}")
        return 0
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    file = arguments.json or RESULTS / f"{stamp}.json"
    report.write_json(samples, file)
    print(f"\nMedians of {rounds} rounds; every sample is in {file}")
    if not arguments.check:
        return 0
    passed, text = report.verdict(samples)
    print(f"\n{text}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

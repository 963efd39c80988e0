"""The command: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import bounds, page, plan, report
from .lanes import WrongAnswerError
from .live import runner as live
from .live.figures import table as live_table
from .live.figures import verdict
from .measure import Pace
from .results_file import Results, machine, now, write
from .run import LeftOut, run

RESULTS = Path(__file__).parent / "results"
FULL = (7, Pace(seconds=0.1, turns=5, warm_up=0.05, compile=3.0))
QUICK = (2, Pace(seconds=0.035, turns=2, warm_up=0.02, compile=0.2))
QUICK_LIVE = "ends-one|ends-many|reload-entries|memory-resident"


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
    parser.add_argument("--no-peers", action="store_true", help="only what needs no installation")
    parser.add_argument("--no-live", action="store_true", help="without the ends of open sockets")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write")
    parser.add_argument("--check", action="store_true", help="fail when a bound is exceeded")
    parser.add_argument(
        "--profile",
        metavar="SUBJECT",
        choices=[subject.name for subject in plan.SUBJECTS if subject.runtime == "own"],
        help="run this one under cProfile; its figures mean nothing then",
    )
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="FILE",
        help="measure nothing; show the run of that file in docs/performance.md",
    )
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        arguments.cells = plan.select(arguments.only, peers=not arguments.no_peers)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main() -> int:
    """Run what is asked for and return the exit status."""
    arguments = _arguments()
    if arguments.docs:
        page.publish(arguments.docs)
        return 0
    rounds, pace = QUICK if arguments.quick else FULL
    if arguments.rounds is not None:
        rounds = arguments.rounds
    left_out = LeftOut()
    if arguments.no_peers:
        left_out.reasons = {s.name: "--no-peers" for s in plan.SUBJECTS if s.needs}
    profile = {arguments.profile: profile_file(arguments.profile)} if arguments.profile else {}
    try:
        samples = asyncio.run(run(arguments.cells, rounds, pace, left_out, profile))
        alone = arguments.only or arguments.profile or arguments.no_live
        figures = (
            []
            if alone
            else asyncio.run(live.run(QUICK_LIVE if arguments.quick else "", arguments.quick))
        )
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
    if figures:
        print(f"\n{live_table(figures, bounds.scale(samples, 'http') or 1.0)}")
    results = Results(now(), machine(), rounds, left_out.reasons, samples, figures)
    write(results, file)
    print(f"\nMedians of {rounds} rounds; every sample is in {file}")
    if not arguments.check:
        return 0
    passed, text = bounds.verdict(samples, left_out.reasons)
    print(f"\n{text}\n\nScaled: {bounds.scales(samples)}.")
    if figures:
        held, text = verdict(figures, bounds.scale(samples, "http") or 1.0)
        passed = passed and held
        print(f"\nOf open sockets, times that a processor takes scaled as pages are. {text}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

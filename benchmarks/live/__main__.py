"""The command: ``python -m benchmarks.live --help``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from ..lanes import WrongAnswerError
from . import plots, runner
from .figures import as_json, table, verdict


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live",
        description="What open sockets cost: ends, expiry, reload, memory, growth.",
    )
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument(
        "--only",
        default="",
        metavar="PATTERN",
        help=f"a regular expression, looked for in: {', '.join(runner.PARTS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every sample")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="where to draw, as SVG")
    parser.add_argument("--check", action="store_true", help="fail when a bound is exceeded")
    arguments = parser.parse_args()
    try:
        runner.select(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main() -> int:
    """Run what is asked for and return the exit status."""
    arguments = _arguments()
    try:
        figures = asyncio.run(runner.run(arguments.only, arguments.quick))
    except (WrongAnswerError, RuntimeError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not figures:
        print("FAILED: nothing of that is in a quick run", file=sys.stderr)
        return 1
    print(table(figures))
    if arguments.plots:
        for file in plots.write(figures, arguments.plots):
            print(f"\nDrawn: {file}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(as_json(figures), indent=1) + "\n")
    if not arguments.check:
        return 0
    passed, text = verdict(figures)
    print(f"\n{text}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

"""How long a proof runs, and what it measured.

    OPERATIONS = scale(5_000, long=100_000)
    measured("end to closed socket, p99", f"{p99 * 1000:.0f} ms")

`make test` runs a proof at the first size, `make test-long` at the second;
both print the figures at their end.
"""

from __future__ import annotations

import os

#: Set by pytest's `--long`, before any test module is imported.
LONG = "TSS_LONG"
#: Lines for the end of the run.
FIGURES: list[str] = []


def scale(usual: int, *, long: int) -> int:
    """Return how much to do: `usual`, or `long` under `make test-long`."""
    return long if os.environ.get(LONG) == "true" else usual


def measured(what: str, figure: object) -> None:
    """Show a figure at the end of the run."""
    FIGURES.append(f"{what}: {figure}")

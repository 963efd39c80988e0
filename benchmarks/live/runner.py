"""The parts, and how they are run."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Awaitable, Callable

from . import ends, expiry, growth, memory, reload
from .figures import Figure, shown

Part = Callable[[bool], Awaitable[list[Figure]]]

#: By the name that ``--only`` is looked for in; each is given `quick`.
PARTS: dict[str, Part] = {
    "ends-one": ends.one,
    "ends-many": ends.many,
    "ends-guide": ends.guide,
    "expiry": expiry.expiry,
    "reload-sockets-1000": reload.thousand,
    "reload-entries": reload.entries,
    "reload-sockets-10000": reload.ten_thousand,
    "memory-resident": memory.resident,
    "memory-files": memory.files,
    "growth-records": growth.records,
    "growth-keys": growth.keys,
    "growth-reload": growth.reloads,
    "growth-ends": growth.ends,
}


def select(only: str) -> dict[str, Part]:
    """Return the parts whose name matches.

    Raises:
        ValueError: it is not a regular expression, or matches nothing.
    """
    try:
        chosen = {name: part for name, part in PARTS.items() if re.search(only, name)}
    except re.error as error:
        raise ValueError(f"--only {only!r}: {error}") from error
    if not chosen:
        raise ValueError(f"--only {only!r} matches none of {', '.join(PARTS)}")
    return chosen


async def run(only: str, quick: bool) -> list[Figure]:
    """Measure the parts that match, one after the other.

    Raises:
        ValueError: see `select`.
        WrongAnswerError: what was measured does not work.
        RuntimeError: a process did not start, or failed.
    """
    figures: list[Figure] = []
    parts = select(only)
    for number, (name, part) in enumerate(parts.items(), 1):
        print(f"[{number}/{len(parts)}] {name} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        found = await part(quick)
        if not found:
            print("      not in a quick run", file=sys.stderr)
        for figure in found:
            said = f"      {figure.title}: {shown(figure.value)} {figure.unit}"
            print(said, file=sys.stderr)
        print(f"      {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        figures += found
    return figures

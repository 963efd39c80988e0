"""Processor time and Redis commands, read from outside the processes.

The kernel keeps a clock for each process: the user and system time of
all its threads, those that have ended included, in nanoseconds. Any
process may read it, so servers in every language are accounted alike
and none spends time on telling its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import redis

_SCHED = 2  # CPUCLOCK_SCHED, beside the inverted process id: see clock_getcpuclockid(3)


def process_seconds(pid: int) -> float:
    """Return the processor time that a process has used so far.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | _SCHED) / 1e9
    except OSError as error:
        raise ProcessLookupError(f"no process {pid}") from error


def family(pid: int) -> list[int]:
    """Return a process and all that it has started, directly or not."""
    found = [pid]
    for parent in found:
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, file.read_text().split())
    return found


def seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes together."""
    return sum(process_seconds(pid) for pid in pids)


class RedisMeter:
    """What the Redis server has used and been asked so far."""

    def __init__(self, url: str, pid: int) -> None:
        self._client = redis.Redis.from_url(url)
        self._pid = pid

    def seconds(self) -> float:
        """Return its processor time."""
        return process_seconds(self._pid)

    def commands(self) -> int:
        """Return how many commands it has run, those in scripts included.

        Asking is not counted.
        """
        stats = self._client.info("commandstats")
        assert isinstance(stats, dict)
        return sum(
            entry["calls"]
            for name, entry in stats.items()
            if name not in ("cmdstat_info", "cmdstat_client|setinfo")
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

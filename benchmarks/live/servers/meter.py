"""What a process can say of itself: processor, memory, the turns of its loop."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import Callable


class Meter:
    """The commands that every server answers."""

    async def cpu(self) -> float:
        """Return the seconds of processor time used so far."""
        return time.process_time()

    async def resident(self) -> int:
        """Return how many bytes of memory the process holds, without garbage."""
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def trace(self) -> None:
        """Begin to note which file allocates what."""
        gc.collect()
        tracemalloc.start(1)

    async def traced(self) -> dict[str, int]:
        """Return the bytes that are held, by the file that allocated them."""
        gc.collect()
        snapshot = tracemalloc.take_snapshot()
        return {
            statistic.traceback[0].filename: statistic.size
            for statistic in snapshot.statistics("filename")
        }


class Turns:
    """Follows the event loop from turn to turn: each is a gap in its service.

    It keeps the loop turning all the time, so that each gap is one turn.
    The gap on the wall holds what the neighbours took. The gap in the
    thread's processor time does not, but misses whatever blocks; and the
    garbage collector's pauses, which are long where the heap is large,
    are counted by themselves.
    """

    def __init__(self) -> None:
        self._running = False
        self._wall = self._cpu = self._pause = self._paused = self._since = 0.0

    def reset(self) -> dict[str, float]:
        """Return the longest gaps since the last reset, in seconds."""
        found = {"wall": self._wall, "cpu": self._cpu, "pause": self._pause}
        self._wall = self._cpu = self._pause = 0.0
        return found

    def start(self) -> None:
        """Begin."""
        self._running = True
        self._last = (time.perf_counter(), time.thread_time())
        self._loop = asyncio.get_running_loop()
        gc.callbacks.append(self._collected)
        self._turn()

    def stop(self) -> None:
        """Let the loop rest."""
        if self._running:
            self._running = False
            gc.callbacks.remove(self._collected)

    def _turn(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        self._wall = max(self._wall, wall - self._last[0])
        self._cpu = max(self._cpu, cpu - self._last[1] - self._paused)
        self._paused = 0.0
        self._last = (wall, cpu)
        if self._running:
            self._loop.call_soon(self._turn)

    def _collected(self, phase: str, info: object) -> None:
        now = time.thread_time()
        if phase == "start":
            self._since = now
        else:
            self._paused += now - self._since
            self._pause = max(self._pause, now - self._since)


class Periods:
    """What happens between one periodic reload and the next.

    A reload is told by its heartbeat, which the store publishes. It is over
    soon after; the processor time of a while in which it is not under way
    tells what the process needs at rest, with as many sockets.

    Args:
        interval: seconds from reload to reload.
    """

    def __init__(self, interval: float) -> None:
        self._beat: Callable[[], None] = lambda: None
        self._part = 0.38 * interval  # a period is 0.8 of the interval, or more

    def beat(self) -> None:
        """A reload has begun."""
        self._beat()

    async def measure(self, count: int, turns: bool) -> list[dict[str, float]]:
        """Return processor time, and with `turns` the longest gaps, of so many periods.

        "used" is that of a period, "rest" what it would have been at rest.
        """
        found: list[dict[str, float]] = []
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        meter = Turns()
        marks: list[tuple[float, float]] = []  # processor and wall: the beat, the rest's two ends

        def mark() -> None:
            marks.append((time.process_time(), time.monotonic()))

        def beat() -> None:
            mark()
            gaps = meter.reset()
            if len(marks) == 4:
                (began, since), first, second, (now, until) = marks
                rest = (second[0] - first[0]) / (second[1] - first[1]) * (until - since)
                found.append({"used": now - began, "rest": rest, **gaps})
                if len(found) == count and not done.done():
                    done.set_result(None)
            del marks[:-1]
            for part in (1, 2):
                loop.call_later(part * self._part, mark)

        self._beat = beat
        if turns:
            meter.start()
        try:
            await done
        finally:
            meter.stop()
            self._beat = lambda: None
        return found

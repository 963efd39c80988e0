"""A clock that only moves when told to.

Give it to `MemoryStore(clock=clock)`: a test of an idle timeout of a
month then takes no time at all, and never depends on the machine.
"""

from __future__ import annotations

from datetime import timedelta


class FakeClock:
    """A callable that returns the same second until it is advanced."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        """Return the current time of this clock, in seconds."""
        return self.now

    def advance(self, seconds: float | timedelta) -> None:
        """Move forward; a clock never goes back.

        Raises:
            ValueError: the step is negative.
        """
        step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if step < 0:
            raise ValueError("a clock cannot go back")
        self.now += step

    def __repr__(self) -> str:
        return f"<FakeClock {self.now:.3f}>"

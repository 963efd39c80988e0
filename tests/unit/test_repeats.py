"""Lines that a client can cause: one in ten seconds, and how many were left out."""

from __future__ import annotations

import logging
import random

import pytest

from tornado_shared_session import SessionEvent
from tornado_shared_session.events import Repeats, Reporter
from tornado_shared_session.testing import FakeClock


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged."""
    return [record.getMessage() for record in caplog.records]


def test_there_is_one_line_in_ten_seconds_and_it_counts_the_rest() -> None:
    """The first at once; the next after ten seconds, which do not begin anew with each."""
    clock = FakeClock()
    repeats = Repeats(clock)
    told = []
    for _ in range(241):  # eight in a second
        told.append(repeats.left_out("kind", "source"))
        clock.advance(0.125)
    assert [at for at, left in enumerate(told) if left is not None] == [0, 80, 160, 240]
    assert [left for left in told if left is not None] == [0, 79, 79, 79]


def test_other_kinds_and_other_sources_are_not_left_out() -> None:
    """Each has a first line of its own."""
    repeats = Repeats(FakeClock())
    assert repeats.left_out("kind", "one") == 0
    assert repeats.left_out("kind", "one") is None
    assert repeats.left_out("kind", "two") == 0
    assert repeats.left_out("other", "one") == 0


def test_many_sources_take_bounded_memory_and_give_a_bounded_number_of_lines() -> None:
    """Fifty thousand in ten seconds: a thousand lines, and one for the rest; then anew."""
    clock = FakeClock()
    repeats = Repeats(clock)
    for _ in range(3):
        told = [repeats.left_out("kind", str(n)) for n in range(50_000)]
        assert sum(left is not None for left in told) <= 1001
        assert len(repeats._told) <= 1001
        clock.advance(10)
    assert repeats.left_out("kind", "one more") == 0


def test_what_is_told_is_what_happened() -> None:
    """With few sources at random times, told and left out add up, and no pair is too near."""
    clock, dice = FakeClock(), random.Random(7)
    repeats = Repeats(clock)
    happened, counted = dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    last: dict[str, float] = {}
    for _ in range(5000):
        clock.advance(dice.random())
        source = dice.choice("abc")
        happened[source] += 1
        left = repeats.left_out("kind", source)
        if left is not None:
            counted[source] += left + 1
            assert clock() - last.get(source, -10) >= 10
            last[source] = clock()
    for source in "abc":
        pending = repeats._told["kind", source][1]
        assert counted[source] + pending == happened[source]


def test_the_hook_hears_every_event(caplog: pytest.LogCaptureFixture) -> None:
    """Counting is for who asks; the log is for reading (S36)."""
    heard: list[SessionEvent] = []
    report = Reporter(heard.append)
    clock = FakeClock()
    report.repeats = Repeats(clock)
    for _ in range(100):
        report("client_dropped", "A" * 22, "malformed: a frame", source="address 192.0.2.1")
    assert len(heard) == 100
    assert lines(caplog) == [f"session {'A' * 22}: client_dropped (malformed: a frame)"]
    clock.advance(10)
    report("client_dropped", "B" * 22, "too_large: 11 attachments", source="address 192.0.2.1")
    assert lines(caplog)[1:] == [
        f"session {'B' * 22}: client_dropped (too_large: 11 attachments), and 99 more like it"
    ]


def test_what_happens_once_in_a_life_is_always_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A login is a line, however many there are (S36)."""
    caplog.set_level(logging.INFO, "tornado_shared_session")
    report = Reporter()
    for _ in range(20):
        report("login", "A" * 22)
    assert len(lines(caplog)) == 20


def test_two_keys_that_cannot_be_decoded_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """What differs in its detail is not the same; loading it again is."""
    report = Reporter()
    for _ in range(5):
        report("corrupt_value", "A" * 22, "cart")
        report("corrupt_value", "A" * 22, "note")
    assert len(lines(caplog)) == 2


def test_a_warning_is_limited_by_its_source(caplog: pytest.LogCaptureFixture) -> None:
    """Its values may differ."""
    report = Reporter()
    clock = FakeClock()
    report.repeats = Repeats(clock)
    for event in ("a", "b", "c"):
        report.warn("one", "event %r: %s", event, "conflict")
    report.warn("two", "event %r: %s", "d", "conflict")
    clock.advance(10)
    report.warn("one", "event %r: %s", "e", "100 %")
    assert lines(caplog) == [
        "event 'a': conflict",
        "event 'd': conflict",
        "event 'e': 100 %, and 2 more like it",
    ]

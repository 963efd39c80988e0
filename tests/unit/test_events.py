"""What the operator is told: the hook and the log."""

from __future__ import annotations

import logging

import pytest

from tests.support.logs import LogWatch
from tornado_shared_session import SessionEvent
from tornado_shared_session.events import Reporter


def test_the_hook_receives_each_event() -> None:
    """With its kind, the session's id and a detail."""
    events: list[SessionEvent] = []
    report = Reporter(events.append)
    report("created", "ID")
    report("ended", "ID", "expired")
    assert events == [SessionEvent("created", "ID"), SessionEvent("ended", "ID", "expired")]


def test_the_log_has_the_same_line(caplog: pytest.LogCaptureFixture) -> None:
    """At the level that the kind deserves."""
    caplog.set_level(logging.DEBUG, logger="tornado_shared_session")
    report = Reporter()
    report("created", "ID")
    report("corrupt_value", "ID", "cart")
    report("connection_closed")
    lines = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert lines == [
        (logging.INFO, "session ID: created"),
        (logging.WARNING, "session ID: corrupt_value (cart)"),
        (logging.DEBUG, "session -: connection_closed"),
    ]


def test_a_hook_that_raises_is_logged_and_ignored(expect_log: LogWatch) -> None:
    """Watching the sessions must not break them."""

    def hook(event: SessionEvent) -> None:
        raise ValueError("broken hook")

    expect_log("on_event hook raised")
    Reporter(hook)("created", "ID")


def test_an_event_cannot_be_changed() -> None:
    """It may be passed on to other threads."""
    event = SessionEvent("created")
    with pytest.raises(AttributeError):
        event.kind = "ended"  # type: ignore[misc]  # frozen, as is shown

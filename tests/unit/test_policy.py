"""The rules of a session manager: what follows from the settings."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from tornado_shared_session import ConfigurationError, SessionManager
from tornado_shared_session.policy import Policy


def policy(**settings: Any) -> Policy:
    """Return the policy of a manager with these settings."""
    return SessionManager(**settings).policy


def test_durations_are_seconds_or_timedeltas() -> None:
    """Converted once, with fractions and whole days."""
    rules = policy(idle_timeout=timedelta(days=1, seconds=0.5), absolute_timeout=timedelta(days=2))
    assert (rules.idle_timeout, rules.absolute_timeout) == (86400.5, 172800)


def test_the_touch_interval_follows_from_the_idle_timeout() -> None:
    """A tenth of it, a minute at most."""
    assert policy(idle_timeout=2).touch_interval == 0.2
    assert policy(idle_timeout=3600).touch_interval == 60
    assert policy(touch_interval=0).touch_interval == 0


def test_a_provisional_record_outlives_lost_reloads() -> None:
    """A minute, or three reloads; never longer than any session."""
    assert policy().provisional_timeout == 60
    assert policy(reload_interval=30).provisional_timeout == 90
    assert policy(idle_timeout=5, absolute_timeout=10).provisional_timeout == 5


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"idle_timeout": "30m"}, "idle_timeout"),
        ({"idle_timeout": True}, "idle_timeout"),
        ({"idle_timeout": 0}, "idle_timeout"),
        ({"idle_timeout": -1}, "idle_timeout"),
        ({"idle_timeout": None}, "idle_timeout"),
        ({"idle_timeout": float("nan")}, "idle_timeout"),
        ({"absolute_timeout": float("inf")}, "absolute_timeout"),
        ({"absolute_timeout": 10**400}, "absolute_timeout"),
        ({"idle_timeout": 100, "absolute_timeout": 50}, "idle_timeout=100.*absolute_timeout=50"),
        ({"idle_timeout": 60, "touch_interval": 60}, "touch_interval=60.*idle_timeout=60"),
        ({"touch_interval": timedelta(seconds=-1)}, "touch_interval"),
        ({"reload_interval": 0}, "reload_interval"),
        ({"rotation_grace": -1}, "rotation_grace"),
        ({"max_unverified": "x"}, "max_unverified"),
        ({"max_sessions_per_user": 0}, "max_sessions_per_user"),
        ({"max_sessions_per_user": True}, "max_sessions_per_user"),
        ({"max_sessions_per_user": 1.5}, "max_sessions_per_user"),
        ({"sockets_keep_alive": 1}, "sockets_keep_alive"),
        (
            {"sockets_keep_alive": True, "idle_timeout": 15, "reload_interval": 15},
            "reload_interval=15.*idle_timeout=15.*sockets_keep_alive",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, Any], named: str) -> None:
    """When the manager is made, not when the first visitor comes."""
    with pytest.raises(ConfigurationError, match=named):
        SessionManager(**settings)


def test_a_short_idle_timeout_is_fine_where_sockets_are_no_activity() -> None:
    """Then the reload has no deadline to keep up with."""
    assert policy(idle_timeout=5, reload_interval=15).reload_interval == 15
    keeping = policy(idle_timeout=16, reload_interval=15, sockets_keep_alive=True)
    assert keeping.sockets_keep_alive


def test_a_deadline_is_moved_once_per_touch_interval() -> None:
    """Not before, and not where the absolute deadline leaves no room."""
    rules = policy(idle_timeout=1000, absolute_timeout=5000, touch_interval=50)
    now = time.time()
    assert not rules.touch_due(951, now)
    assert rules.touch_due(950, now)
    assert not rules.touch_due(500, now - 4490)  # 510 s left in all
    assert rules.touch_due(400, now - 4490)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_costs_no_active_session(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is wrong by an hour goes on moving deadlines (R15)."""
    rules = policy(idle_timeout=1800, absolute_timeout=43200)
    created_at = time.time() - 7200
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    assert rules.touch_due(1000, created_at)
    assert not rules.touch_due(1799, created_at)

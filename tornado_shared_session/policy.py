"""The rules of a session manager, checked once, when it is made."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from .errors import ConfigurationError
from .record import Credential, Record, Verdict

Duration = float | timedelta

_LONGEST = 100 * 365 * 86400.0  # seconds; Redis counts in 64-bit milliseconds


@dataclass(frozen=True, slots=True)
class Policy:
    """How long things last. All durations in seconds.

    Attributes:
        idle_timeout: a session without activity ends after this.
        absolute_timeout: a session ends this long after it began,
            whatever happens.
        touch_interval: the deadline moves at most this often.
        reload_interval: how often each session with an open connection
            is looked up, so the longest an end goes unnoticed when every
            notice is lost.
        rotation_grace: for this long after a login the credential before
            it is known as superseded; then it is unknown.
        max_unverified: while the store cannot be asked, connections stay
            open until this long after the deadline last known.
        provisional_timeout: life of a record that a handshake made and
            that was not seen again; the reload renews it while connected.
        max_sessions_per_user: the oldest one gives way; None: no limit.
        sockets_keep_alive: an open socket counts as activity.
    """

    idle_timeout: float
    absolute_timeout: float
    touch_interval: float
    reload_interval: float
    rotation_grace: float
    max_unverified: float
    provisional_timeout: float
    max_sessions_per_user: int | None
    sockets_keep_alive: bool

    def judge(self, record: Record, credential: Credential) -> Verdict:
        """Say what a credential is worth against the record of its id, now."""
        return record.judge(credential, time.time(), self.rotation_grace)

    def touch_due(self, ttl: float, created_at: float) -> bool:
        """Whether activity now should move a deadline that is `ttl` seconds away.

        A wall clock that is wrong can only cost a write too many, or end
        the session early by as much as it is wrong: the deadlines
        themselves are the store's.
        """
        if self.idle_timeout - ttl < self.touch_interval:
            return False  # however near the absolute deadline is
        left = created_at + self.absolute_timeout - time.time()
        return left - ttl >= self.touch_interval


def make_policy(
    *,
    idle_timeout: Duration,
    absolute_timeout: Duration,
    touch_interval: Duration | None,
    reload_interval: Duration,
    rotation_grace: Duration,
    max_unverified: Duration,
    max_sessions_per_user: int | None,
    sockets_keep_alive: bool,
) -> Policy:
    """Check the settings and fill in what follows from them.

    Raises:
        ConfigurationError: it names the setting.
    """
    idle = seconds("idle_timeout", idle_timeout)
    absolute = seconds("absolute_timeout", absolute_timeout)
    if idle > absolute:
        raise ConfigurationError(
            f"idle_timeout={idle:g} is longer than absolute_timeout={absolute:g}, so it never"
            " applies; lower it or raise absolute_timeout"
        )
    touch = (
        min(60.0, idle / 10)
        if touch_interval is None
        else seconds("touch_interval", touch_interval, zero=True)
    )
    if touch >= idle:
        raise ConfigurationError(
            f"touch_interval={touch:g} must be shorter than idle_timeout={idle:g}, or active users"
            " are logged out"
        )
    reload = seconds("reload_interval", reload_interval)
    if max_sessions_per_user is not None and (
        type(max_sessions_per_user) is not int or max_sessions_per_user < 1
    ):
        raise ConfigurationError(
            f"max_sessions_per_user={max_sessions_per_user!r} must be a positive int or None"
        )
    if type(sockets_keep_alive) is not bool:
        raise ConfigurationError(f"sockets_keep_alive={sockets_keep_alive!r} must be a bool")
    if sockets_keep_alive and reload >= idle:
        raise ConfigurationError(
            f"reload_interval={reload:g} must be shorter than idle_timeout={idle:g} with"
            " sockets_keep_alive=True, for it is the reload that keeps them alive"
        )
    return Policy(
        idle_timeout=idle,
        absolute_timeout=absolute,
        touch_interval=touch,
        reload_interval=reload,
        rotation_grace=seconds("rotation_grace", rotation_grace, zero=True),
        max_unverified=seconds("max_unverified", max_unverified, zero=True),
        # Two reloads may be late or lost before a connected visitor's
        # record lapses; and never past what any session gets.
        provisional_timeout=min(idle, max(60.0, 3 * reload)),
        max_sessions_per_user=max_sessions_per_user,
        sockets_keep_alive=sockets_keep_alive,
    )


def seconds(name: str, value: object, *, zero: bool = False) -> float:
    """Turn a duration into seconds.

    Raises:
        ConfigurationError: not a number or timedelta, or out of range.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # NaN
        raise ConfigurationError(f"{name}={value!r} must be a number of seconds or a timedelta")
    if value > _LONGEST:
        raise ConfigurationError(f"{name}={value!r} is longer than 100 years; use less")
    if value < 0 or (value == 0 and not zero):
        raise ConfigurationError(f"{name}={value!r} must be {'at least 0' if zero else 'above 0'}")
    return float(value)

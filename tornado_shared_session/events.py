"""What the library tells the application's operator: one hook, one record.

`SessionManager(on_event=...)` receives a `SessionEvent` for each step in
a session's life and for each oddity; the same line goes to the log. It
never carries a credential or a value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ConfigurationError

logger = logging.getLogger("tornado_shared_session")

#: Why a session, or a connection of it, ended. Sent to clients in
#: ``session_ended {"reason": ...}``.
REASONS = ("expired", "logged_out", "revoked", "replaced", "rotated", "shutdown")

_LEVELS = {
    "created": logging.INFO,
    "login": logging.INFO,
    "regenerated": logging.INFO,
    "ended": logging.INFO,
    "connection_closed": logging.DEBUG,
    "client_dropped": logging.WARNING,
    "superseded": logging.INFO,
    "ambiguous": logging.WARNING,
    "corrupt_record": logging.WARNING,
    "corrupt_value": logging.WARNING,
    "foreign_record": logging.ERROR,
    "newer_format": logging.ERROR,
    "store_failed": logging.WARNING,
    "notices_lost": logging.WARNING,
    "notices_back": logging.INFO,
}


#: What a client can cause as often as it likes; its lines are limited.
_REPEATED = frozenset(
    {
        *("client_dropped", "superseded", "ambiguous", "store_failed"),
        *("corrupt_record", "corrupt_value", "foreign_record", "newer_format"),
    }
)
_QUIET = 10.0  # seconds between two lines about the same
_MOST = 1000  # that are told apart within this time; the others count as one


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened to one session.

    Attributes:
        kind: a word from the table in `docs/operations.md`, for
            instance ``"created"`` or ``"corrupt_value"``.
        id: the session's public id, or None where none is known.
        detail: a reason or key name; never a value or a credential.
    """

    kind: str
    id: str | None = None
    detail: str = ""


Hook = Callable[[SessionEvent], None]


class Repeats:
    """Which lines to leave out of the log, so that nobody can fill it.

    About the same thing there is one in ten seconds; it says how many
    were left out since the one before. Its memory is bounded, and so are
    the lines that many clients can cause together.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # when, and left out since

    def left_out(self, kind: str, source: str) -> int | None:
        """Return how many lines were left out; None: leave this one out, too."""
        now, told, key = self._clock(), self._told, (kind, source)
        while key not in told and len(told) >= _MOST:
            oldest = next(iter(told))
            if now - told[oldest][0] < _QUIET:
                key = (kind, "")
                break
            del told[oldest]
        at, left = told.get(key, (-_QUIET, 0))
        if now - at < _QUIET and key in told:
            told[key] = at, left + 1
            return None
        told.pop(key, None)  # so that the oldest come first
        told[key] = now, 0
        return left


class Reporter:
    """Sends events to the log and to the application's hook.

    A hook that raises is logged and otherwise ignored: watching the
    sessions must not break them.

    Args:
        hook: called with each event.
        log: where the lines go; default: the library's own logger.

    Attributes:
        repeats: which of them are left out; the hook gets every event.

    Raises:
        ConfigurationError: one of them is something else.
    """

    def __init__(self, hook: Hook | None = None, log: logging.Logger | None = None) -> None:
        if hook is not None and not callable(hook):
            raise ConfigurationError("on_event= must be a function of one SessionEvent")
        if log is not None and not isinstance(log, logging.Logger):
            raise ConfigurationError('logger= must be a logging.Logger: logging.getLogger("name")')
        self._hook = hook
        self._log = logger if log is None else log
        self.repeats = Repeats()

    def __call__(
        self, kind: str, id: str | None = None, detail: str = "", *, source: str = ""
    ) -> None:
        """Report an event; `source` is who caused it, if that is more than one session."""
        level = _LEVELS[kind]
        log = self._log
        if log.isEnabledFor(level):
            said, left = f" ({detail})" if detail else "", None
            if kind in _REPEATED:
                left = self.repeats.left_out(kind, source or f"{id} {detail}")
                if left:
                    said += f", and {left} more like it"
            if kind not in _REPEATED or left is not None:
                log.log(level, "session %s: %s%s", id or "-", kind, said)
        if self._hook is not None:
            try:
                self._hook(SessionEvent(kind, id, detail))
            except Exception:  # the application's; what is reported has happened
                logger.exception("the on_event hook raised")

    def warn(self, source: str, message: str, *values: object) -> None:
        """Log a warning that a client can cause, unless it was told about this source."""
        left = self.repeats.left_out(message, source)
        if left is not None:
            more = f", and {left} more like it" if left else ""
            logger.warning(message + "%s", *values, more)

    def tells(self, status: int, address: str) -> bool:
        """Whether the access log gets a line: who is refused may come again, and again."""
        left = self.repeats.left_out(f"refused {status}", address) if 400 <= status < 500 else 0
        if left:
            logger.info("%s was answered %d, and %d times before", address, status, left)
        return left is not None

"""What the library tells the application's operator: one hook, one record.

`SessionManager(on_event=...)` receives a `SessionEvent` for each step in
a session's life and for each oddity; the same line goes to the log. It
never carries a credential or a value.
"""

from __future__ import annotations

import logging
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


class Reporter:
    """Sends events to the log and to the application's hook.

    A hook that raises is logged and otherwise ignored: watching the
    sessions must not break them.

    Args:
        hook: called with each event.
        log: where the lines go; default: the library's own logger.

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

    def __call__(self, kind: str, id: str | None = None, detail: str = "") -> None:
        level = _LEVELS[kind]
        log = self._log
        if log.isEnabledFor(level):
            log.log(level, "session %s: %s%s", id or "-", kind, f" ({detail})" if detail else "")
        if self._hook is not None:
            try:
                self._hook(SessionEvent(kind, id, detail))
            except Exception:
                logger.exception("the on_event hook raised")

"""The errors of this library, and nothing else.

A client's bad cookie is never an error: it means "no session". What is
raised here is a failure of ours, of the store, or of the program.
"""

from __future__ import annotations


class SessionError(Exception):
    """The root of every error that this library raises."""


class ConfigurationError(SessionError):
    """A setting is missing or contradicts another one.

    The message names the setting and the remedy.
    """


class StoreError(SessionError):
    """The store could not be asked, so nothing is known about the session.

    Over HTTP it becomes a 503. The message is safe to show: it carries
    no address, key or credential; the cause is chained.
    """


class SerializationError(SessionError):
    """A value cannot be stored, or stored bytes cannot be read.

    Attributes:
        key: the session key at fault, where one is known.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class SessionConflict(SessionError):
    """Somebody else changed the session, and the caller asked to be told."""


class SessionEnded(SessionError):
    """The session, or the credential it was reached by, is no more.

    Attributes:
        reason: one of `events.REASONS`, for instance ``"expired"``; or
            ``"ambiguous"``, which is about the request: it names several
            live sessions, and none of them has ended; or ``"switched"``:
            the client has since shown another session's token; or
            ``"unloaded"``: an error page has no session to change.
    """

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message or _MESSAGES.get(reason, f"the session has ended: {reason}"))
        self.reason = reason


_MESSAGES = {
    "expired": "the session has expired",
    "logged_out": "the session was logged out",
    "revoked": "the session was revoked",
    "replaced": "the session gave way to a newer one of the same user",
    "rotated": "the credential of this session was replaced by a newer one",
    "switched": "the client of this event has switched to another session",
    "unloaded": "this is the error page of a request that failed before its session was loaded",
    "ambiguous": "the request names several live sessions at once",
}

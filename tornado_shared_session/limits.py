"""How much there may be: bytes of a session, counts and bytes of a client.

Pure arithmetic and the check of settings; who calls it says what follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from .errors import ConfigurationError, SerializationError

#: Bytes, encoded, of one session: Redis and the network carry all of it with each request.
SESSION = 1_000_000
#: Bytes that wait for one client to read them.
QUEUED = 4_000_000
#: Bytes of one message of a client.
MESSAGE = 1_000_000
#: Binary attachments of one Socket.IO packet.
ATTACHMENTS = 10

#: Why a connection was closed that kept to no limit; never sent to clients.
MALFORMED, TOO_LARGE, TOO_SLOW = "malformed", "too_large", "too_slow"
BROKEN_LIMITS = frozenset({MALFORMED, TOO_LARGE, TOO_SLOW})


class SizeLimits:
    """The most bytes that a session, and one value of it, may have.

    Encoded values, and for the session its keys too.

    Args:
        session: of all keys and values together.
        value: of one value; None: as many as the session.

    Raises:
        ConfigurationError: it names the setting.
    """

    __slots__ = ("session", "value")

    def __init__(self, session: int = SESSION, value: int | None = None) -> None:
        self.session = at_least("max_session_size", session, 1)
        self.value = session if value is None else at_least("max_value_size", value, 1)
        if self.value > self.session:
            raise ConfigurationError(
                f"max_value_size={value} is more than max_session_size={session}, so it never"
                " applies; lower it or raise max_session_size"
            )

    def check(
        self, stored: Mapping[bytes, bytes], changes: Mapping[bytes, bytes], deleted: Set[str]
    ) -> None:
        """Refuse changes that would make a session, or a value of it, too large.

        A session that is too large already, because somebody lowered the
        limit, may be changed as long as it does not grow.

        Raises:
            SerializationError: with the key of the value at fault; of a
                session, that of its largest change.
        """
        grown = 0
        for name, data in changes.items():
            if len(data) > self.value:
                raise _too_large(name, f"{len(data)} bytes, max_value_size is {self.value}")
            old = stored.get(name)
            grown += len(data) + len(name) if old is None else len(data) - len(old)
        if deleted:
            for name in {key.encode() for key in deleted} & stored.keys():
                grown -= len(name) + len(stored[name])
        if grown > 0:
            size = grown + sum(map(len, stored)) + sum(map(len, stored.values()))
            if size > self.session:
                name = max(changes, key=lambda name: len(changes[name]))
                raise _too_large(name, f"with it {size} bytes, max_session_size is {self.session}")


def _too_large(name: bytes, why: str) -> SerializationError:
    key = name.decode()
    return SerializationError(f"session[{key!r}] is too large: {why}", key=key)


def unsent(stream: Any) -> int:
    """Return how many bytes a Tornado IOStream has yet to send; it has no public word for it."""
    return len(stream._write_buffer or ())


def at_least(name: str, value: object, least: int) -> int:
    """Check a setting that is a count.

    Raises:
        ConfigurationError: it is no integer, or too small.
    """
    if type(value) is not int or value < least:
        raise ConfigurationError(f"{name}={value!r} must be an int, at least {least}")
    return value

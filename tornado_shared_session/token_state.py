"""What a connection in token mode remembers: what it showed, what it was given.

It also holds the way back from its session to the client, and keeps
tokens out of the logs of those who carry them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Protocol

from .connections import Connection, Phase
from .record import Credential

NOT_FOUND = "Session Not Found"
EXPIRED = "Session Expired"
REPLACED = "Session Replaced"
LOGIN_REQUIRED = "login required"
BY_COOKIE = "This connection uses a cookie."
NO_STORE = "The session store cannot be asked; try again later."
TOO_MANY = "Too many requests at once; try again later."


def answer(token: str, errors: str = "") -> dict[str, str]:
    """Return what `gotToken` says."""
    return {"token": token, "errors": errors}


class Away(Connection):
    """Hears of a session's end for a connection that looks at another one, and may come back."""

    __slots__ = ("_missed",)

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.id)
        self.generation = connection.generation
        self._missed = ""

    def missed(self) -> str:
        """Return why the session, or the credential, is no more; "" if it still is."""
        return self._missed or ("rotated" if self.generation < self.minimum else "")

    def outlives(self, reason: str) -> bool:
        """Keep what there is to tell."""
        self._missed = self._missed or reason
        return True

    def _close(self, reason: str, *, final: bool) -> None:
        """There is no transport."""


class TokenState:
    """One connection's tokens.

    Attributes:
        by_cookie: it came in by the fallback's credential, and has no token.
        client: the address and the user agent of the handshake.
        shown: digests of what the handshake's Authorization header named.
        token: the client's; never logged, and "" until it has one.
        made: the id of the session that was made for this connection, if
            that is the one it has.
        left: the id of one that was, and which it has left.
        user_id: whose session it is in.
        lock: one `getToken` or CONNECT at a time.
        asking: how many of them there are.
        waiting: by namespace, what the CONNECT of one said, whose connect
            handler waits for the token.
        late: the namespaces whose connect handler runs after the answer
            to their CONNECT.
        greetings: what a namespace hears first once it is connected.
        timer: closes the connection unless a token comes.
    """

    __slots__ = (
        "asking",
        "by_cookie",
        "client",
        "greetings",
        "late",
        "left",
        "lock",
        "made",
        "shown",
        "timer",
        "token",
        "user_id",
        "waiting",
    )

    def __init__(self, shown: set[bytes] | None = None, *, by_cookie: bool = False) -> None:
        self.by_cookie = by_cookie
        self.client = ("", "")
        self.shown = shown or set()
        self.token = ""
        self.made = self.left = ""
        self.user_id: str | None = None
        self.lock = asyncio.Lock()
        self.asking = 0
        self.waiting: dict[str, Any] = {}
        self.late: set[str] = set()
        self.greetings: dict[str, dict[str, str]] = {}
        self.timer: asyncio.TimerHandle | None = None

    def cancel_timer(self) -> None:
        """The token came, or the connection is gone."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Issuer(Protocol):
    """Who tells a connection its new token."""

    def issued(self, connection: Any, credential: Credential, user_id: str | None) -> None:
        """The connection's session has a new credential."""


class TokenCarrier:
    """The way from a session back to its client: a connection in token mode.

    Attributes:
        rotation: see `Connection.rotation`.
    """

    __slots__ = ("_connection", "_id", "_issuer", "rotation")

    def __init__(self, issuer: Issuer, connection: Connection, rotation: asyncio.Lock) -> None:
        self._issuer = issuer
        self._connection = connection
        self._id = connection.id  # it may switch to another session meanwhile
        self.rotation = rotation

    @property
    def client(self) -> tuple[str, str] | None:
        """The address and the user agent of the handshake."""
        state: TokenState | None = getattr(self._connection, "tokens", None)
        return None if state is None else state.client

    def can_issue(self) -> bool:
        connection = self._connection
        return connection.phase is Phase.OPEN and connection.id == self._id

    def issued(self, credential: Credential, user_id: str | None) -> None:
        if self.can_issue():
            self._issuer.issued(self._connection, credential, user_id)

    def revoked(self) -> None:
        """The connection is closed along with all the others."""


_FIELD = re.compile(r'("token"\s*:\s*)"(?:[^"\\]|\\.)*"')
_EVENT = re.compile(r'(\["getToken",).*', re.DOTALL)


def without_tokens(record: logging.LogRecord) -> bool:
    """A log filter: take tokens out of the packets that Engine.IO logs when asked to."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_without_tokens, record.args))
    return True


def _without_tokens(value: object) -> object:
    if not isinstance(value, str):
        return value
    return _EVENT.sub(r"\1...]", _FIELD.sub(r'\1"..."', value))

"""What is stored of a session, and what may be done to it. No I/O.

A record is bookkeeping plus one encoded value per key. It is changed
only by a `Delta`, which a store applies whole or not at all. The secret
of a credential is never stored, only its SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import msgpack

from .constants import Constant

#: The number of the stored format. A record with a higher one was
#: written by a newer release of this library.
FORMAT = 1

_ID = re.compile(r"[A-Za-z0-9_-]{22}")  # 128 bits, base64url
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits, base64url
_LATEST = 253402300800  # the year 10000; `datetime` ends there
_AGENT = 160  # characters kept of a user agent; those of browsers have about 120
_REMEMBERED = 8  # superseded secrets kept; more than eight logins a minute is no browser


class CorruptRecord(Exception):
    """The bookkeeping of a record cannot be read.

    Raised by `Meta.decode`, and so by `Store.load`. The session manager
    catches it and reports it; the session counts as absent.
    """


class NewerFormat(Exception):
    """The record was written by a newer release.

    Raised by `Meta.decode`, and so by `Store.load`. The session manager
    catches it and reports it; its caller gets a `StoreError`.
    """


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client holds: the public id and the secret that proves it.

    Attributes:
        id: 128 random bits, base64url (22 characters). Safe in logs.
        secret: 256 random bits, base64url (43 characters). Never logged.
        renew: the carrier signed it with an older key and wants it sent
            again under the current one.
        digest: SHA-256 of the secret: what the record keeps.
    """

    id: str
    secret: str = field(repr=False)
    renew: bool = field(default=False, compare=False)
    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.secret.encode()).digest())

    @classmethod
    def generate(cls, id: str | None = None) -> Credential:
        """Make a new credential, for a new session or an existing id."""
        return cls(id or generate_id(), secrets.token_urlsafe(32))

    @classmethod
    def parse(cls, text: str, *, renew: bool = False) -> Credential | None:
        """Read ``id.secret``; None if it cannot be one."""
        id, dot, secret = text.partition(".")
        if dot and _SECRET.fullmatch(secret) and _ID.fullmatch(id):
            return cls(id, secret, renew)
        return None

    def __str__(self) -> str:
        return f"{self.id}.{self.secret}"


def generate_id() -> str:
    """Return a new session id: 128 bits from the operating system."""
    return secrets.token_urlsafe(16)


def is_id(text: str) -> bool:
    """Tell whether a text can be a session id, before any store is asked."""
    return _ID.fullmatch(text) is not None


def is_text(text: str) -> bool:
    """Tell whether a text can be stored; a lone surrogate, as in JSON's "\\ud800", cannot.

    Raises:
        TypeError: it is no text at all.
    """
    if not isinstance(text, str):
        raise TypeError(f"a str is needed, not {type(text).__qualname__}")
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True


class Verdict(Constant):
    """What a credential is worth against the record of its id."""

    LIVE: ClassVar[Verdict]
    SUPERSEDED: ClassVar[Verdict]
    UNKNOWN: ClassVar[Verdict]


@dataclass(frozen=True, slots=True)
class Meta:
    """The bookkeeping of a record that only changes with its credential.

    Attributes:
        id: the record names itself; a reply that names another one came
            from a connection that lost count (CVE-2023-28858).
        digest: SHA-256 of the current secret, 32 bytes.
        created_at: seconds since the epoch.
        user_id: who is logged in, or None.
        superseded: digests of replaced secrets and when each was replaced.
        address, user_agent: where the last login, or change of the
            credential, came from, as far as the client says the truth;
            printable, cut, and "" when nobody is logged in.
    """

    id: str
    digest: bytes
    created_at: float
    user_id: str | None = None
    superseded: tuple[tuple[bytes, float], ...] = ()
    address: str = ""
    user_agent: str = ""

    def encode(self) -> bytes:
        """Pack it: an array that begins with the format number.

        What is not known at its end is left out: records of visitors
        are no longer for it.
        """
        fields = [FORMAT, self.id, self.digest, self.created_at, self.user_id, self.superseded]
        if self.address or self.user_agent:
            fields.append((self.address, self.user_agent))
        data: bytes = msgpack.packb(fields)
        return data

    @staticmethod
    @functools.lru_cache(maxsize=1024)  # it is immutable, and the same with each request
    def decode(data: bytes) -> Meta:
        """Unpack it.

        Raises:
            NewerFormat: the format number is higher than ours.
            CorruptRecord: anything else is wrong with it.
        """
        try:
            head, *rest = msgpack.unpackb(data)
            if type(head) is int and head > FORMAT:
                raise NewerFormat(head)
            # More at the end is for a release that knows what it is.
            id, digest, created_at, user_id, superseded, *more = rest
            address, user_agent = more[0] if more else ("", "")
            if (
                head != FORMAT
                or type(id) is not str
                or type(digest) is not bytes
                or type(created_at) not in (float, int)
                or not 0 <= created_at < _LATEST
                or not (user_id is None or type(user_id) is str)
                or not all(type(old) is bytes for old, _ in superseded)
                or not type(address) is type(user_agent) is str
            ):
                raise CorruptRecord
            replaced = tuple((d, float(t)) for d, t in superseded)
            return Meta(id, digest, created_at, user_id, replaced, address, user_agent)
        except (NewerFormat, CorruptRecord):
            raise
        except Exception as error:  # any bytes may stand in the store
            raise CorruptRecord from error

    def of_user(self, user_id: str | None) -> Meta:
        """Return it with another user."""
        return replace(self, user_id=user_id)

    def seen_from(self, address: str, user_agent: str) -> Meta:
        """Return it with where its client came from, as much of it as is kept."""
        address, user_agent = _printable(address, 64), _printable(user_agent, _AGENT)
        return replace(self, address=address, user_agent=user_agent)

    def rotated(self, digest: bytes, now: float, grace: float) -> Meta:
        """Return it with a new secret, remembering the old one for `grace` seconds."""
        kept = [(d, t) for d, t in self.superseded if now - t < grace][1 - _REMEMBERED :]
        return replace(self, digest=digest, superseded=(*kept, (self.digest, now)))


def _printable(text: str, most: int) -> str:
    """Cut what a client sent, and take out what may deceive a terminal or a reader."""
    return "".join(char if char.isprintable() else " " for char in text[:most])


@dataclass(slots=True)
class Record:
    """A session as it is stored.

    Attributes:
        meta: the bookkeeping that changes with the credential.
        generation: counts the credentials of this session, from 1.
        version: counts the commits, from 1.
        ttl: seconds left to live at the moment of the load.
        values: UTF-8 key to encoded value.
        provisional: made by a handshake and not yet seen again.
    """

    meta: Meta
    generation: int
    version: int
    ttl: float
    values: dict[bytes, bytes]
    provisional: bool = False

    def copy(self) -> Record:
        """Return an independent copy."""
        return replace(self, values=dict(self.values))

    def judge(self, credential: Credential, now: float, grace: float) -> Verdict:
        """Compare a credential with the stored digests, in constant time."""
        digest = credential.digest
        if hmac.compare_digest(digest, self.meta.digest):
            return Verdict.LIVE
        verdict = Verdict.UNKNOWN
        for old, replaced_at in self.meta.superseded:
            if hmac.compare_digest(digest, old) and now - replaced_at < grace:
                verdict = Verdict.SUPERSEDED
        return verdict


@dataclass(slots=True)
class Delta:
    """One change of one record, applied whole or not at all.

    Attributes:
        id: the record's id.
        generation: the commit is refused if the record has another one.
        ttl: seconds to live; it moves the deadline forward, never back,
            and never past the absolute deadline. 0 leaves it alone.
        version: if given, the commit is refused if the record has another one.
        set: UTF-8 key to encoded value.
        delete: UTF-8 keys.
        clear: remove every stored key first.
        meta: if given, the new bookkeeping; the generation goes up by one.
        confirm: a provisional record becomes a normal one.
    """

    id: str
    generation: int
    ttl: float
    version: int | None = None
    set: Mapping[bytes, bytes] = field(default_factory=dict)
    delete: tuple[bytes, ...] = ()
    clear: bool = False
    meta: Meta | None = None
    confirm: bool = True

    @property
    def changes_values(self) -> bool:
        """Whether anything but the deadline changes."""
        return bool(self.set or self.delete or self.clear or self.meta is not None)


class Peek(NamedTuple):
    """What can be known of a record without extending its life.

    Attributes:
        generation: as in `Record`.
        ttl: seconds left to live.
        provisional: as in `Record`.
        version: as in `Record`; 0 would mean that the store cannot tell.
    """

    generation: int
    ttl: float
    provisional: bool = False
    version: int = 0

"""What processes tell each other: these sessions ended, these were rotated.

A notice is a hint. Whoever receives one asks the store about those of
the named sessions that it has connections for, and acts on the answer,
so a forged or repeated notice costs one question and nothing else.

A notice with a nonce asks for an `Answer`: who made it counts those. An
answer changes nothing, so a forged one makes a number wrong, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from .events import REASONS
from .record import is_id

_MOST = 1000  # ids in one notice; more go in several
_MOST_SOCKETS = 1_000_000  # of one session in one process


@dataclass(frozen=True, slots=True)
class Notice:
    """One message on the notice channel.

    Attributes:
        reason: why, one of `events.REASONS`; ``""``: nothing happened to
            them, it only asks; without ids, a heartbeat.
        ids: the sessions concerned, at most a thousand.
        nonce: on a heartbeat, who sent it; else what an answer to it
            names, or "" if none is asked for.
    """

    reason: str
    ids: tuple[str, ...] = ()
    nonce: str = ""

    @property
    def asks(self) -> bool:
        """Whether an answer is asked for."""
        return bool(self.ids and self.nonce)

    def encode(self) -> bytes:
        """Pack it: an array of a format number and the three fields."""
        data: bytes = msgpack.packb([1, self.reason, self.ids, self.nonce])
        return data


@dataclass(frozen=True, slots=True)
class Answer:
    """What one process says to a notice with a nonce.

    Attributes:
        nonce: that of the notice.
        who: who answers, so that a repeated answer is not counted twice.
        counts: for each of the notice's ids, how many sockets were closed;
            or are open, if it only asked.
    """

    nonce: str
    who: str
    counts: tuple[int, ...]

    def encode(self) -> bytes:
        """Pack it: an array that older releases do not take for a notice."""
        data: bytes = msgpack.packb([1, "answer", self.counts, self.nonce, self.who])
        return data


def notices(reason: str, ids: list[str]) -> list[Notice]:
    """Spread ids over as many notices as they need."""
    return [Notice(reason, tuple(ids[i : i + _MOST])) for i in range(0, len(ids), _MOST)]


def decode(data: bytes) -> Notice | None:
    """Read a message; None if it is not a notice of ours."""
    try:
        version, reason, ids, nonce = msgpack.unpackb(data, max_array_len=_MOST)
    except Exception:  # anybody may publish anything
        return None
    if version != 1 or not _is_text(reason) or not _is_text(nonce) or type(ids) is not list:
        return None
    if reason not in REASONS and reason != "":
        return None
    if not all(type(id) is str and is_id(id) for id in ids):
        return None
    return Notice(reason, tuple(ids), nonce)


def decode_answer(data: bytes) -> Answer | None:
    """Read a message; None if it is not an answer of ours."""
    try:
        version, kind, counts, nonce, who = msgpack.unpackb(data, max_array_len=_MOST)
    except Exception:  # anybody may publish anything
        return None
    if version != 1 or kind != "answer" or not _is_text(nonce) or not _is_text(who):
        return None
    if type(counts) is not list or not all(
        type(count) is int and 0 <= count <= _MOST_SOCKETS for count in counts
    ):
        return None
    return Answer(nonce, who, tuple(counts))


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= 64

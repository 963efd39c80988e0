"""What processes tell each other: these sessions ended, these were rotated.

A notice is a hint. Whoever receives one asks the store about those of
the named sessions that it has connections for, and acts on the answer,
so a forged or repeated notice costs one question and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from .events import REASONS
from .record import is_id

_MOST = 1000  # ids in one notice; more go in several


@dataclass(frozen=True, slots=True)
class Notice:
    """One message on the notice channel.

    Attributes:
        reason: why, one of `events.REASONS`; ``""`` for a heartbeat.
        ids: the sessions concerned, at most a thousand.
        nonce: on a heartbeat, who sent it.
    """

    reason: str
    ids: tuple[str, ...] = ()
    nonce: str = ""

    def encode(self) -> bytes:
        """Pack it: an array of a format number and the three fields."""
        data: bytes = msgpack.packb([1, self.reason, self.ids, self.nonce])
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


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= 64

"""Inputs that nobody meant, made from good ones."""

from __future__ import annotations

from random import Random
from typing import Any


def damage(random: Random, original: Any) -> Any:
    """Return a damaged copy: bytes changed, cut, repeated, put in; or noise."""
    data = original.encode("latin-1") if isinstance(original, str) else original
    work = bytearray(data if random.random() < 0.85 else random.randbytes(random.randrange(80)))
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(work) + 1)
        match random.randrange(4):
            case 0:
                work[at : at + 1] = random.randbytes(1)
            case 1:
                del work[at : at + random.randrange(1, 9)]
            case 2:
                work[at:at] = work[: random.randrange(1, 20)]
            case _:
                work[at:at] = random.choice([b"[", b"{", b"|", b"1", b"\xc1", b"\xff", b"-", b"/,"])
    return bytes(work).decode("latin-1") if isinstance(original, str) else bytes(work)


def line(text: str) -> str:
    """Return what may stand in a header."""
    return "".join(character for character in text if character.isprintable())

"""What every server knows, whatever it is written in: the sessions' content.

Only the standard library is imported here, so that peers in interpreters
of their own can import it, too.
"""

from __future__ import annotations

SEED_COUNT = 7
"""The counter in a freshly seeded session: not 0, which is the default."""

POOL = 256
"""The connections to Redis that a pool may hold, where there is a pool.

redis-py's own limit is 100, and beyond that it raises: with 128 requests
at once every one of its users has to raise it.
"""

SIZES = ("80B", "4KB")
"""About how big a session is, once it is packed."""

IDLE_TIMEOUT = 1800
"""How many seconds a session lives."""

YOUNG = 5_000
"""How many new objects make Python's collector look for garbage, in every server in Python.

By default it is 700 in Python 3.11, and 32 requests that wait for Redis
together are more than that, so that it looked again and again, and found
nothing. See "The garbage collector" in docs/operations.md.
"""

COOKIE_SECRET = "benchmarks: not a secret, but as long as one should be"
"""What cookies are signed with, where they are."""


def seed(size: str) -> dict[str, str | int]:
    """Return the content of a fresh session of about that size."""
    if size == "80B":
        return {
            "count": SEED_COUNT,
            "user": "u-8f14e45fceea167a",
            "name": "Ada Lovelace",
            "theme": "dark",
            "lang": "en-GB",
        }
    return {"count": SEED_COUNT} | {f"item-{i:03}": f"{i:03}" * 30 for i in range(40)}

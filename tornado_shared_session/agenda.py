"""Which sessions the store is to be asked about, why, and in which order.

Those that somebody named come first, for there is a reason; but of a
reload some come with each question, whatever is named meanwhile. To enter
a reload touches each id once, which is all that it may cost in one turn of
the event loop: what is kept of each is made with its question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from .connections import FINAL

_BATCH = 500  # sessions asked about in one question


class Agenda:
    """What is due to be asked.

    Attributes:
        renew: ids to be kept alive, once, if it is time: of the last reload that renews.
    """

    def __init__(self) -> None:
        self.renew: set[str] = set()
        self._named: dict[str, str] = {}  # id -> reason if it turns out to be gone
        self._all: list[str] = []  # what is left of a reload, the next one last
        self._renews = False  # whether that one does

    def __len__(self) -> int:
        return len(self._named) + len(self._all)

    def __iter__(self) -> Iterator[str]:
        yield from list(self._named)
        yield from self._all[::-1]

    def named(self, id: str) -> str | None:
        """Return why somebody named a session that is still to be asked about."""
        return self._named.get(id)

    def add(self, id: str, reason: str) -> None:
        """Ask about a session.

        Of several reasons the one that says most counts: a decision, else
        a deadline, else anything.
        """
        known = self._named.get(id)
        if known not in FINAL and (not known or reason != "rotated"):
            self._named[id] = reason

    def add_all(self, ids: list[str], *, renew: bool) -> None:
        """Ask about all there are; the list is kept, and changed."""
        ids.reverse()
        self._renews = renew or (self._renews and bool(self._all))
        self._all = ids
        if renew:
            self.renew = set()

    def take(self) -> tuple[list[str], list[str]]:
        """Return the ids of the next question, and the reason for each; "": it is of a reload."""
        named, rest = self._named, self._all
        ids = list(islice(named, _BATCH // 2 if rest else _BATCH))
        reasons = [named.pop(id) for id in ids]
        if rest:
            some = rest[: -_BATCH + len(ids) - 1 : -1]
            del rest[-len(some) :]
            if self._renews:
                self.renew.update(some)
            ids += some
            reasons += [""] * len(some)
        return ids, reasons

    def put_back(self, ids: Iterable[str], reasons: Iterable[str]) -> None:
        """Ask again: there was no answer. What was named meanwhile counts."""
        for id, reason in zip(ids, reasons, strict=True):
            self._named.setdefault(id, reason)

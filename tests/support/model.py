"""What sessions must do: dicts and rules, with no store, no bytes and no time of its own.

`tests/proofs/test_model.py` does the same things to this and to the real
thing, and compares. A `Stored` is a session in the store, a `Loaded` is an
object in a handler's hands; several may be of one session at once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

IDLE, ABSOLUTE, PROVISIONAL = 1000.0, 1500.0, 300.0  # seconds
REMEMBERED = 8  # superseded credentials

Values = dict[str, Any]


class Refused(Exception):
    """What the caller is told instead: the reason of a SessionEnded, or "" for no response."""


@dataclass
class Stored:
    """A session in the store."""

    values: Values
    deadline: float
    latest: float
    user: str | None = None
    provisional: bool = False
    generation: int = 1


@dataclass
class Loaded:
    """A session in a handler's hands; `seen` is what it knows to be stored."""

    id: str
    can_issue: bool
    is_new: bool = True
    generation: int = 1
    user: str | None = None
    provisional: bool = False
    ended: str = ""
    seen: Values = field(default_factory=dict)
    shown: Values = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)

    def changes(self) -> tuple[Values, set[str]]:
        """Return what it would set, by assignment or in place, and what it would delete."""
        seen, shown, assigned = self.seen, self.shown, self.assigned
        changed = {k: v for k, v in shown.items() if k in assigned or seen.get(k) != v}
        return copy.deepcopy(changed), seen.keys() - shown.keys()

    def show(self, values: Values) -> None:
        """Show what is stored, and nothing unsaved."""
        self.seen, self.shown = copy.deepcopy(values), copy.deepcopy(values)
        self.assigned = set()

    def check(self) -> None:
        """Nothing is written with what has ended."""
        if self.ended:
            raise Refused(self.ended)


class Model:
    """Every session there is. `now` is moved by the test alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sessions: dict[str, Stored] = {}

    def find(self, id: str) -> Stored | None:
        """Return a session that lives."""
        stored = self.sessions.get(id)
        return None if stored is None or stored.deadline <= self.now else stored

    def load(self, id: str, generation: int, can_issue: bool) -> Loaded | None:
        """Return what a credential leads to; None: a new session, with an id of its own."""
        stored = self.find(id)
        if stored is None or generation < stored.generation - REMEMBERED:
            return None
        if generation < stored.generation:
            return Loaded(id, can_issue, is_new=False, ended="rotated")
        loaded = Loaded(id, can_issue, False, stored.generation, stored.user, stored.provisional)
        loaded.show(stored.values)
        return loaded

    def save(self, one: Loaded, touch: bool) -> None:
        """Store changes; what has ended stores nothing."""
        changed, deleted = one.changes()
        if one.ended:
            return
        if one.is_new:
            if changed:
                self.create(one)
        elif changed or deleted or touch:
            stored = self._judge(one)
            self._apply(stored, one, changed, deleted)
            if touch or (one.provisional and (changed or deleted)):
                self._extend(stored)
            self._settle(stored, one)

    def create(self, one: Loaded, user: str | None = None, provisional: bool = False) -> None:
        """Store a new session."""
        if not one.can_issue:
            raise Refused
        life = PROVISIONAL if provisional else IDLE
        one.show(one.shown)
        one.is_new, one.user, one.provisional = False, user, provisional
        values, latest = copy.deepcopy(one.shown), self.now + ABSOLUTE
        self.sessions[one.id] = Stored(values, self.now + life, latest, user, provisional)

    def touch(self, one: Loaded) -> None:
        """Move the deadline, forward only."""
        one.check()
        if not one.is_new:
            stored = self._judge(one)
            self._extend(stored)
            stored.provisional = one.provisional = False

    def reload(self, one: Loaded) -> None:
        """Show what is stored."""
        one.check()
        if one.is_new:
            one.show({})
            return
        stored = self._judge(one)
        one.show(stored.values)
        one.provisional = stored.provisional

    def rotate(self, one: Loaded, user: str | None) -> None:
        """Log a user in, or (None) only replace the credential."""
        one.check()
        if not one.can_issue:
            raise Refused
        clear = user is not None and one.user not in (None, user)
        if clear:
            one.show({})
        if one.is_new:
            self.create(one, user)
            return
        changed, deleted = one.changes()
        stored = self._judge(one)
        if clear:
            stored.values.clear()
        self._apply(stored, one, changed, deleted)
        stored.generation += 1
        stored.user = user or stored.user
        one.generation, one.user = stored.generation, stored.user
        self._extend(stored)
        self._settle(stored, one)

    def destroy(self, one: Loaded) -> None:
        """End it."""
        if one.ended == "rotated":
            raise Refused(one.ended)
        if one.ended:
            return
        if one.is_new:
            one.show({})
            return
        if self.find(one.id) is not None:
            self._judge(one)
            del self.sessions[one.id]
        one.ended = "logged_out"

    def transact(self, one: Loaded, key: str) -> None:
        """Count, on top of what is stored and of what was not saved yet."""
        one.check()
        if one.is_new:
            if not one.can_issue:
                raise Refused
            one.shown[key] = one.shown.get(key, 0) + 1
            self.create(one)
            return
        stored = self._judge(one)
        self._apply(stored, one, *one.changes())
        stored.values[key] = stored.values.get(key, 0) + 1
        if one.provisional:
            self._extend(stored)
        self._settle(stored, one)
        one.show(stored.values)

    def _judge(self, one: Loaded) -> Stored:
        """Return the session of what is alive and of its generation."""
        stored = self.find(one.id)
        if stored is None or stored.generation != one.generation:
            one.ended = "expired" if stored is None else "rotated"
            raise Refused(one.ended)
        return stored

    def _apply(self, stored: Stored, one: Loaded, changed: Values, deleted: set[str]) -> None:
        """Write the changed keys and no other."""
        stored.values.update(changed)
        for key in deleted:
            stored.values.pop(key, None)

    def _extend(self, stored: Stored) -> None:
        stored.deadline = max(stored.deadline, min(self.now + IDLE, stored.latest))

    def _settle(self, stored: Stored, one: Loaded) -> None:
        """What it shows is what it knows to be stored: not what others wrote."""
        stored.provisional = one.provisional = False
        one.show(one.shown)

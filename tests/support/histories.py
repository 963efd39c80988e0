"""Random histories of overlapping handlers: what may happen in them, and in which proportion.

Each rule does one thing to us and to the simple model; `both.py` compares.
What is drawn never depends on how a race went, so that a history can be
drawn again: there are no preconditions, but other things to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.support.both import OBJECTS, USERS, Both, Known, Line, Pair, at_once, bump, edit
from tornado_shared_session import SessionEnded

SESSIONS, SOCKETS = 3, 3  # that live at once
Edit = tuple[str, str, int]
TURNS = ["login", "login", "regenerate", "destroy"]

managers = st.integers(0, 1)
some = st.integers(0, OBJECTS - 1)
keys = st.sampled_from(["a", "b"])
numbers = st.integers(0, 3)
edits = st.tuples(st.sampled_from(["set", "list", "delete", "append", "clear"]), keys, numbers)
turns = st.sampled_from(TURNS)


class Histories(Both):
    """Handlers that overlap, in two processes, on one store."""

    @initialize(m=managers)
    def begin(self, m: int) -> None:
        """One session, in use by two handlers and a socket."""
        self.visit(m, "a", 0, False)
        self.load(1 - m, 1, 1)
        self.connect(m, 1, True)

    @rule(m=managers, key=keys, number=numbers, socket=st.booleans())
    def visit(self, m: int, key: str, number: int, socket: bool) -> None:
        """Somebody new comes, and something is stored; a socket gets a provisional session."""
        if len(self.alive()) >= SESSIONS:
            self.load(m, number, 1)
            return
        pair = self.open(m, None, True)
        if socket:
            work = self.world.managers[m].create(pair.session, {}, provisional=True)
            self.act(pair, work, lambda: self.model.create(pair.loaded, provisional=True))
            self.connect(m, 1, True)
        else:
            self.edit(pair, "list", key, number)
            self.act(pair, pair.session.save(), lambda: self.model.save(pair.loaded, False))

    @rule(m=managers, which=st.integers(0, 6), issues=st.integers(0, 3))
    def load(self, m: int, which: int, issues: int) -> None:
        """Somebody comes with a credential, perhaps an old one, or with none."""
        known = self.credentials[-which:][0] if which else None
        self.open(m, known, issues > 0)

    @rule(h=some, changes=st.lists(edits, min_size=1, max_size=3), save=st.booleans())
    def change(self, h: int, changes: list[Edit], save: bool) -> None:
        """Change an object in some ways, and perhaps save it."""
        pair = self.pick(h)
        for kind, key, number in changes:
            self.edit(pair, kind, key, number)
        if save:
            self.save(h, True)

    def edit(self, pair: Pair, kind: str, key: str, number: int) -> None:
        """Change both, or see that what has ended cannot be changed."""
        session, loaded = pair.session, pair.loaded
        if loaded.ended:
            with pytest.raises(SessionEnded):
                session[key] = number
            return
        edit(session, kind, key, number)
        edit(loaded.shown, kind, key, number)
        if kind in ("set", "list"):
            loaded.assigned.add(key)
        loaded.assigned &= loaded.shown.keys()
        self.compare(pair)

    @rule(h=some, touch=st.booleans())
    def save(self, h: int, touch: bool) -> None:
        """Save an object, as activity or not."""
        pair = self.pick(h)
        work = pair.session._backend.save(pair.session, touch=touch)
        self.act(pair, work, lambda: self.model.save(pair.loaded, touch))

    @rule(h=some)
    def touch(self, h: int) -> None:
        """Move the deadline."""
        pair = self.pick(h)
        self.act(pair, pair.session.touch(), lambda: self.model.touch(pair.loaded))

    @rule(h=some)
    def reload(self, h: int) -> None:
        """Read an object again."""
        pair = self.pick(h)
        self.act(pair, pair.session.reload(), lambda: self.model.reload(pair.loaded))

    @rule(h=some)
    def transact(self, h: int) -> None:
        """Count."""
        pair = self.pick(h)
        stored = self.model.find(pair.loaded.id)
        # An object that still says "provisional" extends the life or does not,
        # according to whether it had to be read again.
        if stored is None or stored.provisional == pair.loaded.provisional:
            work = pair.session.transact(bump)
            self.act(pair, work, lambda: self.model.transact(pair.loaded, "n"))

    @rule(h=some, how=turns, user=st.sampled_from(USERS))
    def turn(self, h: int, how: str, user: str) -> None:
        """Log in, replace the credential, or log out."""
        pair = self.pick(h)
        self.act(pair, *self.turning(pair, how, user))

    def turning(
        self, pair: Pair, how: str, user: str
    ) -> tuple[Coroutine[Any, Any, None], Callable[[], None]]:
        """Return how one of them is done in both worlds."""
        session, loaded = pair.session, pair.loaded
        if how == "login":
            return session.login(user), lambda: self.model.rotate(loaded, user)
        if how == "regenerate":
            return session.regenerate(), lambda: self.model.rotate(loaded, None)
        self.why.setdefault(loaded.id, "logged_out")
        return session.destroy(), lambda: self.model.destroy(loaded)

    @rule(m=managers, which=st.integers(1, 5))
    def revoke(self, m: int, which: int) -> None:
        """Somebody ends a session from outside, by its id."""
        id = self.credentials[-which:][0][1]
        lived = self.model.find(id) is not None
        self.why[id] = "revoked"
        assert self.run(self.world.managers[m].destroy(id)) is lived
        self.model.sessions.pop(id, None)
        self.run(self.settle(id))

    @rule(seconds=st.sampled_from([100, 100, 100, 300, 900]))
    def expire(self, seconds: int) -> None:
        """Time passes."""
        self.run(self.world.pass_time(seconds))
        self.model.now += seconds
        self.run(self.settle(*self.model.sessions))

    # -- overlapping -------------------------------------------------------

    def current(self, which: int) -> tuple[str, Known]:
        """Return one of the sessions that live, and its credential."""
        if not self.alive():
            self.visit(0, "a", 0, False)
        id = self.alive()[which % len(self.alive())]
        return id, [one for one in self.credentials if one[1] == id][-1]

    @rule(
        which=st.integers(0, SESSIONS - 1),
        change=edits,
        how=turns,
        user=st.sampled_from(USERS),
        late=st.sampled_from(["save", "touch", "reload", "transact", "turn", "admit"]),
    )
    def overtaken(self, which: int, change: Edit, how: str, user: str, late: str) -> None:
        """A handler, or a socket, has loaded a session; another one turns it in between."""
        _, known = self.current(which)
        first = self.open(0, known, True)
        second = self.open(1, known, True)
        self.edit(second, *change)
        if late == "admit":
            self.enter(1, known, False)
        self.act(first, *self.turning(first, how, user))
        if late == "admit":
            self.admit(-1)
        elif late == "turn":
            self.act(second, *self.turning(second, TURNS[change[2]], user))
        else:
            rules: dict[str, Any] = {
                "touch": self.touch,
                "reload": self.reload,
                "transact": self.transact,
            }
            rules.get(late, lambda h: self.save(h, True))(0)

    @rule(
        which=st.integers(0, SESSIONS - 1),
        changes=st.lists(edits, min_size=2, max_size=4),
        how=st.sampled_from(["save", "login", "regenerate", "destroy"]),
        user=st.sampled_from(USERS),
    )
    def together(self, which: int, changes: list[Edit], how: str, user: str) -> None:
        """Objects of one session are changed and saved at once; one may log in or out instead.

        Who was not refused came before the turn, and who was refused after it.
        """
        id, known = self.current(which)
        pairs = [pair for pair in self.pairs if pair.loaded.id == id and not pair.loaded.ended]
        for m in range(len(pairs), len(changes)):
            pairs.append(self.open(m % 2, known, True))
        pairs = pairs[-len(changes) :]
        for pair, change in zip(pairs, changes, strict=True):
            self.edit(pair, *change)
        turner = None if how == "save" else pairs.pop(0)
        works = [pair.session.save() for pair in pairs]
        if turner is not None:
            work, expected = self.turning(turner, how, user)
            works.append(work)
        before = {pair: pair.issued() for pair in [*pairs, *([turner] if turner else [])]}
        answers = self.run(at_once(*works))
        got = dict(zip(pairs, answers, strict=False))
        rivals: dict[str, list[Any]] = {}
        first = [pair for pair in pairs if turner is None or self.before(pair, got[pair])]
        for pair in first:
            changed, deleted = pair.loaded.changes()
            for key in {*changed, *deleted} if got[pair] is None else ():
                rivals.setdefault(key, []).append(changed.get(key))
            self.judge(pair, got[pair], self.saving(pair), before[pair])
        if turner is not None:
            loaded = turner.loaded
            changed, deleted = loaded.changes()
            clears = how == "login" and loaded.user not in (None, user)
            for key in list(rivals) if answers[-1] is None else ():
                if clears or key in changed or key in deleted:
                    del rivals[key]
            self.judge(turner, answers[-1], expected, before[turner])
        for pair in pairs:
            if pair not in first:
                self.judge(pair, got[pair], self.saving(pair), before[pair])
        self.run(self.adopt(id, rivals))
        self.run(self.settle(id))

    def before(self, pair: Pair, got: str | None) -> bool:
        """Whether what a save was told was so before somebody's turn."""
        stored = self.model.find(pair.loaded.id)
        if stored is None or got is None:
            return True
        return got == "rotated" and stored.generation != pair.loaded.generation

    def saving(self, pair: Pair) -> Callable[[], None]:
        """Return what the model does when an object is saved."""
        return lambda: self.model.save(pair.loaded, False)

    async def adopt(self, id: str, rivals: dict[str, list[Any]]) -> None:
        """Of who wrote one key at once any may be the last: the store tells which."""
        stored = self.model.find(id)
        for key in [key for key, values in rivals.items() if stored and len(values) > 1]:
            record = await self.world.managers[0].store.load(id)
            assert stored is not None
            assert record is not None
            value = self.decoded(record).get(key)
            assert value in rivals[key]
            stored.values.pop(key, None)
            if value is not None:
                stored.values[key] = value

    # -- sockets -----------------------------------------------------------

    @rule(m=managers, which=st.integers(1, 3), at_once=st.booleans())
    def connect(self, m: int, which: int, at_once: bool) -> None:
        """A socket enters the registry, loads its session, and is admitted, perhaps later."""
        self.enter(m, self.credentials[-which:][0], at_once)

    def enter(self, m: int, known: Known, at_once: bool) -> None:
        """Enter a socket, in place of the oldest one if there are too many."""
        if len(self.lines) >= SOCKETS:
            self.drop(self.lines[0])
        credential, id, generation = known
        manager = self.world.managers[m]
        line = Line(id, manager, generation)
        manager.connections.add(line)
        session = self.run(manager.resolve([credential], None))
        loaded = self.model.load(id, generation, False)
        if loaded is None or loaded.ended:
            assert session.is_new is (loaded is None)
            manager.connections.discard(line)
            return
        line.loaded = session._record
        self.lines.append(line)
        if at_once:
            self.admit(-1)

    @rule(which=st.integers(0, SOCKETS - 1))
    def admit(self, which: int) -> None:
        """A socket that has loaded its session is admitted, unless that ended meanwhile."""
        if not self.lines:
            return
        line = self.lines[which % len(self.lines)]
        record, line.loaded = line.loaded, None
        if record is None:  # it was admitted before: its client leaves
            self.drop(line)
        elif self.doomed(line):
            with pytest.raises(SessionEnded):
                line.admit(record)
            self.drop(line)
        else:
            line.admit(record)
            assert not line.closed

"""The live sockets of a process, by session."""

from __future__ import annotations

import time

import pytest

from tornado_shared_session import SessionEnded
from tornado_shared_session.connections import FINAL, Connection, Connections, Phase
from tornado_shared_session.events import REASONS, Reporter
from tornado_shared_session.record import Meta, Record


class Line(Connection):
    """A connection that notes how it was closed."""

    def __init__(self, id: str = "A") -> None:
        super().__init__(id)
        self.closed: list[tuple[str, bool]] = []

    def _close(self, reason: str, *, final: bool) -> None:
        self.closed.append((reason, final))


def record(generation: int = 1, ttl: float = 60.0) -> Record:
    """Return a record of a generation."""
    return Record(Meta("A", b"d" * 32, 0.0), generation, 1, ttl, {})


def test_a_connection_hears_and_speaks_once_admitted() -> None:
    """With the generation and the deadline of what was loaded."""
    line = Line()
    assert line.phase is Phase.LOADING
    line.admit(record(3, 60))
    assert (line.phase, line.generation) == (Phase.OPEN, 3)
    assert 0 < line.deadline - time.monotonic() <= 60


def test_an_end_while_loading_refuses_admission() -> None:
    """No revocation can slip between the load and the admission."""
    line = Line()
    line.end("revoked")
    with pytest.raises(SessionEnded) as caught:
        line.admit(record())
    assert caught.value.reason == "revoked"
    assert line.phase is Phase.ENDED


def test_a_rotation_while_loading_is_judged_at_admission() -> None:
    """What was loaded before it is refused; what was loaded after it is not."""
    old, new = Line(), Line()
    old.minimum = new.minimum = 2
    with pytest.raises(SessionEnded) as caught:
        old.admit(record(1))
    assert caught.value.reason == "rotated"
    assert old.phase is Phase.LOADING
    new.admit(record(2))
    assert new.phase is Phase.OPEN


@pytest.mark.parametrize("reason", REASONS)
def test_a_connection_ends_once(reason: str) -> None:
    """The first reason counts, and decides whether the client may return."""
    line = Line()
    line.end(reason)
    line.end("shutdown")
    assert line.closed == [(reason, reason in FINAL)]
    assert line.reason == reason


def test_only_a_decision_is_final() -> None:
    """After an expiry or a rotation the client comes back by itself."""
    assert {"logged_out", "revoked", "replaced"} == FINAL


def test_the_registry_knows_who_relies_on_what() -> None:
    """Entering and leaving twice is harmless, and nothing stays behind."""
    registry = Connections(Reporter())
    one, two, other = Line("A"), Line("A"), Line("B")
    for line in (one, two, other, one):
        registry.add(line)
    assert len(registry) == 3
    assert set(registry.of("A")) == {one, two}
    assert sorted(registry.ids()) == ["A", "B"]
    assert set(registry) == {one, two, other}
    for line in (one, two, other, one):
        registry.discard(line)
    assert len(registry) == 0
    assert registry.ids() == []
    assert registry.of("A") == ()
    assert "A" not in registry


def test_ending_a_session_ends_its_connections_only() -> None:
    """Also when closing takes them out of the registry at once."""
    events: list[tuple[str, str | None, str]] = []
    report = Reporter(lambda event: events.append((event.kind, event.id, event.detail)))
    registry = Connections(report)

    class Hasty(Line):
        def _close(self, reason: str, *, final: bool) -> None:
            super()._close(reason, final=final)
            registry.discard(self)

    lines = [Hasty("A"), Hasty("A"), Hasty("B")]
    for line in lines:
        registry.add(line)
    registry.end("A", "expired")
    registry.end("A", "expired")
    assert [line.closed for line in lines] == [[("expired", False)], [("expired", False)], []]
    assert events == [("connection_closed", "A", "expired")] * 2

"""What a process knows of a record between two loads."""

from __future__ import annotations

import time

import pytest

from tornado_shared_session.known import Known
from tornado_shared_session.record import Delta, Meta, Peek, Record

META = Meta("A", b"d" * 32, 0.0)


def record(version: int, ttl: float = 60.0, **values: bytes) -> Record:
    """Return a record at a version."""
    return Record(META, 1, version, ttl, {key.encode(): value for key, value in values.items()})


BEFORE = 0.0  # monotonic seconds: before anything here


def known(version: int = 3, ttl: float = 60.0, **values: bytes) -> Known:
    """Return what is known after a load."""
    one = Known()
    one.loaded(record(version, ttl, **values), time.monotonic())
    return one


def shown(one: Known) -> tuple[int, dict[bytes, bytes]] | None:
    """Return the version and the values that an event is given."""
    taken = one.take(1, 15)
    return None if taken is None else (taken.version, taken.values)


def test_what_was_loaded_is_a_copy_for_each() -> None:
    """Who takes it may keep it; who loaded it may change his."""
    loaded, one = record(3, a=b"1"), Known()
    assert one.take(1, 15) is None
    one.loaded(loaded, time.monotonic())
    loaded.values[b"a"] = b"2"
    taken = one.take(1, 15)
    assert taken is not None
    taken.values[b"a"], taken.version = b"3", 9
    assert shown(one) == (3, {b"a": b"1"})


def test_another_generation_an_old_answer_and_a_due_record_are_not_relied_on() -> None:
    """The store has to be asked then."""
    one = known()
    assert one.take(2, 15) is None
    assert one.take(1, -1) is None
    assert known(ttl=0).take(1, 15) is None
    taken = one.take(1, 15)
    assert taken is not None
    assert 59 < taken.ttl <= 60


def test_a_commit_is_entered() -> None:
    """Values, version, deadline; what only moves the deadline changes no values."""
    one = known(3, 30, a=b"1", b=b"1")
    one.committed(Delta("A", 1, 0, set={b"a": b"2", b"c": b"3"}, delete=(b"b", b"x")), 4, None)
    assert shown(one) == (4, {b"a": b"2", b"c": b"3"})
    one.committed(Delta("A", 1, 90), 4, 90.0)
    taken = one.take(1, 15)
    assert taken is not None
    assert taken.version == 4
    assert taken.ttl > 80


@pytest.mark.parametrize("confirm", [False, True])
def test_a_commit_makes_a_provisional_record_a_normal_one(confirm: bool) -> None:
    """If it says so."""
    one, provisional = Known(), record(1)
    provisional.provisional = True
    one.loaded(provisional, time.monotonic())
    one.committed(Delta("A", 1, 90, confirm=confirm), 1, 90.0)
    taken = one.take(1, 15)
    assert taken is not None
    assert taken.provisional is not confirm


@pytest.mark.parametrize(
    "delta",
    [
        Delta("A", 1, 0, set={b"a": b"2"}, clear=True),
        Delta("A", 1, 0, meta=META),
    ],
)
def test_a_clearing_and_a_new_credential_are_loaded(delta: Delta) -> None:
    """They are rare, so nothing of them is guessed."""
    one = known(3, a=b"1")
    one.committed(delta, 4, None)
    assert shown(one) is None


def test_a_commit_of_others_in_between_is_loaded() -> None:
    """The version is higher than this process's own commits explain."""
    for delta in (Delta("A", 1, 0, set={b"a": b"2"}), Delta("A", 1, 90)):
        one = known(3)
        one.committed(delta, 5, None)
        assert shown(one) is None


def test_an_answer_that_comes_late_is_part_of_what_was_loaded() -> None:
    """The load was answered after the commit, and its answer was seen first."""
    one = known(4, a=b"2")
    one.committed(Delta("A", 1, 0, set={b"a": b"1"}), 4, None)
    assert shown(one) == (4, {b"a": b"2"})


def test_a_load_from_before_a_commit_is_not_kept() -> None:
    """Neither when the commit was entered, nor when it was only heard of."""
    one = known(3, a=b"1")
    one.committed(Delta("A", 1, 0, set={b"a": b"2"}), 4, None)
    one.loaded(record(3, a=b"1"), BEFORE)
    assert shown(one) == (4, {b"a": b"2"})
    one = Known()
    one.committed(Delta("A", 1, 0, set={b"a": b"2"}), 4, None)
    one.loaded(record(3, a=b"1"), BEFORE)
    assert shown(one) is None
    one.loaded(record(4, a=b"2"), time.monotonic())
    assert shown(one) == (4, {b"a": b"2"})


@pytest.mark.parametrize(
    ("peek", "kept"),
    [
        (Peek(1, 60, version=3), True),
        (Peek(1, 60, version=4), False),
        (Peek(2, 60, version=4), False),
        (Peek(2, 60, version=3), False),
        (Peek(1, 60), False),  # a store that cannot tell
        (Peek(1, 60, version=2), False),  # the store went back to an older state
    ],
)
def test_a_peek_says_whether_it_still_stands(peek: Peek, kept: bool) -> None:
    """Another version is somebody else's."""
    one = known(3)
    one.peeked(peek, time.monotonic())
    assert (one.take(1, 15) is not None) is kept


def test_a_peek_renews_what_it_confirms_and_nothing_else() -> None:
    """A version that is behind confirms nothing."""
    for version, renewed in ((3, True), (2, False)):
        one = Known()
        one.loaded(record(3), time.monotonic() - 20)
        one.peeked(Peek(1, 90, version=version), time.monotonic() if renewed else 0)
        taken = one.take(1, 15)
        assert (taken is not None) is renewed
        assert taken is None or taken.ttl > 80


def test_what_is_not_known_any_more_is_loaded() -> None:
    """After a commit that failed; of its version at least once one is known."""
    one = known(3)
    one.forget()
    assert shown(one) is None
    one.peeked(Peek(1, 60, version=4), 0)
    one.loaded(record(3), time.monotonic())
    assert shown(one) == (3, {})
    one.forget(4)
    one.loaded(record(3), BEFORE)
    assert shown(one) is None


def test_a_store_that_went_back_is_believed() -> None:
    """A lower version that was asked for after all that was heard is how it stands now."""
    one = known(7, a=b"7")
    one.peeked(Peek(1, 60, version=2), 0)  # asked for before that was known
    assert shown(one) == (7, {b"a": b"7"})
    one.peeked(Peek(1, 60, version=2), time.monotonic())
    assert shown(one) is None
    one.loaded(record(3, a=b"3"), time.monotonic())
    assert shown(one) == (3, {b"a": b"3"})
    one.committed(Delta("A", 1, 0, set={b"b": b"1"}), 4, None)
    assert shown(one) == (4, {b"a": b"3", b"b": b"1"})
    one.loaded(record(2, a=b"2"), time.monotonic())
    assert shown(one) == (2, {b"a": b"2"})

"""The mapping part of a session: what it shows and what it notices."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tornado_shared_session import MsgpackSerializer, SerializationError
from tornado_shared_session.mapping import TrackedMapping

SERIALIZER = MsgpackSerializer()


class Spy(MsgpackSerializer):
    """Counts what is decoded."""

    def __init__(self) -> None:
        self.decoded = 0

    def decode(self, data: bytes) -> Any:
        """Count."""
        self.decoded += 1
        return super().decode(data)


class Shown(TrackedMapping):
    """A mapping over given values, that keeps its complaints."""

    def __init__(self, serializer: MsgpackSerializer = SERIALIZER, /, **values: Any) -> None:
        super().__init__(serializer)
        self.unreadable: list[str] = []
        self._show({key.encode(): SERIALIZER.encode(value) for key, value in values.items()})

    def _report_unreadable(self, key: str) -> None:
        self.unreadable.append(key)


def changes_of(mapping: TrackedMapping) -> tuple[dict[str, Any], set[str]]:
    """Take the changes and decode them."""
    changes, deleted = mapping._take_changes()
    return {key.decode(): SERIALIZER.decode(data) for key, data in changes.items()}, deleted


def test_it_is_a_mapping() -> None:
    """Reading, assigning, deleting and asking, as with a dict."""
    mapping = Shown(a=1, b=[2])
    mapping["c"] = None
    mapping |= {"d": 0}
    del mapping["a"]
    assert dict(mapping) == mapping == {"b": [2], "c": None, "d": 0}
    assert len(mapping) == 3
    assert "a" not in mapping
    assert mapping.get("a", "gone") == "gone"
    assert mapping.setdefault("c", 5) is None
    assert mapping.pop("d") == 0
    mapping.clear()
    assert list(mapping) == []


@pytest.mark.parametrize("value", [0, "", False, None, [], {}, b""])
def test_an_empty_value_is_there(value: Any) -> None:
    """It is told apart from no value at all."""
    mapping = Shown(key=value)
    assert "key" in mapping
    assert mapping["key"] == value


@pytest.mark.parametrize("key", [1, None, b"a", ("a",), [], "\ud800"])
def test_asking_for_what_cannot_be_a_key_is_no_error(key: Any) -> None:
    """It is not there, as in a dict."""
    mapping = Shown(a=1)
    assert key not in mapping
    if not isinstance(key, list):
        with pytest.raises(KeyError):
            mapping[key]


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (1, TypeError),
        (b"a", TypeError),
        ("", ValueError),
        ("x" * 256, ValueError),
        ("\ud800", ValueError),
    ],
)
def test_a_key_is_a_text_of_1_to_255_characters(key: Any, error: type[Exception]) -> None:
    """Anything else is refused where it is assigned, not where it is saved."""
    mapping = Shown()
    with pytest.raises(error):
        mapping[key] = 1
    assert not mapping.modified
    mapping["x" * 255] = 1


def test_values_are_decoded_when_they_are_read_and_once() -> None:
    """A big session costs only what is touched."""
    spy = Spy()
    mapping = Shown(spy, a=1, b=2, c=3)
    assert spy.decoded == 0
    assert mapping["b"] == mapping["b"] == 2
    assert spy.decoded == 1


def test_a_mere_read_changes_nothing() -> None:
    """Of whatever kind the value is, also of every one of them."""
    mapping = Shown(
        a=1, b=[1, {"c": (2,)}], d={"x", "y", "z"}, e=datetime.datetime(2024, 1, 1), f=1.0
    )
    assert dict(mapping)["b"][1]["c"] == (2,)
    assert not mapping.modified
    assert changes_of(mapping) == ({}, set())


def test_a_read_of_what_another_release_encoded_changes_nothing() -> None:
    """The same value in other bytes is not a change."""
    mapping = Shown()
    mapping._show({b"cart": b"\xdd\x00\x00\x00\x01\xcd\x00\x07"})  # [7], in longer forms
    assert mapping["cart"] == [7]
    assert SERIALIZER.encode([7]) != mapping._stored[b"cart"]
    assert not mapping.modified
    assert changes_of(mapping) == ({}, set())


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ([], lambda cart: cart.append(1)),
        ({"a": {"b": []}}, lambda cart: cart["a"]["b"].append(1)),
        ({1, 2}, lambda cart: cart.add(3)),
        (([],), lambda cart: cart[0].append(1)),
        ({"on": 0}, lambda cart: cart.update(on=False)),
        ({"on": 1}, lambda cart: cart.update(on=True)),
        ([1], lambda cart: cart.__setitem__(0, 1.0)),
    ],
)
def test_a_change_inside_a_value_is_noticed(before: Any, change: Any) -> None:
    """Without a flag, at any depth, also where == would not see it."""
    mapping = Shown(cart=before, other=[])
    assert mapping["other"] == []
    change(mapping["cart"])
    assert mapping.modified
    changes, _ = changes_of(mapping)
    assert list(changes) == ["cart"]
    assert repr(changes["cart"]) == repr(mapping["cart"])


def test_a_change_that_was_undone_is_none() -> None:
    """What counts is the value at the save."""
    mapping = Shown(cart=[1])
    mapping["cart"].append(2)
    mapping["cart"].pop()
    assert not mapping.modified


def test_a_key_that_came_and_went_is_no_change() -> None:
    """There is nothing to remove."""
    mapping = Shown()
    mapping["a"] = 1
    del mapping["a"]
    assert not mapping.modified
    assert changes_of(mapping) == ({}, set())


def test_deleting_and_assigning_again_is_an_assignment() -> None:
    """And the other way round a deletion."""
    mapping = Shown(a=1, b=1)
    del mapping["a"]
    mapping["a"] = 2
    mapping["b"] = 2
    del mapping["b"]
    assert changes_of(mapping) == ({"a": 2}, {"b"})


def test_a_value_that_cannot_be_read_is_absent_and_reported_once() -> None:
    """The others stay; assigning replaces it."""
    mapping = Shown(a=1)
    mapping._stored[b"bad"] = b"\xc1"
    assert "bad" not in mapping
    assert mapping.get("bad") is None
    assert list(mapping) == ["a"]
    assert mapping.unreadable == ["bad"]
    mapping["bad"] = 2
    changes, deleted = mapping._take_changes()
    mapping._commit_changes(changes, deleted)
    assert dict(mapping) == {"a": 1, "bad": 2}


def test_a_value_that_cannot_be_stored_names_its_key_and_takes_nothing() -> None:
    """After it is mended, everything is saved."""
    mapping = Shown()
    mapping["good"] = 1
    mapping["bad"] = object()
    with pytest.raises(SerializationError, match=r"session\['bad'\].*object") as caught:
        mapping._take_changes()
    assert caught.value.key == "bad"
    assert mapping.modified
    mapping["bad"] = 2
    assert changes_of(mapping) == ({"good": 1, "bad": 2}, set())


def test_what_was_taken_is_shown_while_it_is_saved() -> None:
    """A key that is on its way to the store is still listed."""
    mapping = Shown(a=1)
    mapping["b"] = 2
    mapping._take_changes()
    assert dict(mapping) == {"a": 1, "b": 2}


def test_a_failed_commit_makes_it_unsaved_again() -> None:
    """Except what was changed once more meanwhile."""
    mapping = Shown(a=1, b=1, c=1, d=[1])
    mapping["a"] = mapping["b"] = 2
    mapping["d"].append(2)
    del mapping["c"]
    taken = mapping._take_changes()
    assert not mapping._assigned
    del mapping["b"]
    mapping["c"] = 3
    mapping._put_back(*taken)
    assert changes_of(mapping) == ({"a": 2, "c": 3, "d": [1, 2]}, {"b"})


def test_what_changes_during_a_commit_is_saved_by_the_next() -> None:
    """In place or by assignment."""
    mapping = Shown()
    mapping["cart"] = [1]
    mapping["n"] = 1
    taken = mapping._take_changes()
    mapping["cart"].append(2)
    mapping["n"] = 2
    mapping._commit_changes(*taken)
    assert changes_of(mapping) == ({"cart": [1, 2], "n": 2}, set())


def test_foreign_bookkeeping_is_not_shown() -> None:
    """A field whose name is not UTF-8 is none of the user's keys."""
    mapping = Shown(a=1)
    mapping._stored[b"\xffz"] = b"\x01"
    assert list(mapping) == ["a"]
    assert mapping.unreadable == []


def test_what_a_failed_commit_may_have_stored_is_deleted_by_name() -> None:
    """Its answer was lost, so nobody knows; once one succeeds, everybody does."""
    mapping = Shown(a=1)
    mapping["coupon"] = "SUMMER"
    mapping._put_back(*mapping._take_changes())
    del mapping["coupon"]
    assert mapping.modified
    taken = mapping._take_changes()
    assert taken == ({}, {"coupon"})
    mapping._commit_changes(*taken)
    mapping["coupon"] = "again"
    del mapping["coupon"]
    assert not mapping.modified

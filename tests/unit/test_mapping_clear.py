"""Clearing a mapping and listing its keys: what is decoded, and what is deleted."""

from __future__ import annotations

import pytest

from tests.unit.test_mapping import Shown, Spy, changes_of


def test_clearing_deletes_every_key_and_nothing_else() -> None:
    """Read or not, readable or not, unsaved too; a foreign field stays."""
    mapping = Shown(a=1, b=[2], c=3)
    mapping._stored.update({b"bad": b"\xc1", b"\xffz": b"\x01"})
    mapping["a"], mapping["new"] = 5, 6
    del mapping["c"]
    mapping.clear()
    assert dict(mapping) == {}
    assert mapping.modified
    changes, deleted = mapping._take_changes()
    assert (changes, deleted) == ({}, {"a", "b", "c", "bad"})
    mapping._commit_changes(changes, deleted)
    assert mapping._stored == {b"\xffz": b"\x01"}
    assert not mapping.modified
    mapping["a"] = 7
    assert changes_of(mapping) == ({"a": 7}, set())


def test_a_failed_clearing_is_tried_again() -> None:
    """Except for a key that was assigned meanwhile; nothing comes back."""
    mapping = Shown(a=1, b=2)
    mapping.clear()
    taken = mapping._take_changes()
    mapping["a"] = 3
    mapping._put_back(*taken)
    assert changes_of(mapping) == ({"a": 3}, {"b"})


def test_clearing_while_new_keys_are_saved_deletes_them_afterwards() -> None:
    """They are in the store only when the save is done."""
    mapping = Shown()
    mapping["a"] = 1
    taken = mapping._take_changes()
    mapping.clear()
    mapping._commit_changes(*taken)
    assert dict(mapping) == {}
    assert changes_of(mapping) == ({}, {"a"})


def test_clearing_what_is_empty_changes_nothing() -> None:
    """There is nothing to save."""
    mapping = Shown()
    mapping.clear()
    assert not mapping.modified


def test_what_must_not_be_changed_is_not_cleared() -> None:
    """The check comes before the deed."""

    class Closed(Shown):
        def _check_writable(self) -> None:
            raise PermissionError

    mapping = Closed(a=1)
    with pytest.raises(PermissionError):
        mapping.clear()
    assert dict(mapping) == {"a": 1}
    assert not mapping.modified


def test_clearing_decodes_nothing_and_asking_for_any_decodes_one() -> None:
    """Neither costs more the more is stored."""
    spy = Spy()
    mapping = Shown(spy, **{f"key{i}": i for i in range(1000)})
    assert mapping
    assert next(iter(mapping)) == "key0"
    assert spy.decoded == 1
    mapping.clear()
    assert not mapping
    assert spy.decoded == 1


def test_only_what_can_be_read_makes_it_true() -> None:
    """A corrupt value reads as absent there too."""
    mapping = Shown()
    mapping._stored.update({b"bad": b"\xc1", b"\xff": b"\x01"})
    assert not mapping
    assert len(mapping) == 0
    mapping["new"] = 0
    assert mapping
    assert list(mapping) == ["new"]


def test_keys_may_be_deleted_while_they_are_listed() -> None:
    """What is gone before its turn is not listed."""
    mapping = Shown(a=1, b=2)
    mapping["c"] = 3
    for key in mapping:
        assert key == "a"
        for other in ("a", "b", "c"):
            del mapping[other]
    assert list(mapping) == []


def test_a_deleted_key_stays_away_while_the_deletion_is_saved() -> None:
    """Reading it meanwhile does not bring it back, and a failed commit deletes it again."""
    for committed in (True, False):
        mapping = Shown(a=1, b=2)
        del mapping["a"]
        changes, deleted = mapping._take_changes()
        assert "a" not in mapping
        if committed:
            mapping._commit_changes(changes, deleted)
            assert not mapping.modified
        else:
            mapping._put_back(changes, deleted)
            assert mapping._take_changes() == ({}, {"a"})
        assert dict(mapping) == {"b": 2}

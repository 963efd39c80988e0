"""What processes tell each other."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_shared_session.events import REASONS
from tornado_shared_session.notices import Notice, decode, notices
from tornado_shared_session.record import generate_id


@pytest.mark.parametrize("reason", [*REASONS, ""])
def test_a_notice_comes_back(reason: str) -> None:
    """With its reason, ids and nonce."""
    notice = Notice(reason, (generate_id(), generate_id()), "nonce")
    assert decode(notice.encode()) == notice


def test_many_ids_go_in_several_notices() -> None:
    """A thousand each, none lost, and none for no ids."""
    ids = [generate_id() for _ in range(2500)]
    parts = notices("revoked", ids)
    assert [len(part.ids) for part in parts] == [1000, 1000, 500]
    assert [id for part in parts for id in part.ids] == ids
    assert all(decode(part.encode()) == part for part in parts)
    assert notices("revoked", []) == []


@pytest.mark.parametrize(
    "fields",
    [
        7,
        [],
        [1, "expired", []],
        [2, "expired", [], ""],
        [1, "hacked", [], ""],
        [1, b"expired", [], ""],
        [1, [], [], ""],
        [1, "expired", "A" * 22, ""],
        [1, "expired", ["short"], ""],
        [1, "expired", [b"A" * 22], ""],
        [1, "expired", ["A" * 22] * 1001, ""],
        [1, "expired", [], "n" * 65],
        [1, "expired", [], None],
        {"a": 1},
    ],
)
def test_what_is_no_notice_of_ours_is_none(fields: object) -> None:
    """Anybody who reaches the store can publish anything."""
    assert decode(msgpack.packb(fields)) is None


@given(st.binary(max_size=100))
def test_any_message_is_read_or_none(data: bytes) -> None:
    """Nothing that is published raises."""
    assert decode(data) is None or isinstance(decode(data), Notice)

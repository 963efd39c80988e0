"""What processes tell each other."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_shared_session.events import REASONS
from tornado_shared_session.notices import Answer, Notice, decode, decode_answer, notices
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
    assert decode_answer(data) is None or isinstance(decode_answer(data), Answer)


def test_an_answer_comes_back() -> None:
    """With its numbers; and nobody takes it for a notice, nor a notice for it."""
    answer = Answer("nonce", "who", (0, 1, 300))
    assert decode_answer(answer.encode()) == answer
    assert decode(answer.encode()) is None
    assert decode_answer(Notice("", ("A" * 22,), "nonce").encode()) is None


@pytest.mark.parametrize(
    "fields",
    [
        7,
        [1, "answer", [], "n"],
        [2, "answer", [], "n", "w"],
        [1, "other", [], "n", "w"],
        [1, "answer", 3, "n", "w"],
        [1, "answer", [-1], "n", "w"],
        [1, "answer", [True], "n", "w"],
        [1, "answer", [1.0], "n", "w"],
        [1, "answer", [2**40], "n", "w"],
        [1, "answer", [0] * 1001, "n", "w"],
        [1, "answer", [], "n" * 65, "w"],
        [1, "answer", [], "n", None],
    ],
)
def test_what_is_no_answer_of_ours_is_none(fields: object) -> None:
    """A number out of all reason least of all."""
    assert decode_answer(msgpack.packb(fields)) is None


def test_only_a_notice_with_ids_and_a_nonce_asks() -> None:
    """A heartbeat does not, nor one that merely tells."""
    id = generate_id()
    assert Notice("", (id,), "nonce").asks
    assert Notice("revoked", (id,), "nonce").asks
    assert not Notice("", (), "nonce").asks
    assert not Notice("revoked", (id,)).asks

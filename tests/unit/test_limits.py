"""How large a session may be, and what is no such limit."""

from __future__ import annotations

from typing import Any

import pytest

from tornado_shared_session import ConfigurationError, SerializationError, SessionManager
from tornado_shared_session.limits import SESSION, SizeLimits


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1", None])
def test_a_limit_is_a_positive_int(value: Any) -> None:
    """Anything else is refused when the manager is made, by the setting's name."""
    with pytest.raises(ConfigurationError, match="max_session_size="):
        SessionManager(max_session_size=value)


def test_a_value_may_not_have_more_than_its_session() -> None:
    """A limit that never applies is a mistake."""
    with pytest.raises(ConfigurationError, match="max_value_size=11 is more than"):
        SessionManager(max_session_size=10, max_value_size=11)
    assert SizeLimits(10, 10).value == 10
    assert SizeLimits().value == SizeLimits().session == SESSION


def test_a_value_is_measured_by_its_encoded_bytes() -> None:
    """As many as the limit will do, one more will not (S40)."""
    limits = SizeLimits(1000, 10)
    limits.check({}, {b"k": bytes(10)}, set())
    with pytest.raises(SerializationError, match=r"session\['k'\].*11 bytes") as caught:
        limits.check({}, {b"k": bytes(11)}, set())
    assert caught.value.key == "k"


def test_a_session_is_measured_with_its_keys() -> None:
    """What is stored, less what goes, and what comes; the largest change is named (S40)."""
    limits = SizeLimits(10)
    stored = {b"a": b"123", b"b": b"123"}  # 8 bytes
    limits.check(stored, {b"c": b"1"}, set())
    with pytest.raises(SerializationError, match="with it 11 bytes") as caught:
        limits.check(stored, {b"c": b"12", b"a": b"123"}, set())
    assert caught.value.key == "a"
    limits.check(stored, {b"c": b"12"}, {"a"})
    limits.check(stored, {b"a": b"12345"}, set())
    with pytest.raises(SerializationError):
        limits.check(stored, {b"a": b"123456"}, set())


def test_what_is_too_large_already_may_shrink() -> None:
    """Or a session above a lowered limit could never be repaired (S40)."""
    limits = SizeLimits(4)
    stored = {b"a": b"123456789"}
    limits.check(stored, {b"b": b"1"}, {"a"})
    with pytest.raises(SerializationError):
        limits.check(stored, {b"b": b"1"}, set())

"""The tree of errors and what each carries."""

from __future__ import annotations

import pytest

from tornado_shared_session import (
    ConfigurationError,
    SerializationError,
    SessionConflict,
    SessionEnded,
    SessionError,
    StoreError,
)
from tornado_shared_session.events import REASONS


@pytest.mark.parametrize(
    "kind", [ConfigurationError, StoreError, SerializationError, SessionConflict, SessionEnded]
)
def test_every_error_is_a_session_error(kind: type[Exception]) -> None:
    """One except clause catches all that this library raises."""
    assert issubclass(kind, SessionError)


def test_a_serialization_error_names_the_key() -> None:
    """Or None where no key is known."""
    assert SerializationError("bad", key="cart").key == "cart"
    assert SerializationError("bad").key is None


@pytest.mark.parametrize("reason", [*REASONS, "ambiguous"])
def test_an_ended_session_says_why(reason: str) -> None:
    """The reason is an attribute, and the text is a sentence about the session."""
    error = SessionEnded(reason)
    assert error.reason == reason
    assert "session" in str(error) or "request" in str(error)


def test_the_text_of_an_end_can_be_given() -> None:
    """The reason stays as it is."""
    error = SessionEnded("expired", "too late")
    assert (error.reason, str(error)) == ("expired", "too late")

"""The rooms of sessions and users."""

from __future__ import annotations

from tornado_shared_session.rooms import RESERVED_ROOMS, session_room, user_room


def test_a_session_room_names_the_generation() -> None:
    """What is sent after a login does not reach sockets from before."""
    assert len({session_room("ID", 1), session_room("ID", 2), session_room("OTHER", 1)}) == 3


def test_both_kinds_are_reserved_and_never_the_same() -> None:
    """A user named like a session has no access to its room."""
    assert session_room("ID", 1).startswith(RESERVED_ROOMS)
    assert user_room("ann").startswith(RESERVED_ROOMS)
    assert user_room("ID.1") != session_room("ID", 1)

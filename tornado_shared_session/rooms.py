"""The names of the Socket.IO rooms that sessions and users have."""

from __future__ import annotations

SESSION_ROOM = "session:"
USER_ROOM = "session-user:"
#: Room names that only this library hands out. Chat code that lets a
#: client choose a room must not let it choose one of these.
RESERVED_ROOMS = (SESSION_ROOM, USER_ROOM)


def session_room(id: str, generation: int) -> str:
    """Name the room of a session's connections of one generation."""
    return f"{SESSION_ROOM}{id}.{generation}"


def user_room(user_id: str) -> str:
    """Name the room of all connections of one user."""
    return f"{USER_ROOM}{user_id}"

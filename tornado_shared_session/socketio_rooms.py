"""Which rooms a client is in, known without a look at all rooms there are.

python-socketio looks at each room of the namespace when a client goes,
and each client has a room or more of its own: the more clients there
are, the longer takes the end of each.

Overrides python-socketio's `basic_enter_room`, `basic_leave_room`,
`basic_disconnect` and `get_rooms`, and knows its `rooms`;
`tests/integration/test_rooms.py` fails when one of them goes.
"""

from __future__ import annotations

from typing import Any

from socketio.base_manager import BaseManager


class RoomIndex:
    """Keeps the rooms of each client of a client manager.

    Args:
        manager: python-socketio's; its methods are replaced, whatever
            its class.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._rooms: dict[str, dict[Any, None]] = {}  # by sid, which is of one namespace
        self._enter, self._leave = manager.basic_enter_room, manager.basic_leave_room
        self._disconnect = manager.basic_disconnect
        manager.basic_enter_room, manager.basic_leave_room = self.enter, self.leave
        manager.basic_disconnect, manager.get_rooms = self.disconnect, self.rooms_of

    def enter(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """Enter a room."""
        self._enter(sid, namespace, room, eio_sid=eio_sid)
        self._rooms.setdefault(sid, {})[room] = None

    def leave(self, sid: str, namespace: str, room: Any) -> None:
        """Leave a room."""
        self._leave(sid, namespace, room)
        rooms = self._rooms.get(sid)
        if rooms is not None and sid not in self._manager.rooms.get(namespace, {}).get(room, ()):
            rooms.pop(room, None)
            if not rooms:
                del self._rooms[sid]

    def rooms_of(self, sid: str, namespace: str, *, all: bool = False) -> list[Any]:
        """Return the rooms that a client is in; with `all`, the namespace is one, None."""
        there = self._manager.rooms.get(namespace, {})
        known = self._rooms.get(sid, ())
        return [room for room in known if (all or room is not None) and sid in there.get(room, ())]

    def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Leave all rooms, and let python-socketio forget the client."""
        if type(self._manager).basic_disconnect is not BaseManager.basic_disconnect:
            self._disconnect(sid, namespace, **kwargs)  # it may look at the rooms
            return
        for room in self.rooms_of(sid, namespace, all=True):
            self._manager.basic_leave_room(sid, namespace, room)
        # It is in no room any more, and there is none to look at.
        rooms, self._manager.rooms = self._manager.rooms, {namespace: {}}
        try:
            self._disconnect(sid, namespace, **kwargs)
        finally:
            self._manager.rooms = rooms

"""Rooms are as python-socketio has them, though it need not look at all there are."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from socketio.base_manager import BaseManager

from tests.support.sites import Site, until
from tornado_shared_session.socketio_rooms import RoomIndex

SEAMS = ("basic_enter_room", "basic_leave_room", "basic_disconnect", "get_rooms")


@pytest.mark.parametrize("name", SEAMS)
def test_the_manager_still_has_what_is_replaced(name: str) -> None:
    """And is called with these arguments."""
    ours = {"basic_enter_room": "enter", "basic_leave_room": "leave", "get_rooms": "rooms_of"}
    theirs = list(inspect.signature(getattr(BaseManager, name)).parameters)
    mine = list(inspect.signature(vars(RoomIndex)[ours.get(name, "disconnect")]).parameters)
    assert mine[: len(theirs)] == theirs


def test_a_client_is_in_the_rooms_that_it_entered_and_did_not_leave() -> None:
    """Whichever way it leaves them, and nothing is left of it."""
    indexed, plain = BaseManager(), BaseManager()
    index = RoomIndex(indexed)
    for one in (indexed, plain):
        one._generate_ack_id("x", None)
    sids = {}
    for one in (indexed, plain):
        one.server = type("Server", (), {"eio": type("Eio", (), {"generate_id": next})})
        names = iter(["a", "b", "c"])
        one.server.eio.generate_id = names.__next__
        sids[one] = [one.pre_connect(f"eio{n}", "/") for n in range(3)]
        for sid in sids[one]:
            one.connect(sid, "/")
            one.basic_enter_room(sid, "/", "lobby")
        one.basic_enter_room("a", "/", "own")
        one.basic_enter_room("b", "/", "left")
        one.basic_leave_room("b", "/", "left")
        one.basic_leave_room("b", "/", "never")
        one._generate_ack_id("a", None)
        one.pre_disconnect("a", "/")
    for sid in ("a", "b", "c", "nobody"):
        assert sorted(indexed.get_rooms(sid, "/")) == sorted(plain.get_rooms(sid, "/"))
        assert indexed.get_rooms(sid, "/other") == plain.get_rooms(sid, "/other")
    for one in (indexed, plain):
        one.basic_disconnect("a", "/")
        one.basic_disconnect("a", "/")
        one.basic_close_room("lobby", "/")
    assert indexed.rooms == plain.rooms
    assert (indexed.callbacks.keys(), indexed.pending_disconnect) == (plain.callbacks.keys(), {})
    assert indexed.get_rooms("b", "/") == ["b"]
    for one in (indexed, plain):
        one.basic_disconnect("b", "/")
        one.basic_disconnect("c", "/")
    assert indexed.rooms == plain.rooms == {}
    assert index._rooms == {}


async def test_a_client_that_goes_costs_no_look_at_the_rooms_of_others(
    a: Site, transport: str
) -> None:
    """Nor is anything kept of it."""

    looked = []

    class Room(dict[Any, Any]):
        def __contains__(self, key: object) -> bool:
            looked.append(key)
            return super().__contains__(key)

    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        a.sio.manager.rooms["/"]["others"] = Room({"other": "eio"})
    await until(lambda: [*a.sio.manager.rooms["/"]] == ["others"])
    await until(lambda: not a.sio._by_sid)
    assert looked == []

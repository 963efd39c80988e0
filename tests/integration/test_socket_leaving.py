"""A namespace that a client leaves while an event of it is under way."""

from __future__ import annotations

import asyncio

from tests.support.sites import HeldLoad, Site, until


async def test_an_event_whose_namespace_was_left_while_it_loaded_is_not_handled(
    a: Site, transport: str
) -> None:
    """Its handler would find no client; the log has no error, and no acknowledgement comes."""
    async with a.client(transport, await a.visitor(note="kept")) as client:
        await client.connect()
        load = HeldLoad(a.manager)
        await client.send_raw('427["set","note","late"]')
        await load.reached()
        await client.disconnect()
        await until(lambda: a.shared.heard("disconnect") and not a.sio._by_sid)
        load.go.set()
        await asyncio.wait_for(client.connect(), 3)  # the same transport, and it still works
        assert await client.emit("get") == "kept"
        assert not a.shared.heard("set")


async def test_another_namespace_of_the_client_goes_on(a: Site, transport: str) -> None:
    """Only the one that was left drops its event."""
    a.sio.on("say", lambda sid: a.shared.tell(said=sid), namespace="/chat")
    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        await client.connect("/chat")
        load = HeldLoad(a.manager)
        await client.send_raw('42/chat,["say"]')
        await load.reached()
        await client.disconnect("/")
        await until(lambda: len(a.sio._by_sid) == 1)
        load.go.set()
        await until(lambda: a.shared.heard("said"))

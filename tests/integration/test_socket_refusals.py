"""A connect that fails in an unusual way: nobody comes in by it, and nothing stays."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest
import socketio

from tests.support.sites import Site, session_id, site, until
from tornado_shared_session.testing import ConnectRefused

REFUSED = {"message": "Unable to connect"}


async def cancelled() -> None:
    """Wait for something that somebody else has cancelled, such as a shared lookup."""
    lookup = asyncio.ensure_future(asyncio.Event().wait())
    lookup.cancel()
    await lookup


@pytest.mark.expects_log("a connect could not be answered")
@pytest.mark.parametrize("data", [datetime.date(2026, 1, 1), b"bytes"], ids=["date", "bytes"])
async def test_a_refusal_that_no_packet_can_carry_refuses(
    a: Site, transport: str, data: Any
) -> None:
    """The client is told so, hears no broadcast, and is in no room (F1)."""

    @a.sio.on("connect", namespace="/club")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        raise socketio.exceptions.ConnectionRefusedError("not you", {"until": data})

    async with a.client(transport, await a.visitor()) as client:
        await client.connect()
        with pytest.raises(ConnectRefused) as refused:
            await client.connect("/club")
        assert refused.value.data == REFUSED
        assert "/club" not in a.sio.manager.rooms
        await a.sio.emit("secret", "for the club", namespace="/club")
        await client.emit("get", "note")  # what was sent before has arrived with the answer
        assert "secret" not in [event.name for event in client.events]
    await a.empty()
    assert not a.sio.manager.pending_connect


@pytest.mark.expects_log("a connect handler raised")
async def test_a_bug_in_a_connect_handler_after_the_end_leaves_nothing(
    a: Site, transport: str
) -> None:
    """A TypeError that comes when the session has ended is not tried again without auth (I8)."""
    entered, go = asyncio.Event(), asyncio.Event()

    @a.sio.on("connect", namespace="/club")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        entered.set()
        await go.wait()
        raise TypeError("a bug")

    jar = await a.visitor()
    async with a.client(transport, jar) as client:
        await client.connect()
        sent = asyncio.ensure_future(client.send_raw("40/club,"))
        await entered.wait()
        await a.manager.destroy(session_id(jar))
        await client.wait_transport_closed()
        go.set()
        await asyncio.wait([sent])
        sent.cancelled() or sent.exception()  # its connection has gone
        await a.empty()
    assert not a.sio.manager.pending_connect


class Club(socketio.AsyncNamespace):  # type: ignore[misc]  # python-socketio is untyped
    """A class whose connect waits for what was cancelled."""

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        await cancelled()


@pytest.mark.expects_log("a connect handler raised")
@pytest.mark.parametrize("kind", ["function", "class"])
async def test_a_connect_handler_that_was_cancelled_refuses(
    a: Site, transport: str, kind: str
) -> None:
    """python-socketio takes a cancellation for an answer; here it is like any other exception."""
    if kind == "class":
        a.sio.register_namespace(Club("/club"))
    else:

        @a.sio.on("connect", namespace="/club")
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            await cancelled()

    async with a.client(transport, await a.visitor()) as client:
        with pytest.raises(ConnectRefused) as refused:
            await client.connect("/club")
        assert refused.value.data == REFUSED
    await a.empty()


class Money(socketio.AsyncNamespace):  # type: ignore[misc]  # python-socketio is untyped
    """A class whose event changes the session by halves."""

    async def on_pay(self, sid: str) -> None:
        await pay(self.server, sid, "/club")


async def pay(sio: Any, sid: str, namespace: str) -> None:
    session = await sio.get_session(sid, namespace)
    session["money"] = "half"
    await cancelled()
    session["money"] = "whole"


@pytest.mark.parametrize("kind", ["function", "class"])
async def test_a_cancelled_handler_saves_nothing(redis_url: str, prefix: str, kind: str) -> None:
    """With autosave, what a handler had changed when it was cancelled is not stored."""
    ended = asyncio.Event()
    async with site(redis=redis_url, prefix=prefix, server={"autosave": True}) as a:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: ended.set())
        if kind == "class":
            a.sio.register_namespace(Money("/club"))
        else:

            @a.sio.on("pay", namespace="/club")
            async def pay_half(sid: str) -> None:
                await pay(a.sio, sid, "/club")

        jar = await a.visitor(money="none")
        async with a.client("websocket", jar) as client:
            await client.connect()
            await client.connect("/club")
            await client.send_raw('42/club,1["pay"]')
            await asyncio.wait_for(ended.wait(), 5)
            assert await client.emit("get", "money") == "none"
            assert not [packet for packet in client.packets if str(packet).startswith("43/club")]


@pytest.mark.expects_log("a connect handler raised")
async def test_a_handler_that_raises_takes_an_early_answer_back(
    redis_url: str, prefix: str, transport: str
) -> None:
    """With `always_connect` python-socketio connects a client first, and disconnects it then."""
    async with site(redis=redis_url, prefix=prefix, server={"always_connect": True}) as a:

        @a.sio.on("connect", namespace="/club")
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            raise ValueError("a bug")

        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            await client.connect("/club")
            await until(lambda: "/club" not in a.sio.manager.rooms)
            assert await client.wait_closed() == "server disconnect packet /club"
            assert await client.emit("get", "note") == ""  # the other namespace goes on
        await a.empty()

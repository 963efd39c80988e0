"""Clients that misbehave, are dropped, and come again at once: what of it is in the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

import pytest

from tests.support.protocol import member
from tests.support.sites import Site, site, until
from tests.support.streams import Socket
from tests.support.tokens import bearer
from tornado_shared_session.events import Repeats
from tornado_shared_session.testing import CookieJar, FakeClock
from tornado_shared_session.testing.wire import Wire

TIMES = 1000
AT_ONCE = 10
TARGET = "/socket.io/?EIO=4&transport=websocket"


def lines(caplog: pytest.LogCaptureFixture, text: str = "") -> list[str]:
    """Return what any logger has said at its default level."""
    found = [f"{r.name}: {r.getMessage()}" for r in caplog.records if r.levelno >= logging.WARNING]
    return [line for line in found if text in line]


async def misbehave(
    a: Site, jar: Mapping[str, str], times: int = 1, frame: str = "42{}", answer: int = 101
) -> None:
    """Open a WebSocket and send what is none, again and again."""

    async def one() -> None:
        async with await Socket.connect(a.url, TARGET, jar) as socket:
            assert socket.response.status == answer
            if answer == 101:
                await socket.send(frame)
                await socket.ended()

    for _ in range(0, times, AT_ONCE):
        await asyncio.gather(*(one() for _ in range(min(times, AT_ONCE))))


def clock_of(a: Site) -> FakeClock:
    """Give the application's limiter a clock that can be turned."""
    clock = FakeClock()
    a.manager.report.repeats = Repeats(clock)
    return clock


@pytest.mark.parametrize("who", ["user", "visitor", "nobody"])
async def test_a_thousand_bad_reconnects_are_one_line_in_ten_seconds(
    a: Site, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    """Whether it keeps its cookie, logs in, or neither: a new session is no new line (S47)."""
    jar = CookieJar()
    if who != "nobody":
        jar = await (member(a) if who == "user" else a.visitor())
    began = time.monotonic()
    await misbehave(a, jar, TIMES)
    took = time.monotonic() - began
    assert 1 <= len(lines(caplog)) <= 1 + took // 10
    assert all("client_dropped (malformed: " in line for line in lines(caplog))
    await a.empty()


async def test_the_next_line_says_how_many_were_left_out(
    a: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """After ten seconds."""
    clock, jar = clock_of(a), await member(a)
    await misbehave(a, jar, 50)
    clock.advance(10)
    await misbehave(a, jar)
    first, second = lines(caplog)
    assert "more" not in first
    assert second.endswith(", and 49 more like it")


async def test_the_first_line_about_somebody_else_is_not_left_out(
    a: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Another user at the same address; and who is not logged in, by the address."""
    clock_of(a)
    ann, bob = await member(a), await a.visitor()
    await a.http(bob).post("/login", {"user": "bob"})
    for jar in (ann, bob, await a.visitor()):
        await misbehave(a, jar, 20)
        await misbehave(a, jar, 20, frame="x")
    assert len(lines(caplog)) == 3


async def test_a_refused_handshake_is_one_line_of_the_access_log(
    a: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever is refused again and again; another status has a line of its own."""
    clock = clock_of(a)

    async def ask(headers: Mapping[str, str], times: int, status: int) -> None:
        for _ in range(times):
            async with await Socket.connect(a.url, TARGET, headers=headers) as socket:
                assert socket.response.status == status

    await ask({"Origin": "https://evil.example"}, 50, 403)
    for _ in range(50):
        async with await Wire.open(a.url) as wire:
            response = await wire.request("POST", "/socket.io/?EIO=4&transport=polling&sid=no", {})
            assert response.status == 400
    assert [line.split()[:2] for line in lines(caplog)] == [
        ["tornado.access:", "403"],
        ["tornado.access:", "400"],
    ]
    clock.advance(10)
    await ask({"Origin": "https://evil.example"}, 1, 403)
    assert len(lines(caplog)) == 3


async def test_what_tornados_own_protection_refuses_is_one_line_too(
    a: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the access log: Tornado's other one, with the Origin in it, would have no limit."""
    clock_of(a)
    a.shared.app.settings["cross_origin_protection"] = True
    for origin in ["https://evil.example", "http://["] * 10:
        async with await Wire.open(a.url) as wire:
            target = "/socket.io/?EIO=4&transport=polling&sid=no"
            assert (await wire.request("POST", target, {"Origin": origin})).status == 403
    assert [line.split()[:2] for line in lines(caplog)] == [["tornado.access:", "403"]]


async def test_malformed_posts_are_a_line_of_each_kind(
    a: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours, that a client was dropped, and the access log's 400; however many there are."""
    clock_of(a)
    jar = await member(a)
    for _ in range(30):
        async with a.client("polling", jar) as client:
            await client.open()
            assert (await client.engine._http("POST", b"nonsense")).status == 400
    await a.empty()
    assert len(lines(caplog, "client_dropped")) == 1
    assert len(lines(caplog, "tornado.access: 400 POST")) == 1
    once = lines(caplog, "engineio.server: Invalid session")  # as it says, and no more
    assert len(once) <= 1
    assert len(lines(caplog)) == 2 + len(once)


async def test_a_token_client_that_shows_none_is_known_by_its_address(
    redis_url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In token mode most misbehave before they have a session."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        clock_of(a)
        for headers in ({}, bearer("bad")):
            for _ in range(20):
                async with await Socket.connect(a.url, TARGET, headers=headers) as socket:
                    await socket.send("42{}")
                    await socket.ended()
        await until(lambda: not len(a.manager.connections))
    assert len(lines(caplog)) == 1

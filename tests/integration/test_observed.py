"""What an operator sees of a session: the hook and the log, through a whole life."""

from __future__ import annotations

import logging

import pytest

from tests.support.sites import Site, session_id, site, until
from tornado_shared_session import SessionEvent
from tornado_shared_session.events import Reporter
from tornado_shared_session.testing import CookieJar


async def test_a_life_can_be_followed(
    a: Site, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Begin, login, replaced credentials, closed sockets and the end, by the public id
    (S36, W22).
    """
    caplog.set_level(logging.DEBUG, "tornado_shared_session")
    events: list[SessionEvent] = []
    a.manager.report = a.manager.connections._report = Reporter(events.append)
    jar = await a.visitor()
    id = session_id(jar)
    async with a.client(transport, jar) as client:
        await client.connect()
        old = CookieJar(jar)
        assert (await a.http(jar).post("/login", {"user": "ann"})).code == 200
        await client.wait_transport_closed()
    await a.http(old).get("/whoami")
    await a.http(jar).post("/regenerate")
    async with a.client(transport, jar) as client:
        await client.connect()
        await client.send_raw("4nonsense")
        await client.wait_transport_closed()
    async with a.client(transport, jar) as client:
        await client.connect()
        await a.http(jar).post("/logout")
        await client.wait_transport_closed()
    await until(lambda: [event.kind for event in events].count("connection_closed") == 3)
    said = [(event.kind, event.detail.split(":")[0]) for event in events if event.id == id]
    assert sorted(said) == sorted(
        [
            ("created", ""),
            ("login", ""),
            ("connection_closed", "rotated"),
            ("superseded", ""),
            ("regenerated", ""),
            ("client_dropped", "malformed"),
            ("connection_closed", "malformed"),
            ("ended", "logged_out"),
            ("connection_closed", "logged_out"),
        ]
    )
    assert len(said) == len(events)
    for kind, _ in said:
        assert any(kind in line and id in line for line in caplog.messages), kind


async def test_a_client_that_answers_no_ping_is_seen_to_be_gone(
    redis_url: str, prefix: str, transport: str
) -> None:
    """Its connection is closed by the server, the application is told, and nothing stays (W20)."""
    pings = {"ping_interval": 0.2, "ping_timeout": 0.2}
    async with site(redis=redis_url, prefix=prefix, server=pings) as a:
        async with a.client(transport, await a.visitor(), answer_pings=False) as dead:
            async with a.client(transport, await a.visitor()) as alive:
                await dead.connect()
                await alive.connect()
                await until(lambda: a.shared.heard("disconnect"))
                assert await alive.emit("get") == ""
        await a.empty()

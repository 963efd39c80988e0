"""A session that is found gone before its notice says why: it ends with the right reason, soon."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import pytest

from tests.support.sites import Site, site, until
from tornado_shared_session.notices import Notice


async def found_gone(a: Site, id: str, reason: str = "") -> None:
    """Delete a session, and have the watcher find that before a notice says so."""
    await a.manager.store.delete(id)
    if reason:
        a.watcher._ask(id, reason)
    else:
        a.watcher._ask_all(renew=True)  # as the reload does
    await until(lambda: not a.watcher._due)
    await a.manager.store.peek([id])  # the watcher has its answer before this


@pytest.mark.parametrize("reason", [pytest.param("", id="reload"), "rotated"])
async def test_a_question_that_comes_before_a_notice_waits_for_it(a: Site, reason: str) -> None:
    """It finds the session gone, and nothing has said why yet (R12)."""
    async with a.client("websocket", await a.visitor()) as client:
        await client.connect()
        id = a.connection.id
        await found_gone(a, id, reason)
        a.watcher.notice(Notice("logged_out", (id,)))
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}


async def test_an_event_relies_on_nothing_that_a_reload_found_gone(
    redis_url: str, prefix: str
) -> None:
    """Not even with reload="interval", and not for the tenth of a second until it is closed."""
    async with site(redis=redis_url, prefix=prefix, reload="interval") as a:
        read: list[str | None] = []

        @a.sio.on("look")
        async def look(sid: str) -> None:
            async with a.sio.session(sid) as session:
                read.append(session.id)

        async with a.client("websocket", await a.visitor()) as client:
            await client.connect()
            id = a.connection.id
            await client.emit("look")  # from here on the session is known
            await found_gone(a, id)
            await client.emit("look", ack=False)
            await client.wait_transport_closed()
        await a.empty()
        assert read == [id]

"""What meets in token mode: a switch, a failover, a client that goes and comes back."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.apps.shared_events import Shared
from tests.support.sites import HeldLoad, Site, raw_redis, site, until
from tests.support.tokens import ask, bearer, enter, id_of, logged_in, token_of, whoami
from tornado_shared_session import StoreError
from tornado_shared_session.liveness import NOTICE_GRACE
from tornado_shared_session.testing import HTTPTestClient

CREDENTIALS = "token"  # of `a`, the application


async def test_a_record_from_before_a_rotation_ends_the_connection(
    redis_url: str, prefix: str, transport: str
) -> None:
    """A failover may forget a login: nobody has the older credential, and nobody waits for it."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        token = await token_of(a, note="mine")
        async with a.client(transport) as client, raw_redis(redis_url) as redis:
            await enter(client, token)
            key = f"{prefix}s:{a.connection.id}"
            before = await redis.dump(key)
            assert before is not None
            assert await client.emit("rotate", "login") == "rotated"
            await redis.restore(key, 600_000, before, replace=True)
            await client.emit("set", "note", "x", ack=False)
            assert await client.wait_for("session_ended") == {"reason": "rotated"}
            assert not a.shared.heard("set")
        await a.empty()


async def test_who_leaves_a_namespace_before_the_token_may_connect_it_again(
    a: Site, transport: str
) -> None:
    """As a client does that puts the token into its auth and connects anew."""
    token = await token_of(a, note="mine")
    async with a.client(transport) as client:
        await client.connect()
        await client.connect("/chat")
        await client.disconnect()
        await client.connect(auth={"token": token})
        assert await client.wait_for("gotToken", namespace="/") == {"token": token, "errors": ""}
        assert await client.emit("get") == "mine"
        assert await client.emit("get", namespace="/chat") == "mine"
        assert len(a.shared.heard("connect")) == 2
    await a.empty()


async def test_who_goes_during_a_switch_was_never_in_the_other_session(
    redis_url: str, prefix: str, transport: str
) -> None:
    """The disconnect handler has the session that there was, whatever token was being loaded."""
    found: list[dict[str, Any]] = []

    def edit(shared: Shared) -> None:
        @shared.sio.on("disconnect")
        async def disconnect(sid: str, reason: str) -> None:
            found.append(dict(await shared.sio.get_session(sid)))

    async with site(redis=redis_url, prefix=prefix, credentials="token", edit=edit) as a:
        mine, other = await token_of(a, note="mine"), await token_of(a, note="not mine")
        async with a.client(transport) as client:
            await enter(client, mine)
            load = HeldLoad(a.manager, passing=1)
            asking = asyncio.ensure_future(client.emit("getToken", {"token": other}))
            await load.reached()
            a.manager.connections.end_one(a.connection, "broken")
            await until(lambda: found)
            load.go.set()
            await asyncio.gather(asking, return_exceptions=True)
        await a.empty()
    assert found == [{"note": "mine"}]


@pytest.mark.parametrize("by", ["getToken", "CONNECT"])
async def test_a_token_that_is_worth_nothing_interrupts_nothing(
    a: Site, transport: str, by: str
) -> None:
    """While it is judged the socket hears, and an event that loads is handled."""
    dead = await token_of(a)
    await a.manager.destroy(id_of(a, dead))
    async with a.client(transport) as client:
        await enter(client, await token_of(a, note="mine"))
        load = HeldLoad(a.manager)
        await client.emit("set", "note", "new", ack=False)
        await load.reached()
        judged = HeldLoad(a.manager)
        asking = asyncio.ensure_future(
            client.connect("/chat", auth={"token": dead})
            if by == "CONNECT"
            else client.emit("getToken", {"token": dead})
        )
        await judged.reached()
        load.go.set()
        await until(lambda: a.shared.heard("set"))
        await a.sio.emit("news")
        await client.wait_for("news")
        judged.go.set()
        await asking
    await a.empty()


async def test_questions_that_wait_at_the_end_make_no_sessions(redis_url: str, prefix: str) -> None:
    """A client that is gone would leave a record for each."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        token = await token_of(a)
        async with a.client("polling") as client, raw_redis(redis_url) as redis:
            await client.connect()
            load = HeldLoad(a.manager)
            http = HTTPTestClient(client.engine.url)
            target, headers = client.engine._target("polling"), client.engine._headers()

            def post(body: str) -> asyncio.Future[Any]:
                return asyncio.ensure_future(http.post(target, body, headers=headers, timeout=5))

            posts = [post('42["getToken",{"token":"' + token + '"}]')]
            await load.reached()  # before the others: each of them would get a session by itself
            posts += [post('40/chat,{"token":"bad"}') for _ in range(7)]
            (connection,) = a.sio._by_eio.values()
            assert connection.tokens is not None
            state = connection.tokens
            await until(lambda: state.asking == 8)
            a.manager.connections.end_one(connection, "broken")
            load.go.set()
            await asyncio.gather(*posts, return_exceptions=True)
            await a.empty()
            assert len(await redis.keys(f"{prefix}s:*")) == 1


async def test_what_is_written_while_an_unused_session_is_dropped_is_kept(
    a: Site, transport: str
) -> None:
    """Its token comes back over HTTP after the look that found nothing in it."""
    async with a.client(transport) as client:
        await client.connect()
        token, _ = await ask(client)
        look = HeldLoad(a.manager)
        asking = asyncio.ensure_future(ask(client, {"token": "bad"}))
        await look.reached()
        http = a.http()
        response = await http.post("/note", {"value": '"mine"'}, headers=bearer(token))
        assert response.code == 200
        look.go.set()
        await asking
        await client.emit("get")  # the deletion, or none, precedes the answer
        assert (await whoami(a, token))["data"] == {"note": "mine"}


async def test_an_event_waits_for_a_switch_that_may_fail(a: Site) -> None:
    """Whether it is still one of the connection's session is known after that."""

    @a.sio.on("twice")
    async def twice(sid: str) -> Any:
        await a.sio.get_session(sid)
        a.shared.tell(twice=sid)
        await a.shared.go.wait()
        return (await a.sio.get_session(sid)).get("note")

    mine, other = await token_of(a, note="mine"), await token_of(a, note="not mine")
    async with a.client("websocket") as client:
        await enter(client, mine)
        event = asyncio.ensure_future(client.emit("twice"))
        await until(lambda: a.shared.heard("twice"))
        load = HeldLoad(a.manager, before=True, passing=1)
        asking = asyncio.ensure_future(client.connect("/chat", auth={"token": other}))
        await load.reached()
        a.shared.go.set()
        await a.http().post("/regenerate", {}, headers=bearer(other))  # so that it fails
        load.go.set()
        await asking
        assert await event == "mine"


async def test_who_leaves_a_session_that_is_gone_stays(redis_url: str, prefix: str) -> None:
    """The end that was on its way is that of the session before."""
    quiet: dict[str, Any] = {"no_notices": True, "no_deadlines": True}
    async with site(redis=redis_url, prefix=prefix, credentials="token", **quiet) as a:
        gone, token = await token_of(a), await token_of(a, note="mine")
        async with a.client("websocket") as client, raw_redis(redis_url) as redis:
            await enter(client, gone)
            await redis.delete(f"{prefix}s:{id_of(a, gone)}")
            await client.emit("set", "note", "x", ack=False)
            assert await ask(client, {"token": token}) == (token, "")
            await asyncio.sleep(2 * NOTICE_GRACE)  # time itself: longer than its grace
            assert await client.emit("get") == "mine"


@pytest.mark.parametrize("how", ["destroyed", "rotated"])
async def test_an_end_during_a_switch_that_fails_is_not_missed(
    a: Site, transport: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Who comes back to the session from before finds that it is over, though the store is down."""
    first, second = await logged_in(a, "ann"), await logged_in(a, "bob")
    room = await a.manager.room(id_of(a, first))
    async with a.client(transport) as client:
        await enter(client, first)
        load = HeldLoad(a.manager, passing=1)
        asking = asyncio.ensure_future(client.emit("getToken", {"token": second}))
        await load.reached()

        async def down(*_: object) -> None:
            raise StoreError("down")

        if how == "destroyed":
            assert await a.manager.destroy(id_of(a, first))
        else:
            await a.http().post("/login", {"user": "ann"}, headers=bearer(first))
            await until(lambda: any(one.minimum for one in a.manager.connections))
        for method in ("load", "peek"):
            monkeypatch.setattr(a.manager.store, method, down)
        load.fail(StoreError("down"))
        await client.wait_closed()
        await a.sio.emit("secret", "for ann", room=room)
        assert [event.args for event in client.events if event.name == "session_ended"] == [
            ({"reason": "revoked" if how == "destroyed" else "rotated"},)
        ]
        await asyncio.gather(asking, return_exceptions=True)
        assert "secret" not in [event.name for event in client.events]
    await a.empty()

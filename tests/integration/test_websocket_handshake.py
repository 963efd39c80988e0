"""Plain WebSockets: who comes in, and with which session."""

from __future__ import annotations

import asyncio

import pytest
from tornado.web import HTTPError

from tests.apps.streams import Chat
from tests.support.sites import HeldLoad, raw_redis, session_id, ttl, until
from tests.support.streams import Socket, site
from tornado_shared_session import SessionServer
from tornado_shared_session.connections import Phase
from tornado_shared_session.testing import CookieJar, HTTPTestClient, RedisServer

APP = "tests.apps.streams"
RELOAD_ALONE = {"no_notices": True, "no_deadlines": True}


# Who comes in -------------------------------------------------------------------


async def test_open_and_messages_have_the_session_of_the_page(redis_url: str, prefix: str) -> None:
    """The id, the data and current_user are those of HTTP; what a message saves HTTP reads."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor(note="hello")
        await a.post("/do/login", jar)
        async with await Socket.connect(a.url, "/ws", jar) as socket:
            assert a.streams.said[0] == {"open": session_id(jar), "user": "ann"}
            assert await socket.ask("get note") == '"hello"'
            assert await socket.ask("set note bye") == "saved"
        http = HTTPTestClient(a.url, cookies=jar)
        assert b'"bye"' in (await http.get("/note")).body
        await a.empty()


async def test_a_handshake_without_a_cookie_gets_one_on_the_101(
    redis_url: str, prefix: str
) -> None:
    """Its record is provisional, and a normal one once the cookie came back."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with await Socket.connect(a.url, "/ws") as socket:
            assert socket.response.status == 101
            jar = CookieJar()
            jar.store(socket.response.headers.get_list("Set-Cookie"))
            assert socket.response.headers["Cache-Control"] == "no-store"
            id = session_id(jar)
            assert a.streams.heard("open") == [id]
            assert 50 < await ttl(redis_url, prefix, id) <= 60
            await a.post("/note?value=1", jar)
            assert await ttl(redis_url, prefix, id) > 1000
            assert await socket.ask("get note") == "null"
        async with await Socket.connect(a.url, "/reloading", jar) as socket:
            assert "Set-Cookie" not in socket.response.headers
            assert await socket.ask("get note") == "1"


@pytest.mark.parametrize(
    ("path", "known", "status"),
    [
        ("/known", False, 401),
        ("/known", True, 101),
        ("/members", False, 401),
        ("/members", True, 401),
    ],
)
async def test_class_attributes_say_who_is_refused(
    redis_url: str, prefix: str, path: str, known: bool, status: int
) -> None:
    """session_anonymous = "refuse" and session_login_required = True, before the 101."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor() if known else CookieJar()
        async with await Socket.connect(a.url, path, jar) as socket:
            assert socket.response.status == status
            assert len(a.manager.connections) == (status == 101)
            assert "Set-Cookie" not in socket.response.headers
        if known:
            await a.post("/do/login", jar)
            async with await Socket.connect(a.url, path, jar) as socket:
                assert socket.response.status == 101
        await a.empty()


async def test_a_superseded_credential_is_401_and_keeps_its_cookie(
    redis_url: str, prefix: str
) -> None:
    """The client tries again with the cookie that it has by then."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        old = CookieJar(jar)
        await a.post("/do/login", jar)
        async with await Socket.connect(a.url, "/ws", old) as socket:
            assert socket.response.status == 401
            assert "Set-Cookie" not in socket.response.headers
        assert not len(a.manager.connections)


@pytest.mark.expects_log("503 GET")
async def test_a_store_that_is_down_is_a_503(own_redis: RedisServer, prefix: str) -> None:
    """With Retry-After, no cookie, and nothing left behind."""
    async with site(redis=own_redis.url, prefix=prefix) as a:
        jar = await a.visitor()
        own_redis.stop()
        for cookies in (jar, CookieJar()):
            async with await Socket.connect(a.url, "/ws", cookies) as socket:
                assert socket.response.status == 503
                assert socket.response.headers["Retry-After"] == "1"
                assert "Set-Cookie" not in socket.response.headers
        assert not len(a.manager.connections)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://ok.example", 101),
        ("same", 101),
        ("https://ok.example.evil.example", 403),
        ("https://ok.example:444", 403),
        ("http://ok.example", 403),
        ("https://sub.ok.example", 403),
        ("null", 403),
    ],
)
@pytest.mark.parametrize("fetch_site", ["same-origin", "cross-site"])
async def test_the_managers_origins_decide_before_the_101(
    redis_url: str, prefix: str, origin: str, fetch_site: str, status: int
) -> None:
    """Also where Tornado would not ask; whom they refuse gets no record and no cookie (S22, T9)."""
    async with site(redis=redis_url, prefix=prefix, origin=["https://ok.example"]) as a:
        own = a.url if origin == "same" else origin
        headers = {"Origin": own, "Sec-Fetch-Site": fetch_site}
        async with await Socket.connect(a.url, "/ws", headers=headers) as socket:
            assert socket.response.status == status
            if status == 403:
                assert "Set-Cookie" not in socket.response.headers
                async with raw_redis(redis_url) as redis:
                    assert not [key async for key in redis.scan_iter(f"{prefix}*")]


async def test_one_setting_serves_socket_io_too(redis_url: str, prefix: str) -> None:
    """Unless the server has a list of its own, which may be empty."""
    async with site(redis=redis_url, prefix=prefix, origin=["https://ok.example"]) as a:
        assert SessionServer(a.manager).handshaker.origins is a.manager.origins
        own = SessionServer(a.manager, cors_allowed_origins=[]).handshaker.origins
        assert not own.lists("https://ok.example")


@pytest.mark.parametrize("broken", ["Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"])
async def test_a_failed_upgrade_is_forgotten(redis_url: str, prefix: str, broken: str) -> None:
    """400 or 426, and nothing is left."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with await Socket.open(a.url) as wire:
            fields = {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Cookie": jar.header(),
            }
            del fields[broken]  # Tornado refuses it, after the session was loaded
            response = await wire.request("GET", "/ws", fields)
            assert response.status in (400, 426)
            assert not len(a.manager.connections)


async def test_a_plain_request_makes_no_session(redis_url: str, prefix: str) -> None:
    """Without Upgrade it is a 400 of Tornado's, and costs nothing."""
    async with site(redis=redis_url, prefix=prefix) as a:
        response = await HTTPTestClient(a.url).get("/ws")
        assert response.code == 400
        assert "Set-Cookie" not in response.headers


async def test_a_client_that_leaves_during_its_handshake_is_forgotten(
    redis_url: str, prefix: str
) -> None:
    """open() is not called for it, for on_close() would not be called after."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        load = HeldLoad(a.manager)
        async with await Socket.open(a.url) as socket:
            upgrade = socket.upgrade("/ws", {"Cookie": jar.header()})
            connecting = asyncio.ensure_future(upgrade)
            await load.reached()
        with pytest.raises(OSError):
            await connecting
        await until(lambda: all(one.closed() for one in a.server.http_server.streams))
        load.go.set()
        await a.empty()
        assert a.streams.heard("open") == a.streams.heard("closed") == []


async def test_a_logout_meets_a_handshake_that_is_loading(redis_url: str, prefix: str) -> None:
    """Registered before the load: the load's old answer admits nobody."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        load = HeldLoad(a.manager)
        connecting = asyncio.ensure_future(Socket.connect(a.url, "/ws", jar))
        await load.reached()
        await a.manager.destroy(session_id(jar))
        (connection,) = a.manager.connections
        await until(lambda: connection.phase is Phase.ENDED)
        load.go.set()
        async with await connecting as socket:
            assert socket.response.status == 401
        assert not len(a.manager.connections)


class Held(Chat):
    """Waits, or refuses, after its session was loaded."""

    async def prepare(self) -> None:
        await super().prepare()
        streams = self.streams = self.settings["streams"]
        streams.tell(prepared=self.session.id)
        if self.get_query_argument("refuse", ""):
            raise HTTPError(418)
        await streams.go.wait()

    def check_origin(self, origin: str) -> bool:
        return True


async def test_an_end_before_open_closes_it(redis_url: str, prefix: str) -> None:
    """The 101 leaves, and the close with it; open(), on_message(), on_close() are not called."""
    async with site(redis=redis_url, prefix=prefix) as a:
        a.streams.app.add_handlers(r".*", [(r"/held", Held)])
        jar = await a.visitor()
        connecting = asyncio.ensure_future(Socket.connect(a.url, "/held", jar))
        id = await a.heard("prepared")
        (connection,) = a.manager.connections
        await a.manager.destroy(id)
        await until(lambda: connection.phase is Phase.ENDED)
        a.streams.go.set()
        async with await connecting as socket:
            assert socket.response.status == 101
            await socket.send("get note")  # all the same, before it answers the close
            assert await socket.ended() == (1008, "revoked")
        await a.empty()
        assert not any(a.streams.heard(what) for what in ("open", "message", "closed"))


async def test_a_refusal_in_prepare_is_forgotten(redis_url: str, prefix: str) -> None:
    """After its session was loaded."""
    async with site(redis=redis_url, prefix=prefix) as a:
        a.streams.app.add_handlers(r".*", [(r"/held", Held)])
        async with await Socket.connect(a.url, "/held?refuse=1", await a.visitor()) as socket:
            assert socket.response.status == 418
            assert not len(a.manager.connections)


async def test_a_handler_cannot_let_in_more_origins(redis_url: str, prefix: str) -> None:
    """Its own check_origin() is not what decides; nor is `trusted_origins`."""
    trusted = {"trusted_origins": ["https://other.example"]}
    listed = ["https://ok.example"]
    async with site(redis=redis_url, prefix=prefix, origin=listed, settings=trusted) as a:
        a.streams.app.add_handlers(r".*", [(r"/held", Held)])
        a.streams.go.set()
        for path in ("/held", "/ws"):
            for origin, status in (("https://other.example", 403), ("https://ok.example", 101)):
                headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
                async with await Socket.connect(a.url, path, headers=headers) as socket:
                    assert socket.response.status == status


async def test_forgotten_whatever_the_handler_overrides(redis_url: str, prefix: str) -> None:
    """Every hook of Tornado's, without super()."""

    class Rude(Chat):
        def on_close(self) -> None:
            pass

        def on_finish(self) -> None:
            pass

        def on_connection_close(self) -> None:
            pass

    async with site(redis=redis_url, prefix=prefix) as a:
        a.streams.app.add_handlers(r".*", [(r"/rude", Rude)])
        async with await Socket.connect(a.url, "/rude", await a.visitor()) as socket:
            assert await socket.ask("get note") == '""'
            assert len(a.manager.connections) == 1
        await a.empty()


@pytest.mark.expects_log("await super", "500 GET")
async def test_prepare_without_super_opens_nothing(redis_url: str, prefix: str) -> None:
    """A socket whose session nobody watches is not opened."""

    class Careless(Chat):
        async def prepare(self) -> None:
            pass

    async with site(redis=redis_url, prefix=prefix) as a:
        a.streams.app.add_handlers(r".*", [(r"/careless", Careless)])
        async with await Socket.connect(a.url, "/careless") as socket:
            assert socket.response.status == 500

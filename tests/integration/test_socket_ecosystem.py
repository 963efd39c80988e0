"""What python-socketio offers works beside us."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import socketio
from tornado.web import Application

from tests.apps.shared import SECRET, options
from tests.apps.shared_events import Shared
from tests.support.sites import Site, raw_redis, site, status_of, until
from tornado_shared_session import RedisStore, SessionManager, get_tornado_handler
from tornado_shared_session.socketio import SessionServerMixin
from tornado_shared_session.testing import ConnectRefused, CookieJar, SocketIOTestClient, serve


async def test_a_class_based_namespace(redis_url: str, prefix: str, transport: str) -> None:
    """AsyncNamespace: its handlers, and its own session(), mean the shared session."""

    class Room(socketio.AsyncNamespace):  # type: ignore[misc]  # its base is untyped
        async def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
            async with self.session(sid) as session:
                session["entered"] = True

        async def on_say(self, sid: str, text: str) -> str:
            await self.save_session(sid, {"said": text})
            return str((await self.get_session(sid))["entered"])

        async def on_disconnect(self, sid: str, reason: str) -> None:
            async with self.session(sid) as session:
                session["left"] = reason

    def edit(shared: Shared) -> None:
        shared.sio.register_namespace(Room("/room"))

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect("/room")
            assert await client.emit("say", "hi", namespace="/room") == "True"
            await client.disconnect("/room")
            await until(lambda: not a.sio._by_sid)
        data = json.loads((await a.http(jar).get("/whoami")).body)["data"]
        assert data["said"] == "hi"
        assert data["left"] == "client disconnect"


async def test_catch_all_handlers(redis_url: str, prefix: str, transport: str) -> None:
    """A handler for every event of every namespace is handed what no other takes."""

    def edit(shared: Shared) -> None:
        @shared.sio.on("*", namespace="*")
        async def anything(event: str, namespace: str, sid: str, value: int) -> list[Any]:
            async with shared.sio.session(sid, namespace) as session:
                session[event] = value
            return [event, namespace]

        @shared.sio.on("connect", namespace="*")
        async def connect(namespace: str, sid: str, environ: Any, auth: Any) -> None:
            shared.tell(everywhere=namespace)

    async with site(redis=redis_url, prefix=prefix, edit=edit, server={"namespaces": "*"}) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect("/any")
            assert await client.emit("thing", 7, namespace="/any") == ["thing", "/any"]
            assert a.shared.heard("everywhere") == ["/any"]
        assert (await a.http(jar).get("/note?key=thing")).body == b"7"


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_the_admin_page(redis_url: str, prefix: str, transport: str, mode: str) -> None:
    """instrument(): admins log in and are told, sockets work and close as without it."""
    admins: list[Any] = []

    def edit(shared: Shared) -> None:
        auth = {"username": "admin", "password": "secret"}
        admins.append(shared.sio.instrument(auth=auth, mode=mode, server_stats_interval=0.1))

    async with site(redis=redis_url, prefix=prefix, edit=edit) as a:
        try:
            async with a.client("websocket", CookieJar()) as admin:
                with pytest.raises(ConnectRefused):
                    await admin.connect("/admin", auth={"username": "admin", "password": "?"})
                await admin.connect("/admin", auth={"username": "admin", "password": "secret"})
                assert "supportedFeatures" in await admin.wait_for("config")
                jar = await a.visitor(note="hi")
                async with a.client(transport, jar) as client:
                    await client.connect()
                    assert await client.emit("get") == "hi"
                    stats = await admin.wait_for("server_stats")
                    while stats["clientsCount"] != 2:
                        stats = await admin.wait_for("server_stats")
                    if mode == "development":
                        socket, _ = await admin.wait_for("socket_connected")
                        while socket["nsp"] != "/":
                            socket, _ = await admin.wait_for("socket_connected")
                        assert "cookie" not in socket["handshake"]["headers"]
                    await a.http(jar).post("/logout")
                    assert await client.wait_for("session_ended") == {"reason": "logged_out"}
                    await client.wait_transport_closed()
                    if mode == "development":
                        await admin.wait_for("socket_disconnected")
            await a.empty()
        finally:
            await admins[0].shutdown()
            admins[0].uninstrument()


async def test_emits_across_servers(redis_url: str, prefix: str, transport: str) -> None:
    """With AsyncRedisManager rooms, callbacks and admission work from one server to the other."""
    async with site(redis=redis_url, prefix=prefix, client_manager=True) as a:
        async with site(redis=redis_url, prefix=prefix, client_manager=True) as b:
            try:
                jar = await a.visitor()
                await a.http(jar).post("/login", {"user": "ann"})
                async with a.client(transport, jar) as one, b.client(transport, jar) as two:
                    await asyncio.gather(one.connect(), two.connect())
                    async with raw_redis(redis_url) as redis:
                        async with asyncio.timeout(3):
                            while dict(await redis.pubsub_numsub("socketio"))[b"socketio"] < 2:
                                await asyncio.sleep(0.01)  # Redis announces no subscriber
                    for to in ("session", "user", "all"):
                        await a.http(jar).post("/emit", {"event": to, "to": to, "value": "v"})
                        assert await one.wait_for(to) == await two.wait_for(to) == "v"
                    # While one emits all the time, another connects: it
                    # hears nothing before its CONNECT.
                    stop = asyncio.Event()

                    async def chatter() -> None:
                        while not stop.is_set():
                            await a.sio.emit("chatter", 1)

                    talking = asyncio.ensure_future(chatter())
                    async with b.client(transport, jar) as three:
                        await three.connect(auth="greet")
                        assert await three.wait_for("greeting") == "hello"
                        await three.wait_for("chatter")
                        texts = [p for p in three.packets if isinstance(p, str)]
                        assert next(t for t in texts if t.startswith("4")).startswith("40")
                        stop.set()
                        await talking
            finally:
                for server in (a, b):
                    await stop_listening(server)


async def stop_listening(a: Site) -> None:
    """End the task and the connections that AsyncRedisManager leaves to the process's end."""
    manager = a.sio.manager
    manager.thread.cancel()
    await asyncio.gather(manager.thread, return_exceptions=True)
    await manager.pubsub.aclose()
    await manager.redis.aclose()


async def test_a_server_class_of_the_users_own(redis_url: str, prefix: str, transport: str) -> None:
    """SessionServerMixin brings the behaviour to a subclass of AsyncServer."""

    class Base(socketio.AsyncServer):  # type: ignore[misc]  # its base is untyped
        async def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
            await super().emit(f"my {event}", *args, **kwargs)

    class Mine(SessionServerMixin, Base): ...

    manager = SessionManager(RedisStore(redis_url, prefix=prefix))
    sio = Mine(manager)

    @sio.event
    async def put(sid: str, value: int) -> None:
        async with sio.session(sid) as session:
            session["value"] = value
        await sio.emit("news", value, room=session.room)

    app = Application(
        [(r"/socket.io/", get_tornado_handler(sio))], cookie_secret=SECRET, session_manager=manager
    )
    async with manager, serve(app) as server:
        async with SocketIOTestClient(server.url, transport=transport) as client:  # type: ignore[arg-type]  # one of three texts
            await client.connect()
            await client.emit("put", 5)
            assert await client.wait_for("my news") == 5


async def test_two_managers_in_one_process(redis_url: str, prefix: str, transport: str) -> None:
    """Each has its own sessions: a cookie of one opens nothing of the other."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with site(redis=redis_url, prefix=prefix + "b:", anonymous="refuse") as b:
            jar = await a.visitor(note="a")
            assert await status_of(b.client(transport, CookieJar(jar))) == 401
            other = await b.visitor(note="b")
            async with a.client(transport, jar) as one, b.client(transport, other) as two:
                await asyncio.gather(one.connect(), two.connect())
                assert [await one.emit("get"), await two.emit("get")] == ["a", "b"]
                await a.http(jar).post("/logout")
                await one.wait_transport_closed()
                assert await two.emit("get") == "b"


async def test_the_msgpack_protocol(redis_url: str, prefix: str, transport: str) -> None:
    """serializer="msgpack": admitted, gated and closed like the default protocol."""
    import msgpack

    def packed(**fields: Any) -> bytes:
        data: bytes = msgpack.packb({"nsp": "/", **fields})
        return data

    def messages() -> list[dict[str, Any]]:
        return [msgpack.unpackb(p) for p in client.packets if isinstance(p, bytes)]

    async with site(redis=redis_url, prefix=prefix, server={"serializer": "msgpack"}) as a:
        jar = await a.visitor(note="hi")
        async with a.client("polling" if transport == "upgrade" else transport, jar) as client:
            await client.open()
            await client.send_raw(packed(type=0, data="greet"))
            await until(lambda: len(messages()) >= 2)
            assert [message["type"] for message in messages()] == [0, 2]
            await client.send_raw(packed(type=2, data=["get"], id=1))
            await until(lambda: any(message["type"] == 3 for message in messages()))
            assert messages()[-1]["data"] == ["hi"]
            await a.http(jar).post("/logout")
            await client.wait_transport_closed()
            assert messages()[-2]["data"] == ["session_ended", {"reason": "logged_out"}]
            assert messages()[-1]["type"] == 1


async def test_binary_events(redis_url: str, prefix: str, transport: str) -> None:
    """Bytes go both ways, into the session too."""
    async with site(redis=redis_url, prefix=prefix) as a:
        async with a.client(transport, await a.visitor()) as client:
            await client.connect()
            assert await client.emit("set", "blob", b"\x00\x01") == "saved"
            assert await client.emit("get", "blob") == b"\x00\x01"


async def test_several_namespaces_share_one_session(
    redis_url: str, prefix: str, transport: str
) -> None:
    """On one connection: what one writes the other reads; all hear of the end."""
    async with site(redis=redis_url, prefix=prefix) as a:
        jar = await a.visitor()
        async with a.client(transport, jar) as client:
            await client.connect()
            await client.connect("/chat")
            await client.emit("set", "note", "from chat", namespace="/chat")
            assert await client.emit("get") == "from chat"
            await a.http(jar).post("/logout")
            for namespace in ("/", "/chat"):
                said = await client.wait_for("session_ended", namespace=namespace)
                assert said == {"reason": "logged_out"}
            await client.wait_transport_closed()
            assert "server disconnect packet /chat" in client.closings
        await a.empty()
        assert len(a.shared.heard("disconnect")) == 2


def test_the_options_of_the_test_application_are_checked() -> None:
    """A misspelt option must not make a test pass by accident."""
    with pytest.raises(TypeError, match="no such option"):
        options(relaod="event")

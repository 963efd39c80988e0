"""Every feature with each way to carry the credential, on each kind of store."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import tornado.web
import tornado.websocket

from tests.apps.shared_events import Shared
from tests.support.sites import Site, site, until
from tests.support.sql import tables
from tests.support.streams import Socket, Stream
from tornado_shared_session import (
    MemoryStore,
    RedisStore,
    SessionMixin,
    SessionWebSocketMixin,
    Store,
    authenticated,
)
from tornado_shared_session.testing import CookieJar, SocketIOTestClient

MARIADB = pytest.param("mariadb", marks=pytest.mark.mariadb)


class Chat(SessionWebSocketMixin, tornado.websocket.WebSocketHandler):
    """Say what the session holds, and keep what was said."""

    session_reload = True

    async def on_message(self, message: str | bytes) -> None:
        before, self.session["note"] = self.session.get("note"), message
        await self.session.save()
        await self.write_message(str(before))


class Feed(SessionMixin, tornado.web.RequestHandler):
    """Server-sent events, of which the first one only ever comes."""

    close_on_end = True

    async def get(self) -> None:
        self.gone = asyncio.Event()
        self.write(f"data: {self.session.get('note')}\n\n")
        await self.flush()
        await self.gone.wait()

    def on_connection_close(self) -> None:
        self.gone.set()


def edit(shared: Shared) -> None:
    """Add what the shared application has not."""
    sio = shared.sio
    shared.app.add_handlers(".*", [("/ws", Chat), ("/feed", Feed)])

    @sio.on("put")
    async def put(sid: str, key: str, value: Any) -> str:
        session = await sio.get_session(sid)
        await asyncio.sleep(0)
        session[key] = value  # stored by autosave
        return "put"

    @sio.on("again")
    async def again(sid: str) -> list[Any]:
        session = await sio.get_session(sid)
        before = session.get("note")
        other = await sio.get_session(sid)
        await other.transact(lambda fresh: fresh.update(note="newer"))
        await session.reload()
        return [before, session["note"]]

    @sio.on("members")
    @authenticated
    async def members(sid: str) -> bool:
        return sio.is_online(str((await sio.get_session(sid)).user_id))

    @sio.on("leave")
    async def leave(sid: str) -> None:
        await (await sio.get_session(sid)).destroy()


class Visitor:
    """One client, whichever way it carries its credential."""

    def __init__(self, a: Site, by: str) -> None:
        self.a = a
        self.by = by
        self.jar = CookieJar() if by == "cookie" else None
        self.http = a.http(self.jar)
        self.token = ""

    async def post(self, path: str, **form: str) -> Any:
        """Send a form, and keep a new token."""
        response = await self.http.post(path, form)
        if new := response.headers.get("Session-Token"):
            self.token = new
            self.http.headers["Authorization"] = f"Bearer {new}"
        return response

    async def whoami(self) -> dict[str, Any]:
        """Return what the application says over HTTP."""
        said: dict[str, Any] = json.loads((await self.http.get("/whoami")).body)
        return said

    @property
    def headers(self) -> dict[str, str]:
        """What a handshake carries."""
        return {"Cookie": self.jar.header()} if self.jar else dict(self.http.headers)

    def client(self, transport: str) -> SocketIOTestClient:
        """Return a Socket.IO client."""
        return SocketIOTestClient(self.a.url, transport=cast(Any, transport), cookies=self.jar)

    async def connect(self, client: SocketIOTestClient, namespace: str = "/") -> None:
        """Connect a namespace, with the token if there is one."""
        await client.connect(namespace, auth={"token": self.token} if self.token else None)


@pytest.fixture(params=["memory", "redis", "sqlite", MARIADB])
async def store(
    request: pytest.FixtureRequest, prefix: str, table_prefix: str, tmp_path: Any
) -> AsyncIterator[Store]:
    """A store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "redis":
        yield RedisStore(request.getfixturevalue("redis_url"), prefix=prefix)
    else:
        url = f"sqlite+aiosqlite:///{tmp_path}/sessions.db"
        if request.param == "mariadb":
            url = request.getfixturevalue("mariadb").url
        async with tables(url, table_prefix) as made:
            yield made


@pytest.fixture(params=["cookie", "token"])
async def visitor(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Visitor]:
    """A visitor of each kind, whose session holds a note."""
    server = {"autosave": True}
    by = str(request.param)
    async with site(store=store, edit=edit, server=server, credentials=by) as a:
        visitor = Visitor(a, by)
        await visitor.post("/note", value='"first"')
        yield visitor


async def test_events_share_the_session_of_requests(visitor: Visitor, transport: str) -> None:
    """Same id and data, autosave, reload, transactions, and one session for all namespaces."""
    async with visitor.client(transport) as client:
        await visitor.connect(client)
        await visitor.connect(client, "/chat")
        said = await visitor.whoami()
        assert (await client.emit("whoami"))["id"] == said["id"]
        assert await client.emit("get", namespace="/chat") == "first"
        assert await client.emit("put", "note", "second") == "put"
        assert await client.emit("get", namespace="/chat") == "second"
        assert (await visitor.whoami())["data"]["note"] == "second"
        assert await client.emit("again") == ["second", "newer"]
        await asyncio.gather(
            *(client.emit("incr") for _ in range(5)), *(visitor.post("/count") for _ in range(5))
        )
        assert (await visitor.whoami())["data"]["count"] == 10


async def test_a_login_makes_a_member_and_a_logout_ends_all(
    visitor: Visitor, transport: str
) -> None:
    """Over HTTP: the old socket goes, the new one is a user's, and everything ends at once."""
    a = visitor.a
    async with visitor.client(transport) as client:
        await visitor.connect(client)
        assert await client.emit("members") == {"error": "login required"}
        await visitor.post("/login", user="ann")
        assert await client.wait_for("session_ended") == {"reason": "rotated"}
    async with visitor.client(transport) as client:
        await visitor.connect(client)
        assert await client.emit("members") is True
        ((_, session),) = await a.sio.online()
        assert session.user_id == "ann"
        await a.sio.emit("private", "for ann", room=a.manager.user_room("ann"))
        assert await client.wait_for("private") == "for ann"
        socket = await Socket.connect(a.url, "/ws", headers=visitor.headers)
        assert await socket.ask("by socket") == "first"
        stream = await Stream.begin(a.url, "/feed", headers=visitor.headers)
        assert await stream.read_head() == 200
        assert await stream.chunk() == b"data: by socket\n\n"
        await visitor.post("/logout")
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}
        assert await socket.ended() == (1008, "logged_out")
        assert await stream.chunk() == b""  # the end
        for wire in (socket, stream):
            await wire.close()
    assert (await visitor.whoami())["user"] is None
    await until(lambda: not a.manager.connections)


async def test_an_event_may_end_the_session(visitor: Visitor, transport: str) -> None:
    """destroy() in a handler closes the socket, and the credential is worth nothing."""
    async with visitor.client(transport) as client:
        await visitor.connect(client)
        await client.emit("leave", ack=False)
        assert await client.wait_for("session_ended") == {"reason": "logged_out"}
        await client.wait_transport_closed()
    assert (await visitor.whoami())["data"] == {}


async def test_a_user_is_logged_out_everywhere(visitor: Visitor) -> None:
    """What is listed is ended, and its socket hears why (V7.4.2)."""
    manager = visitor.a.manager
    await visitor.post("/login", user="ann")
    async with visitor.client("websocket") as client:
        await visitor.connect(client)
        assert [info.id for info in await manager.list_user("ann")] == [
            (await visitor.whoami())["id"]
        ]
        assert (await manager.destroy_user("ann")).sessions == 1
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
    assert await manager.list_user("ann") == []

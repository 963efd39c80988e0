"""What is too large or too deep to store, on each kind of store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.apps.web_app import HANDLERS
from tests.support.sites import raw_redis, session_id
from tests.support.web import Site, cookie_of, site
from tornado_shared_session import (
    MemoryStore,
    RedisStore,
    SerializationError,
    Session,
    SessionMixin,
    Store,
)
from tornado_shared_session.stores.sql import SQLStore


def nested(depth: int) -> Any:
    """Return so many lists within each other."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


class Put(SessionMixin, RequestHandler):
    """Store so many bytes, or levels, under a key, in one of several ways."""

    async def get(self) -> None:
        self.write(json.dumps({key: len(value) for key, value in self.session.items()}))

    async def post(self, how: str) -> None:
        key = self.get_body_argument("key")
        value: Any = "x" * int(self.get_body_argument("size", "0"))
        if depth := int(self.get_body_argument("depth", "0")):
            value = nested(depth)
        if how == "transact":
            await self.session.transact(lambda session: session.update({key: value}))
            return
        self.session[key] = value
        if how == "caught":
            with pytest.raises(SerializationError) as caught:
                await self.session.save()
            assert caught.value.key == key
            del self.session[key]
        if how == "login":
            await self.session.login("ann")


PAGES: list[Any] = [*HANDLERS, (r"/put/(\w+)", Put), (r"/sizes", Put)]


@pytest.fixture(params=["memory", "redis", "sqlite"])
async def store(request: pytest.FixtureRequest, prefix: str, tmp_path: Path) -> Store:
    """A store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "redis":
        return RedisStore(request.getfixturevalue("redis_url"), prefix=prefix)
    found = SQLStore(f"sqlite+aiosqlite:///{tmp_path}/sessions.db")
    await found.create_tables()
    return found


@pytest.fixture
async def served(store: Store) -> AsyncIterator[Site]:
    """Sessions of at most 1,000 bytes, and values of 600."""
    async with site(PAGES, store, max_session_size=1000, max_value_size=600) as found:
        yield found


TOO_MUCH = [
    pytest.param({"size": 601}, id="S40-value"),
    pytest.param({"size": 590}, id="S40-session"),
    pytest.param({"depth": 200}, id="S41-depth"),
]


@pytest.mark.parametrize("how", ["save", "transact", "login"])
@pytest.mark.parametrize("much", TOO_MUCH)
@pytest.mark.expects_log(r"SerializationError: session\['more'\]", "500 POST /put")
async def test_too_much_is_a_500_and_the_old_data_is_intact(
    served: Site, how: str, much: dict[str, int]
) -> None:
    """Nothing of the request is stored, no cookie is set, and the next request works (S40, S41)."""
    visitor = served.visitor()
    assert (await visitor.post("/put/save", {"key": "old", "size": 500})).code == 200
    refused = await visitor.post(f"/put/{how}", {"key": "more", **much})
    assert refused.code == 500
    assert cookie_of(refused) == ""
    assert json.loads((await visitor.get("/sizes")).body) == {"old": 500}
    assert (await visitor.post("/put/save", {"key": "more", "size": 100})).code == 200
    assert json.loads((await visitor.get("/sizes")).body) == {"old": 500, "more": 100}
    assert "login" not in served.kinds


async def test_the_error_names_the_key_and_can_be_caught(served: Site) -> None:
    """A handler that drops the value goes on with its session (S40)."""
    visitor = served.visitor()
    assert (await visitor.post("/put/save", {"key": "old", "size": 500})).code == 200
    assert (await visitor.post("/put/caught", {"key": "more", "size": 601})).code == 200
    assert json.loads((await visitor.get("/sizes")).body) == {"old": 500}


@pytest.mark.expects_log("SerializationError", "500 POST /put")
async def test_a_first_visit_with_too_much_begins_no_session(served: Site) -> None:
    """No record and no cookie (S40)."""
    refused = await served.visitor().post("/put/save", {"key": "k", "size": 2000})
    assert refused.code == 500
    assert cookie_of(refused) == ""
    assert served.kinds == []


async def test_a_stored_value_that_is_too_large_is_not_decoded(redis_url: str, prefix: str) -> None:
    """Before decode: it counts as absent and is one event, and it stays as it is (S40)."""
    served_by = RedisStore(redis_url, prefix=prefix)
    async with site(PAGES, served_by, max_session_size=1000, max_value_size=600) as served:
        visitor = served.visitor()
        await visitor.post("/put/save", {"key": "old", "size": 500})
        name = f"{prefix}s:{session_id(visitor.cookies)}"
        large = b"\xda\x08\x00" + b"y" * 2048
        async with raw_redis(redis_url) as redis:
            await redis.hset(name, "large", large)
            assert json.loads((await visitor.get("/sizes")).body) == {"old": 500}
            assert served.events[1:] == [served.events[1]]
            assert (served.events[1].kind, served.events[1].detail) == (
                "corrupt_value",
                "large: 2051 bytes",
            )
            assert (await visitor.post("/put/save", {"key": "old", "size": 400})).code == 200
            assert await redis.hget(name, "large") == large


async def test_a_socket_event_that_stores_too_much_changes_nothing(
    redis_url: str, prefix: str
) -> None:
    """The typed error reaches the event's handler (S40)."""
    from tests.support.sites import site as sockets

    caught: list[str | None] = []

    def edit(shared: Any) -> None:
        async def put(sid: str) -> dict[str, Any]:
            session: Session = await shared.sio.get_session(sid)
            session["much"] = "x" * 1_000_001
            try:
                await session.save()
            except SerializationError as error:
                caught.append(error.key)
            return dict(await shared.sio.get_session(sid))

        shared.sio.on("put", put)

    async with sockets(redis=redis_url, prefix=prefix, edit=edit) as a:
        async with a.client("websocket", await a.visitor(note="kept")) as client:
            await client.connect()
            assert await client.emit("put") == {"note": "kept"}
    assert caught == ["much"]

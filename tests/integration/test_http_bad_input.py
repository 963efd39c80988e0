"""What clients and Redis may hold that is not as we left it: nothing is adopted, nothing loops."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest
import redis.asyncio
from tornado.web import create_signed_value

from tests.apps.web_app import HANDLERS
from tests.support.web import COOKIE, SECRET, ProbeStore, Site, cookie_of, site
from tornado_shared_session import RedisStore
from tornado_shared_session.record import Credential

UNKNOWN = Credential("A" * 22, "B" * 43)


def signed(value: str, **options: Any) -> str:
    """Return what Tornado makes of a value with our secret."""
    return create_signed_value(SECRET, options.pop("name", COOKIE), value, **options).decode()


#: Cookies that name no credential, so that the store need not be asked.
NO_CREDENTIAL = {
    "empty": "",
    "text": "hello",
    "forged": signed(str(UNKNOWN))[:-4] + "beef",
    "truncated": signed(str(UNKNOWN))[:-20],
    "oversized": signed(str(UNKNOWN)) + "0" * 1000,
    "long value": signed("A" * 22 + "." + "B" * 4000),
    "version 1": signed(str(UNKNOWN), version=1),
    "version 3": "3" + signed(str(UNKNOWN))[1:],
    "of another name": signed(str(UNKNOWN), name="other"),
    "short id": signed("A" * 21 + "." + "B" * 43),
    "long id": signed("A" * 23 + "." + "B" * 43),
    "path in the id": signed("../" + "A" * 19 + "." + "B" * 43),
    "glob in the id": signed("*" * 22 + "." + "B" * 43),
    "newline": signed("A" * 22 + "." + "B" * 43 + "\n"),
    "no secret": signed("A" * 22),
    "empty secret": signed("A" * 22 + "."),
    "non-ASCII": signed("é" * 22 + "." + "B" * 43),
    "NUL": signed("\0" * 22 + "." + "B" * 43),
    "pickle": signed("gASVIQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAZ0b3VjaCB4lIWUUpQu"),
    "fields": "2|1:0|10:99999999999|7:session|4:AAAA|" + "0" * 64,
    "bars": "2|||||||||",
}


@pytest.mark.parametrize("what", NO_CREDENTIAL)
async def test_cookie_that_is_no_credential_is_no_session(what: str) -> None:
    """It is ignored before any question to the store; a write starts a session of our own
    (S2, V7.2.1).
    """
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor(NO_CREDENTIAL[what])
        response = await visitor.get("/")
        assert json.loads(response.body) == {"user": None, "new": True, "data": {}}
        assert "Set-Cookie" not in response.headers
        assert not store.calls
        written = await visitor.post("/", {"note": "x"})
        assert written.code == 200
        assert cookie_of(written)
        assert store.calls == {"create": 1}
        assert "A" * 22 not in store._entries


async def test_unknown_id_is_never_adopted() -> None:
    """A validly signed id that the store does not know gets a new id, not its own (S3)."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor(signed(str(UNKNOWN)))
        assert json.loads((await visitor.get("/")).body)["new"] is True
        written = await visitor.post("/", {"note": "x"})
        assert cookie_of(written)
        assert list(store._entries) != [UNKNOWN.id]
        assert (await visitor.post("/login", {"user": "ann"})).code == 200
        assert UNKNOWN.id not in store._entries


async def test_wrong_secret_is_unknown() -> None:
    """An id alone opens nothing, and its record is untouched; nor does the stored hash
    (S4, V7.2.1).
    """
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        await served.visitor().post("/login", {"user": "ann"})
        ((id, entry),) = store._entries.items()
        for secret in ("B" * 43, entry.record.meta.digest.hex()[:43]):
            other = served.visitor(signed(f"{id}.{secret}"))
            assert json.loads((await other.get("/")).body)["user"] is None
            assert (await other.post("/", {"note": "x"})).code == 200
            assert entry.record.values == {}


# What Redis holds -----------------------------------------------------------------


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A client beside the store."""
    client = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def served(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The handlers on a real Redis."""
    async with site(HANDLERS, RedisStore(redis_url, prefix=prefix)) as served:
        yield served


CORRUPT: dict[str, bytes | None] = {
    "garbage": b"\xc1garbage",
    "empty": b"",
    "pickle": b"\x80\x04\x95!\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94.",
    "of other types": msgpack.packb([1, 2, 3, 4, 5, 6]),
    "truncated": msgpack.packb([1, "A" * 22, b"x" * 32])[:-5],
    "missing": None,
}


@pytest.mark.parametrize("what", [*CORRUPT, "wrong type"])
async def test_corrupt_bookkeeping_is_a_fresh_session(
    what: str, served: Site, client: Any, prefix: str
) -> None:
    """One event per request, no 500; the next write starts a session with an id of its own
    (S44).
    """
    visitor = served.visitor()
    await visitor.post("/", {"note": "x"})
    (key,) = await client.keys(prefix + "s:*")
    if what == "wrong type":
        await client.delete(key)
        await client.set(key, "text")
    elif CORRUPT[what] is None:
        await client.hdel(key, b"\xffm")
    else:
        await client.hset(key, b"\xffm", CORRUPT[what])
    served.events.clear()
    read = await visitor.get("/")
    assert json.loads(read.body) == {"user": None, "new": True, "data": {}}
    assert "Set-Cookie" not in read.headers
    assert served.kinds == ["corrupt_record"]
    written = await visitor.post("/", {"note": "anew"})
    assert written.code == 200
    assert cookie_of(written)
    assert served.kinds == ["corrupt_record", "corrupt_record", "created"]
    assert json.loads((await visitor.get("/")).body)["data"] == {"note": "anew"}
    assert served.kinds[3:] == []


async def test_corrupt_value_reads_as_absent(served: Site, client: Any, prefix: str) -> None:
    """The other keys are intact; one event; writing the key heals it."""
    visitor = served.visitor()
    await visitor.post("/", {"good": "1", "bad": "2"})
    (key,) = await client.keys(prefix + "s:*")
    for data in (b"\xc1", b"", b"\x80\x04\x95pickle"):
        await client.hset(key, "bad", data)
        served.events.clear()
        assert json.loads((await visitor.get("/")).body)["data"] == {"good": "1"}
        assert [(event.kind, event.detail) for event in served.events] == [("corrupt_value", "bad")]
    assert (await visitor.post("/", {"bad": "healed"})).code == 200
    assert json.loads((await visitor.get("/")).body)["data"] == {"good": "1", "bad": "healed"}


@pytest.mark.expects_log("503", "newer_format")
async def test_newer_format_is_a_503_and_stays_intact(
    served: Site, client: Any, prefix: str
) -> None:
    """During a rolling deploy a newer record logs nobody out: 503, cookie and record untouched."""
    visitor = served.visitor()
    await visitor.post("/login", {"user": "ann"})
    (key,) = await client.keys(prefix + "s:*")
    await client.hset(key, b"\xffm", msgpack.packb([2, "whatever is new"]))
    before = await client.hgetall(key)
    served.events.clear()
    for response in (await visitor.get("/"), await visitor.post("/", {"note": "x"})):
        assert response.code == 503
        assert response.headers["Retry-After"] == "1"
        assert "Set-Cookie" not in response.headers
    assert served.kinds == ["newer_format"] * 2
    assert await client.hgetall(key) == before

"""The program of `docs/protocol.md` writes what the library then reads, and is heard by it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgpack
import pytest
from tornado.web import create_signed_value

from tests.apps.shared import SECRET
from tests.support.protocol import member, other, raw, read, script, session_of
from tests.support.sites import Site, raw_redis, session_id, status_of, until
from tornado_shared_session import SessionConflict, SessionEnded
from tornado_shared_session.record import Credential, Delta
from tornado_shared_session.testing import CookieJar

# -- writing -----------------------------------------------------------------------------


async def test_what_the_program_commits_the_library_reads(
    a: Site, redis_url: str, prefix: str
) -> None:
    """Over HTTP and in a socket that is open; keys of others stay, and a deleted one goes."""
    jar = await member(a, note="ours", old="x")
    page, commit = other(), script("COMMIT")
    async with a.client("websocket", jar) as client:
        await client.connect()
        with raw(redis_url) as server:
            _, record = read(server, prefix, jar["session"])
            told = {"theirs": msgpack.packb(["from", {"afar": 1}])}
            version = page.commit(server, commit, record, told, ["old"], 5000, prefix=prefix)
        assert version == record["version"] + 1
        assert await client.emit("get", "theirs") == ["from", {"afar": 1}]
        assert await client.emit("get", "note") == "ours"
        assert await client.emit("get", "old") is None
    told_back = json.loads((await a.http(jar).get("/note?key=theirs")).body)
    assert told_back == ["from", {"afar": 1}]
    # The five seconds did not shorten its life.
    assert (await a.manager.store.peek([record["id"]]))[0].ttl > 1000  # type: ignore[union-attr]  # it is there


async def test_the_program_makes_a_provisional_record_a_normal_one(
    a: Site, redis_url: str, prefix: str
) -> None:
    """By a commit that says so, with the idle timeout."""
    jar = CookieJar()
    async with a.client("polling", jar) as client:
        await client.open()
        with raw(redis_url) as server:
            _, record = read(server, prefix, jar["session"])
            other().commit(server, script("COMMIT"), record, ttl=1_800_000, prefix=prefix)
        (peek,) = await a.manager.store.peek([record["id"]])
    assert peek is not None
    assert not peek.provisional
    assert peek.ttl > 1000


async def test_a_late_commit_of_the_program_is_refused(
    a: Site, redis_url: str, prefix: str
) -> None:
    """A version that moved, a generation that moved, a record that is gone (C19, S19)."""
    jar = await member(a)
    page, commit = other(), script("COMMIT")
    change = {"set": {"late": b"\x01"}, "prefix": prefix}
    with raw(redis_url) as server:
        _, record = read(server, prefix, jar["session"])
        session = await session_of(a, record["id"])
        session["note"] = "faster"
        await session.save()
        with pytest.raises(RuntimeError, match="conflict"):
            page.commit(server, commit, record, version=record["version"], **change)
        page.commit(server, commit, record, version=record["version"] + 1, **change)
        await a.http(jar).post("/login", {"user": "ann"})
        with pytest.raises(RuntimeError, match="rotated"):
            page.commit(server, commit, record, **change)
        await a.manager.destroy(record["id"])
        with pytest.raises(RuntimeError, match="ended"):
            page.commit(server, commit, record, **change)
        assert not server.exists(f"{prefix}s:{record['id']}")


async def test_the_library_notices_what_the_program_wrote(
    a: Site, redis_url: str, prefix: str
) -> None:
    """A transaction that began before the foreign commit is run again, not lost (R11)."""
    jar = await member(a, note="")
    session, runs = await session_of(a, session_id(jar)), []
    with raw(redis_url) as server:
        _, record = read(server, prefix, jar["session"])

        def bump(fresh: Any) -> None:
            runs.append(fresh.get("count", 0))
            if len(runs) == 1:
                count = {"count": msgpack.packb(41)}
                other().commit(server, script("COMMIT"), record, count, prefix=prefix)
            fresh["count"] = fresh.get("count", 0) + 1

        await session.transact(bump)
    assert runs == [0, 41]
    assert (await session_of(a, record["id"]))["count"] == 42
    stale = Delta(record["id"], record["generation"], 0, version=1, set={b"k": b"\x01"})
    with pytest.raises(SessionConflict):
        await a.manager.store.commit(stale)


async def test_scripts_of_the_page_and_ours_share_the_cache(a: Site, redis_url: str) -> None:
    """EVALSHA of what stands on the page finds what the library has loaded."""
    await a.manager.destroy(session_id(await member(a)))
    await a.manager.store.peek(["A" * 22])
    with raw(redis_url) as server:
        for name in ("CREATE", "COMMIT", "DELETE", "PEEK", "INDEX_ADD"):
            assert server.script_load(script(name)) == _sha(script(name))
            assert server.script_exists(_sha(script(name))) == [True]


def _sha(text: str) -> str:
    sha: str = other().hashlib.sha1(text.encode()).hexdigest()
    return sha


# -- ends and notices ---------------------------------------------------------------------


async def test_a_session_that_the_program_ends_is_closed_here(
    a: Site, redis_url: str, prefix: str
) -> None:
    """The record goes, the notice closes the socket with its reason, the index is tidy (S18)."""
    jar = await member(a)
    async with a.client("websocket", jar) as client:
        await client.connect()
        with raw(redis_url) as server:
            _, record = read(server, prefix, jar["session"])
            assert other().end(server, script("DELETE"), record, "revoked", prefix)
            assert not other().end(server, script("DELETE"), record, "revoked", prefix)
            assert server.zrange(f"{prefix}u:ann", 0, -1) == []
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
        await client.wait_transport_closed()
    assert (await a.http(jar).get("/note")).body == b"null"


async def test_a_notice_about_a_session_that_lives_does_nothing(
    a: Site, redis_url: str, prefix: str
) -> None:
    """The store is asked, and says that it lives (C5, C6)."""
    jar, page = await member(a), other()
    async with a.client("websocket", jar) as client:
        await client.connect()
        id = a.connection.id
        with raw(redis_url) as server:
            seen = a.connection.seen_at
            server.publish(page.channel(server, prefix), page.notice("revoked", [id]))
            await until(lambda: a.connection.seen_at > seen)  # that was the question
            assert await client.emit("get") == ""
            server.delete(f"{prefix}s:{id}")
            server.publish(page.channel(server, prefix), page.notice("revoked", [id]))
        assert await client.wait_for("session_ended") == {"reason": "revoked"}


async def test_a_question_of_the_program_is_answered(a: Site, redis_url: str, prefix: str) -> None:
    """How many sockets are open, from each process that has some."""
    jar, page = await member(a), other()
    async with a.client("websocket", jar) as one, a.client("polling", jar) as two:
        await one.connect()
        await two.connect()
        async with raw_redis(redis_url) as redis, redis.pubsub() as ear:
            with raw(redis_url) as server:
                name = page.channel(server, prefix)
                await ear.subscribe(name)
                server.publish(name, page.notice("", [session_id(jar)], "my nonce"))
            async with asyncio.timeout(5):
                answer: list[Any] = []
                while answer[1:2] != ["answer"]:
                    message = await ear.get_message(ignore_subscribe_messages=True, timeout=5)
                    answer = msgpack.unpackb(message["data"]) if message else []
    assert answer[:4] == [1, "answer", [2], "my nonce"]


async def test_the_sessions_of_a_user_are_those_that_the_library_lists(
    a: Site, redis_url: str, prefix: str
) -> None:
    """An entry without a record, or of somebody else's, is none (S20)."""
    jars = [await member(a) for _ in range(3)]
    stranger = await a.visitor()
    await a.manager.store.index_add("ann", session_id(stranger), 60)
    async with raw_redis(redis_url) as redis:
        await redis.delete(f"{prefix}s:{session_id(jars[1])}")
    with raw(redis_url) as server:
        found = [record["id"] for record in other().sessions_of(server, "ann", prefix)]
    assert found == [session_id(jars[0]), session_id(jars[2])]
    assert found == [info.id for info in await a.manager.list_user("ann")]


async def test_a_commit_of_ours_to_what_the_program_ended_is_refused(
    a: Site, redis_url: str, prefix: str
) -> None:
    """Whoever ends a session, it stays ended (S19)."""
    jar = await member(a)
    session = await session_of(a, session_id(jar))
    with raw(redis_url) as server:
        _, record = read(server, prefix, jar["session"])
        assert other().end(server, script("DELETE"), record, prefix=prefix)
    session["note"] = "late"
    with pytest.raises(SessionEnded):
        await session.save()


async def test_a_session_that_others_began_and_logged_in_to_is_one_of_ours(
    a: Site, redis_url: str, prefix: str
) -> None:
    """As the page says in words: CREATE, INDEX_ADD, then COMMIT with a new secret (S5)."""
    old, new = Credential.generate(), Credential.generate()
    id, key, now = old.id, f"{prefix}s:{old.id}", time.time()
    before, after = (
        {"session": create_signed_value(SECRET, "session", f"{id}.{secret}").decode()}
        for secret in (old.secret, new.secret)
    )
    with raw(redis_url) as server:
        meta = msgpack.packb([1, id, old.digest, now, None, []])
        pair = ["note", msgpack.packb("from afar")]
        made: list[Any] = [key, meta, 1_800_000, 43_200_000, "", "", *pair]
        assert [server.eval(script("CREATE"), 1, *made) for _ in range(2)] == [1, 0]
        assert (await a.http(CookieJar(before)).get("/note")).body == b'"from afar"'
        latest = server.hget(key, b"\xffa") or 0
        server.eval(script("INDEX_ADD"), 1, f"{prefix}u:ann", id, 43_260_000, latest)
        meta = msgpack.packb([1, id, new.digest, now, "ann", [[old.digest, now]]])
        login: list[Any] = [key, 1, "", 1_800_000, "pv", meta, "ann", 7]
        assert server.eval(script("COMMIT"), 1, *login)[0] == 2
    async with a.client("websocket", CookieJar(after)) as client:
        await client.connect()
        said: Any = await client.emit("whoami")
        assert (said["user"], said["data"]) == ("ann", {"note": "from afar"})
    assert await status_of(a.client("websocket", CookieJar(before))) == 401  # superseded
    assert [info.id for info in await a.manager.list_user("ann")] == [id]

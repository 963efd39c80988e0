"""`python -m tornado_shared_session`, as a process of its own beside a running application."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgpack
import pytest

from tests.support.core import Paper, visit
from tests.support.processes import ROOT
from tests.support.sites import Site, raw_redis, session_id, site, until
from tests.support.sql import tables
from tornado_shared_session import RedisStore, SessionManager
from tornado_shared_session.record import FORMAT, Credential, is_id
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing import CookieJar, RedisServer

DASH = "-" + "A" * 21  # an id may begin so


async def shell(*args: str) -> tuple[int, str, str]:
    """Run the program; return its exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tornado_shared_session",
        *args,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
def where(redis_url: str, prefix: str) -> tuple[str, ...]:
    """The options that name the application's store."""
    return "--redis", redis_url, "--prefix", prefix


async def ann(a: Site, agent: str = "Phone/1") -> CookieJar:
    """Return the cookies of a browser that is logged in, and has a value."""
    jar = CookieJar()
    await a.http(jar).post("/login", {"user": "ann"}, headers={"User-Agent": agent})
    await a.http(jar).post("/note", {"value": '"a secret value"'})
    await until(lambda: a.watcher.health()["notices"])
    return jar


def secrets_of(jar: CookieJar, a: Site) -> list[str]:
    """Return what must not be shown."""
    (name,) = jar
    signed = jar[name].strip('"')
    return [signed, signed.split("|")[-1], "secret value"]


async def test_a_session_is_shown_without_what_it_holds(a: Site, where: tuple[str, ...]) -> None:
    """Whose it is, its times and its sockets; no value, no credential."""
    jar = await ann(a)
    async with a.client("websocket", jar) as client:
        await client.connect()
        status, out, err = await shell("show", session_id(jar), *where)
    assert (status, err) == (0, "")
    shown = {line[:12].strip(): line[12:] for line in out.splitlines()}
    assert shown["user"] == "ann"
    assert shown["sockets"] == "1"
    assert shown["address"] == "127.0.0.1"
    assert shown["user agent"] == "Phone/1"
    assert "last seen" not in shown  # the application's idle timeout was not told
    assert not [secret for secret in secrets_of(jar, a) if secret in out]


async def test_a_users_sessions_are_listed(a: Site, where: tuple[str, ...]) -> None:
    """One line each, with what is hostile in them made harmless."""
    jars = [await ann(a), await ann(a, "Laptop\t\x9b[31m")]
    status, out, _ = await shell("list-user", *where, "--idle-timeout", "1800", "ann")
    assert status == 0
    head, *lines = [line.split("\t") for line in out.splitlines()]
    assert head == ["id", "created", "last seen", "expires", "sockets", "address", "user agent"]
    assert [line[0] for line in lines] == [session_id(jar) for jar in jars]
    assert [line[-1] for line in lines] == ["Phone/1", "Laptop  [31m"]
    assert not [s for jar in jars for s in secrets_of(jar, a) if s in out]


async def test_an_ended_session_closes_its_sockets_at_once(a: Site, where: tuple[str, ...]) -> None:
    """By its id, from outside; the second time there is nothing to end (V7.4.5)."""
    jar = await ann(a)
    async with a.client("websocket", jar) as client:
        await client.connect()
        assert (await shell("end", session_id(jar), "--user", "bob", *where))[0] == 1
        assert (await shell("end", session_id(jar), *where))[:2] == (0, "ended\n")
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
    status, out, err = await shell("end", session_id(jar), *where)
    assert (status, out, err) == (1, "", "error: there is no such session\n")


async def test_all_sessions_of_a_user_are_ended_but_the_kept(
    a: Site, where: tuple[str, ...]
) -> None:
    """With what was closed, and who said so (V7.4.5)."""
    kept, other = await ann(a), await ann(a)
    async with a.client("websocket", other) as client, a.client("websocket", kept) as mine:
        await asyncio.gather(client.connect(), mine.connect())
        status, out, _ = await shell("end-user", "ann", "--keep", session_id(kept), *where)
        assert status == 0
        assert out == "1 sessions ended, 1 sockets closed, 1 of 1 processes have said so\n"
        assert await client.wait_for("session_ended") == {"reason": "revoked"}
        assert await mine.emit("get") == "a secret value"
    assert (await shell("end-user", "nobody", *where))[0] == 1
    assert (await shell("end-user", "ann", "--keep", "nonsense", *where))[0] == 2


async def test_a_database_works_as_well(tmp_path: Path) -> None:
    """An id that begins with a dash is one, too."""
    url = f"sqlite+aiosqlite:///{tmp_path}/sessions.db"
    async with tables(url, "tss_"):
        pass
    paper = Paper()
    async with SessionManager(SQLStore(url)) as manager:
        session = await manager.resolve([], paper)
        session._id = DASH
        await session.login("-a user")
        await visit(manager)
    assert (await shell("show", DASH, "--sql", url))[0] == 0
    status, out, _ = await shell("list-user", "--sql", url, "--", "-a user")
    assert (status, out.splitlines()[1].split("\t")[0]) == (0, DASH)
    status, out, _ = await shell("end-user", "--sql", url, "--", "-a user")
    assert status == 0
    assert out.splitlines()[0].startswith("1 sessions ended, 0 sockets closed, 0 of 0")
    assert "next reload" in out
    assert (await shell("show", DASH, "--sql", url))[0] == 1


@pytest.mark.parametrize("prefix", ["shop_sessions_prefix_1", "-hop_sessions_prefix_1"])
@pytest.mark.parametrize("name", ["ann_with_22_characters", "-nn_with_22_characters"])
async def test_what_looks_like_an_id_is_what_its_place_says(
    redis_url: str, prefix: str, name: str
) -> None:
    """A prefix and a user's name may have an id's letters, and its length."""
    assert is_id(prefix)
    assert is_id(name)
    where = ("--redis", redis_url, "--prefix", prefix)
    async with SessionManager(RedisStore(redis_url, prefix=prefix)) as manager:
        session, _ = await visit(manager)
        await session.login(name)
        assert (await shell("show", session.id, *where))[0] == 0
        assert (await shell("list-user", name, *where))[0] == 0
        assert (await shell("end", session.id, "--user", name[::-1], *where))[0] == 1
        assert (await shell("end-user", name, "--keep", session.id, *where))[0] == 1
        assert (await shell("end", "--user", name, *where, session.id))[0] == 0


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (("show", "x"), 2, "one of the arguments --redis --sql is required"),
        (("show", "x", "--redis", "redis://u:pa/geheim@h:1/0"), 2, "looks like redis://"),
        (("show", "x", "--redis", "http://u:geheim@h"), 2, "redis://"),
        (("show", "x", "--sql", "mysql://u:geheim@h/db"), 2, "mysql+aiomysql://"),
        (("show", "x", "--sql", "u:geheim@h"), 2, "URL of a database"),
        (("show", "A" * 22, "--redis", "redis://u:geheim@127.0.0.1:1/0"), 3, "whether the server"),
        (("list-user", "x", "--redis", "redis://h", "--idle-timeout", "-5"), 2, "above 0"),
        (("list-user", "x", "--redis", "redis://h", "--idle-timeout", "nan"), 2, "above 0"),
        (("list-user", "x", "--redis", "redis://h", "--idle-timeout", "1e99"), 2, "100 years"),
        (
            ("list-user", "x", "--redis", "redis://h", "--idle-timeout", "30m"),
            2,
            "argument --idle-timeout: '30m' is not a number of seconds",
        ),
        (("list-user", "\udcff", "--redis", "redis://h"), 2, "argument USER: not UTF-8"),
        (("end-user", "\udcff", "--redis", "redis://h"), 2, "argument USER: not UTF-8"),
        (("end", "x", "--user", "\udcff", "--redis", "redis://h"), 2, "--user: not UTF-8"),
        (("show", "x", "--redis", "redis://h", "--prefix", "\udcff"), 2, "--prefix: not UTF-8"),
        (("show", "x", "--sql", "sqlite+aiosqlite:///\udcff"), 2, "--sql: not UTF-8"),
        (("show", "nonsense", "--redis", "redis://127.0.0.1:1"), 1, "list-user"),
        ((), 2, "command"),
    ],
)
async def test_what_goes_wrong_says_what_to_do(
    args: tuple[str, ...], status: int, told: str
) -> None:
    """In a line on stderr, without the password; and never with a traceback."""
    code, out, err = await shell(*args)
    assert (code, out) == (status, "")
    assert told in err
    assert "geheim" not in err
    assert "Traceback" not in err
    assert " _" not in err  # the name of a function of ours


async def test_a_record_of_a_newer_release_is_no_outage(
    redis_url: str, prefix: str, where: tuple[str, ...]
) -> None:
    """Nothing is wrong with the server, and nobody is sent to look at it."""
    async with (
        SessionManager(RedisStore(redis_url, prefix=prefix)) as manager,
        raw_redis(redis_url) as redis,
    ):
        session, _ = await visit(manager)
        await session.login("ann")
        (key,) = await redis.keys(f"{prefix}s:*")
        await redis.hset(key, b"\xffm", msgpack.packb([FORMAT + 1, "of the future"]))
        for args in (("show", session.id), ("list-user", "ann")):
            status, out, err = await shell(*args, *where)
            assert (status, out) == (3, "")
            assert "a newer release" in err
            assert "use that release" in err
            assert "server" not in err


async def test_a_store_that_hangs_is_not_waited_for(own_redis: RedisServer) -> None:
    """The program ends, and says that it could not ask."""
    own_redis.pause()
    status, _, err = await shell("show", Credential.generate().id, "--redis", own_redis.url)
    own_redis.resume()
    assert status == 3
    assert "did not answer in time" in err


async def test_it_serves_nothing_and_leaves_nothing(redis_url: str, prefix: str) -> None:
    """While it runs the application counts the same, and afterwards too."""
    async with site(redis=redis_url, prefix=prefix) as a:
        await ann(a)
        where = ("--redis", redis_url, "--prefix", prefix)
        assert (await shell("list-user", "ann", *where))[0] == 0
        revoked = await a.manager.destroy_user("ann")
        assert (revoked.processes, revoked.of_processes) == (1, 1)

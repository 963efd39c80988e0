"""What `docs/protocol.md` says is what is stored, sent and signed.

It is compared with a live Redis that the library has filled. The page's
program is run in `test_protocol_program.py`.
"""

from __future__ import annotations

import ast
import asyncio
import datetime
import decimal
import re
import time
import uuid
from typing import Any

import msgpack
import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite

from tests.support.protocol import (
    PAGE,
    PROGRAM,
    member,
    other,
    raw,
    script,
    section,
    session_of,
    table,
)
from tests.support.sites import Site, raw_redis, session_id
from tornado_shared_session import MsgpackSerializer, RedisStore, SessionManager
from tornado_shared_session import notices as messages
from tornado_shared_session.events import REASONS
from tornado_shared_session.record import FORMAT
from tornado_shared_session.serializers import MAX_DEPTH, MAX_EXTENSIONS
from tornado_shared_session.stores import redis_scripts
from tornado_shared_session.stores.sql_schema import schema

#: What the tables call the types of msgpack.
TYPES = {"str": str, "bytes": bytes, "int": int, "float": float, "list": list, "nil": type(None)}


def words(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]*)`", cell)


def number(pattern: str) -> int:
    """Return the only number that the page gives in some place."""
    (found,) = re.findall(pattern, PAGE)
    return int(found)


# -- constants -----------------------------------------------------------------------


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    """The format, the limits and the default of `rotation_grace`; a new format is a new page."""
    assert number(r"\*\*format (\d+)\*\*") == other().FORMAT == FORMAT
    assert number(r"nest to (\d+) levels") == MAX_DEPTH
    assert number(r"levels, (\d+) of them sets") == MAX_EXTENSIONS
    assert number(r"session ids, at most (\d+)") == messages._MOST
    grace = SessionManager().policy.rotation_grace
    assert number(r"`rotation_grace` \((\d+) s\)") == grace
    assert other().check.__defaults__ == (grace,)
    texts = {int(found) for found in re.findall(r"text, at most (\d+) characters", PAGE)}
    (most,) = texts
    assert messages._is_text("x" * most)
    assert not messages._is_text("x" * (most + 1))


async def test_the_names_of_keys_and_channel_are_those_of_the_store(redis_url: str) -> None:
    """With the default prefix, and another database has another channel."""
    rows = {words(row[0])[0]: words(row[1]) for row in table("Names")}
    for url, database in ((redis_url, 0), (redis_url.rpartition("/")[0] + "/3", 3)):
        store = RedisStore(url)
        names = (store._key + "<id>", store._user_key + "<user id>")
        assert {*names, "tss:notices:<database number>"} == set(rows)
        with raw(url) as server:
            assert other().channel(server) == store._channel == f"tss:notices:{database}"
        await store.close()
    assert rows["tss:notices:<database number>"] == ["tss:notices:0"]
    assert words(section("Names").rpartition("is the prefix")[0])[-1] == other().PREFIX


@pytest.mark.parametrize("name", ["CREATE", "COMMIT", "DELETE", "PEEK", "INDEX_ADD"])
def test_a_script_is_printed_as_it_runs(name: str) -> None:
    """Its text and its SHA-1, so that it shares the cache with ours."""
    ours = getattr(redis_scripts, name)
    assert script(name) == ours.source
    shas = {words(row[0])[0]: words(row[1])[0] for row in table("The scripts")}
    assert shas[name] == ours.sha


def test_no_script_is_missing_from_the_page() -> None:
    """Each that the store sends has its row."""
    ours = {k for k, v in vars(redis_scripts).items() if isinstance(v, redis_scripts.Script)}
    assert {words(row[0])[0] for row in table("The scripts")} == ours


def test_what_a_script_answers_in_place_of_a_version_is_on_the_page() -> None:
    """-1, -2, -3."""
    codes = (redis_scripts.GONE, redis_scripts.ROTATED, redis_scripts.CONFLICT)
    said = re.findall(r"(-\d) (?:there is no such|the generation is|the version is)", PAGE)
    assert tuple(dict.fromkeys(int(code) for code in said)) == codes


def test_the_reasons_are_those_that_notices_may_have() -> None:
    """In the order of the code."""
    (line,) = re.findall(r"^Reasons: (.*?), and the empty", PAGE, re.M)
    assert tuple(words(line)) == REASONS


VALUES = {
    "datetime": datetime.datetime(2026, 11, 1, 1, 30, fold=1),
    "date": datetime.date(2026, 11, 21),
    "Decimal": decimal.Decimal("1.10"),
    "UUID": uuid.UUID(int=7),
    "set": {1, "b"},
    "tuple": (1, (2,)),
    "frozenset": frozenset({1.5}),
}


def test_the_extension_types_are_those_of_the_serializer() -> None:
    """Each row's number is what a value of that type is packed as, and no type is left out."""
    rows = {row[1]: int(row[0]) for row in table("Values")}
    assert rows.keys() == VALUES.keys()
    for name, value in VALUES.items():
        packed = msgpack.unpackb(MsgpackSerializer().encode(value))
        assert packed.code == rows[name], name
        assert other().decode(MsgpackSerializer().encode(value)) == value
    for code in set(range(128)) - set(rows.values()):
        with pytest.raises(Exception, match="cannot be read"):
            MsgpackSerializer().decode(msgpack.packb(msgpack.ExtType(code, b"")))


def test_the_tables_of_sql_are_those_that_are_created() -> None:
    """Each column with its type in each kind of database."""
    dialects = {"postgresql": postgresql, "mysql": mysql, "sqlite": sqlite}
    expected = [
        [name, column, *(types[column] for types in of_all)]
        for name, of_all in {
            name: [
                {c.name: c.type.compile(module.dialect()) for c in getattr(schema("tss_", b), t).c}
                for b, module in dialects.items()
            ]
            for t, name in (("sessions", "tss_sessions"), ("users", "tss_users"))
        }.items()
        for column in of_all[0]
    ]
    said = [[words(cell)[0] for cell in row[:5]] for row in table("In SQL")]
    assert said == expected


# -- against a live Redis --------------------------------------------------------------


async def test_the_fields_of_a_record_are_those_of_the_table(
    a: Site, redis_url: str, prefix: str
) -> None:
    """HGETALL of a visitor, a member and a provisional record: none more, none missing (C2)."""
    rows = {b"\xff" + words(row[0])[0][-1].encode(): row[1] for row in table("The record")}
    always = {field for field, when in rows.items() if when == "always"}
    expected = {"visitor": always, "member": always | {b"\xffu"}, "fresh": always | {b"\xffp"}}
    assert rows.keys() == set.union(*expected.values())
    async with a.client("websocket") as client:
        await client.open()  # without a cookie: this record is provisional
        ids = {
            "fresh": a.connection.id,
            "visitor": session_id(await a.visitor(note="x")),
            "member": session_id(await member(a, note="x")),
        }
        async with raw_redis(redis_url) as redis:
            for kind, id in ids.items():
                fields = await redis.hgetall(f"{prefix}s:{id}")
                ours = {name for name in fields if name[:1] == b"\xff"}
                assert ours == expected[kind], kind
                assert set(fields) - ours == (set() if kind == "fresh" else {b"note"})
                assert fields[b"\xffg"].isdigit()
                assert fields[b"\xffv"].isdigit()
                ends = time.time() + a.manager.policy.absolute_timeout
                assert abs(int(fields[b"\xffa"]) / 1000 - ends) < 60
                left = await redis.pttl(f"{prefix}s:{id}")
                assert 0 < left <= a.manager.policy.idle_timeout * 1000
            assert await redis.hget(f"{prefix}s:{ids['member']}", b"\xffu") == b"ann"
            assert await redis.hget(f"{prefix}s:{ids['fresh']}", b"\xffp") == b"1"


async def test_the_bookkeeping_has_the_types_of_the_table(
    a: Site, redis_url: str, prefix: str
) -> None:
    """Of a visitor, and of a member who has two superseded secrets; the id is in its place."""
    types_of = [row[1].split(", ") for row in table("The record", 1)]
    rows = [{TYPES[name] for name in names if name != "missing"} for names in types_of]
    missing = [position for position, names in enumerate(types_of) if "missing" in names]
    jar = await member(a)
    await a.http(jar).post("/login", {"user": "ann"})
    for one, length in ((await a.visitor(), min(missing)), (jar, len(rows))):
        id = session_id(one)
        async with raw_redis(redis_url) as redis:
            meta = msgpack.unpackb(await redis.hget(f"{prefix}s:{id}", b"\xffm"))
        assert len(meta) == length
        assert all(type(part) in types for part, types in zip(meta, rows, strict=False))
        assert meta[0] == FORMAT
        assert meta[1] == id
        assert len(meta[2]) == 32
        assert abs(meta[3] - time.time()) < 60
    assert [(len(old), abs(at - time.time()) < 60) for old, at in meta[5]] == [(32, True)] * 2


async def test_the_index_of_a_user_is_as_the_page_says(
    a: Site, redis_url: str, prefix: str
) -> None:
    """The members are ids, the score is the latest of three times (S20)."""
    first, second, long = [await a.visitor() for _ in range(3)]
    async with raw_redis(redis_url) as redis:
        latest = await redis.hincrby(f"{prefix}s:{session_id(long)}", b"\xffa", 10**9)
        for jar in (first, long, second):
            await a.http(jar).post("/login", {"user": "ünal"})
        entries: list[Any] = await redis.zrange(f"{prefix}u:ünal", 0, -1, withscores=True)
    assert [id.decode() for id, _ in entries] == [session_id(jar) for jar in (first, long, second)]
    scores = [score for _, score in entries]
    assert abs(scores[0] / 1000 - time.time() - a.manager.policy.absolute_timeout - 60) < 60
    assert scores[1:] == [latest, latest + 1]


async def test_messages_on_the_channel_have_the_parts_of_the_table(
    a: Site, redis_url: str, prefix: str
) -> None:
    """A notice, a question and its answer, as somebody hears them who only listens."""
    heads = [[row[1], row[2]] for row in table("Notices")]
    async with raw_redis(redis_url) as redis, redis.pubsub() as ear:
        await ear.subscribe(f"{prefix}notices:0")
        jar = await member(a)
        async with a.client("websocket", jar) as client:
            await client.open()
            async with SessionManager(RedisStore(redis_url, prefix=prefix), secret="x") as asking:
                await asking.destroy_user("ann")
        heard: list[Any] = []
        async with asyncio.timeout(5):
            while len(heard) < 3:
                message = await ear.get_message(ignore_subscribe_messages=True, timeout=5)
                if message is not None:
                    heard.append(msgpack.unpackb(message["data"]))
    rotated, question, answer = heard
    assert [len(part) for part in heard] == [4, 4, 5]
    assert rotated == [1, "rotated", [session_id(jar)], ""]
    assert question[:3] == [1, "revoked", [session_id(jar)]]
    assert question[3]
    assert answer[:4] == [1, "answer", [1], question[3]]
    assert answer[4]
    assert [cells[0] != "" for cells in heads] == [True] * 4 + [False]
    assert words(heads[1][1]) == [answer[1]]


# -- its program stands alone -------------------------------------------------------------


def test_the_program_imports_nothing_of_ours() -> None:
    """Only Python, msgpack and a client for Redis."""
    tree = ast.parse(PROGRAM)
    found = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }
    assert found - {""} == {
        *("base64", "datetime", "decimal", "hashlib", "hmac", "re", "sys", "time", "uuid"),
        *("msgpack", "redis"),
    }
    assert "tornado" not in PROGRAM


async def test_a_value_that_the_program_writes_is_the_same_bytes(a: Site) -> None:
    """Nothing of a session changes when it is read, whoever wrote it."""
    session = await session_of(a, session_id(await a.visitor(note={"a": [1, None, True, 2.5]})))
    assert session["note"] == {"a": [1, None, True, 2.5]}
    assert not session.modified
    assert msgpack.packb(session["note"]) == MsgpackSerializer().encode(session["note"])

"""The program of `docs/protocol.md` reads and writes what the library reads and writes.

It is put together from the page as it stands. What the page says of it
is compared with the code in `test_protocol_page.py`.
"""

from __future__ import annotations

import asyncio
import datetime
import decimal
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tornado.web import create_signed_value

from tests.apps.shared import SECRET
from tests.support.protocol import KEYS, PROGRAM, member, other, raw, read, session_of
from tests.support.sites import Site, session_id, site
from tests.support.tokens import logged_in as token_of_user
from tornado_shared_session import SessionManager, SignedCookie
from tornado_shared_session.record import Credential, Meta, Record
from tornado_shared_session.stores.sql import SQLStore
from tornado_shared_session.testing import CookieJar

NESTED: dict[str, Any] = {
    "cart": [{"id": 7, "tags": {"a", "b"}, "price": decimal.Decimal("9.90")}, None, True, -1.5],
    "seen": datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC),
    "twice": datetime.datetime(2026, 11, 1, 1, 30, fold=1),
    "born": datetime.date(1999, 12, 31),
    "ref": uuid.UUID(int=2**127 + 1),
    "pair": (1, ("b", frozenset({1, 2}))),
    "raw": b"\x00\xff",
    "ключ": "значение",
    "big": 2**63,
    "\u0000 any": "",
}


async def test_the_program_as_printed_reads_a_session(redis_url: str, tmp_path: Path) -> None:
    """By a Python that cannot import the library, from a cookie, with the default prefix."""
    path = tmp_path / "other.py"
    blocked = "import sys\nsys.modules['tornado_shared_session'] = sys.modules['tornado'] = None\n"
    path.write_text(blocked + PROGRAM)
    async with site(redis=redis_url, prefix="tss:") as a:
        jar = await member(a, note=["deep", {"er": 1}])
        command = [sys.executable, "-I", str(path), redis_url, SECRET]
        for cookie, said in (
            (jar["session"], "live ann {'note': ['deep', {'er': 1}]}\n"),
            (jar["session"][:-1] + "x", "unknown\n"),
        ):
            done = await asyncio.to_thread(
                subprocess.run, [*command, cookie], capture_output=True, text=True, check=False
            )
            assert (done.stdout, done.stderr) == (said, "")
        await a.manager.destroy(session_id(jar))  # other tests may use this prefix too


async def test_every_kind_of_value_is_read(a: Site, redis_url: str, prefix: str) -> None:
    """Nested ones, sets, dates, numbers, with their types; one of an unknown type is absent."""
    jar = await member(a)
    session = await session_of(a, session_id(jar))
    session.update(NESTED)
    await session.save()
    with raw(redis_url) as server:
        unknown = msgpack.packb(msgpack.ExtType(99, b"x"))
        server.hset(f"{prefix}s:{session.id}", mapping={"odd": unknown, "cut": b"\xda"})
        verdict, record = read(server, prefix, jar["session"])
    assert verdict == "live"
    assert record["user_id"] == "ann"
    values = other().values_of(record)
    assert values == {"note": "", **NESTED}
    assert type(values["cart"][0]["tags"]) is set
    assert type(values["pair"][1][1]) is frozenset
    assert values["twice"].fold == 1
    assert values["seen"].tzinfo is not None
    assert record["left"] == pytest.approx(a.manager.policy.idle_timeout, abs=30)
    assert not record["provisional"]
    assert record["generation"] == 2


async def test_a_token_is_read(redis_url: str, prefix: str) -> None:
    """Base64url around another purpose, so neither counts as the other (S30)."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as a:
        token = await token_of_user(a)
    page = other()
    with raw(redis_url) as server:
        id, digest = page.from_token(token, KEYS)
        record = page.load(server, id, prefix)
    assert page.check(record, digest) == "live"
    assert record["user_id"] == "ann"
    assert page.from_cookie(token, KEYS) is None
    signed = SignedCookie()
    signed.bind(SECRET, None)
    assert page.from_token(signed._signer.sign(Credential.generate()), KEYS) is None


async def test_a_provisional_record_is_told_apart(a: Site, redis_url: str, prefix: str) -> None:
    """One that a handshake has made, before its cookie came back."""
    jar = CookieJar()
    async with a.client("polling", jar) as client:
        await client.open()
        with raw(redis_url) as server:
            verdict, record = read(server, prefix, jar["session"])
    assert verdict == "live"
    assert record["provisional"]
    assert record["left"] <= 60


async def test_a_superseded_secret_is_told_apart_within_its_grace(
    a: Site, redis_url: str, prefix: str
) -> None:
    """Then it is unknown; the new one is live, and the library says the same of each (S5)."""
    jar = await member(a)
    before = jar["session"]
    await a.http(jar).post("/login", {"user": "ann"})
    page = other()
    with raw(redis_url) as server:
        verdict, record = read(server, prefix, before)
        assert verdict == "superseded"
        assert read(server, prefix, jar["session"])[0] == "live"
    digest = page.from_cookie(before, KEYS)[1]
    age = min(page.time.time() - at for old, at in record["superseded"] if old == digest)
    assert page.check(record, digest, grace=age + 30) == "superseded"
    assert page.check(record, digest, grace=age) == "unknown"
    assert page.check(record, record["digest"].hex().encode()) == "unknown"  # S4


async def test_an_ended_session_is_none(a: Site, redis_url: str, prefix: str) -> None:
    """A logout, and an id that never was (S3)."""
    jar = await member(a)
    cookie = jar["session"]
    await a.http(jar).post("/logout", {})
    with raw(redis_url) as server:
        assert read(server, prefix, cookie) == ("unknown", None)
        assert other().load(server, "A" * 22, prefix) is None


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        pytest.param(lambda meta: [2, *meta[1:]], True, id="newer"),
        pytest.param(lambda meta: [2, "of another shape"], True, id="newer-shape"),
        pytest.param(lambda meta: [1, "B" * 22, *meta[2:]], True, id="foreign"),
        pytest.param(lambda meta: [0, *meta[1:]], False, id="older"),
        pytest.param(lambda meta: meta[:4], False, id="short"),
        pytest.param(lambda meta: [*meta[:2], "text", *meta[3:]], False, id="digest"),
        pytest.param(lambda meta: [*meta[:5], [1]], False, id="superseded"),
        pytest.param(lambda meta: [*meta[:5], [["x", 1]]], False, id="superseded-digest"),
        pytest.param(lambda meta: "text", False, id="text"),
    ],
)
@pytest.mark.expects_log("newer_format|foreign_record|503 GET", required=False)
async def test_what_the_library_refuses_the_program_refuses(
    a: Site, redis_url: str, prefix: str, change: Any, refused: bool
) -> None:
    """A newer format and a foreign record are no answer; what is unreadable is no session (C2)."""
    jar = await a.visitor()
    key, page = f"{prefix}s:{session_id(jar)}", other()
    with raw(redis_url) as server:
        meta: Any = server.hget(key, b"\xffm")
        server.hset(key, b"\xffm", msgpack.packb(change(msgpack.unpackb(meta))))
        if refused:
            with pytest.raises(page.Unknown):
                read(server, prefix, jar["session"])
        else:
            assert read(server, prefix, jar["session"]) == ("unknown", None)
    answer = await a.http(jar).get("/note")
    assert answer.code == (503 if refused else 200)


def test_more_at_the_end_of_the_bookkeeping_is_for_others() -> None:
    """It is read all the same, as the library does."""
    meta = Meta("A" * 22, b"d" * 32, 1.0, "ann", (), "127.0.0.1", "agent").encode()
    more = msgpack.packb([*msgpack.unpackb(meta), "of a later release"])
    fields = {b"\xffm": more, b"\xffg": b"1", b"\xffv": b"1"}
    assert other().record_of("A" * 22, fields, 1000)["user_id"] == "ann"
    assert Meta.decode(more).user_id == "ann"


# -- signatures ------------------------------------------------------------------------


def test_the_program_and_the_library_accept_the_same_signatures() -> None:
    """Keys in rotation, purposes, version 1, anything broken at any place (S37, F12)."""
    page, cookie, text = other(), SignedCookie(), str(Credential.generate())
    keys = {1: "the old secret", 2: "the new secret"}
    cookie.bind(keys, 2)

    def signed(value: str = text, version: int = 2, name: str = "session", form: int = 2) -> str:
        key: Any = keys[version] if form == 1 else dict(keys)
        of = None if form == 1 else version
        return create_signed_value(key, name, value, version=form, key_version=of).decode()

    good = [signed(), signed(version=1)]
    bad = [
        *(signed(value) for value in ("", "x", text[:-1], text + "x", text.replace(".", ","))),
        *(signed(name="token"), signed(form=1), "", "2|", "2|1:0|", "2|9:1|1:1|", good[0][2:]),
        *(good[0].replace("2|1:2", "2|1:3"), good[0].replace("2|1:2", "2|1:1"), good[0] + "0"),
        *("2|x:1|", "2|-1:1|", "2|" + "9" * 600, "2|1:2|10:1|\u00e9"),
        *(good[0][:at] + "~" + good[0][at + 1 :] for at in range(len(good[0]))),
        *(good[0][:at] for at in range(0, len(good[0]), 7)),
    ]
    for value in good + bad:
        ours = cookie._signer.verify(value)
        theirs = page.from_cookie(value, keys)
        assert theirs == (None if ours is None else (ours.id, ours.digest)), value
        assert (ours is not None) == (value in good), value


# -- SQL ----------------------------------------------------------------------------------


async def test_the_program_reads_the_table(tmp_path: Path) -> None:
    """A row of SQLite, with Python's own sqlite3; one whose deadline has come is none."""
    path, credential, page = tmp_path / "s.db", Credential.generate(), other()
    store = SQLStore(f"sqlite+aiosqlite:///{path}")
    await store.create_tables()
    async with SessionManager(store, secret=SECRET) as manager:
        meta = Meta(credential.id, credential.digest, 1.0, "ann")
        values = {k.encode(): manager.serializer.encode(v) for k, v in NESTED.items()}
        assert await store.create(Record(meta, 1, 1, 1800.0, values), 43200.0)
    database = sqlite3.connect(path)
    try:
        now = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
        record = page.load_sql(database.cursor(), credential.id, now)
        assert page.check(record, credential.digest) == "live"
        assert record["user_id"] == "ann"
        assert page.values_of(record) == NESTED
        assert record["left"] == pytest.approx(1800, abs=30)
        later = f"({now} + 1800000)"
        assert page.load_sql(database.cursor(), credential.id, later) is None
    finally:
        database.close()

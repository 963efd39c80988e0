"""What is stored: credentials, bookkeeping and verdicts."""

from __future__ import annotations

import hashlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_shared_session.record import (
    FORMAT,
    CorruptRecord,
    Credential,
    Meta,
    NewerFormat,
    Record,
    Verdict,
    is_id,
)


def record_of(meta: Meta) -> Record:
    """Return a record around bookkeeping."""
    return Record(meta, 1, 1, 60.0, {})


def test_a_credential_has_128_and_256_random_bits() -> None:
    """No two are alike, and the id is all that is shown (S1, V7.2.2, V7.2.3)."""
    some = [Credential.generate() for _ in range(100)]
    assert len({c.id for c in some}) == len({c.secret for c in some}) == 100
    assert {(len(c.id), len(c.secret)) for c in some} == {(22, 43)}
    assert some[0].secret not in repr(some[0])


def test_a_new_secret_can_be_made_for_an_id() -> None:
    """The id stays."""
    first = Credential.generate()
    second = Credential.generate(first.id)
    assert first.id == second.id
    assert first.secret != second.secret


def test_a_credential_is_read_from_its_text() -> None:
    """Text and back, whether or not it is to be renewed."""
    credential = Credential.generate()
    assert Credential.parse(str(credential)) == credential
    renewed = Credential.parse(str(credential), renew=True)
    assert renewed == credential
    assert renewed is not None
    assert renewed.renew


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.b",
        "A" * 22,
        "A" * 22 + "." + "B" * 42,
        "A" * 21 + "." + "B" * 43,
        "A" * 22 + ".B." + "B" * 41,
        "A" * 22 + "." + "B" * 42 + "é",
        "A" * 22 + "\n." + "B" * 43,
        "A" * 22 + "." + "B" * 43 + "\n",
    ],
)
def test_what_cannot_be_a_credential_is_none(text: str) -> None:
    """Decided by its form, before any store is asked."""
    assert Credential.parse(text) is None


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Reading never raises, and what is read has the right form."""
    credential = Credential.parse(text)
    assert credential is None or (is_id(credential.id) and str(credential) == text)


def test_the_digest_is_sha_256_of_the_secret() -> None:
    """What the store keeps does not log anybody in (S4)."""
    credential = Credential.generate()
    assert credential.digest == hashlib.sha256(credential.secret.encode()).digest()
    as_secret = Credential(credential.id, credential.digest.hex()[:43])
    meta = Meta(credential.id, credential.digest, 0.0)
    assert record_of(meta).judge(as_secret, 0, 60) is Verdict.UNKNOWN


def test_bookkeeping_comes_back() -> None:
    """With user and superseded digests."""
    meta = Meta("I" * 22, b"d" * 32, 12.5, "ann", ((b"o" * 32, 3.0),))
    assert Meta.decode(meta.encode()) == meta


def test_bookkeeping_tells_where_a_login_came_from() -> None:
    """As far as it is kept: printable, and no more than is of use."""
    meta = Meta("I" * 22, b"d" * 32, 12.5, "ann").seen_from("::1", "Mozilla/5.0 (ü) \x1b[2J\u202e")
    assert Meta.decode(meta.encode()) == meta
    assert (meta.address, meta.user_agent) == ("::1", "Mozilla/5.0 (ü)  [2J ")
    long = meta.seen_from("1" * 9000, "\ud800" * 9000)
    assert Meta.decode(long.encode()) == long
    assert len(long.encode()) < len(Meta("I" * 22, b"d" * 32, 12.5, "ann").encode()) + 240


def test_bookkeeping_without_it_is_as_it_was() -> None:
    """Byte for byte, and is read; the format number says so."""
    before = packed(1, "I" * 22, b"d" * 32, 12.5, None, ())
    meta = Meta.decode(before)
    assert (meta.address, meta.user_agent) == ("", "")
    assert meta.encode() == before
    assert FORMAT == 1


def test_what_a_later_release_adds_at_the_end_is_skipped() -> None:
    """So that adding to it need not log out whom an older process serves."""
    data = packed(1, "I" * 22, b"d" * 32, 12.5, "ann", (), ("::1", "curl"), {"later": 1})
    assert Meta.decode(data).user_agent == "curl"


def packed(*fields: object) -> bytes:
    """Pack bookkeeping of any shape."""
    data: bytes = msgpack.packb(fields)
    return data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"not msgpack",
        msgpack.packb(7),
        packed(FORMAT),
        packed(0, "id", b"d", 1.0, None, ()),
        packed("1", "id", b"d", 1.0, None, ()),
        packed(FORMAT, b"id", b"d", 1.0, None, ()),
        packed(FORMAT, "id", "digest", 1.0, None, ()),
        packed(FORMAT, "id", b"d", "now", None, ()),
        packed(FORMAT, "id", b"d", float("nan"), None, ()),
        packed(FORMAT, "id", b"d", float("inf"), None, ()),
        packed(FORMAT, "id", b"d", -1.0, None, ()),
        packed(FORMAT, "id", b"d", 1e12, None, ()),
        packed(FORMAT, "id", b"d", True, None, ()),
        packed(FORMAT, "id", b"d", 1.0, 5, ()),
        packed(FORMAT, "id", b"d", 1.0, None, 5),
        packed(FORMAT, "id", b"d", 1.0, None, (("text", 1.0),)),
        packed(FORMAT, "id", b"d", 1.0, None, ((b"d", "x"),)),
        packed(FORMAT, "id", b"d", 1.0, None, ((b"d",),)),
        packed(FORMAT, "id", b"d", 1.0, None, (), "more"),
        packed(FORMAT, "id", b"d", 1.0, None, (), ("::1",)),
        packed(FORMAT, "id", b"d", 1.0, None, (), ("::1", b"curl")),
        packed(FORMAT, "id", b"d", 1.0, None, (), (5, "curl")),
    ],
)
def test_unreadable_bookkeeping_is_one_kind_of_error(data: bytes) -> None:
    """Also where only a later use of the field would have failed."""
    with pytest.raises(CorruptRecord):
        Meta.decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_corrupt(data: bytes) -> None:
    """Nothing else comes out, whatever stands in the store."""
    try:
        Meta.decode(data)
    except (CorruptRecord, NewerFormat):
        pass


def test_a_newer_format_is_told_apart() -> None:
    """Whatever else it contains: a rolling deploy logs nobody out."""
    with pytest.raises(NewerFormat):
        Meta.decode(packed(FORMAT + 1, {"anything": "else"}))


def test_the_current_secret_is_live_and_others_unknown() -> None:
    """Whatever the time says."""
    credential = Credential.generate()
    record = record_of(Meta(credential.id, credential.digest, 0.0))
    assert record.judge(credential, 1e9, 60) is Verdict.LIVE
    assert record.judge(Credential.generate(credential.id), 0, 60) is Verdict.UNKNOWN


def test_a_replaced_secret_is_superseded_within_the_grace_then_unknown() -> None:
    """Counted from the moment it was replaced."""
    old, new = Credential.generate(), Credential.generate()
    meta = Meta(old.id, old.digest, 0.0).rotated(new.digest, 100.0, 60)
    record = record_of(meta)
    assert record.judge(new, 100, 60) is Verdict.LIVE
    assert record.judge(old, 100, 60) is Verdict.SUPERSEDED
    assert record.judge(old, 159.9, 60) is Verdict.SUPERSEDED
    assert record.judge(old, 160, 60) is Verdict.UNKNOWN
    assert record.judge(old, 100, 0) is Verdict.UNKNOWN


def test_a_clock_set_back_never_makes_a_replaced_secret_live() -> None:
    """At worst it is known as superseded for longer."""
    old, new = Credential.generate(), Credential.generate()
    record = record_of(Meta(old.id, old.digest, 0.0).rotated(new.digest, 5000.0, 60))
    assert record.judge(old, 1400.0, 60) is Verdict.SUPERSEDED


def test_only_the_latest_replaced_secrets_are_remembered() -> None:
    """Those within the grace, and eight at most, so that the record stays small."""
    credentials = [Credential.generate() for _ in range(12)]
    meta = Meta("I" * 22, credentials[0].digest, 0.0)
    for number, credential in enumerate(credentials[1:]):
        meta = meta.rotated(credential.digest, 100.0 + number, 60)
    assert [digest for digest, _ in meta.superseded] == [c.digest for c in credentials[3:11]]
    meta = meta.rotated(b"n" * 32, 1000.0, 60)
    assert [digest for digest, _ in meta.superseded] == [credentials[11].digest]


def test_a_copy_of_a_record_has_values_of_its_own() -> None:
    """The rest cannot be changed or is a number."""
    record = Record(Meta("I" * 22, b"d", 0.0), 1, 1, 60.0, {b"a": b"1"})
    copy = record.copy()
    copy.values[b"a"] = b"2"
    assert record.values == {b"a": b"1"}

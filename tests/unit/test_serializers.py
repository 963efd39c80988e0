"""What is stored of a value: what saves must load, with its type."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import pickle
import subprocess
import sys
import time
import uuid
from collections import OrderedDict
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_shared_session import MsgpackSerializer, SerializationError
from tornado_shared_session.serializers import same

SERIALIZER = MsgpackSerializer()

offsets = st.timedeltas(
    min_value=datetime.timedelta(hours=-23), max_value=datetime.timedelta(hours=23)
)
hashable: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.builds(datetime.timezone, offsets))
    | st.decimals(allow_nan=False)
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values: st.SearchStrategy[Any] = st.recursive(
    hashable | st.sets(hashable, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(st.characters(codec="utf-8")) | st.binary(), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(values)
def test_what_saves_loads(value: Any) -> None:
    """Equal, of the same type throughout, and the same bytes again (S43)."""
    data = SERIALIZER.encode(value)
    loaded = SERIALIZER.decode(data)
    assert same(loaded, value)
    assert SERIALIZER.encode(loaded) == data


@given(st.sets(hashable, max_size=6))
def test_equal_sets_give_equal_bytes(items: set[Any]) -> None:
    """In whatever order they were filled."""
    other: set[Any] = set()
    for item in reversed(list(items)):
        other.add(item)
    assert SERIALIZER.encode(items) == SERIALIZER.encode(other)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """With one type of error, whatever stands in the store (S42)."""
    try:
        SERIALIZER.decode(data)
    except SerializationError:
        pass


@pytest.mark.parametrize("microseconds", [1, -1, 999_999, -999_999, 1_000_000, -60_000_001])
@pytest.mark.parametrize("fold", [0, 1])
def test_the_smallest_offsets_come_back(microseconds: int, fold: int) -> None:
    """Python's fromisoformat() takes those of less than a second for UTC."""
    zone = datetime.timezone(datetime.timedelta(microseconds=microseconds))
    value = datetime.datetime(2000, 1, 1, tzinfo=zone, fold=fold)
    assert same(SERIALIZER.decode(SERIALIZER.encode(value)), value)


class Colour(enum.IntEnum):
    """An int that would come back as a plain one."""

    RED = 1


class Name(str):
    """A str that would come back as a plain one."""

    __slots__ = ()


def nested(depth: int, kind: type = list) -> Any:
    """Return containers in containers."""
    value: Any = kind()
    for _ in range(depth):
        value = kind([value])
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Colour.RED,
        Name("x"),
        OrderedDict(a=1),
        datetime.time(12),
        datetime.timedelta(1),
        1j,
        {1: 2},
        {None: 2},
        {("a",): 2},
        {"a": {1: 2}},
        [object()],
        2**64,
        -(2**63) - 1,
        "\ud800",
        nested(5000),
        nested(5000, tuple),
        msgpack.ExtType(99, b""),
        lambda: None,
        [memoryview(b"abcd")[::2]],
        datetime.datetime(2026, 1, 1, tzinfo=type("Zone", (datetime.tzinfo,), {})()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_is_refused(value: Any) -> None:
    """At save, with an error of ours, so that nothing unreadable is stored (S43)."""
    with pytest.raises(SerializationError) as refused:
        SERIALIZER.encode(value)
    assert "stored bytes" not in str(refused.value)  # nothing is stored yet


def test_a_value_that_contains_itself_is_refused() -> None:
    """It is nested too deeply, like any other."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(SerializationError):
        SERIALIZER.encode(value)


@pytest.mark.parametrize(
    ("kind", "limit"), [(list, 100), (tuple, 32), (frozenset, 32), ("mixed", 100)]
)
def test_nesting_has_a_limit_within_which_everything_works(kind: Any, limit: int) -> None:
    """What is accepted loads and compares; one level more is refused, both ways (S41)."""

    def value(levels: int) -> Any:
        if kind != "mixed":
            return nested(levels - 1, kind)
        mixed: Any = 1
        for level in range(levels):
            mixed = (mixed,) if level % 4 == 0 else {"a": mixed} if level % 2 else [mixed]
        return mixed

    data = SERIALIZER.encode(value(limit))
    assert same(SERIALIZER.decode(data), value(limit))
    assert SERIALIZER.decode(data) == value(limit)
    for levels in (limit + 1, limit + 2, 130, 300, 511, 512, 1000, 1025):
        with pytest.raises(SerializationError):
            SERIALIZER.encode(value(levels))


@pytest.mark.parametrize("levels", [101, 500, 1000])
@pytest.mark.parametrize("head", [b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01", b"\x81\xa0"])
def test_stored_bytes_nested_too_deeply_are_refused(head: bytes, levels: int) -> None:
    """What could not be saved again, if it was changed, does not load (S41)."""
    SERIALIZER.decode(head * 100 + b"\xc0")
    with pytest.raises(SerializationError):
        SERIALIZER.decode(head * levels + b"\xc0")


def test_many_containers_side_by_side_are_not_nested() -> None:
    """The limit is one of depth, not of size."""
    value = [{"a": [i], "b": (i, {i})} for i in range(500)]
    assert SERIALIZER.decode(SERIALIZER.encode(value)) == value


HOSTILE = """
import msgpack
from tornado_shared_session import MsgpackSerializer, SerializationError

def refused(function, value):
    try:
        function(value)
    except SerializationError:
        return True

serializer = MsgpackSerializer()
for code in (5, 6, 7):
    data = b"\\x01"
    for level in range(1, 1001):
        data = msgpack.packb(msgpack.ExtType(code, b"\\x91" + data))
        if level == 33 or level % 100 == 0:
            assert refused(serializer.decode, data), (code, level)
for levels in (33, 300, 1000, 20000):
    for kind in (tuple, frozenset):
        value = ()
        for _ in range(levels):
            value = kind([value])
        assert refused(serializer.encode, value), (kind, levels)
value = 1
for _ in range(32):
    for _ in range(400):
        value = [value]
    value = (value,)
assert refused(serializer.encode, value)
"""


def test_deep_nesting_does_not_crash_the_process() -> None:
    """In a process of its own: it is the C stack that would overflow (S41)."""
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        b"\x01\x01",
        b"\x81\x01\x02",
        b"\xa2\xff\xff",
        pickle.dumps({"a": 1}),
        msgpack.packb(msgpack.ExtType(42, b"x")),
        msgpack.packb(msgpack.ExtType(1, b"no date")),
        msgpack.packb(msgpack.ExtType(3, b"no number")),
        msgpack.packb(msgpack.ExtType(4, b"short")),
        msgpack.packb(msgpack.ExtType(5, b"\x91\x80")),
        msgpack.packb(msgpack.ExtType(6, b"\xc1")),
        b"\x91" * 2000 + b"\xc0",
    ],
)
def test_bytes_that_are_no_value_are_refused(data: bytes) -> None:
    """One type of error, and nothing is executed (S42, S44, W16)."""
    with pytest.raises(SerializationError):
        SERIALIZER.decode(data)


def test_bytes_like_values_come_back_as_bytes() -> None:
    """The one exception to "with its type", as documented."""
    for value in (bytearray(b"x"), memoryview(b"x")):
        assert type(SERIALIZER.decode(SERIALIZER.encode(value))) is bytes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        (0.0, -0.0),
        ({"a": 1}, {"a": True}),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ({1}, {True}),
        ([decimal.Decimal("1.0")], [decimal.Decimal("1.00")]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({(1,)}, {(True,)}),
        ({frozenset({1})}, {frozenset({True})}),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 1, "b": 1}),
    ],
)
def test_alike_is_stricter_than_equal(one: Any, other: Any) -> None:
    """A change from one to the other would otherwise be lost."""
    assert not same(one, other)


def test_what_is_alike_is_found_alike() -> None:
    """Also where == says otherwise, or raises."""
    signalling = decimal.Decimal("sNaN")
    for value in (math.nan, [math.nan], [signalling], {"a": {1, 2, 3}}, uuid.UUID(int=1), (None,)):
        assert same(value, SERIALIZER.decode(SERIALIZER.encode(value)))


def test_nested_sets_are_compared_in_a_moment() -> None:
    """Not in a time that doubles with each level."""
    one, other = nested(30, frozenset), nested(30, frozenset)
    started = time.process_time()
    assert same({one}, {other})
    assert time.process_time() - started < 2  # it took minutes

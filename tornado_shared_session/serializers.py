"""Values to bytes and back, one session key at a time.

This file knows msgpack and Python types; it knows nothing of sessions
or stores. What `encode` accepts, `decode` gives back equal, with its
type (but bytearray and memoryview as bytes, a time zone as its offset,
and msgpack's own ExtType as what its number stands for below); anything
else is refused at `encode`, so that nothing is stored that cannot be
read again.
"""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from collections import Counter
from functools import partial
from typing import Any, Protocol

import msgpack

from .errors import SerializationError

#: Types whose instances cannot change behind our back, so that a value
#: that was handed out need not be encoded again at save.
IMMUTABLE = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        str,
        bytes,
        datetime.datetime,
        datetime.date,
        decimal.Decimal,
        uuid.UUID,
    }
)


class Serializer(Protocol):
    """Turns one value into bytes and back.

    Both methods raise `SerializationError` and nothing else. Bytes come
    from the store and may be anything: `decode` must not execute them.
    """

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value."""

    def decode(self, data: bytes) -> Any:
        """Return the value of bytes that `encode` made."""


#: How deeply containers may be nested, all of them and tuples and sets.
#: The latter are msgpack extensions, each unpacked by an unpacker of its
#: own: some 40 kB of the C stack, which nothing but a count protects.
MAX_DEPTH = 100
MAX_EXTENSIONS = 32

_DATETIME, _DATE, _DECIMAL, _UUID, _SET, _TUPLE, _FROZENSET = range(1, 8)


class MsgpackSerializer:
    """msgpack, plus the Python types that people put into sessions.

    Beyond msgpack's own types: datetime, date, Decimal, UUID, set,
    frozenset and tuple, which come back as they were. Dictionary keys
    are strings or bytes, as msgpack's unpacker insists
    (``strict_map_key``), and this is checked when packing. Containers
    nest to `MAX_DEPTH` levels, `MAX_EXTENSIONS` of them tuples and sets.
    """

    def encode(self, value: Any) -> bytes:
        """Pack a value.

        Raises:
            SerializationError: the value, or one inside it, is of a type
                that would not come back, or is nested too deeply.
        """
        try:
            if type(value) in _PLAIN:
                plain: bytes = _PACKER.pack(value)
                return plain
            data: bytes = msgpack.packb(value, default=_PACK[0], strict_types=True)
            if not _is_scalar(data[0]):
                # Packing accepts more than unpacking does: {1: 2} or
                # 500 levels. What saves must load, so try it.
                self._check(data)
        except SerializationError:
            raise
        except Exception as error:  # of whatever a value's own methods raise, too
            raise SerializationError(f"a value cannot be stored: {error}") from error
        return data

    def decode(self, data: bytes) -> Any:
        """Unpack what `encode` made.

        Raises:
            SerializationError: the bytes are not such a value.
        """
        try:
            return self._check(data)
        except Exception as error:  # any bytes may stand in the store
            raise SerializationError("stored bytes cannot be read") from error

    def _check(self, data: bytes) -> Any:
        """Unpack; the caller says what it means if that cannot be done."""
        value = msgpack.unpackb(data, ext_hook=_UNPACK[0], strict_map_key=True)
        # Every level has a byte that begins it: where these are few, so are the levels.
        if (
            len(data) > MAX_DEPTH
            and len(data.translate(None, _NO_CONTAINER)) > MAX_DEPTH
            and _is_too_deep(value)
        ):
            raise SerializationError("a value is nested too deeply")
        return value


def _pack_other(level: int, value: Any) -> Any:
    """Pack what msgpack has no type for, inside so many tuples and sets."""
    kind = type(value)
    if kind is datetime.datetime:
        fold = "f" if value.fold else ""  # isoformat() has no word for it
        return msgpack.ExtType(_DATETIME, (value.isoformat() + fold).encode())
    if kind is datetime.date:
        return msgpack.ExtType(_DATE, value.isoformat().encode())
    if kind is decimal.Decimal:
        return msgpack.ExtType(_DECIMAL, str(value).encode())
    if kind is uuid.UUID:
        return msgpack.ExtType(_UUID, value.bytes)
    if kind is tuple or kind is set or kind is frozenset:
        # At the second one, so that flat ones cost nothing and deep ones are walked once:
        # the packers of all levels together must not exhaust the stack either.
        if level == MAX_EXTENSIONS or (level == 1 and _is_too_deep(value)):
            raise SerializationError("a value is nested too deeply")
        if kind is tuple:
            return msgpack.ExtType(_TUPLE, _pack_items(level, value))
        # Sorted, so that equal sets give equal bytes.
        items = sorted(_pack_items(level, [item])[1:] for item in value)
        head: bytes = msgpack.Packer().pack_array_header(len(items))
        code = _SET if kind is set else _FROZENSET
        return msgpack.ExtType(code, head + b"".join(items))
    raise SerializationError(f"a value of type {kind.__qualname__} cannot be stored")


def _pack_items(level: int, items: Any) -> bytes:
    data: bytes = msgpack.packb(list(items), default=_PACK[level + 1], strict_types=True)
    return data


def _unpack_other(level: int, code: int, data: bytes) -> Any:
    """Unpack an extension that is inside so many tuples and sets."""
    if code == _DATETIME:
        text = data.decode()
        value = datetime.datetime.fromisoformat(text.removesuffix("f"))
        tiny = _TINY_OFFSET.search(text)
        if tiny is not None:
            offset = datetime.timedelta(microseconds=int(tiny[1] + tiny[2]))
            value = value.replace(tzinfo=datetime.timezone(offset))
        return value.replace(fold=1) if text.endswith("f") else value
    if code == _DATE:
        return datetime.date.fromisoformat(data.decode())
    if code == _DECIMAL:
        return decimal.Decimal(data.decode())
    if code == _UUID:
        return uuid.UUID(bytes=data)
    if code in _COLLECTIONS and level < MAX_EXTENSIONS:
        items = msgpack.unpackb(data, ext_hook=_UNPACK[level + 1], strict_map_key=True)
        return _COLLECTIONS[code](items)
    raise SerializationError(f"unknown extension type {code}, or nested too deeply")


#: An offset of less than a second, which fromisoformat() takes for UTC.
_TINY_OFFSET = re.compile(r"([+-])00:00:00\.(\d{6})f?$")

_COLLECTIONS: dict[int, Any] = {_SET: set, _TUPLE: tuple, _FROZENSET: frozenset}

#: What has no parts, and needs no packer of its own; it is most of what is stored.
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_PACKER = msgpack.Packer(strict_types=True)

_CONTAINERS = frozenset({list, dict, set, tuple, frozenset})

# The hooks of each level, made once.
_PACK = [partial(_pack_other, level) for level in range(MAX_EXTENSIONS + 1)]
_UNPACK = [partial(_unpack_other, level) for level in range(MAX_EXTENSIONS + 1)]

#: The bytes with which no array, map or extension begins (msgpack's format table).
_NO_CONTAINER = bytes(
    {*range(256)} - {*range(0x80, 0xA0), *range(0xC7, 0xCA), *range(0xD4, 0xD9), *range(0xDC, 0xE0)}
)


def _is_too_deep(value: Any) -> bool:
    """Tell whether containers are nested in more than `MAX_DEPTH` levels.

    Depth first, so that a container that contains itself has an end.
    """
    path = [iter((value,))]
    while path:
        for item in path[-1]:
            kind = type(item)
            if kind in _CONTAINERS:
                if len(path) > MAX_DEPTH:
                    return True
                inner = item.values() if kind is dict else item
                if not _CONTAINERS.isdisjoint(map(type, inner)):
                    path.append(iter(inner))
                    break
        else:
            path.pop()
    return False


def _is_scalar(first: int) -> bool:
    """Tell from msgpack's first byte whether no container or extension follows."""
    if first <= 0x7F or first >= 0xE0 or 0xA0 <= first <= 0xBF:
        return True  # small integers, short strings
    return first in _SCALARS


#: nil, booleans, bin, floats, integers, long strings (msgpack's format table).
_SCALARS = frozenset([0xC0, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, *range(0xCA, 0xD4), 0xD9, 0xDA, 0xDB])


def same(one: Any, other: Any) -> bool:
    """Tell whether two decoded values are alike in every type and order.

    ``==`` is not enough: it finds True, 1 and 1.0 the same, or a set and
    a frozenset, and a change from one to the other would be lost.
    """
    pairs = [(one, other)]  # a list, not a recursion: values may be nested deeply
    while pairs:
        one, other = pairs.pop()
        kind = type(one)
        if kind is not type(other):
            return False
        if kind is list or kind is tuple or kind is dict:
            if len(one) != len(other) or (kind is dict and list(one) != list(other)):
                return False
            ours, theirs = (one.values(), other.values()) if kind is dict else (one, other)
            pairs.extend(zip(ours, theirs, strict=True))
        elif kind in _HASHABLE:
            if _key(one) != _key(other):
                return False
        elif one != other:
            return False
    return True


_HASHABLE = IMMUTABLE | {set, frozenset}


def _key(value: Any) -> Any:
    """Return what tells hashable values apart: NaN is NaN, and 1.0 is not 1."""
    kind = type(value)
    if kind is set or kind is frozenset:
        return kind, frozenset(Counter(map(_key, value)).items())
    if kind is tuple:
        return tuple(map(_key, value))
    return repr(value)

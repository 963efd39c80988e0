"""Values to bytes and back, one session key at a time.

This file knows msgpack and Python types; it knows nothing of sessions
or stores. What `encode` accepts, `decode` gives back equal, with its
type (but bytearray and memoryview as bytes); anything else is refused
at `encode`, so that nothing is stored that cannot be read again.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any, Protocol

import msgpack  # type: ignore[import-untyped]  # it ships no types

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
        """Return the bytes of a value, the same bytes for equal values."""

    def decode(self, data: bytes) -> Any:
        """Return the value of bytes that `encode` made."""


_DATETIME, _DATE, _DECIMAL, _UUID, _SET, _TUPLE, _FROZENSET = range(1, 8)


class MsgpackSerializer:
    """msgpack, plus the Python types that people put into sessions.

    Beyond msgpack's own types: datetime, date, Decimal, UUID, set,
    frozenset and tuple, which come back as they were. Dictionary keys
    are strings or bytes, as msgpack's unpacker insists
    (``strict_map_key``), and this is checked when packing.
    """

    def encode(self, value: Any) -> bytes:
        """Pack a value.

        Raises:
            SerializationError: the value, or one inside it, is of a type
                that would not come back, or is nested too deeply.
        """
        try:
            data: bytes = msgpack.packb(value, default=self._pack_other, strict_types=True)
            if not _is_scalar(data[0]):
                # Packing accepts more than unpacking does: {1: 2} or
                # 512 levels. What saves must load, so try it.
                self.decode(data)
        except SerializationError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SerializationError(f"a value cannot be stored: {error}") from error
        return data

    def decode(self, data: bytes) -> Any:
        """Unpack what `encode` made.

        Raises:
            SerializationError: the bytes are not such a value.
        """
        try:
            return msgpack.unpackb(data, ext_hook=self._unpack_other, strict_map_key=True)
        except Exception as error:  # any bytes may stand in the store
            raise SerializationError("stored bytes cannot be read") from error

    def _pack_other(self, value: Any) -> Any:
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
        if kind is tuple:
            return msgpack.ExtType(_TUPLE, self._pack_items(value))
        if kind is set or kind is frozenset:
            # Sorted, so that equal sets give equal bytes.
            items = sorted(self._pack_items([item])[1:] for item in value)
            head: bytes = msgpack.Packer().pack_array_header(len(items))
            code = _SET if kind is set else _FROZENSET
            return msgpack.ExtType(code, head + b"".join(items))
        raise SerializationError(f"a value of type {kind.__qualname__} cannot be stored")

    def _pack_items(self, items: Any) -> bytes:
        data: bytes = msgpack.packb(list(items), default=self._pack_other, strict_types=True)
        return data

    def _unpack_other(self, code: int, data: bytes) -> Any:
        if code == _DATETIME:
            text = data.decode()
            value = datetime.datetime.fromisoformat(text.removesuffix("f"))
            return value.replace(fold=1) if text.endswith("f") else value
        if code == _DATE:
            return datetime.date.fromisoformat(data.decode())
        if code == _DECIMAL:
            return decimal.Decimal(data.decode())
        if code == _UUID:
            return uuid.UUID(bytes=data)
        if code in (_SET, _TUPLE, _FROZENSET):
            items = self.decode(data)
            return {_SET: set, _TUPLE: tuple, _FROZENSET: frozenset}[code](items)
        raise SerializationError(f"unknown extension type {code}")


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
        return kind.__name__, sorted(map(repr, map(_key, value)))
    if kind is tuple:
        return [_key(item) for item in value]
    return repr(value)

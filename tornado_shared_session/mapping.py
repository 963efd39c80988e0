"""A dict over encoded values that knows what changed. No I/O.

Values decode when they are first read. Mutable ones that were handed
out are encoded again to see whether they changed in place, so that
``session["cart"].append(x)`` is noticed and a mere read is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Self

from .errors import SerializationError
from .limits import SizeLimits
from .serializers import IMMUTABLE, Serializer, same

_DEFAULT = SizeLimits()
#: In the place of a set that has nothing in it yet: most sessions are only read,
#: and four sets for each would be most of what they cost the garbage collector.
_NOTHING: Any = frozenset()


class TrackedMapping(MutableMapping[str, Any]):
    """The mapping part of a session.

    Keys are strings of 1 to 255 characters. `_stored` holds what the
    store is known to hold: UTF-8 key to encoded value.
    """

    __slots__ = (
        "_assigned",
        "_deleted",
        "_leaving",
        "_limits",
        "_serializer",
        "_stored",
        "_unclear",
        "_unreadable",
        "_values",
    )

    def __init__(self, serializer: Serializer, limits: SizeLimits = _DEFAULT) -> None:
        self._serializer, self._limits = serializer, limits
        self._show({})

    def _show(self, stored: dict[bytes, bytes]) -> None:
        """Show stored values; unsaved changes are dropped."""
        self._stored = stored
        self._values: dict[str, Any] = {}
        self._assigned: set[str] = _NOTHING
        self._deleted: set[str] = _NOTHING
        self._leaving: set[str] = _NOTHING  # deleted by the commit that is under way
        self._unclear: set[str] = _NOTHING  # set by one that failed, and perhaps stored
        self._unreadable: set[str] = _NOTHING

    # Two hooks for `Session`.

    def _check_writable(self) -> None:
        """Raise if the mapping must not be changed."""

    def _report_unreadable(self, key: str) -> None:
        """Tell that the bytes of a key could not be decoded; `key` may say why."""

    # The mapping.

    def __getitem__(self, key: str) -> Any:
        values = self._values
        if key in values:
            return values[key]
        if key in self._deleted or key in self._leaving or key in self._unreadable:
            raise KeyError(key)
        try:
            data = self._stored[key.encode()]
        except (KeyError, AttributeError, UnicodeEncodeError):
            raise KeyError(key) from None
        if len(data) > self._limits.value:
            self._unreadable = {*self._unreadable, key}
            self._report_unreadable(f"{key}: {len(data)} bytes")
            raise KeyError(key)
        try:
            value = values[key] = self._serializer.decode(data)
        except SerializationError:
            self._unreadable = {*self._unreadable, key}
            self._report_unreadable(key)
            raise KeyError(key) from None
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def __setitem__(self, key: str, value: Any) -> None:
        _check_key(key)
        self._check_writable()
        self._values[key] = value
        if self._assigned:
            self._assigned.add(key)
        else:
            self._assigned = {key}
        if self._deleted:
            self._deleted.discard(key)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._check_writable()
        del self._values[key]
        if self._assigned:
            self._assigned.discard(key)
        if self._deleted:
            self._deleted.add(key)
        else:
            self._deleted = {key}

    def clear(self) -> None:
        """Delete every key, also what cannot be read."""
        self._check_writable()
        self._deleted = {*self._deleted, *self._names(), *self._values}
        self._values = {}
        self._assigned = _NOTHING

    def _names(self) -> list[str]:
        """Return the stored keys; a name that is not UTF-8 is no key of ours."""
        names = []
        for name in self._stored:
            try:
                names.append(name.decode())
            except UnicodeDecodeError:
                pass
        return names

    def __iter__(self) -> Iterator[str]:
        # A value is decoded when its turn comes: if it cannot be, there is no such key.
        unsaved = [key for key in self._values if key.encode() not in self._stored]
        yield from (key for key in self._names() + unsaved if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)  # the first will do

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]  # a dict may be asked for any object
        except (KeyError, TypeError):
            return False
        return True

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self

    @property
    def modified(self) -> bool:
        """Whether a save would store or remove anything."""
        return self._is_modified()

    def _is_modified(self) -> bool:
        # Each request asks, twice: a property costs it more than a method.
        if self._assigned:
            return True
        if self._deleted and any(map(self._may_be_stored, self._deleted)):
            return True
        for key, value in self._values.items():
            if type(value) not in IMMUTABLE:
                try:
                    if self._changed_bytes(key) is not None:
                        return True
                except SerializationError:
                    return True  # the save will say which key
        return False

    # For the manager: take the changes, then tell how the commit went.

    def _take_changes(self) -> tuple[dict[bytes, bytes], set[str]]:
        """Return what to set and what to delete; later changes count anew.

        Raises:
            SerializationError: a value cannot be stored, or the session
                would be too large. Nothing was taken.
        """
        changes = {key.encode(): self._encode(key) for key in self._assigned}
        if len(self._values) > len(self._assigned):
            for key in self._values.keys() - self._assigned:
                data = self._changed_bytes(key)
                if data is not None:
                    changes[key.encode()] = data
        deleted = _NOTHING
        if self._deleted:
            deleted = set(filter(self._may_be_stored, self._deleted))
        if changes:
            self._limits.check(self._stored, changes, deleted)
        self._assigned = self._deleted = _NOTHING
        self._leaving = deleted
        return changes, deleted

    def _put_back(self, changes: Mapping[bytes, bytes], deleted: set[str]) -> None:
        """The commit failed: what was taken is unsaved again."""
        self._leaving = _NOTHING
        names = {name.decode() for name in changes}
        self._unclear = {*self._unclear, *names}
        self._assigned = {*self._assigned, *(key for key in names if key in self._values)}
        self._deleted = {*self._deleted, *(key for key in deleted if key not in self._values)}

    def _commit_changes(self, changes: Mapping[bytes, bytes], deleted: set[str]) -> None:
        """The commit succeeded: what was taken is what is stored."""
        self._leaving = _NOTHING
        self._stored.update(changes)
        if self._unclear:
            self._unclear = self._unclear - deleted - {name.decode() for name in changes}
        if self._unreadable:
            self._unreadable.difference_update(name.decode() for name in changes)
        for key in deleted:
            self._stored.pop(key.encode(), None)

    def _may_be_stored(self, key: str) -> bool:
        return key.encode() in self._stored or key in self._unclear

    def _changed_bytes(self, key: str) -> bytes | None:
        """Return the new bytes of a value that was changed in place, else None."""
        value = self._values[key]
        if type(value) in IMMUTABLE:
            return None
        new, old = self._encode(key), self._stored.get(key.encode())
        # Other bytes need not mean another value: another release may
        # have encoded it in another way, a serializer may encrypt.
        if old is not None and (new == old or same(self._serializer.decode(old), value)):
            return None
        return new

    def _encode(self, key: str) -> bytes:
        try:
            return self._serializer.encode(self._values[key])
        except SerializationError as error:
            raise SerializationError(f"session[{key!r}]: {error}", key=key) from error


def _check_key(key: Any) -> None:
    if type(key) is not str:
        raise TypeError(f"session keys are str, not {type(key).__qualname__}")
    if not key or len(key) > 255:
        raise ValueError("a session key has 1 to 255 characters")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise ValueError("a session key must be encodable as UTF-8") from None

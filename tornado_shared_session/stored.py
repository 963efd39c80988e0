"""The mapping and the record behind it: where it stands. No I/O.

What a load, a commit or an end does to a session object is here; when
they happen is the manager's business. Names begin with an underscore
because `Session`, which users hold, inherits them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import ClassVar

from .constants import Constant
from .errors import SessionEnded
from .limits import SizeLimits
from .mapping import TrackedMapping
from .record import Record, generate_id
from .serializers import Serializer


class State(Constant):
    """Where a session stands; it decides what save and read do."""

    NEW: ClassVar[State]  # nothing is stored
    LIVE: ClassVar[State]
    ENDED: ClassVar[State]  # destroyed, expired, or reached by a replaced credential


class StoredMapping(TrackedMapping):
    """A mapping that stands for one record, or for none yet.

    `_record` holds the bookkeeping; its values are in `_stored`.
    """

    __slots__ = ("_id", "_loaded_at", "_lock", "_reason", "_record", "_saving", "_state")

    def __init__(
        self, serializer: Serializer, limits: SizeLimits, record: Record | None, ended: str | None
    ) -> None:
        self._serializer, self._limits = serializer, limits
        self._reason = ended or ""
        self._lock: asyncio.Lock | None = None
        self._saving = False  # without the lock, which is for who waits
        if record is not None:
            self._adopt(record)
            return
        self._show({})
        self._id: str | None = None
        self._record: Record | None = None
        self._state = State.NEW if ended is None else State.ENDED
        self._loaded_at = 0.0

    def __repr__(self) -> str:
        state = self._reason if self._state is State.ENDED else self._state.name.lower()
        return f"<{type(self).__name__} {self._id or '-'} {state}>"

    def _get_id(self) -> str:
        if self._id is None:
            self._id = generate_id()
        return self._id

    def _adopt(self, record: Record) -> None:
        """Show what is stored; unsaved changes are dropped."""
        self._show(record.values)
        self._record = record
        self._id = record.meta.id
        self._state = State.LIVE
        self._loaded_at = time.time()

    def _become(self, record: Record) -> None:
        """The record was just made from this object, which keeps its values."""
        self._stored = record.values
        self._record = record
        self._state = State.LIVE
        self._loaded_at = time.time()

    def _advance(self, record: Record | None) -> None:
        """A transaction left this record, or still none; keep what was assigned meanwhile."""
        values, assigned, deleted = self._values, self._assigned, self._deleted
        if record is None:
            self._show({})
        else:
            self._adopt(record)
        self._values.update((key, values[key]) for key in assigned)
        self._assigned, self._deleted = assigned, deleted

    def _committed(self, version: int, ttl: float | None, *, changed: bool) -> None:
        """A commit left the record at this version, with this time to live."""
        record = self._record
        assert record is not None
        # Did others write since the load, this object does not show what
        # they wrote. Then its version stays behind, so that a transaction
        # begins with a load.
        if version == record.version + changed:
            record.version = version
        record.provisional = False
        if ttl is not None:
            record.ttl = ttl
            self._loaded_at = time.time()

    def _snapshot(self) -> Record:
        """Return a copy of what is stored, as far as this object knows."""
        assert self._record is not None
        return replace(self._record, values=dict(self._stored))

    def _alone(self) -> asyncio.Lock:
        """Let one task at a time save, rotate or end this object."""
        if self._lock is None:
            self._lock = asyncio.Lock()
            if self._saving:
                try:
                    self._lock.acquire().send(None)  # it is free, so there is nothing to wait for
                except StopIteration:
                    pass
        return self._lock

    def _is_busy(self) -> bool:
        return self._saving or (self._lock is not None and self._lock.locked())

    def _saved(self) -> None:
        """A save that began by setting `_saving` is through: the next may have its turn."""
        self._saving = False
        if self._lock is not None:
            self._lock.release()

    def _end(self, reason: str) -> None:
        """From here on it can be read, as last loaded, and not written."""
        self._state = State.ENDED
        self._reason = reason

    def _check_writable(self) -> None:
        if self._state is State.ENDED:
            raise SessionEnded(self._reason)

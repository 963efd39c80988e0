"""A record as this process knows it, between two loads. No I/O.

For `SessionServer(reload="interval")`, whose events do not ask the
store. What this process commits is entered here; what others commit is
noticed by the periodic reload, for versions differ then.
"""

from __future__ import annotations

import time

from .record import Delta, Peek, Record


class Known:
    """What is known of one session; kept as long as it has a connection here.

    It never shows less than this process has committed: a load that was
    asked for before a commit, and is answered after it, is not kept. One
    that was asked for later and has a lower version tells that the store
    went back to an older state, as after a restart.
    """

    __slots__ = ("_checked", "_deadline", "_heard", "_record", "_version")

    def __init__(self) -> None:
        self._record: Record | None = None
        self._version = 0  # the highest that this process has heard of
        self._heard = 0.0  # and when (monotonic seconds)
        self._deadline = 0.0
        self._checked = 0.0  # when the store was last asked (monotonic seconds)

    def take(self, generation: int, most: float) -> Record | None:
        """Return a copy of the record for the caller to keep, if it can be relied on.

        Args:
            generation: of the credential that the caller relies on.
            most: seconds since the store was last asked.
        """
        record = self._record
        if record is None or record.generation != generation:
            return None
        now = time.monotonic()
        left = self._deadline - now
        if left <= 0 or now - self._checked > most:
            return None
        values = dict(record.values)
        return Record(record.meta, generation, record.version, left, values, record.provisional)

    def loaded(self, record: Record | None, asked: float) -> None:
        """The store, asked at that time (monotonic seconds), answered with this record, or none."""
        if record is None:
            self.forget()
        elif record.version >= self._version or asked > self._heard:
            self._hear(record.version)
            self._record = record.copy()
            self._deadline = asked + record.ttl
            self._checked = asked

    def peeked(self, peek: Peek, asked: float) -> None:
        """The store, asked at that time (monotonic seconds), said how the record stands."""
        record = self._record
        if record is None:
            return
        if (peek.version, peek.generation) == (record.version, record.generation):
            self._checked = asked
            self._deadline = asked + peek.ttl
        elif not 0 < peek.version < self._version:
            self.forget(peek.version)
        elif asked > self._heard:  # else it was asked for before this process changed it
            self._record = None
            self._hear(peek.version)

    def committed(self, delta: Delta, version: int, ttl: float | None) -> None:
        """This process has changed it, and left it at this version with this time to live."""
        record = self._record
        due = 0 if record is None else record.version + delta.changes_values
        if record is None or version > due or delta.clear or delta.meta is not None:
            self.forget(version)
        elif version == due:
            record.values.update(delta.set)
            for key in delta.delete:
                record.values.pop(key, None)
            record.version = version
            self._hear(version)
            record.provisional = record.provisional and not delta.confirm
            if ttl is not None:
                self._deadline = time.monotonic() + ttl

    def forget(self, version: int = 0) -> None:
        """It is not known how it stands, except that it has come to this version."""
        self._record = None
        self._hear(max(self._version, version))

    def _hear(self, version: int) -> None:
        if version != self._version:
            self._version, self._heard = version, time.monotonic()

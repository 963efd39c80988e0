"""The sessions of one user: list them, end them, cap their number.

The index is a hint that errs on one side only: it may name sessions
that are gone, never miss one that lives. It is written before the
record at login and after the record at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .errors import StoreError
from .lifecycle import Lifecycle
from .record import CorruptRecord, NewerFormat, Record, is_id
from .stores.base import ForeignRecord


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One line of a "your devices" page.

    Attributes:
        id: for `SessionManager.destroy`.
        created_at, expires_at: aware, UTC.
    """

    id: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Revoked:
    """What `destroy_user` did.

    Attributes:
        sessions: how many records it deleted.
    """

    sessions: int


class UserSessions(Lifecycle):
    """The part of the session manager that works on users and on ids."""

    async def fetch(self, id: str) -> Record | None:
        """Load a record; one whose bookkeeping is unreadable counts as absent.

        Raises:
            StoreError: it could not be found out.
        """
        try:
            return await self.store.load(id)
        except CorruptRecord:
            self.report("corrupt_record", id)
            return None
        except NewerFormat:
            self.report("newer_format", id)
            raise StoreError("the session was written by a newer release") from None
        except ForeignRecord:
            self.report("foreign_record", id)
            raise

    async def destroy(self, id: str, user_id: str | None = None) -> bool:
        """End a session by its id; return whether there was one to end.

        Args:
            user_id: end it only if it is that user's: pass it wherever
                the id came from a client.

        Raises:
            StoreError: the store failed; the session may still live.
        """
        return await self._destroy(id, user_id, "revoked")

    async def destroy_user(self, user_id: str, keep: Collection[str] = ()) -> Revoked:
        """End every session of a user: log out everywhere.

        Args:
            keep: ids that stay, for instance that of the caller.

        Raises:
            StoreError: the store failed; some sessions may still live.
        """
        if isinstance(keep, str):
            raise TypeError("keep= is a collection of ids, not one id")
        count = 0
        for id in await self.store.index_list(user_id):
            if id not in keep:
                count += await self._destroy(id, user_id, "revoked")
        return Revoked(count)

    async def list_user(self, user_id: str) -> list[SessionInfo]:
        """Return the live sessions of a user, oldest first.

        Raises:
            StoreError: the store failed.
        """
        found: list[SessionInfo] = []
        for id in await self.store.index_list(user_id):
            record = await self.fetch(id)
            if record is not None and record.meta.user_id == user_id:
                expires = datetime.now(UTC) + timedelta(seconds=record.ttl)
                created = datetime.fromtimestamp(record.meta.created_at, UTC)
                found.append(SessionInfo(id, created, expires))
        return found

    async def _destroy(self, id: str, user_id: str | None, reason: str) -> bool:
        if not is_id(id):
            return False
        deleted = await self.store.delete(id, user_id=user_id)
        if deleted is None:
            return False
        await self.ended([id], reason, deleted.user_id)
        return True

    async def ended(self, ids: Iterable[str], reason: str, user_id: str | None = None) -> None:
        """The records are gone: close the sockets, here and elsewhere.

        It does not fail: what is not heard is found by the next reload.
        """
        ids = list(ids)
        for id in ids:
            self.report("ended", id, reason)
        await self.announce(reason, ids)
        if user_id is not None:
            await self.unindex(user_id, ids)

    async def index(self, user_id: str, id: str) -> list[str]:
        """Enter a session that is about to be the user's; return those too many."""
        policy = self.policy
        return await self.store.index_add(
            user_id, id, policy.absolute_timeout, policy.max_sessions_per_user
        )

    async def unindex(self, user_id: str, ids: list[str]) -> None:
        """Take sessions out; if it fails, the index trims itself in time."""
        try:
            await self.store.index_remove(user_id, ids)
        except StoreError as error:
            self.report("store_failed", detail=f"index not trimmed: {error}")

    async def replace(self, user_id: str | None, ids: list[str]) -> None:
        """End the sessions that gave way to a newer one."""
        for id in ids:
            if not await self._destroy(id, user_id, "replaced") and user_id is not None:
                await self.unindex(user_id, [id])

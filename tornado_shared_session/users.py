"""The sessions of one user: list them, end them, cap their number.

The index is a hint that errs on one side only: it may name sessions
that are gone, never miss one that lives. It is written before the
record at login and after the record at the end, and outlasts it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

from .devices import Revoked, SessionInfo, device
from .errors import SessionEnded, StoreError
from .lifecycle import Lifecycle
from .questions import Inquiry
from .record import CorruptRecord, NewerFormat, Record, is_id, is_text
from .rooms import session_room, user_room
from .stores.base import Deleted, ForeignRecord

_AT_ONCE = 100  # sessions that travel to the store together, and are handled in one turn
_LATE = 60.0  # seconds; no record comes later than this after its entry in the index


#: A load that is under way, and when it was asked for (monotonic seconds).
Begun = tuple[asyncio.Future[Record | None], float]


class NewerRecord(StoreError):
    """A record of a newer release: it stays as it is, and nothing is known of it."""


class UserSessions(Lifecycle):
    """The part of the session manager that works on users and on ids."""

    async def fetch(self, id: str, begun: Begun | None = None) -> Record | None:
        """Load a record; one whose bookkeeping is unreadable counts as absent.

        Raises:
            StoreError: it could not be found out.
        """
        known = self.connections.known.get(id)
        asked = 0.0 if known is None else time.monotonic()
        try:
            if begun is None:
                record = await self.store.load(id)
            else:
                answer, asked = begun
                record = await answer
        except CorruptRecord:
            self.report("corrupt_record", id)
            record = None
        except NewerFormat:
            self.report("newer_format", id)
            raise NewerRecord("the session was written by a newer release") from None
        except ForeignRecord:
            self.report("foreign_record", id)
            raise
        if known is not None:
            known.loaded(record, asked)
        return record

    async def destroy(self, id: str, user_id: str | None = None) -> bool:
        """End a session by its id; return whether there was one to end.

        When it returns, no socket of it in this process hears or is heard
        any more; those of other processes follow within a second.

        Args:
            user_id: end it only if it is that user's: pass it wherever
                the id came from a client. None: whoever's it is.

        Raises:
            TypeError: `id` or `user_id` is no text.
            StoreError: the store failed; the session may still live.
        """
        ids = [id] if is_id(id) and (user_id is None or is_text(user_id)) else []
        return bool(await self._destroy(ids, user_id, "revoked"))

    async def destroy_user(self, user_id: str, keep: Collection[str] = ()) -> Revoked:
        """End every session of a user: log out everywhere.

        A login that is under way meanwhile may come after it, and stay:
        after a change of the password, see to it that logins with the old
        one fail first.

        Args:
            keep: ids that stay, for instance that of the caller.

        Raises:
            TypeError: `user_id` is no text, or `keep` is one id.
            StoreError: the store failed; some sessions may still live.
        """
        if isinstance(keep, str):
            raise TypeError("keep= is a collection of ids, not one id")
        kept = frozenset(keep)
        listed = await self.store.index_list(user_id) if is_text(user_id) else []
        ids = [id for id in listed if id not in kept]
        if not ids:
            return Revoked(0, 0, 0, 0)
        inquiry = await self.questions.inquire()
        try:
            gone = await self._destroy(ids, user_id, "revoked", inquiry)
            await inquiry.result()
        finally:
            inquiry.close()
        sockets = sum(inquiry.counts.values())
        return Revoked(len(gone), sockets, inquiry.processes, inquiry.of_processes)

    async def list_user(self, user_id: str) -> list[SessionInfo]:
        """Return the live sessions of a user, oldest first.

        All processes are asked for their sockets; one that does not answer
        within a second does not count.

        Raises:
            TypeError: `user_id` is no text.
            StoreError: the store failed.
        """
        ids = await self.store.index_list(user_id) if is_text(user_id) else []
        records = [
            record
            for start in range(0, len(ids), _AT_ONCE)
            for record in await asyncio.gather(*map(self.fetch, ids[start : start + _AT_ONCE]))
            if record is not None and record.meta.user_id == user_id
        ]
        return await self.describe(*records)

    async def describe(self, *records: Record) -> list[SessionInfo]:
        """Say what `list_user` says of records, whosever they are."""
        if not records:
            return []
        inquiry = await self.questions.inquire()
        try:
            await self.announce("", [record.meta.id for record in records], inquiry)
            await inquiry.result()
        finally:
            inquiry.close()
        idle, counts = self.policy.idle_timeout, inquiry.counts
        return [device(record, counts.get(record.meta.id, 0), idle) for record in records]

    async def room(self, id: str) -> str:
        """Name the room of a session that is known by its id.

        Raises:
            SessionEnded: there is no such session.
            StoreError: its generation could not be asked.
        """
        (peek,) = await self.store.peek([id]) if is_id(id) else [None]
        if peek is None:
            raise SessionEnded("expired")
        return session_room(id, peek.generation)

    def user_room(self, user_id: str) -> str:
        """Name the room of all connections of a user."""
        return user_room(user_id)

    async def _destroy(
        self,
        ids: Sequence[str],
        user_id: str | None,
        reason: str,
        inquiry: Inquiry | None = None,
    ) -> list[str]:
        """Delete records, of that user if one is given; return which there were."""
        found: list[str] = []
        for start in range(0, len(ids), _AT_ONCE):
            batch = ids[start : start + _AT_ONCE]
            answers = await self._delete(batch, user_id)
            gone: dict[str | None, list[str]] = {}
            for id, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Deleted):
                    gone.setdefault(answer.user_id, []).append(id)
                    found.append(id)
            # What was deleted is announced, even if the rest failed.
            for owner, some in gone.items():
                await self.ended(some, reason, owner, inquiry)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
        return found

    async def _delete(
        self, ids: Sequence[str], user_id: str | None
    ) -> Sequence[Deleted | BaseException | None]:
        """Delete records; what goes wrong with one is its answer."""
        delete = self.store.delete
        if len(ids) == 1:  # mostly, and it needs no task
            try:
                return [await delete(ids[0], user_id=user_id)]
            except Exception as error:
                return [error]
        return await asyncio.gather(
            *(delete(id, user_id=user_id) for id in ids), return_exceptions=True
        )

    async def ended(
        self,
        ids: list[str],
        reason: str,
        user_id: str | None = None,
        inquiry: Inquiry | None = None,
    ) -> None:
        """The records are gone: close the sockets, here and elsewhere.

        It does not fail: what is not heard is found by the next reload.
        """
        for id in ids:
            self.report("ended", id, reason)
        await self.announce(reason, ids, inquiry)
        if user_id is not None:
            await self.unindex(user_id, ids)

    async def index(self, user_id: str, id: str) -> None:
        """Enter a session that is about to be the user's."""
        await self.store.index_add(user_id, id, self.policy.absolute_timeout + _LATE)

    async def unindex(self, user_id: str, ids: list[str]) -> None:
        """Take sessions out; if it fails, the index trims itself in time."""
        try:
            await self.store.index_remove(user_id, ids)
        except StoreError as error:
            self.report("store_failed", detail=f"index not trimmed: {error}")

    async def limit(self, user_id: str, id: str) -> bool:
        """End the oldest sessions of a user beyond `max_sessions_per_user`.

        Called after each login's commit, so of any two logins at least
        one sees the other's session, and the newest stay. Sessions that
        have expired do not count, nor those whose login is under way:
        that calls this itself. Returns whether the session `id`, which
        was just logged in, is one of those that stay.
        """
        keep = self.policy.max_sessions_per_user
        if keep is None:
            return True
        try:
            live = await self.store.index_list(user_id)
            if len(live) > keep:
                peeks = await self.store.peek(live)
                live = [id for id, peek in zip(live, peeks, strict=True) if peek is not None]
            if len(live) > keep:
                # An entry may be of a session that changed hands, or is about to.
                found = await asyncio.gather(*map(self.store.load, live), return_exceptions=True)
                live = [id for id, it in zip(live, found, strict=True) if not _others(it, user_id)]
                await self._destroy(live[:-keep], user_id, "replaced")
            return id in live[-keep:]
        except StoreError as error:
            # The login stands; the next one comes back to this.
            self.report("store_failed", detail=f"max_sessions_per_user not enforced: {error}")
            return True


def _others(found: object, user_id: str) -> bool:
    """Whether a record was found, and is not this user's."""
    return isinstance(found, Record) and found.meta.user_id != user_id

"""A page's session, saved before its response leaves: `Autosave`.

A coroutine that only awaits another one is not free: it is made, and
entered again when the store has answered. So a save of the usual kind
begins here, and the coroutine of the page waits for the store itself.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from . import saving
from .carrier import ResponseCarrier
from .early import EarlyLook
from .errors import SessionEnded, SessionError, StoreError
from .manager import SessionManager
from .record import Delta
from .response_held import Held
from .session import Session
from .stored import State

#: As they were made; who has put others in their place wants them called.
_SAVE, _COMMIT = SessionManager.save, SessionManager.commit


class Autosave(EarlyLook):
    """A page that saves its session."""

    session_touch = True

    _session: Session | None = None
    _session_carrier: ResponseCarrier | None = None  # once there is a session, or may be one

    def _session_unsaved(self, head_left: bool, status: int) -> bool:
        session = self._session
        if session is None or status >= 500:
            return False
        if head_left:
            return session._state is not State.ENDED and session.modified
        carrier = self._session_carrier
        if carrier is not None and carrier.renewal is not None:
            return True
        return self.session_manager.unsettled(session, self.session_touch)

    def _session_save(self, held: Held) -> Awaitable[Any]:
        if held.head_left:
            raise SessionError(
                "the session was changed after the response head had left;"
                " store such changes with `await self.session.save()`"
            )
        session, carrier, manager = self._session, self._session_carrier, self.session_manager
        assert session is not None
        assert carrier is not None
        held.saving = session  # or, of a usual save, all that its second half needs
        if carrier.renewal is not None:
            return self._session_renew(session, carrier)
        record = session._record
        if (
            session._state is State.LIVE
            and session._lock is None
            and not session._saving
            and record is not None
            and not record.provisional
            and _saves_as_usual(manager)
        ):
            # What save() and commit() do with it, written again: to call one function for
            # both costs a page that writes 1 us.
            policy = manager.policy
            due = self.session_touch and policy.touch_due(record.ttl, record.meta.created_at)
            changes, deleted = session._take_changes()
            if changes or deleted or due:
                gone = tuple([key.encode() for key in deleted]) if deleted else ()
                ttl = policy.idle_timeout if due else 0
                delta = Delta(record.meta.id, record.generation, ttl, None, changes, gone)
                held.saving, session._saving = (manager, session, delta, deleted), True
                return manager.store.commit(delta)
        return manager.save(session, touch=self.session_touch, prove=False)

    async def _session_renew(self, session: Session, carrier: ResponseCarrier) -> None:
        """Save it, and ask the store whether the credential is still the current one."""
        renewal, carrier.renewal = carrier.renewal, None
        await self.session_manager.save(session, touch=self.session_touch, prove=True)
        if not carrier.revoke:
            # A login may have overtaken this request, and its cookie must not be overwritten.
            carrier.credential = carrier.credential or renewal

    def _session_saved(self, held: Held, stored: Any) -> None:
        if type(held.saving) is tuple:
            manager, session, delta, deleted = held.saving
            saving.stored(manager.connections, session, delta, deleted, stored)
            session._saved()

    def _session_not_saved(self, held: Held, error: BaseException) -> BaseException | None:
        session = held.saving
        if type(session) is tuple:
            manager, session, delta, deleted = held.saving
            saving.failed(manager.connections, session, delta, error)
            session._put_back(delta.set, deleted)
            session._saved()
        if not isinstance(error, StoreError | SessionEnded) or session.modified:
            return error
        # Only the deadline did not move: the response does not depend on it.
        if isinstance(error, StoreError):
            self.session_manager.report("store_failed", session.id, f"not touched: {error}")
        return None


def _saves_as_usual(manager: SessionManager) -> bool:
    """Tell whether this may go around `save()`: not if that, or what it calls, is another one."""
    return (
        getattr(manager.save, "__func__", None) is _SAVE
        and getattr(manager.commit, "__func__", None) is _COMMIT
    )

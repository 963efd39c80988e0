"""A page's session, saved before its response leaves: `Autosave`."""

from __future__ import annotations

from .carrier import ResponseCarrier
from .early import EarlyLook
from .errors import SessionEnded, SessionError, StoreError
from .session import Session
from .stored import State


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

    async def _session_save(self, head_left: bool) -> None:
        if head_left:
            raise SessionError(
                "the session was changed after the response head had left;"
                " store such changes with `await self.session.save()`"
            )
        session, carrier = self._session, self._session_carrier
        assert session is not None
        assert carrier is not None
        renewal, carrier.renewal = carrier.renewal, None
        try:
            await self.session_manager.save(
                session, touch=self.session_touch, prove=renewal is not None
            )
            if renewal is not None and not carrier.revoke:
                # It is still the current one: a login may have overtaken
                # this request, and its cookie must not be overwritten.
                carrier.credential = carrier.credential or renewal
        except (StoreError, SessionEnded) as error:
            if session.modified:
                raise
            # Only the deadline did not move: the response does not depend on it.
            if isinstance(error, StoreError):
                self.session_manager.report("store_failed", session.id, f"not touched: {error}")

"""How a new credential gets from a session into a handler's response."""

from __future__ import annotations

import weakref

from .record import Credential
from .response import SavedResponse
from .session import Session


class ResponseCarrier:
    """The way from a session back to the client: a handler's response.

    Attributes:
        credential: a new one, to leave with the response.
        renewal: the present one, to be signed anew once it has proved good.
        revoke: tell the client to drop what it has.
        rotated: the credential took the place of another.
    """

    __slots__ = ("_handler", "_user_id", "credential", "renewal", "revoke", "rotated")

    def __init__(self, handler: SavedResponse) -> None:
        # Weak, or each request would leave a cycle to the garbage
        # collector: 20 us of CPU each, and pauses of 20 ms.
        self._handler = weakref.ref(handler)
        self._user_id: str | None = None  # whom `current_user` is about
        self.credential: Credential | None = None
        self.renewal: Credential | None = None
        self.revoke = False
        self.rotated = False

    @property
    def client(self) -> tuple[str, str] | None:
        """The address and the user agent of the request."""
        handler = self._handler()
        if handler is None:
            return None
        request = handler.request
        return request.remote_ip or "", request.headers.get("User-Agent", "")

    def can_issue(self) -> bool:
        handler = self._handler()
        return handler is not None and handler._session_can_issue()

    def issued(self, credential: Credential, user_id: str | None) -> None:
        if credential.renew:
            self.renewal = credential
            return
        self.credential, self.renewal = credential, None
        self.rotated = True
        self.revoke = False
        handler = self._handler()
        if handler is not None and user_id is not None and user_id != self._user_id:
            self._user_id = user_id
            # Through the handler's own method, which may make more of an id.
            handler.current_user = handler.get_current_user()

    def loaded(self, session: Session) -> None:
        self._user_id = session.user_id

    def revoked(self) -> None:
        self.credential = self.renewal = None
        self.revoke = True
        self._user_id = None
        handler = self._handler()
        if handler is not None:
            handler.current_user = None

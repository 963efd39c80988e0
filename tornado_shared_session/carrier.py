"""How a new credential gets from a session into a handler's response."""

from __future__ import annotations

import weakref

from .record import Credential
from .response import SavedResponse


class ResponseCarrier:
    """The way from a session back to the client: a handler's response.

    Attributes:
        credential: a new one, to leave with the response.
        user_id: whom `current_user` is about.
        renewal: the present one, to be signed anew once it has proved good.
        revoke: tell the client to drop what it has.
        rotated: the credential took the place of another.
    """

    __slots__ = ("_handler", "credential", "renewal", "revoke", "rotated", "user_id")

    def __init__(self, handler: SavedResponse) -> None:
        # Weak, or each request would leave a cycle to the garbage
        # collector: 20 us of CPU each, and pauses of 20 ms.
        self._handler = weakref.ref(handler)
        self.user_id: str | None = None
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
        if handler is not None and user_id is not None and user_id != self.user_id:
            self.user_id = user_id
            # By the handler's own method, but when somebody asks: it may need
            # what the handler puts in next, and must not fail in a login.
            handler._session_forget_user()

    def revoked(self) -> None:
        self.credential = self.renewal = None
        self.revoke = True
        self.user_id = None
        handler = self._handler()
        if handler is not None:
            handler.current_user = None

"""`@authenticated` for the event handlers of Socket.IO."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import socketio

from .errors import SessionError
from .socketio_admission import current
from .transport import SocketConnection

_REFUSAL = "login required"


def authenticated(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Run an event handler only for clients that somebody is logged in to.

    What `tornado.web.authenticated` is to a request handler::

        @sio.event
        @authenticated
        async def order(sid, item): ...

    Write it below what registers the handler; it goes on methods of an
    `AsyncNamespace` too. Without a login the handler does not run, and
    the acknowledgement, if one was asked for, is ``{"error": "login
    required"}``; a connect handler refuses the client.

    Raises:
        SessionError: the handler was called outside an event of a
            `SessionServer`.
    """

    @functools.wraps(handler)
    async def checked(*args: Any) -> Any:
        event = current.get()
        if event is None:
            raise SessionError(
                f"{handler.__qualname__} is @authenticated, which only an event handler of a"
                " SessionServer can be"
            )
        if _user_of(event.connection) is None:
            if event.connects:
                raise socketio.exceptions.ConnectionRefusedError(_REFUSAL)
            return {"error": _REFUSAL}
        result = handler(*args)
        return await result if inspect.isawaitable(result) else result

    return checked


def _user_of(connection: SocketConnection) -> str | None:
    """Return who is logged in, as far as is known here."""
    state, session = connection.tokens, connection.session
    if state is not None and not state.by_cookie:
        return state.user_id  # an event may have logged in by another object than `session`
    return None if session is None else session.user_id

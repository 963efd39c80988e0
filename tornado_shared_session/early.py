"""A page's session, asked for as soon as its request has come.

Tornado makes a task of a request, which begins a turn of the event loop
later. Asked before that, the store answers while the framework gets to
`prepare()`. That is for requests of which nothing changes until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

from tornado.httputil import HTTPServerRequest

from .manager import SessionManager
from .record import Credential
from .users import Begun

#: The manager, what a client presents, and the load of what that names.
Asked = tuple[SessionManager, list[Credential], Begun | None]

#: With these settings Tornado checks what comes by other methods, and that before `prepare()`.
_CHECKS = ("xsrf_cookies", "cross_origin_protection")
_UNCHECKED = ("GET", "HEAD", "OPTIONS")


def ask(settings: Mapping[str, Any], request: HTTPServerRequest) -> Asked | None:
    """Look at a request, and begin to load the session that it names; None: not yet.

    It never raises, whatever a store of an application's own does.
    """
    manager: Any = settings.get("session_manager")
    if getattr(manager, "_settings", None) is not settings or not manager.reads_headers:
        return None  # it was not bound before, or may look at the body, which is not parsed
    if manager._home is not asyncio.get_running_loop():
        return None
    try:
        presented = manager.credentials.read(request)
        if len(presented) != 1:
            return manager, presented, None
        if request.method not in _UNCHECKED and any(map(settings.get, _CHECKS)):
            return manager, presented, None  # what is refused as forged costs no look at the store
        answer = manager.store.begin(presented[0].id)
    except Exception:  # prepare() meets it again; here it would cost the connection its answer
        return None
    return manager, presented, None if answer is None else (answer, monotonic())

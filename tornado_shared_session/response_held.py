"""A response put aside while what it depends on is stored: `Held`.

Whether and when is the business of `response.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.web import RequestHandler

Chunk = str | bytes | dict[str, Any] | None  # what finish() takes


class _Nowhere(HTTPHeaders):
    """The headers of a response that was sent: what is put here reaches nobody.

    One for all, for new ones with each request that writes cost more than
    all the rest of putting a response aside.
    """

    def add(self, name: str, value: str, **kwargs: Any) -> None:
        """Forget it."""

    def __setitem__(self, name: str, value: str) -> None:
        """Forget it."""


_NOWHERE = _Nowhere()


class Held:
    """A response put aside, as it was when the handler sent it.

    Attributes:
        chunk: what `finish()` was given, if a base class has a `finish()` of
            its own, which may make something of it.
        awaited: what the handler may await, if it was given it.
        flushes: `flush()` put it aside, else `finish()`.
        finishes: `finish()` was called.
        head_left: the head had left before.
        saving: what the subclass has to know of the save, while it is under way.
        task: saves, then sends.
    """

    __slots__ = (
        "_body",
        "_cookies",
        "_headers",
        "_reason",
        "_rest",
        "awaited",
        "chunk",
        "finishes",
        "flushes",
        "head_left",
        "saving",
        "status",
        "task",
    )

    def __init__(self, handler: RequestHandler, finishes: bool, chunk: Chunk = None) -> None:
        self.awaited: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.saving: Any = None
        self.chunk = chunk
        self.flushes = not finishes
        self.finishes = finishes
        self.head_left = handler._headers_written
        self.status, self._reason = handler._status_code, handler._reason
        # Taken rather than copied: this is every request that writes.
        self._headers, handler._headers = handler._headers, _NOWHERE
        self._body, handler._write_buffer = handler._write_buffer, []
        self._rest: list[bytes] = []
        self._cookies = _take_cookies(handler)
        handler._headers_written = True
        handler._finished = finishes

    @property
    def outcome(self) -> asyncio.Future[None]:
        """What the handler may await."""
        if self.awaited is None or self.awaited.cancelled():  # by who awaited it before
            self.awaited = asyncio.get_running_loop().create_future()
            self.awaited.add_done_callback(_retrieve)  # nobody has to
        return self.awaited

    def flush_more(self, handler: RequestHandler) -> None:
        """Send what was written since along with the rest."""
        self._body += handler._write_buffer
        handler._write_buffer = []

    def finish(self, handler: RequestHandler, chunk: Chunk) -> None:
        """Nothing can be written any more."""
        self.chunk = chunk
        self._rest, handler._write_buffer = handler._write_buffer, []
        self.finishes = handler._finished = True

    def restore(self, handler: RequestHandler) -> list[bytes]:
        """Put it back; return what was written, but not flushed, since."""
        handler._status_code, handler._reason = self.status, self._reason
        handler._headers = self._headers
        _take_cookies(handler)
        if self._cookies is not None:
            handler._new_cookie = self._cookies
        handler._headers_written, handler._finished = self.head_left, False
        later = self._rest + handler._write_buffer
        handler._write_buffer = self._body
        return later


def _take_cookies(handler: RequestHandler) -> Any:
    # Not from its dict: an object that was asked for that is slower from then on.
    cookies = getattr(handler, "_new_cookie", None)
    if cookies is not None:
        del handler._new_cookie
    return cookies


def _retrieve(outcome: asyncio.Future[None]) -> None:
    if not outcome.cancelled():
        outcome.exception()

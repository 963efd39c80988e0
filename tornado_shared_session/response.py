"""A response that waits until what it depends on is stored: `SavedResponse`.

Tornado does not await `finish()`, many handlers do not await `flush()`,
and `redirect()` and `render()` finish at once. So while a save is under
way the response is put aside as it was, and the handler is put into the
state in which Tornado's own method would have left it: what it does to
its response afterwards has no effect, or fails, as usual.

The only file that reaches into RequestHandler's private state;
`tests/unit/test_response.py` fails when that goes. It knows nothing of
sessions: whether and what to save is for the subclass to say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tornado.concurrent import chain_future
from tornado.httputil import HTTPHeaders
from tornado.log import app_log
from tornado.web import RequestHandler

if TYPE_CHECKING:
    _Handler = RequestHandler
else:
    _Handler = object

_Chunk = str | bytes | dict[str, Any] | None  # what finish() takes


class _Held:
    """A response put aside, as it was when the handler sent it.

    Attributes:
        chunk: what `finish()` was given. It goes on to the `finish()` of
            the next class, which may make something of it.
        outcome: what the handler may await.
        flushes: `flush()` put it aside, else `finish()`.
        finishes: `finish()` was called.
        head_left: the head had left before.
        task: saves, then sends.
    """

    __slots__ = (
        "_body",
        "_cookies",
        "_headers",
        "_reason",
        "_rest",
        "chunk",
        "finishes",
        "flushes",
        "head_left",
        "outcome",
        "status",
        "task",
    )

    def __init__(self, handler: RequestHandler, finishes: bool, chunk: _Chunk = None) -> None:
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outcome.add_done_callback(_retrieve)  # nobody has to await it
        self.task: asyncio.Task[None] | None = None
        self.chunk = chunk
        self.flushes = not finishes
        self.finishes = finishes
        self.head_left = handler._headers_written
        self.status, self._reason = handler._status_code, handler._reason
        # Taken rather than copied: this is every request that writes.
        self._headers, handler._headers = handler._headers, HTTPHeaders()
        self._body, handler._write_buffer = handler._write_buffer, []
        self._rest: list[bytes] = []
        self._cookies = handler.__dict__.pop("_new_cookie", None)
        handler._headers_written = True
        handler._finished = finishes

    def flush_more(self, handler: RequestHandler) -> None:
        """Send what was written since along with the rest."""
        self._body += handler._write_buffer
        handler._write_buffer = []

    def finish(self, handler: RequestHandler, chunk: _Chunk) -> None:
        """Nothing can be written any more."""
        self.chunk = chunk
        self._rest, handler._write_buffer = handler._write_buffer, []
        self.finishes = handler._finished = True

    def restore(self, handler: RequestHandler) -> list[bytes]:
        """Put it back; return what was written, but not flushed, since."""
        handler._status_code, handler._reason = self.status, self._reason
        handler._headers = self._headers
        handler.__dict__.pop("_new_cookie", None)
        if self._cookies is not None:
            handler._new_cookie = self._cookies
        handler._headers_written, handler._finished = self.head_left, False
        later = self._rest + handler._write_buffer
        handler._write_buffer = self._body
        return later


class SavedResponse(_Handler):
    """A `RequestHandler` whose response head leaves after a save."""

    _session_held: _Held | None = None
    _session_flush_failed: tuple[Exception, int] | None = None  # and the status it had
    _session_gave_up = False  # what is sent now is the error page of a failed save

    # For the subclass.

    def _session_unsaved(self, head_left: bool) -> bool:
        """Whether the response has to wait."""
        raise NotImplementedError

    async def _session_save(self, head_left: bool) -> None:
        """Store what the response depends on; a failure becomes the response."""
        raise NotImplementedError

    def _session_seal(self) -> None:
        """Put the last headers into the head."""
        raise NotImplementedError

    def _session_announce(self) -> None:
        """The head has left."""
        raise NotImplementedError

    def _session_ended(self) -> None:
        """The handler is done, and its response was sent."""
        raise NotImplementedError

    def _session_can_issue(self) -> bool:
        """Whether a header that is added now still reaches the client."""
        held = self._session_held
        if held is None:
            return not self._headers_written
        # The handler has sent its head; only the save that holds it back may add.
        return not held.head_left and held.task is asyncio.current_task()

    async def _session_settled(self) -> bool | None:
        """Wait for a save under way; return whether the head has left, None if all was sent."""
        while self._session_held is not None and self._session_held.task is not None:
            await asyncio.wait({self._session_held.task})
        return None if self._finished else self._headers_written

    def _session_vary(self, name: str) -> None:
        """Say that the response depends on a request header."""
        # Not add_header(): it checks what is constant, for 4 us a request.
        if "Vary" in self._headers:
            self._headers.add("Vary", name)
        else:
            self._headers["Vary"] = name

    # In Tornado's place.

    async def _execute(self, *args: Any, **kwargs: Any) -> None:
        await super()._execute(*args, **kwargs)
        if self._session_held is None and self._finished:
            self._session_ended()

    def finish(self, chunk: _Chunk = None) -> asyncio.Future[None]:
        """Finish the response, once what it depends on is stored.

        The future resolves when the response is sent, and raises what
        made the save fail: the response is an error page then.
        """
        held = self._session_held
        if held is None:
            if self._finished or not self._session_waits():
                return super().finish(chunk)
            return self._session_hold(_Held(self, True, chunk))
        if not self._finished:
            held.finish(self, chunk)
        return held.outcome

    def flush(self, include_footers: bool = False) -> asyncio.Future[None]:
        """Send what was written, once what it depends on is stored.

        The future resolves when it is sent, and raises what made the
        save fail.
        """
        held = self._session_held
        if held is not None:
            held.flush_more(self)
            return held.outcome
        if self._headers_written:
            return super().flush(include_footers)
        if not include_footers and self._session_waits():  # finish() has waited
            return self._session_hold(_Held(self, False))
        return self._session_send_head(include_footers)

    # How.

    def _session_waits(self) -> bool:
        if self._session_gave_up:
            return False
        refused = self._session_refused(self._status_code)
        return refused is not None or self._session_unsaved(self._headers_written)

    def _session_refused(self, status: int) -> Exception | None:
        """Return why this response must not leave: a flush of it failed.

        If the handler awaited that flush, it knows, and what it sends
        instead has another status.
        """
        failed = self._session_flush_failed
        return failed[0] if failed is not None and failed[1] == status else None

    def _session_hold(self, held: _Held) -> asyncio.Future[None]:
        self._session_held = held
        held.task = asyncio.get_running_loop().create_task(self._session_release(held))
        return held.outcome

    async def _session_release(self, held: _Held) -> None:
        failure: BaseException | None = self._session_refused(held.status)
        if failure is None:
            try:
                await self._session_save(held.head_left)
            except (Exception, asyncio.CancelledError) as error:
                failure = error
        self._session_held = None
        later = held.restore(self)
        try:
            if failure is not None:
                raise failure
            if held.flushes:
                sent = self._session_send_head(False)
                self._write_buffer = later
                if held.finishes:
                    sent = SavedResponse.finish(self, held.chunk)
            else:
                sent = super().finish(held.chunk)
        except (Exception, asyncio.CancelledError) as error:
            if held.finishes or isinstance(error, asyncio.CancelledError):
                self._session_fail(error)
            else:
                self._write_buffer += later
                self._session_flush_failed = (error, held.status)
            if isinstance(error, asyncio.CancelledError):
                held.outcome.cancel()
                raise
            if not held.outcome.done():
                held.outcome.set_exception(error)
        else:
            chain_future(sent, held.outcome)

    def _session_fail(self, error: BaseException) -> None:
        """Answer with an error page, as Tornado does when a handler raises."""
        self._session_gave_up = True
        try:
            self._handle_request_exception(error)
        except Exception:  # as Tornado: the page for an error may raise too
            app_log.error("Exception in exception handler", exc_info=True)

    def _session_send_head(self, include_footers: bool) -> asyncio.Future[None]:
        self._session_seal()
        sent = super().flush(include_footers)
        self._session_announce()
        return sent


def _retrieve(outcome: asyncio.Future[None]) -> None:
    if not outcome.cancelled():
        outcome.exception()

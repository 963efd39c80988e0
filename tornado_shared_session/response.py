"""A response that waits until what it depends on is stored: `SavedResponse`.

Tornado does not await `finish()`, many handlers do not await `flush()`,
and `redirect()` and `render()` finish at once. So while a save is under
way the response is put aside as it was, and the handler is put into the
state in which Tornado's own method would have left it: what it does to
its response afterwards has no effect, or fails, as usual.

It and `response_held.py` are the only files that reach into
RequestHandler's private state; `tests/unit/test_response.py` fails when
that goes. They know nothing of sessions: whether and what to save is for the subclass to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from tornado.concurrent import chain_future
from tornado.log import app_log
from tornado.web import RequestHandler

from .response_held import Chunk, Held

if TYPE_CHECKING:
    _Handler = RequestHandler
else:
    _Handler = object


class _Later(tuple[()]):
    """What stands in `_auto_finish`: false, so that Tornado leaves it to us."""

    __slots__ = ()


_LATER: Any = _Later()
#: What a usual request sets on its handler in this file.
RESPONSE_NAMES = ("_session_loose", "_session_held", "_session_finishing")


class SavedResponse(_Handler):
    """A `RequestHandler` whose response head leaves after a save."""

    _session_loose = True  # there is nothing to save or to say, and no need to ask
    _session_held: Held | None = None
    _session_flush_failed: tuple[Exception, int] | None = None  # and the status it had
    _session_gave_up = False  # what is sent now is the error page of a failed save
    _session_finishing = False  # Tornado's finish() is at work, and flushes

    # For the subclass.

    def _session_begin(self) -> None:
        """The request has come: begin what can be begun. Must not raise."""
        raise NotImplementedError

    def _session_unsaved(self, head_left: bool, status: int) -> bool:
        """Whether the response has to wait."""
        raise NotImplementedError

    def _session_save(self, held: Held) -> Awaitable[Any]:
        """Begin to store what the response depends on; one of the next two has to follow."""
        raise NotImplementedError

    def _session_saved(self, held: Held, stored: Any) -> None:
        """That was awaited, and returned this."""
        raise NotImplementedError

    def _session_not_saved(self, held: Held, error: BaseException) -> BaseException | None:
        """It failed; return what becomes the response, None: what was put aside does."""
        raise NotImplementedError

    def _session_seal(self) -> None:
        """Put the last headers into the head."""
        raise NotImplementedError

    def _session_announce(self) -> None:
        """The head has left."""
        raise NotImplementedError

    def _session_ended(self, status: int) -> None:
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

    def _session_forget_user(self) -> None:
        """Have `current_user` found out anew, by whoever asks next."""
        if hasattr(self, "_current_user"):
            del self._current_user

    def _session_vary(self, name: str) -> None:
        """Say that the response depends on a request header."""
        # Not add_header(): it checks what is constant, for 4 us a request.
        if self._headers.get_list("Vary"):
            self._headers.add("Vary", name)
        else:
            self._headers["Vary"] = name

    # In Tornado's place.

    def _execute(  # type: ignore[override]  # a task, where a coroutine becomes one
        self, *args: Any, **kwargs: Any
    ) -> asyncio.Task[None]:
        # It begins in the next turn of the loop. Tornado finds out what it was given
        # (convert_yielded, ensure_future) before it makes the same task: 6 us of a page.
        self._session_begin()
        return asyncio.get_running_loop().create_task(self._session_execute(*args, **kwargs))

    async def _session_execute(self, *args: Any, **kwargs: Any) -> None:
        if self._auto_finish and self._prepared_future is None:  # not of a streamed body
            # Tornado would call finish() where a save cannot be awaited, so
            # it would need a task of its own: 4 us with each that writes.
            self._auto_finish = _LATER
        await super()._execute(*args, **kwargs)
        if self._auto_finish is _LATER and not self._finished:
            held = self._session_auto_finish()
            if held is not None:
                if self._session_flush_failed is not None:
                    await self._session_release(held)
                else:  # the same without a coroutine more: 1 us of a page that writes
                    failure, held.task = None, asyncio.current_task()
                    try:
                        self._session_saved(held, await self._session_save(held))
                    except BaseException as error:
                        failure = self._session_not_sent(held, error)
                    self._session_send(held, failure)
                return
        if not self._session_loose and self._session_held is None and self._finished:
            self._session_ended(self._status_code)

    def _handle_request_exception(self, e: BaseException) -> None:
        self._auto_finish = False  # this finishes
        super()._handle_request_exception(e)

    def _session_auto_finish(self) -> Held | None:
        """Finish as Tornado does when a method has returned; return what a save holds back."""
        try:
            # Not vars(): an object that was asked for its dict is slower from then on.
            ours = getattr(self.finish, "__func__", None) is SavedResponse.finish
            if not ours or self._session_held is not None:
                self.finish()
            elif self._session_waits():
                self._session_held = Held(self, True)
                return self._session_held
            else:
                self._session_finish(None)
        except Exception as error:
            self._session_answer(error)
        return None

    def finish(self, chunk: Chunk = None) -> asyncio.Future[None]:
        """Finish the response, once what it depends on is stored.

        The future resolves when the response is sent, and raises what
        made the save fail: the response is an error page then.
        """
        held = self._session_held
        if held is None:
            if self._finished or self._session_loose or not self._session_waits():
                return self._session_finish(chunk)
            return self._session_hold(Held(self, True, self._session_chunk(chunk)))
        if not self._finished:
            held.finish(self, self._session_chunk(chunk))
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
        if self._headers_written or self._session_loose:
            return super().flush(include_footers)
        if not self._session_finishing and self._session_waits():
            return self._session_hold(Held(self, False))
        return self._session_send_head(include_footers)

    # How.

    def _session_waits(self) -> bool:
        if self._session_loose or self._session_gave_up:
            return False
        if self._session_flush_failed is not None and self._session_refused(self._status_code):
            return True
        return self._session_unsaved(self._headers_written, self._status_code)

    def _session_chunk(self, chunk: Chunk) -> Chunk:
        """Write at once what Tornado's own finish() does; return what a base class's has to see."""
        if chunk is None or getattr(super().finish, "__func__", None) is not RequestHandler.finish:
            return chunk
        self.write(chunk)  # a dict as it is now
        return None

    def _session_refused(self, status: int) -> Exception | None:
        """Return why this response must not leave: a flush of it failed.

        If the handler awaited that flush, it knows, and what it sends
        instead has another status.
        """
        failed = self._session_flush_failed
        return failed[0] if failed is not None and failed[1] == status else None

    def _session_hold(self, held: Held) -> asyncio.Future[None]:
        self._session_held = held
        outcome = held.outcome  # before an eager task, which may be done with it at once
        held.task = asyncio.get_running_loop().create_task(self._session_release(held))
        return outcome

    async def _session_release(self, held: Held) -> None:
        held.task = asyncio.current_task()  # an eager one runs before its maker can say so
        failure: BaseException | None = self._session_refused(held.status)
        if failure is None:
            try:
                self._session_saved(held, await self._session_save(held))
            except BaseException as error:
                failure = self._session_not_sent(held, error)
        self._session_send(held, failure)

    def _session_not_sent(self, held: Held, error: BaseException) -> BaseException | None:
        """Return what becomes the response, also if that cannot be found out."""
        try:
            return self._session_not_saved(held, error)
        except BaseException as another:
            return another

    def _session_send(self, held: Held, failure: BaseException | None) -> None:
        """Send what was put aside, or an error page in its place."""
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
                sent = self._session_finish(held.chunk)
        except (Exception, asyncio.CancelledError) as error:
            if held.finishes or isinstance(error, asyncio.CancelledError):
                self._session_fail(error)
            else:
                self._write_buffer += later
                self._session_flush_failed = (error, held.status)
            outcome = held.awaited
            if isinstance(error, asyncio.CancelledError):
                if outcome is not None:
                    outcome.cancel()
                raise
            if outcome is not None and not outcome.done():
                outcome.set_exception(error)
        else:
            if held.awaited is not None:
                chain_future(sent, held.awaited)

    def _session_fail(self, error: BaseException) -> None:
        """Answer with an error page, as Tornado does when a handler raises."""
        self._session_gave_up = True
        self._session_answer(error)

    def _session_answer(self, error: BaseException) -> None:
        try:
            self._handle_request_exception(error)
        except Exception:  # as Tornado: the page for an error may raise too
            app_log.error("Exception in exception handler", exc_info=True)

    def _session_finish(self, chunk: Chunk) -> asyncio.Future[None]:
        """Finish as Tornado does; what it depends on is stored."""
        self._session_finishing = True
        try:
            return super().finish(chunk)
        finally:
            self._session_finishing = False

    def _session_send_head(self, include_footers: bool) -> asyncio.Future[None]:
        self._session_seal()
        sent = super().flush(include_footers)
        self._session_announce()
        return sent

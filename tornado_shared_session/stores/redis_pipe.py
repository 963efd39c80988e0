"""What one turn of the event loop asks of Redis travels together.

Commands are queued; all that are queued are sent in one write, and what
comes meanwhile goes with the next. So a busy server pays for one round
trip per batch rather than per command. A caller that is cancelled leaves
its place in the batch to nobody, so it can never leave its reply to
somebody else (CVE-2023-28858).

redis-py makes, authenticates and checks the connection. Its retries are
not used: a command is sent again only if it was certainly not applied, or
changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import NoScriptError

from ..forks import CLOSED
from .redis_line import LATE, Line
from .redis_requests import Command, Read, Request, demoted, fail, pack
from .redis_scripts import Script
from .redis_wire import Lease, Wire


class Pipe(Line):
    """Sends commands through a connection pool, one batch at a time.

    Args:
        pool: redis-py's pool; one of its connections is used at a time.
        timeout: seconds within which a batch is answered, connecting
            included. Late: the connection is dropped, and everybody who
            waits is told.
        shared: others use the pool, so a connection is given back as soon
            as nothing is under way; else when nothing was for a while.
    """

    def __init__(self, pool: ConnectionPool, timeout: float, *, shared: bool = False) -> None:
        super().__init__(pool, timeout, shared)
        self._queue: list[Request] = []
        self._sent: list[Request] = []  # the batch under way
        self._flushing = False  # at the end of this turn of the loop
        self._alone = False  # the last batch was of one request
        self._due = 0.0  # when the batch under way is late
        self._late = False  # it is; one last look is under way
        self._used = False  # since the timer was set
        self._timer: asyncio.TimerHandle | None = None

    def renew(self, pool: ConnectionPool) -> None:
        """Go on with a pool that no event loop has used, but not before `open()`."""
        self._lease, self._loop = Lease(pool), CLOSED

    def forked(self) -> None:
        if self.used or self._lease.used:
            self._loop, self._task, self._queue = "forked", None, []
            self._sent, self._wire, self._timer = [], None, None
            self._flushing, self._returns = False, set()

    def ask(
        self, *command: str | bytes | int, repeatable: bool = False
    ) -> asyncio.Future[list[Any]]:
        """Send a command; see `ask_packed`."""
        return self.ask_packed(pack(command), 1, repeatable=repeatable)

    def run(
        self,
        script: Script,
        *arguments: str | bytes | int,
        read: Read | None = None,
    ) -> asyncio.Future[Any]:
        """Run a script; see `ask_packed`. Arguments: how many keys, keys, ARGV."""
        data = pack(("EVALSHA", script.sha, *arguments))
        full = script, arguments
        return self.ask_packed(data, 1, in_full=full, read=read)

    def ask_packed(
        self,
        data: bytes,
        count: int,
        *,
        repeatable: bool = False,
        in_full: tuple[Script, Command] | None = None,
        read: Read | None = None,
    ) -> asyncio.Future[Any]:
        """Send packed commands; the future has their replies, in order.

        An error that Redis replies with is in the list, not raised.

        Args:
            count: how many commands `data` is.
            repeatable: they change nothing, so they may be sent again if
                the connection breaks.
            in_full: the script and its arguments, if it is an EVALSHA.
            read: makes something else of the replies, or raises, before
                the future is done: for all of a batch one after the other,
                which is faster than in each task when its turn comes.

        Raises:
            StoreError: no connection, no answer in time, or it broke.
                Commands that change something may have been applied.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._check_loop(loop)
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.append(Request(data, count, future, repeatable, in_full, read))
        if not (self._sent or self._flushing or self._task):
            if self._alone and self._wire is not None:  # a lonely client: nobody to wait for
                self._flush()
            else:
                self._flushing = True
                loop.call_soon(self._flush)
        return future

    # -- a batch: sent, answered, or lost ------------------------------------

    def _flush(self) -> None:
        """Send what is queued, unless a batch is under way."""
        self._flushing = False
        if self._sent:
            return  # its answer, or the end of its connection, comes back here
        if self._wire is not None and self._wire.closing:
            self._let_go()  # nothing of the queue was sent
        if self._queue and self._task is None:
            due = self._home.time() + self._timeout
            if self._wire is None:
                self._connect(due)
            else:
                self._send(self._wire, due)

    def _send(self, wire: Wire, due: float) -> None:
        batch = self._sent = self._queue
        self._queue = []
        self._alone = len(batch) == 1
        self._due, self._late, self._used = due, False, True
        if self._timer is None:
            # One for all batches, or each would pay for its own.
            self._timer = self._home.call_at(due, self._on_timer)
        if self._alone:
            wire.ask(batch[0].data, batch[0].count)
        else:
            data = b"".join([request.data for request in batch])
            wire.ask(data, sum([request.count for request in batch]))

    def _on_replies(self, replies: list[Any], errors: bool) -> None:
        """The batch is answered: hand the replies out, and send the next."""
        batch, self._sent = self._sent, []
        start, again, wire = 0, [], self._wire
        for number, request in enumerate(batch):
            end = start + request.count
            if not request.future.done():
                if errors and isinstance(replies[start], NoScriptError):
                    # Nothing was applied, so it may be sent again, in full.
                    request.spell_out()
                    again.append(request)
                else:
                    request.answer(replies[start:end])
                    if self._wire is not wire:  # it was none of ours: nor are those after it
                        fail([*again, *batch[number + 1 :]], "the session store lost count", None)
                        again = []
                        break
            start = end
        if errors and any(map(demoted, replies)):
            # It was the primary once. Where the address leads now, connecting tells.
            self._let_go()
        if again and self._wire is not None:
            self._queue[:0] = again
            self._send(self._wire, self._due)  # those who asked have waited already
        elif self._queue or again:
            self._queue[:0] = again
            self._flush()
        elif self._shared:
            # After those who were answered just now, who may ask again.
            self._home.call_soon(self._rest)

    def _on_break(self, wire: Wire, error: BaseException) -> None:
        """It broke under us.

        What changes nothing is asked once more, on a new connection; the
        rest may have been applied.
        """
        if wire is not self._wire:
            return  # we have let it go ourselves
        batch, self._sent = self._sent, []
        fail([r for r in batch if not r.repeatable], "the session store hung up", error)
        again = [request for request in batch if request.repeatable]
        for request in again:
            request.repeatable = False
        self._queue[:0] = again
        self._let_go()
        if self._queue:
            self._connect(self._due if again else self._home.time() + self._timeout)

    def _on_timer(self) -> None:
        self._timer, now = None, self._home.time()
        if self._sent and now >= self._due and self._late:
            # What queued up behind a dead server has waited long enough too.
            self._fail(LATE)
            self._let_go()
            return
        if self._sent and now >= self._due:
            # Time is up, but a loop that was busy may not have read what has come.
            self._late = True
            again = self._last_look(now, self._due)
        elif self._sent:
            again = self._due
        elif self._used:
            self._used, again = False, now + self._timeout
        else:
            self._rest()
            return
        self._timer = self._home.call_at(again, self._on_timer)

    # -- the connection, for `Line` ---------------------------------------------

    def _waits(self) -> bool:
        return bool(self._queue)

    def _on_connected(self, wire: Wire | None, due: float) -> None:
        if wire is not None and self._queue:
            self._send(wire, due)
        else:
            self._rest()

    def _rest(self) -> None:
        """Nothing is to be done now: the connection may go."""
        if not (self._sent or self._queue):
            self._give_back()

    async def _finish(self) -> None:
        waiting = [request.future for request in (*self._sent, *self._queue)]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timeout)
        if self._sent:
            self._let_go()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, message: str, cause: BaseException | None = None) -> None:
        batch, self._sent, self._queue = self._sent + self._queue, [], []
        fail(batch, message, cause)

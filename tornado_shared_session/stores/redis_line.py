"""The one connection that a `Pipe` has: gotten, given back, or let go.

What travels on it is in `redis_pipe.py`, what redis-py has to do with it
in `redis_wire.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError

from ..events import logger
from ..forks import CLOSED, OneLoop
from .redis_wire import Lease, Wire

#: Seconds beyond the timeout in which replies that are there already are read.
_LAST_LOOK = 0.02
LATE = "the session store did not answer in time"


class Line(OneLoop):
    """The part of the pipe that holds a connection."""

    def __init__(self, pool: ConnectionPool, timeout: float, shared: bool) -> None:
        super().__init__("RedisStore", "client" if shared else "")
        self._timeout, self._shared = timeout, shared
        self._lease = Lease(pool)
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None  # gets a connection
        self._returns: set[asyncio.Task[None]] = set()  # give one back

    # For the subclass.

    def _on_connected(self, wire: Wire | None, due: float) -> None:
        """There is a connection; None: nobody waited for one any more."""
        raise NotImplementedError

    def _on_replies(self, replies: list[Any], errors: bool) -> None:
        """All that was asked is answered."""
        raise NotImplementedError

    def _on_break(self, wire: Wire, error: BaseException) -> None:
        """The connection has ended."""
        raise NotImplementedError

    def _waits(self) -> bool:
        """Whether anybody waits for a connection."""
        raise NotImplementedError

    def _flush(self) -> None:
        """Begin with what can be done now."""
        raise NotImplementedError

    def _fail(self, message: str, cause: BaseException | None = None) -> None:
        """Tell all who wait, but for those who come from here on."""
        raise NotImplementedError

    # What it does.

    def _connect(self, due: float) -> None:
        """Get a connection by then, unless that is under way."""
        if self._task is None:
            self._task = self._home.create_task(self._get(due))
            self._task.add_done_callback(self._on_task)

    def _on_task(self, task: asyncio.Task[None]) -> None:
        # Not in the task, which may be cancelled before it begins.
        if self._task is task:
            self._task = None
        self._returned(task)
        self._flush()  # for those who have come meanwhile

    async def _get(self, due: float) -> None:
        loop, wire = self._home, None
        try:
            async with asyncio.timeout(None) as limit:
                timer = loop.call_at(
                    due, lambda: limit.reschedule(self._last_look(loop.time(), due))
                )
                try:
                    if self._returns:  # of a small pool it may be the only one
                        await asyncio.wait(self._returns, timeout=self._timeout / 10)
                    if self._waits():
                        wire = await self._lease.take(self._on_replies, self._on_break)
                finally:
                    timer.cancel()
        except TimeoutError:
            self._fail(LATE)
        except (RedisError, OSError) as error:
            self._fail("the session store cannot be reached", error)
        except Exception as error:
            # Whatever it was, those who wait must not wait forever.
            logger.exception("the Redis client failed")
            self._fail("the session store cannot be used", error)
            self.distrust()
        except asyncio.CancelledError:
            self._fail("the session store was closed")
            raise
        else:
            self._wire = wire
            self._on_connected(wire, due)

    def _last_look(self, now: float, due: float) -> float:
        """Return until when to wait for what a loop that was busy has not read yet."""
        return now + _LAST_LOOK + min(now - due, self._timeout)

    def _let_go(self) -> None:
        """Close the connection; it cannot be trusted, or leads to the wrong server."""
        wire, self._wire = self._wire, None
        if wire is not None:
            self._return(self._lease.abandon(wire))

    def _give_back(self) -> None:
        """Let others use the connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            self._return(self._lease.give_back(wire))

    def _return(self, work: Coroutine[Any, Any, None]) -> None:
        # Nobody waits for it: redis-py may talk to Redis first, and take its time.
        task = self._home.create_task(work)
        self._returns.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._returns.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.debug("with a connection to Redis: %s", type(error).__name__)

    def distrust(self) -> None:
        """Close every connection of the pool; they can no longer be trusted."""
        if self._wire is not None:
            self._on_break(self._wire, RedisError("the connections were dropped"))
        self._return(self._lease.pool.disconnect(inuse_connections=True))

    async def close(self) -> None:
        """Finish what is under way and stop; whoever asks from here on is told.

        A pool that others use serves again when this is done, in this event
        loop: it keeps its connections, which are of no use in another one.
        """
        loop = self._loop
        if not self.used or loop is not asyncio.get_running_loop():
            return
        self._loop = CLOSED
        try:
            await self._finish()
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
            self._fail("the session store was closed")
            self._give_back()
            if self._returns:
                _, late = await asyncio.wait(self._returns, timeout=self._timeout)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
        finally:
            self._loop = loop

    async def _finish(self) -> None:
        """Wait for what is under way, within the timeout; what is not then is let go."""
        raise NotImplementedError

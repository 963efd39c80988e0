"""The notice channel as this process hears it, and whether it hears at all.

A process sends itself a heartbeat; one that does not come back means
that the subscription is deaf, and it subscribes anew.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from .errors import StoreError
from .events import logger
from .manager import SessionManager
from .notices import Notice, decode


class Channel:
    """The subscription of one process.

    Args:
        manager: whose store, and whose questions.
        spawn: runs a task that its owner ends.
        notice: called with what others tell.
        gap: called when notices may have been missed.

    Attributes:
        connected: it is subscribed, and was not found deaf since.
    """

    def __init__(
        self,
        manager: SessionManager,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        notice: Callable[[Notice], None],
        gap: Callable[[], None],
    ) -> None:
        self._manager = manager
        self._spawn, self._notice, self._gap = spawn, notice, gap
        self._listener: asyncio.Task[None] | None = None
        self._nonce = ""
        self._heard = 0.0  # when our own heartbeat last came back
        self._lost = False  # it was connected, and was found deaf
        self.connected = False

    def start(self) -> None:
        """Subscribe."""
        self._nonce = secrets.token_hex(8)  # not before: processes that were one would share it
        self._listen()

    def _listen(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        self._listener = self._spawn(self._manager.store.listen(self._on_message, self._on_gap))
        self._heard = time.monotonic()

    def _on_message(self, message: bytes) -> None:
        notice = decode(message)
        questions = self._manager.questions
        if notice is None:
            if not questions.take(message):
                logger.debug("not a notice of ours on the notice channel")
            return
        if notice.asks:
            questions.question(notice)
        if notice.reason:
            self._notice(notice)
        elif notice.nonce == self._nonce:
            self.connected = True
            self._heard = time.monotonic()

    def _on_gap(self) -> None:
        """It is subscribed, and may have missed what was said before."""
        self.connected = True
        self._manager.questions.heard.set()
        if self._lost:
            self._lost = False
            self._manager.report("notices_back")
        self._heard = time.monotonic()
        self._gap()

    async def heartbeat(self, interval: float) -> None:
        """A process that does not hear itself is deaf: subscribe anew.

        Args:
            interval: seconds from one heartbeat to the next.
        """
        if time.monotonic() - self._heard > 2 * interval:
            self.connected = False
            self._manager.questions.heard.clear()
            if not self._lost:
                self._lost = True
                self._manager.report("notices_lost")
            self._listen()
        try:
            await self._manager.store.publish(Notice("", nonce=self._nonce).encode())
        except StoreError:
            self.connected = False
            logger.debug("the heartbeat could not be sent")
        except Exception:  # whatever it was, the reload goes on
            self.connected = False
            logger.exception("the heartbeat could not be sent")

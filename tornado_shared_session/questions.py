"""Questions to all processes, and their answers: how many sockets, here and there.

One mechanism on the notice channel. A notice with a nonce asks; every
process that hears it answers with a number for each session it names:
the sockets that it closed, or those that are open. Who asked counts the
answers until it has as many as there are subscribers, or has waited
long enough.

All of it is for telling people. A forged question costs an answer, of
which a process gives about two hundred a second; a forged answer makes a
number wrong.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from .connections import Connection, Connections, Phase
from .errors import StoreError
from .events import logger
from .notices import Answer, Notice, decode, decode_answer
from .stores.base import Store

_PATIENCE = 1.0  # seconds that who asks waits for answers
_PACE = 0.005  # seconds between two answers, so that a flood of questions is a few
_PENDING = 100  # questions that wait to be answered; more are dropped
_MOST_PROCESSES = 1000  # that are listened to where their number is not known


class Watching(Protocol):
    """What the watcher does for questions."""

    async def look(self, ids: Iterable[str], reason: str = "expired") -> None:
        """Ask the store about sessions, and act on the answer."""


class Owner(Protocol):
    """What is needed of the manager."""

    store: Store
    connections: Connections


class Questions:
    """Asks the other processes, and answers them.

    Args:
        owner: the session manager.

    Attributes:
        watcher: set while there is one, which also hears the channel.
            Without one this process has no sockets; it subscribes by
            itself once it has something to ask.
        heard: set while the channel is subscribed.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.watcher: Watching | None = None
        self.heard = asyncio.Event()
        self._who = secrets.token_hex(8)
        self._inquiries: dict[str, Inquiry] = {}  # by the nonces of their notices
        self._pending: deque[tuple[Notice, Sockets]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """The manager starts, perhaps in another process than it was made in."""
        self._who = secrets.token_hex(8)  # of two processes that were one, each has its own

    def attend(self, watcher: Watching | None) -> None:
        """Leave the channel to a watcher, or None: it has stopped."""
        self.watcher = watcher
        self.heard.clear()
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None

    async def stop(self) -> None:
        """Hear and answer no more."""
        tasks = [task for task in (self._worker, self._listener) if task is not None]
        self._worker = self._listener = None
        self._pending.clear()
        self.heard = asyncio.Event()  # one that was waited for is of that event loop for ever
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- asking -------------------------------------------------------------

    async def inquire(self) -> Inquiry:
        """Begin to ask: find out how many will hear it."""
        return Inquiry(self, await self._others())

    async def _others(self) -> int | None:
        """Return how many other processes listen, and see to it that this one does."""
        try:
            mine = self.heard.is_set()
            known = await self._owner.store.subscribers()
            others = None if known is None else max(known - mine, 0)
            if others != 0 and not mine:
                if self.watcher is None and self._listener is None:
                    work = self._owner.store.listen(self._on_message, self.heard.set)
                    self._listener = asyncio.get_running_loop().create_task(work)
                async with asyncio.timeout(_PATIENCE):
                    await self.heard.wait()
        except (StoreError, TimeoutError) as error:
            logger.debug("the other processes cannot be asked: %s", error)
            return 0
        return others

    def open(self, nonce: str, inquiry: Inquiry) -> None:
        """From here on answers that name the nonce are the inquiry's."""
        self._inquiries[nonce] = inquiry

    def close(self, nonces: Iterable[str]) -> None:
        """Answers that still come are too late."""
        for nonce in nonces:
            self._inquiries.pop(nonce, None)

    # -- hearing ------------------------------------------------------------

    def _on_message(self, message: bytes) -> None:
        if not self.take(message):
            notice = decode(message)
            if notice is not None and notice.asks:
                self.question(notice)

    def take(self, message: bytes) -> bool:
        """Take an answer; tell whether the message is one."""
        answer = decode_answer(message)
        if answer is None:
            return False
        inquiry = self._inquiries.get(answer.nonce)
        if inquiry is not None and answer.who != self._who:
            inquiry.take(answer)
        return True

    def question(self, notice: Notice) -> None:
        """Answer a notice that asks, soon; call it before the notice is acted upon."""
        if notice.nonce in self._inquiries or len(self._pending) >= _PENDING:
            return
        self._pending.append((notice, self.sockets(notice)))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._pending:
            notice, sockets = self._pending.popleft()
            try:
                async with asyncio.timeout(_PATIENCE):
                    counts = await sockets.count()
                    answer = Answer(notice.nonce, self._who, tuple(counts))
                    await self._owner.store.publish(answer.encode())
            except (StoreError, TimeoutError) as error:
                logger.debug("a question was not answered: %s", error)
            except Exception:  # the next one is
                logger.exception("a question could not be answered")
            await asyncio.sleep(_PACE)
        self._worker = None

    def sockets(self, notice: Notice) -> Sockets:
        """Return the sockets of this process that a notice is about."""
        of = self._owner.connections.of
        return Sockets(notice, self.watcher, [of(id) for id in notice.ids])


class Sockets:
    """The sockets that a process has when it hears a notice."""

    def __init__(
        self, notice: Notice, watcher: Watching | None, found: Sequence[Sequence[Connection]]
    ) -> None:
        self._notice = notice
        self._watcher = watcher
        ended = Phase.ENDED
        self._found = [[one for one in some if one.phase is not ended] for some in found]

    async def count(self) -> list[int]:
        """Return how many were closed, or are open, for each id."""
        notice = self._notice
        if notice.reason and self._watcher is not None:
            await self._watcher.look(notice.ids, notice.reason)
        if notice.reason:
            return [sum(one.phase is Phase.ENDED for one in some) for some in self._found]
        return [sum(one.live for one in some) for some in self._found]


class Inquiry:
    """A question under way; it may take several notices.

    Attributes:
        processes: how many have answered all of it, this one included if
            it has sockets to speak of.
        of_processes: how many were asked.
        counts: the sum of what they said, by session id.
    """

    def __init__(self, questions: Questions, others: int | None) -> None:
        self._questions = questions
        self._others = others
        self._asked: dict[str, tuple[str, ...]] = {}  # ids by nonce
        self._answered: dict[str, int] = {}  # notices by who answered
        self._seen: set[tuple[str, str]] = set()
        self._here: list[tuple[Notice, Sockets]] = []
        self._complete = False  # all of it was asked
        self._done = asyncio.Event()
        self.processes = 0
        self.of_processes = 0
        self.counts: dict[str, int] = {}

    def ask(self, notice: Notice) -> Notice:
        """Return the notice to send; call it before it is acted upon here."""
        if self._questions.watcher is not None:
            self._here.append((notice, self._questions.sockets(notice)))
        if self._others == 0:
            return notice
        nonce = secrets.token_hex(16)
        self._asked[nonce] = notice.ids
        self._questions.open(nonce, self)
        return dataclasses.replace(notice, nonce=nonce)

    def unsent(self) -> None:
        """It cannot be sent, so there is nothing to wait for."""
        self._done.set()

    def take(self, answer: Answer) -> None:
        """Count an answer, once."""
        ids, known = self._asked[answer.nonce], (answer.nonce, answer.who)
        if known in self._seen or len(ids) != len(answer.counts) or self._has_all():
            return
        self._seen.add(known)
        self._answered[answer.who] = self._answered.get(answer.who, 0) + 1
        self._add(ids, answer.counts)
        if self._complete and self._has_all():
            self._done.set()

    def _has_all(self) -> bool:
        others = _MOST_PROCESSES if self._others is None else self._others
        return len(self._seen) >= others * len(self._asked)

    def _add(self, ids: Iterable[str], counts: Iterable[int]) -> None:
        for id, count in zip(ids, counts, strict=True):
            self.counts[id] = self.counts.get(id, 0) + count

    def close(self) -> None:
        """Take no answers any more; whoever asks calls it in the end."""
        self._questions.close(self._asked)

    async def result(self) -> None:
        """Wait for the answers; what has not come in time is not counted."""
        try:
            async with asyncio.timeout(_PATIENCE):
                for notice, sockets in self._here:
                    self._add(notice.ids, await sockets.count())
                self.processes += bool(self._here)
                self._complete = True
                if not self._has_all():
                    await self._done.wait()
        except TimeoutError:
            pass
        self.processes += sum(n == len(self._asked) for n in self._answered.values())
        others = len(self._answered) if self._others is None else self._others
        self.of_processes = bool(self._here) + (others if self._asked else 0)

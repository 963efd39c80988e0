"""A manager's own life: its settings, its services, its start and its end.

And what has to reach the other processes, because services are who
hears it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from .connections import FINAL, Connections
from .credentials import Credentials
from .errors import ConfigurationError, StoreError
from .events import Reporter, logger
from .forks import tell_of_forks, used_elsewhere
from .notices import Notice, notices
from .policy import Policy
from .questions import Inquiry, Questions
from .signing import Secret, check_secret
from .stores.base import Store
from .tokens import only_headers

_FAREWELL = 2.0  # seconds for what is under way when the manager closes
_ROUND, _ROUNDS = 0.05, 20  # seconds for what is cut then, and how often it is


class Service(Protocol):
    """Something that runs as long as the manager does: the watcher."""

    def start(self) -> None:
        """Begin; called in the running event loop."""

    async def stop(self) -> None:
        """End, and wait for what was begun; twice is harmless."""

    def notice(self, notice: Notice) -> None:
        """Take a notice that was made in this process."""

    def health(self) -> Mapping[str, Any]:
        """Say how things are, for `SessionManager.health`."""


class Lifecycle:
    """The part of the session manager that starts, stops and tells.

    Args:
        embedded: the store was not chosen but defaulted to.
        secret: signs credentials; None: the Application's ``cookie_secret``.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        credentials: Credentials,
        report: Reporter,
        *,
        embedded: bool,
        secret: Secret | None,
    ) -> None:
        self.store = store
        self.policy = policy
        self.credentials = credentials
        #: See `credentials.Credentials`; asked once rather than with each request.
        self.vary: str = getattr(credentials, "vary", "Cookie")
        self.by_header: Callable[[Any], bool] | None = getattr(credentials, "by_header", None)
        #: Whether a request's headers are all that they look at, so that they can be asked early.
        self.reads_headers = only_headers(credentials)
        self.report = report
        self.connections = Connections(report)
        self.questions = Questions(self)
        self._embedded = embedded
        self._secret = secret
        self._settings: Mapping[str, Any] | None = None
        self._bound: tuple[object, object] | None = None
        self._services: list[Service] = []
        #: The event loop in which the store is open and the services run.
        self._home: asyncio.AbstractEventLoop | None = None
        self._owner: object = None  # the loop that starts, or started, it; else what spoilt it
        self._closed = False
        self._changing = asyncio.Lock()  # one start or close at a time, in `_turns`
        self._turns: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        #: Set by `drain()`, with its result; from then on no new socket gets in.
        self.draining: asyncio.Future[Any] | None = None
        tell_of_forks(self)
        if secret is not None:
            # Of several secrets the one with the highest version signs. What
            # is no version cannot be compared with one; it is refused next.
            several = secret if isinstance(secret, Mapping) else ()
            versions = [version for version in several if isinstance(version, int)]
            self._bind_secret(secret, max(versions, default=None))

    def bind(self, settings: Mapping[str, Any]) -> None:
        """Take what an Application's settings say; called with each request.

        Raises:
            ConfigurationError: no usable ``cookie_secret``, or another
                one than that of an Application bound before.
        """
        if settings is self._settings:
            return
        if self._secret is None:
            self._bind_secret(settings.get("cookie_secret"), settings.get("key_version"))
        if self._embedded and self._settings is None and not settings.get("debug"):
            logger.warning(
                "sessions live in this process's memory: they end with it and no other process"
                " sees them. In production: SessionManager(RedisStore(...))"
            )
        self._settings = settings

    def _bind_secret(self, secret: Any, key_version: Any) -> None:
        if isinstance(secret, Mapping):
            secret = dict(secret)  # Tornado takes no other mapping
        if self._bound == (secret, key_version):
            return  # told already; telling again makes credentials forget what they verified
        check_secret(secret, key_version)
        if self._bound is not None:
            raise ConfigurationError(
                "two Applications with different cookie_secret (or key_version) share one"
                " SessionManager: give both the same, or pass secret=... to the SessionManager"
            )
        bind = getattr(self.credentials, "bind", None)
        if bind is not None:
            bind(secret, key_version)
        self._bound = (secret, key_version)

    def attach(self, service: Service) -> None:
        """Run a service as long as the manager runs."""
        self._services.append(service)
        if self._home is not None and self._home is asyncio.get_running_loop():
            service.start()

    @property
    def services(self) -> tuple[Service, ...]:
        """What was attached."""
        return tuple(self._services)

    async def start(self) -> None:
        """Open the store and start the services, also after `close()`.

        The first use does it by itself, but not once the manager was
        closed. It runs in this event loop until it is closed; after that
        it may be started in another one, or forked.

        Raises:
            ConfigurationError: it runs in another event loop, or did so
                when this process was forked.
        """
        self._turn()  # refused before anything is changed
        self._closed = False
        self.draining = None
        await self._ensure_started()

    async def ready(self) -> None:
        """Start, unless that was done; `resolve()` looks itself, for a coroutine less."""
        if self._home is not asyncio.get_running_loop():
            await self._ensure_started()

    async def _ensure_started(self) -> None:
        """Start unless started here; the use cases look at `_home` before they call it."""
        async with self._turn():
            if self._closed:
                raise StoreError("the session manager is closed")
            if self._home is None:
                loop = self._owner = asyncio.get_running_loop()
                self.questions.begin()
                try:
                    await self.store.open()
                except BaseException:
                    self._owner = None
                    raise
                self._home = loop
                for service in self._services:
                    service.start()

    def _turn(self) -> asyncio.Lock:
        """Return the lock for a start or a close in this event loop."""
        loop = asyncio.get_running_loop()
        if self._owner is not None and self._owner is not loop:
            raise used_elsewhere("SessionManager")
        if self._turns is not loop:
            # A lock that somebody has waited for is of that loop for ever.
            self._turns, self._changing = loop, asyncio.Lock()
        return self._changing

    def forked(self) -> None:
        """See `forks.py`: what runs, runs in the parent."""
        if self._owner is not None:
            self._home, self._owner = None, "forked"

    @property
    def settled(self) -> bool:
        """Whether nothing is under way of what was spawned."""
        return not self._tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that nobody waits for; it ends with the manager."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop the services and close the store; twice is harmless.

        Open connections end with reason ``shutdown``; clients have
        two seconds to hear it, then what still runs is cancelled, and not
        waited for after a third one. What comes later gets a StoreError,
        until somebody calls `start()`.

        Raises:
            ConfigurationError: it runs in another event loop, or in the
                process that this one was forked from.
        """
        turn = self._turn()
        self._closed = True
        async with turn:
            await self._stop()

    async def _stop(self) -> None:
        self._home = None
        for service in self._services:
            await service.stop()
        await self.questions.stop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _FAREWELL
        while self._tasks and loop.time() < deadline:
            await asyncio.wait(self._tasks, timeout=deadline - loop.time())
        left, rounds = set(self._tasks), _ROUNDS
        while left and rounds:
            # Again, for python-socketio takes it for the end of one disconnect
            # handler, and runs that of the next namespace.
            for task in left:
                task.cancel()
            done, left = await asyncio.wait(left, timeout=_ROUND)
            await asyncio.gather(*done, return_exceptions=True)
            rounds -= 1
        await self.store.close()
        self._owner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def health(self) -> dict[str, Any]:
        """Say how things are, now: whether the store answers, and notices are heard.

        Returns:
            ``store``: "ok", or what failed. ``connections``: how many
            sockets are open here. ``notices``: whether the ends of
            sessions are heard as they happen; if not, the reload finds
            them. It is there once something watches: a server, a
            WebSocket handler.
        """
        state: dict[str, Any] = {"store": "ok", "connections": len(self.connections)}
        try:
            await self.store.peek(["A" * 22])
        except StoreError as error:
            state["store"] = str(error)
        for service in self._services:
            state.update(service.health())
        return state

    async def announce(self, reason: str, ids: list[str], inquiry: Inquiry | None = None) -> None:
        """Publish notices, and act on them in this process without the detour."""
        for notice in notices(reason, ids):
            asking = notice if inquiry is None else inquiry.ask(notice)
            if reason in FINAL:
                # Decided here, and done: in this process nothing is said or
                # heard by the time that the caller goes on.
                for id in notice.ids:
                    self.connections.end(id, reason)
            for service in self._services:
                service.notice(notice)
            if not reason and not asking.asks:
                continue  # a question that nobody else would hear
            try:
                await self.store.publish(asking.encode())
            except StoreError as error:
                self.report("store_failed", detail=f"notice not sent: {error}")
                if inquiry is not None:
                    inquiry.unsent()

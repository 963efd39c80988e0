"""Ended means ended: a revocation races everything that a client can do at that moment."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from tests.apps.shared_events import Shared
from tests.support.proofs import measured, scale
from tests.support.sites import Site, session_id, site, until
from tornado_shared_session import RedisStore, Store
from tornado_shared_session.testing import (
    ConnectionLost,
    ConnectRefused,
    CookieJar,
    HandshakeRefused,
    SocketIOTestClient,
)

RACES = scale(500, long=10_000)
SEED = 20_04
_AT_ONCE = 50
RELOAD = 600  # so that it does not mend what got through
PATIENCE = 20.0  # seconds; how fast a busy machine is, is not the question
_HOPS = (0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 30)  # turns of the loop
KINDS = ("handshake", "event", "poll", "upgrade", "login")
HOWS = ("destroy", "destroy_user", "logout", "login", "regenerate")
#: When what is being handled asked the store, in monotonic seconds.
_asked: ContextVar[float] = ContextVar("asked", default=float("inf"))
_LOST = (ConnectionLost, ConnectRefused, HandshakeRefused, TimeoutError, OSError)


async def hop(rng: random.Random) -> None:
    """Let others go first, for some turns of the loop."""
    for _ in range(rng.choice(_HOPS)):
        await asyncio.sleep(0)


def blur(store: Store, rng: random.Random) -> None:
    """Let each call of a store begin and return some turns later."""

    def blurred(name: str) -> Callable[..., Awaitable[Any]]:
        real: Callable[..., Awaitable[Any]] = getattr(store, name)

        async def call(*args: Any, **options: Any) -> Any:
            await hop(rng)
            if name == "load":
                _asked.set(time.monotonic())
            result = await real(*args, **options)
            await hop(rng)
            return result

        return call

    for name in ("load", "create", "commit", "delete", "peek", "publish"):
        setattr(store, name, blurred(name))


@dataclass
class Began:
    """When handlers asked the store, and when they began: by session id and what was sent."""

    at: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def edit(self, shared: Shared) -> None:
        """Add the handlers that tell."""
        sio = shared.sio

        def began(sid: str, what: str) -> None:
            self.at[sio._by_sid[sid].id, what] = _asked.get(), time.monotonic()

        @sio.on("connect")
        def connect(sid: str, environ: Any, auth: Any) -> None:
            began(sid, "connect")

        @sio.on("mark")
        def mark(sid: str, what: str) -> str:
            began(sid, what)
            return "marked"


class Race:
    """One revocation against one thing that a client does.

    Args:
        there: where the client is.
        here: where its session is ended; perhaps the same process.
    """

    def __init__(self, rng: random.Random, sites: tuple[Site, Site], kind: str, how: str) -> None:
        self.rng = rng
        self.there, self.here = rng.choice(sites), rng.choice(sites)
        self.kind, self.how = kind, how
        self.id = self.room = ""
        self.revoked = self.did = False
        self.returned = 0.0
        #: Every credential of the session that somebody has.
        self.jars: list[CookieJar] = []
        self.client: SocketIOTestClient | None = None

    async def run(self) -> None:
        """Do it; what is left is for `check`."""
        jar = await self.there.visitor(note="mine")
        self.id, self.jars = session_id(jar), [jar]
        if self.how == "destroy_user":
            assert (await self.there.http(jar).post("/login", {"user": self.id})).code == 200
        self.room = await self.there.manager.room(self.id)
        act = await self._prepare(jar)
        acting = asyncio.ensure_future(self._act(act))
        await hop(self.rng)
        await self._revoke(CookieJar(jar))
        if self.revoked:
            self.returned = time.monotonic()
            if self.client is not None:
                await self._go_on(self.client)
        await acting

    async def _prepare(self, jar: CookieJar) -> Callable[[], Awaitable[Any]]:
        if self.kind == "login":
            own = CookieJar(jar)
            self.jars.append(own)
            return lambda: self.there.http(own).post("/login", {"user": "ann"})
        choice = {
            "handshake": ("polling", "websocket", "upgrade"),
            "event": ("websocket", "upgrade"),
            "poll": ("polling",),
            "upgrade": ("polling",),
        }[self.kind]
        transport = self.rng.choice(choice)
        self.client = client = self.there.client(transport, dict(jar), timeout=PATIENCE)
        if self.kind == "handshake":
            return self.rng.choice((client.connect, client.open))  # nothing else looks then
        await client.connect()
        return client.upgrade if self.kind == "upgrade" else lambda: client.emit("mark", "racing")

    async def _act(self, act: Callable[[], Awaitable[Any]]) -> None:
        await hop(self.rng)
        with suppress(*_LOST):
            answer = await act()
            self.did = self.kind != "login" or answer.code == 200

    async def _revoke(self, jar: CookieJar) -> None:
        if self.how == "destroy":
            self.revoked = await self.here.manager.destroy(self.id)
            return
        if self.how == "destroy_user":
            self.revoked = (await self.here.manager.destroy_user(self.id)).sessions == 1
            return
        self.jars.append(jar)
        response = await self.here.http(jar).post(f"/{self.how}", {"user": "bob"})
        # Two logins at once: one of them is too late, and changes nothing.
        assert response.code in ((200, 409) if self.kind == "login" else (200,))
        self.revoked = response.code == 200

    async def _go_on(self, client: SocketIOTestClient) -> None:
        """The client goes on as if nothing had happened."""
        if not self.ends:
            self.room = await self.here.manager.room(self.id)  # another one, since
        if not self.ends or self.here is self.there:
            await self.there.sio.emit("secret", room=self.room)
        with suppress(*_LOST):
            if client.sid is not None:
                await client.emit("mark", "late", ack=False)

    @property
    def ends(self) -> bool:
        """Whether the session is to be gone, rather than its credential replaced."""
        return self.revoked and self.how in ("destroy", "destroy_user", "logout")

    async def check(self, began: Began, late: list[float], seen: Counter[str]) -> None:
        """Nobody got through."""
        here, there = self.here.manager.connections, self.there.manager.connections
        await until(lambda: not here.of(self.id) + there.of(self.id), 10)
        (peek,) = await self.here.manager.store.peek([self.id])
        assert (peek is None) == self.ends, self
        alive = [jar for jar in self.jars if await self._lives(jar)]
        assert len(alive) == (0 if self.ends else 1), self
        assert alive != [self.jars[0]], self
        if self.client is not None:
            await until(self._cut_off, 10)
            assert "secret" not in [event.name for event in self.client.events], self
            await self.client.close()
        seen[f"{self.kind}, {'done' if self.did else 'refused'}"] += 1
        assert (self.id, "late") not in began.at, self
        for what in ("racing", "connect"):
            asked, at = began.at.get((self.id, what), (0.0, 0.0))
            if not self.revoked or at <= self.returned:
                continue
            # Asked before the end, answered, and only then was the end. The
            # process that ends it can tell; another one hears of it.
            assert asked <= self.returned, self
            assert not (self.ends and self.here is self.there), self
            late.append(at - self.returned)

    def _cut_off(self) -> bool:
        """Whether the client has no connection, or one of a new session."""
        assert self.client is not None
        connection = self.there.sio.connection_of(self.client.eio_sid or "")
        if connection is not None:
            return connection.id != self.id
        # An upgrade that fails halfway leaves a client that polls no more.
        return self.client.closed or not self.client.eio_sid or self.kind == "upgrade"

    async def _lives(self, jar: CookieJar) -> bool:
        """Whether a credential still leads to the session."""
        answer = await self.here.http(CookieJar(jar)).get("/whoami")
        return bool(json.loads(answer.body)["id"] == self.id)

    def __repr__(self) -> str:
        where = "in the same process" if self.here is self.there else "in the other process"
        return f"<{self.how} races {self.kind} {where}>"


async def test_revocation_races(redis_url: str, prefix: str) -> None:
    """10,000 races of a revocation with what a client does meanwhile: nobody gets through (I5)."""
    rng, began = random.Random(SEED), Began()

    def patient() -> Store:
        return RedisStore(redis_url, prefix=prefix, timeout=PATIENCE)

    late: list[float] = []
    seen: Counter[str] = Counter()
    async with (
        site(store=patient(), edit=began.edit, reload_interval=RELOAD) as a,
        site(store=patient(), edit=began.edit, reload_interval=RELOAD) as b,
    ):
        for running in (a, b):
            blur(running.manager.store, rng)
        for number in range(0, RACES, _AT_ONCE):
            races = [
                Race(rng, (a, b), KINDS[n % 5], HOWS[n // 5 % 5])
                for n in range(number, min(number + _AT_ONCE, RACES))
            ]
            await asyncio.gather(*(race.run() for race in races))
            await asyncio.gather(*(race.check(began, late, seen) for race in races))
        for running in (a, b):
            await running.empty(10)
    assert all(seen[f"{kind}, {how}"] for kind in KINDS for how in ("done", "refused"))
    measured("races of a revocation", f"{RACES}, {dict(sorted(seen.items()))}")
    measured(
        "of these, handlers that began after the end of what had been loaded before it",
        f"{len(late)}, the latest after {max(late, default=0) * 1000:.0f} ms",
    )

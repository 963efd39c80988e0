"""No socket outlives its session: thousands of them, on all transports, in two processes."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.apps.crowd import Place
from tests.apps.shared import SECRET
from tests.support.processes import AppProcess, start_apps
from tests.support.proofs import measured, scale
from tests.support.sites import raw_redis, session_id, until, visitor
from tornado_shared_session import RedisStore, SessionManager
from tornado_shared_session.testing import CookieJar, HTTPTestClient, RedisServer

SESSIONS = scale(50, long=1_000)  # with three sockets each
RATE = 50.0  # ends a second
TRANSPORTS = ("polling", "websocket", "upgrade")
#: How the third socket of a session behaves (see `Place`); the others are good.
MANNERS = ("good", "good", "deaf", "silent", "again")
#: Seconds from the end to the closed socket, in 99 of 100 cases; a busy machine, in CI, gets more.
NOTICED = scale(5, long=1)
RELOAD = 2.0
STORE_TIMEOUT = 0.9  # RedisStore's default


@dataclass
class Socket:
    """One socket: what it is, and when it was closed, in seconds after its end."""

    session: int
    place: Place
    eio_sid: str = ""
    ended: float = float("inf")
    gone: float = float("inf")
    client: float = float("inf")
    reason: str = ""

    @property
    def closed(self) -> float:
        """When it was closed: on both sides, if the client looks."""
        looks = self.place["manner"] == "good"
        return max(self.gone, self.client) if looks else self.gone


class World:
    """Two servers, a crowd of clients, and sessions to end."""

    def __init__(self, apps: list[AppProcess], crowd: AppProcess, manager: SessionManager) -> None:
        self.apps = apps
        self.crowd = crowd
        self.manager = manager
        self.jars: list[CookieJar] = []
        self.sockets: list[Socket] = []
        self.returned: dict[int, float] = {}
        self.random = random.Random(4)  # so that each run is the same

    async def fill(self) -> None:
        """Make the sessions, and connect three sockets to each."""
        for start in range(0, SESSIONS, 50):
            some = range(start, min(start + 50, SESSIONS))
            self.jars += await asyncio.gather(*map(self._visitor, some))
        for number, jar in enumerate(self.jars):
            manners = ("good", "good", self.random.choice(MANNERS))
            transports = self.random.sample(TRANSPORTS, 3)
            for nth, (manner, transport) in enumerate(zip(manners, transports, strict=True)):
                url = self.apps[(number + nth) % 2].url
                place = Place(url=url, cookies=dict(jar), transport=transport, manner=manner)
                self.sockets.append(Socket(number, place))
        answer = await self._ask("/join", json.dumps([one.place for one in self.sockets]))
        for socket, eio_sid in zip(self.sockets, answer, strict=True):
            socket.eio_sid = eio_sid

    async def _visitor(self, number: int) -> CookieJar:
        url = self.apps[number % 2].url
        jar = await visitor(url)
        if number % 4 == 3:  # for destroy_user
            await HTTPTestClient(url, cookies=jar).post("/login", {"user": f"user-{number}"})
        return jar

    async def _ask(self, path: str, body: str | None = None) -> Any:
        http = HTTPTestClient(self.crowd.url, timeout=300)
        response = await (http.get(path) if body is None else http.post(path, body))
        assert response.code == 200, response.body
        return json.loads(response.body)

    async def end_all(self) -> None:
        """End every session at the rate, in four ways."""
        begun = time.monotonic()
        ends = []
        for number in range(SESSIONS):
            # Time itself is under test: a steady rate, as far as the machine keeps up.
            await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            ends.append(asyncio.ensure_future(self._end(number)))
        await asyncio.gather(*ends)

    async def _end(self, number: int) -> None:
        jar = self.jars[number]
        http = HTTPTestClient(self.apps[number // 2 % 2].url, cookies=CookieJar(jar))
        if number % 4 < 2:
            # What counts is the handler's destroy(); its beginning is earlier still.
            self.returned[number] = time.monotonic()
            path = "/logout" if number % 4 else "/regenerate"
            assert (await http.post(path, {})).code == 200
            return
        if number % 4 == 2:
            assert await self.manager.destroy(session_id(jar))
        else:
            assert (await self.manager.destroy_user(f"user-{number}")).sessions == 1
        self.returned[number] = time.monotonic()

    async def wait_gone(self, seconds: float) -> None:
        """Wait until the servers and the clients have closed everything; keep the times."""
        known = {socket.eio_sid: socket for socket in self.sockets}
        good = sum(socket.place["manner"] == "good" for socket in self.sockets)
        try:
            await until(lambda: len(self._lines("gone")) == len(known), seconds)
        except TimeoutError:
            pass  # those that are not gone fail the test, with what they are
        for what in ("ended", "gone"):
            for line in self._lines(what):
                socket = known[line[what]]
                setattr(socket, what, line["at"] - self.returned[socket.session])
                socket.reason = line.get("reason", socket.reason)
        seen = await self._ask("/seen")
        deadline = time.monotonic() + 5
        while sum(one["closed_at"] is not None for one in seen) < good:
            assert time.monotonic() < deadline, "clients whose transport was not closed"
            await asyncio.sleep(0.1)  # another process has to be asked, and tells nobody by itself
            seen = await self._ask("/seen")
        for one in seen:
            socket = known[one["eio_sid"]]
            if one["closed_at"] is not None:
                socket.client = one["closed_at"] - self.returned[socket.session]
            assert not one["again"], "it was connected again"

    def _lines(self, key: str) -> list[dict[str, Any]]:
        return [line for app in self.apps for line in app.lines if key in line]

    def connects(self) -> int:
        """Count the connect handlers that ran."""
        return len(self._lines("connect"))


@asynccontextmanager
async def world(redis: str, prefix: str, *options: str) -> AsyncIterator[World]:
    """Start everything, and fill it."""
    store = RedisStore(redis, prefix=prefix)
    # Those that never CONNECT are to be there still when their session ends.
    options = ("--redis", redis, "--prefix", prefix, "--connect-timeout", "600", *options)
    async with (
        start_apps("tests.apps.ends", *options) as apps,
        AppProcess("tests.apps.crowd") as crowd,
        SessionManager(store, secret=SECRET) as manager,
    ):
        filled = World(apps, crowd, manager)
        await filled.fill()
        yield filled


def figures(what: str, sockets: list[Socket]) -> dict[str, list[float]]:
    """Show how long it took, per kind of client; return the sorted seconds."""
    found: dict[str, list[float]] = {}
    for manner in ("all", *dict.fromkeys(MANNERS)):
        some = [socket for socket in sockets if manner in ("all", socket.place["manner"])]
        for name in ("ended", "closed"):
            times = found[f"{manner} {name}"] = sorted(getattr(one, name) for one in some)
            shown = {"p50": share(times, 0.5), "p99": share(times, 0.99), "max": times[-1]}
            measured(
                f"{what}, {len(some)} sockets ({manner}), {name}",
                ", ".join(f"{key} {seconds * 1000:.0f} ms" for key, seconds in shown.items()),
            )
    return found


def share(times: list[float], part: float) -> float:
    """Return the time within which that part of them was, of sorted ones."""
    return times[int(part * (len(times) - 1))]


async def test_ends_with_notices(redis_url: str, prefix: str) -> None:
    """1,000 ends of 3,000 sockets: closed after a second at most, and none connects again (I4).

    Also those of clients that stop reading or polling (F4, F5), never
    CONNECT (T15, S33), or CONNECT again (F3).
    """
    async with world(redis_url, prefix) as filled:
        connects = filled.connects()
        await filled.end_all()
        await filled.wait_gone(10)
        assert filled.connects() == connects
    check(filled.sockets)
    found = figures("end, with notices", filled.sockets)
    assert all(share(times, 0.99) <= NOTICED for times in found.values())


async def test_ends_with_pub_sub_cut(own_redis: RedisServer, prefix: str) -> None:
    """No notice arrives: the reload closes 3,000 sockets in time (I4, R12)."""
    options = ("--reload-interval", str(RELOAD))
    async with world(own_redis.url, prefix, *options) as filled, raw_redis(own_redis.url) as redis:
        # Redis ends every subscription, and refuses another, and every PUBLISH.
        await redis.acl_setuser("default", enabled=True, reset_channels=True)
        assert not await redis.pubsub_channels()
        connects = filled.connects()
        await filled.end_all()
        await filled.wait_gone(10)
        assert filled.connects() == connects
        assert not await redis.pubsub_channels()
    check(filled.sockets)
    found = figures(f"end, pub/sub cut, reload every {RELOAD:g} s", filled.sockets)
    assert max(times[-1] for times in found.values()) <= RELOAD * 1.25 + STORE_TIMEOUT + 1
    assert found["good ended"][-1] > RELOAD / 5  # no notice was it


def check(sockets: list[Socket]) -> None:
    """Every socket was ended and is gone."""
    for socket in sockets:
        assert max(socket.ended, socket.closed) < float("inf"), socket

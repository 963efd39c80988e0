"""The store applied it, and the reply was lost: no second time, and no wrong answer.

The proxy forwards what is asked and resets the connection in place of the
reply. Which of many operations it hits is random.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import tornado.web

from tests.support.core import again, visit
from tests.support.proofs import measured, scale
from tests.support.proxy import FaultProxy
from tornado_shared_session import (
    RedisStore,
    Session,
    SessionEnded,
    SessionManager,
    SessionMixin,
    StoreError,
)
from tornado_shared_session.record import Verdict
from tornado_shared_session.stores.redis_scripts import COMMIT
from tornado_shared_session.testing import CookieJar, HTTPTestClient, RedisServer, serve

pytestmark = pytest.mark.redis
WRITERS = 10
INCREMENTS = scale(50, long=1_000)  # each
LOSS = 0.1  # of the replies to a write


def bump(session: Session) -> int:
    """Count."""
    session["n"] = session.get("n", 0) + 1
    return int(session["n"])


class Loser:
    """Makes the proxy lose the reply to the next write, now and then."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy, self.chance = proxy, random.Random(1)

    def perhaps(self) -> None:
        """Lose the next one, in one of ten cases."""
        if self.chance.random() < LOSS:
            self.proxy.losses.clear()
            self.proxy.lose_replies(b"EVALSHA", count=1)


@asynccontextmanager
async def wired(redis: RedisServer, prefix: str) -> AsyncIterator[tuple[SessionManager, Loser]]:
    """Return a manager behind a proxy."""
    async with FaultProxy(redis.port) as proxy:
        manager = SessionManager(RedisStore(proxy.url, prefix=prefix))
        yield manager, Loser(proxy)
        proxy.heal()
        await manager.close()


async def test_a_count_whose_reply_was_lost_is_not_counted_twice(
    redis_server: RedisServer, prefix: str
) -> None:
    """Each answer is given once; what ended in an error was applied once or not at all (R10)."""
    async with wired(redis_server, prefix) as (manager, loser):
        _, paper = await visit(manager, n=0)
        answers: list[int] = []
        errors = 0

        async def write() -> None:
            nonlocal errors
            for _ in range(INCREMENTS):
                try:
                    session, _ = await again(manager, paper)
                    loser.perhaps()
                    answers.append(await session.transact(bump))
                except StoreError:
                    errors += 1

        await asyncio.gather(*(write() for _ in range(WRITERS)))
        loser.proxy.heal()
        total = (await again(manager, paper))[0]["n"]
    assert len(answers) + errors == WRITERS * INCREMENTS
    assert errors > 0
    assert len(set(answers)) == len(answers)
    # What is missing between the answers was applied without one.
    assert {*answers} <= {*range(1, total + 1)}
    assert total <= len(answers) + errors
    lost = total - len(answers)
    measured("lost replies", f"{errors} errors, {lost} of them applied, {total} counted")


async def test_a_repeat_after_the_error_is_the_same_as_once(
    redis_server: RedisServer, prefix: str
) -> None:
    """Save, touch, log out or end again: the result is that of one time (R10)."""
    async with wired(redis_server, prefix) as (manager, loser):
        proxy = loser.proxy
        for _ in range(scale(20, long=500)):
            session, paper = await visit(manager, a=1, cart=[1], gone=1)
            session["a"] = 2
            session["cart"].append(2)
            del session["gone"]
            proxy.lose_replies(b"EVALSHA", count=1)
            with pytest.raises(StoreError):
                await session.save()
            # It is known to be unsaved still, and saved again it is the same.
            assert session.modified
            await session.save()
            assert dict((await again(manager, paper))[0]) == {"a": 2, "cart": [1, 2]}
            proxy.lose_replies(b"EVALSHA", count=1)
            with pytest.raises(StoreError):
                await session.touch()
            await session.touch()
            proxy.lose_replies(b"EVALSHA", count=1)
            with pytest.raises(StoreError):
                await session.destroy()
            await session.destroy()
            assert (await again(manager, paper))[0].is_new


async def test_a_rotation_whose_reply_was_lost_is_not_done_twice(
    redis_server: RedisServer, prefix: str
) -> None:
    """The new credential reached nobody, the old one is dead; nobody is stuck (R10)."""
    async with wired(redis_server, prefix) as (manager, loser):
        grace = manager.policy.rotation_grace
        for how in ["login", "regenerate"] * scale(10, long=250):
            session, paper = await visit(manager, a=1)
            old = paper.credential

            async def rotate(session: Session = session, how: str = how) -> None:
                await (session.login("ann") if how == "login" else session.regenerate())

            # Not the entry of the index, which comes first.
            loser.proxy.lose_replies(COMMIT.sha.encode(), count=1)
            with pytest.raises(StoreError):
                await rotate()
            with pytest.raises(SessionEnded, match="replaced"):
                await rotate()
            assert paper.credentials == [old]
            record = await manager.store.load(session.id)
            assert record is not None
            assert record.generation == 2
            assert record.judge(old, time.time(), grace) is Verdict.SUPERSEDED
            assert record.judge(old, time.time() + grace, grace) is Verdict.UNKNOWN
            if how == "login":
                # Nor is what nobody can reach out of reach of this.
                assert (await manager.destroy_user("ann")).sessions == 1


async def test_a_login_whose_index_entry_was_not_confirmed_is_done_again(
    redis_server: RedisServer, prefix: str
) -> None:
    """Nothing but the index was written, and the entry is the same when written again (R10)."""
    async with wired(redis_server, prefix) as (manager, loser):
        for _ in range(scale(20, long=500)):
            session, paper = await visit(manager, a=1)
            loser.proxy.lose_replies(b"u:ann", count=1)
            with pytest.raises(StoreError):
                await session.login("ann")
            assert (await again(manager, paper))[0].user_id is None
            await session.login("ann")
            assert (await again(manager, paper))[0].user_id == "ann"
            assert await manager.store.index_list("ann") == [session.id]
            await session.destroy()


class Count(SessionMixin, tornado.web.RequestHandler):
    """A counter."""

    async def post(self) -> None:
        self.write(str(await self.session.transact(bump)))


@pytest.mark.expects_log("503 POST /")
async def test_over_http_a_lost_reply_is_a_503_and_counted_once(
    redis_server: RedisServer, prefix: str
) -> None:
    """The client keeps its cookie, and its next request has the right answer (R1, R10)."""
    done = Counter[int]()
    async with wired(redis_server, prefix) as (manager, loser):
        app = tornado.web.Application(
            [("/", Count)], session_manager=manager, cookie_secret="a secret of the tests"
        )
        async with serve(app) as running:
            http = HTTPTestClient(running.url, cookies=CookieJar())
            first = await http.post("/", {})
            assert first.body == b"1"
            seen = 1
            for _ in range(scale(100, long=3_000)):
                loser.perhaps()
                response = await http.post("/", {})
                done[response.code] += 1
                if response.code == 200:
                    # One more than before, or as many more as were lost in between.
                    assert seen < int(response.body) <= seen + 1 + done[503]
                    seen = int(response.body)
                else:
                    assert response.code == 503
                    assert "Set-Cookie" not in response.headers
                    assert "Retry-After" in response.headers
            http.close()
    assert done[503] > 0
    assert done[200] + 1 <= seen <= 1 + done[200] + done[503]


async def test_ten_thousand_saves_against_a_logout_bring_nothing_back(
    redis_server: RedisServer, prefix: str
) -> None:
    """A save and the end of its session, at once, in any order: 0 resurrected (C19, S19)."""
    chance, outcomes = random.Random(2), Counter[str]()
    races = scale(2_000, long=10_000)
    async with wired(redis_server, prefix) as (one, _):
        other = SessionManager(RedisStore(redis_server.url, prefix=prefix))

        async def race() -> None:
            session, paper = await visit(one)
            late, _ = await again(other, paper)
            late["b"] = 1

            async def save() -> None:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                try:
                    await late.save()
                    outcomes["saved"] += 1
                except SessionEnded as error:
                    outcomes[error.reason] += 1

            await asyncio.gather(save(), session.destroy())
            assert await one.store.load(session.id) is None
            assert (await again(other, paper))[0].is_new

        for _ in range(races // 50):
            await asyncio.gather(*(race() for _ in range(50)))
        await other.close()
    assert outcomes["saved"] + outcomes["expired"] == races
    assert min(outcomes["saved"], outcomes["expired"]) > races / 100
    measured(f"{races} saves against a logout", f"0 brought back, {outcomes['expired']} refused")

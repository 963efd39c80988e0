"""A process that dies in the middle leaves no session that `destroy_user` cannot find."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from tests.support.core import Paper, again, visit
from tests.support.processes import AppProcess
from tests.support.sites import raw_redis, until
from tornado_shared_session import MemoryStore, RedisStore, SessionManager
from tornado_shared_session.testing import CookieJar, HTTPTestClient

CALLS = "load create commit delete peek index_add index_remove index_list publish".split()  # noqa: SIM905  # a table to be read
USERS = ("ann", "bob")


class DyingStore(MemoryStore):
    """The same records, seen from a process that dies at its n-th call to the store.

    Args:
        real: the store, which lives on.
        last: the number of the call that never returns.
        applied: whether the store still carries that one out.
    """

    def __init__(self, real: MemoryStore, last: int, *, applied: bool) -> None:
        super().__init__()
        self.died = asyncio.Event()
        self._left, self._applied = last, applied
        for name in CALLS:
            setattr(self, name, partial(self._call, getattr(real, name)))

    async def _call(self, real: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left > 0:
            return await real(*args, **options)
        if self._left == 0 and self._applied:
            await real(*args, **options)
        self.died.set()
        await asyncio.get_running_loop().create_future()  # whatever comes after never happens
        raise AssertionError


Act = Callable[[SessionManager, Paper], Awaitable[Any]]


async def _new_login(manager: SessionManager, paper: Paper) -> None:
    session = await manager.resolve([], Paper())
    session["a"] = 1
    await session.login("ann")


async def _login(user: str, manager: SessionManager, paper: Paper) -> None:
    await (await again(manager, paper))[0].login(user)


async def _regenerate(manager: SessionManager, paper: Paper) -> None:
    await (await again(manager, paper))[0].regenerate()


async def _logout(manager: SessionManager, paper: Paper) -> None:
    await (await again(manager, paper))[0].destroy()


async def _destroy(manager: SessionManager, paper: Paper) -> None:
    await manager.destroy(paper.credential.id)


async def _destroy_user(manager: SessionManager, paper: Paper) -> None:
    await manager.destroy_user("bob")


#: What is done: whose session it is before, and the call.
ACTS: dict[str, tuple[str, Act]] = {
    "a login without a session": ("", _new_login),
    "a login of a visitor": ("", partial(_login, "ann")),
    "a login as the same user": ("ann", partial(_login, "ann")),
    "a login as another user": ("bob", partial(_login, "ann")),
    "a regenerate": ("bob", _regenerate),
    "a logout": ("bob", _logout),
    "an end by id": ("bob", _destroy),
    "an end of all": ("bob", _destroy_user),
}


async def find_all(manager: SessionManager, store: MemoryStore) -> None:
    """Assert that every session of a user is found, and can be ended."""
    for id, entry in store._entries.items():
        if (user := entry.record.meta.user_id) is not None:
            assert id in await store.index_list(user)
    for user in USERS:
        await manager.destroy_user(user)
        assert await manager.list_user(user) == []
    assert not [entry for entry in store._entries.values() if entry.record.meta.user_id]


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("cap", [None, 1])
@pytest.mark.parametrize("act", ACTS)
async def test_a_crash_at_any_call_leaves_no_session_that_cannot_be_found(
    act: str, cap: int | None, applied: bool
) -> None:
    """At each await in turn, whether or not the store still did what it was asked (R14)."""
    before, run = ACTS[act]
    for last in range(1, 50):
        store, paper = MemoryStore(), Paper()
        alive = SessionManager(store, max_sessions_per_user=cap)
        for user in USERS:  # others of the same users, which may have to give way
            await (await visit(alive))[0].login(user)
        session, _ = await visit(alive, paper)
        if before:
            await session.login(before)
        dying = DyingStore(store, last, applied=applied)
        work = asyncio.ensure_future(run(SessionManager(dying, max_sessions_per_user=cap), paper))
        death = asyncio.ensure_future(dying.died.wait())
        await asyncio.wait({work, death}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        died = dying.died.is_set()
        for task in (work, death):
            task.cancel()
        await asyncio.gather(work, death, return_exceptions=True)
        await find_all(alive, store)
        if not died:
            assert last > 2
            return
    raise AssertionError("it never came to an end")


async def test_a_killed_process_leaves_no_session_that_cannot_be_found(
    redis_url: str, prefix: str
) -> None:
    """kill -9 in the middle of logins, of changes of the user and of logouts, again and again
    (R14).
    """
    done = 0

    def have_logged_in(number: int) -> bool:
        return done >= number

    for seed in range(6):
        chance = random.Random(seed)
        app = AppProcess("tests.apps.shared", "--redis", redis_url, "--prefix", prefix)
        await app.start()

        async def visit_until_killed(number: int, url: str = app.url) -> None:
            nonlocal done
            http = HTTPTestClient(url, cookies=CookieJar())
            with suppress(Exception):  # the connection breaks
                while True:
                    for user in USERS if number % 2 else USERS[::-1]:
                        done += (await http.post("/login", {"user": user})).code == 200
                    if number % 3 == 0:
                        await http.post("/logout")

        visitors = [asyncio.ensure_future(visit_until_killed(number)) for number in range(12)]
        # Where in the middle it dies is up to chance, how far it came is not.
        await until(partial(have_logged_in, done + chance.randint(10, 60)), 10)
        await app.kill()
        await asyncio.wait_for(asyncio.gather(*visitors), 10)
        async with raw_redis(redis_url) as redis:
            keys: list[Any] = await redis.keys(f"{prefix}s:*")
            for key in keys:
                record: Any = await redis.hgetall(key)
                if user := record.get(b"\xffu", b"").decode():
                    listed = await redis.zrange(f"{prefix}u:{user}", 0, -1)
                    assert key[len(f"{prefix}s:") :] in listed
    assert done > 50
    async with SessionManager(RedisStore(redis_url, prefix=prefix)) as manager:
        for user in USERS:
            assert (await manager.destroy_user(user)).sessions > 0
            assert await manager.list_user(user) == []

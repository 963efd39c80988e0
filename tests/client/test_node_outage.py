"""The real JavaScript client while Redis is away, and after."""

from __future__ import annotations

import time

import pytest

from tests.client.conftest import APP
from tests.client.node import connected, ready, status_of
from tests.support.processes import start_apps
from tests.support.proxy import FaultProxy
from tornado_shared_session.testing import HTTPTestClient, RedisServer

pytestmark = pytest.mark.node


@pytest.mark.parametrize("fault", ["refused", "black hole"])
async def test_a_client_that_comes_while_redis_is_away_comes_back_with_it(
    redis_server: RedisServer, prefix: str, transport: str, fault: str
) -> None:
    """A connect_error each time; then the same user, within five seconds."""
    async with FaultProxy(redis_server.port) as proxy:
        options = ["--redis", proxy.url, "--prefix", prefix]
        async with start_apps(APP, *options, count=1) as (app,):
            http = HTTPTestClient(app.url)
            await http.post("/login", {"user": "ada"})
            if fault == "refused":
                await proxy.refuse()
            else:
                proxy.black_hole()
            async with connected(app.url, http, transport) as client:
                for _ in range(2):
                    error = await client.wait("connect_error")
                    assert status_of(error) == 503
                answer = await http.get("/whoami")
                assert (answer.code, "Set-Cookie" in answer.headers) == (503, False)
                assert client.count("connect") == 0
                await proxy.normal()
                back = time.monotonic()
                assert (await ready(client, transport))["user"] == "ada"
                assert time.monotonic() - back < 5
                assert (await client.emit("whoami"))["user"] == "ada"


async def test_an_open_socket_outlives_a_short_absence_of_redis(
    redis_server: RedisServer, prefix: str, transport: str
) -> None:
    """An event meanwhile gets no answer; afterwards, on the same connection, it does."""
    async with FaultProxy(redis_server.port) as proxy:
        options = ["--redis", proxy.url, "--prefix", prefix]
        async with start_apps(APP, *options, count=1) as (app,):
            http = HTTPTestClient(app.url)
            await http.post("/login", {"user": "ada"})
            async with connected(app.url, http, transport) as client:
                await ready(client, transport)
                await proxy.refuse()
                with pytest.raises(TimeoutError):
                    await client.emit("whoami", timeout=0.5)
                await proxy.normal()
                back = time.monotonic()
                while True:
                    try:
                        assert (await client.emit("whoami", timeout=0.5))["user"] == "ada"
                        break
                    except TimeoutError:
                        assert time.monotonic() - back < 5
                assert client.count("disconnect") == 0


async def test_a_redis_that_restarts_empty_has_logged_everybody_out(
    own_redis: RedisServer, prefix: str, transport: str
) -> None:
    """The socket closes as expired, and the client comes back as a stranger (R4)."""
    options = ["--redis", own_redis.url, "--prefix", prefix, "--reload-interval", "1"]
    async with start_apps(APP, *options, count=1) as (app,):
        http = HTTPTestClient(app.url)
        await http.post("/login", {"user": "ada"})
        async with connected(app.url, http, transport) as client:
            await ready(client, transport)
            own_redis.kill()
            own_redis.start()
            back = time.monotonic()
            ended = await client.wait("event", name="session_ended")
            assert ended["args"] == [{"reason": "expired"}]
            assert (await ready(client, transport))["user"] is None
            assert time.monotonic() - back < 5

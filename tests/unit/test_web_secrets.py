"""What is logged and shown to clients carries no credential, address or traceback."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest
from tornado.web import HTTPError, RequestHandler

from tests.apps.web_app import HANDLERS
from tests.support.proxy import FaultProxy
from tests.support.web import ProbeStore, site
from tornado_shared_session import RedisStore, SessionMixin, StoreError
from tornado_shared_session.testing import RedisServer


class Failing(SessionMixin, RequestHandler):
    """Fail in several ways with a session at hand."""

    def get(self, what: str) -> None:
        self.session["value"] = "a-private-value"
        if what == "bug":
            raise ValueError("a bug")
        if what == "http":
            raise HTTPError(418, "teapot")

    def on_finish(self) -> None:
        self.settings["finished"].append(self.get_status())


async def test_no_credential_and_no_value_is_ever_logged(
    caplog: pytest.LogCaptureFixture, expect_log: Any
) -> None:
    """At DEBUG, from login to logout, with forgeries and failures, no cookie and no secret
    (S35, W23).
    """
    expect_log("a bug", "500 GET", "503 GET")
    caplog.set_level(logging.DEBUG)
    store, cookies = ProbeStore(), []
    settings: dict[str, Any] = {"finished": []}
    async with site([*HANDLERS, (r"/fail/(.*)", Failing)], store, settings) as served:
        visitor = served.visitor()
        for path in ("/", "/login", "/regenerate", "/count"):
            await visitor.post(path, {"user": "ann", "note": "a-private-value"})
            cookies.append(visitor.cookies["session"])
        for cookie in (cookies[0], cookies[-1], cookies[-1][:-5], cookies[-1] + "x", "1|2|3"):
            other = served.visitor(cookie)
            for what in ("bug", "http", "nothing"):
                await other.get(f"/fail/{what}")
        store.failures = [StoreError("out")]
        await visitor.get("/fail/nothing")
        await visitor.post("/logout")
    assert 503 in settings["finished"]
    assert "login" in caplog.text
    for cookie in cookies:
        payload, signature = (field.rpartition(":")[2] for field in cookie.split("|")[-2:])
        id, _, secret = base64.b64decode(payload).decode().partition(".")
        assert id in caplog.text  # it may be there, and is: the lines below do look at the log
        for part in (cookie, payload, signature, secret):
            assert part not in caplog.text
    assert "a-private-value" not in caplog.text


@pytest.mark.expects_log("503 GET")
async def test_error_page_of_an_outage_tells_nothing_of_the_store(
    redis_server: RedisServer, prefix: str
) -> None:
    """The 503 names no address, no key and no exception (S47)."""
    async with FaultProxy(redis_server.port) as proxy:
        async with site(HANDLERS, RedisStore(proxy.url, prefix=prefix)) as served:
            visitor = served.visitor()
            await visitor.post("/", {"note": "x"})
            await proxy.refuse()
            page = await visitor.get("/")
    assert page.code == 503
    expected = b"<html><title>503: Service Unavailable</title><body>503: Service Unavailable</body>"
    assert page.body == expected + b"</html>"


async def test_on_finish_runs_once_and_after_the_save() -> None:
    """Tornado's hook comes when the response has left, as always (T2)."""
    store = ProbeStore()
    seen: list[Any] = []

    class Hooked(SessionMixin, RequestHandler):
        def get(self) -> None:
            self.session["x"] = 1
            self.finish("body")

        def on_finish(self) -> None:
            seen.append((len(store.applied), self.get_status()))

    async with site([(r"/", Hooked)], store) as served:
        await served.visitor().get("/")
    assert seen == [(1, 200)]

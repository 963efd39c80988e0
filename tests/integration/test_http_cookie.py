"""The session cookie: its flags, its keys, and what a bad setting says."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from tornado.web import Application, RequestHandler

from tests.apps.web_app import HANDLERS
from tests.support.web import COOKIE, SECRET, ProbeStore, Timed, cookie_of, site
from tornado_shared_session import SessionManager, SessionMixin, SignedCookie
from tornado_shared_session.testing import CookieJar, HTTPTestClient, serve

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def begin(url: str, host: str, **headers: str) -> str:
    """Write as a new visitor of this Host; return the Set-Cookie header."""
    async with await Timed.open(url) as wire:
        wire.host = host
        response = await wire.request("POST", "/", {**FORM, **headers}, b"note=x")
        assert response.status == 200
        (line,) = response.headers.get_list("Set-Cookie")
        return line


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8888", "[::1]:80", "app.localhost"])
async def test_cookie_of_a_loopback_host_is_not_secure(host: str) -> None:
    """secure="auto" leaves Secure out where there is no TLS to be had; HttpOnly is always there."""
    async with site(HANDLERS) as served:
        line = await begin(served.url, host)
    assert re.fullmatch(rf"{COOKIE}=[^;]+; Path=/; HttpOnly; SameSite=Lax", line)


async def test_plain_http_from_another_host_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The cookie is Secure, and the log names both remedies, once (W1)."""
    async with site(HANDLERS) as served:
        with caplog.at_level(logging.WARNING, "tornado_shared_session"):
            for _ in range(3):
                assert "; Secure;" in await begin(served.url, "app.example")
    (record,) = [r for r in caplog.records if "Secure" in r.getMessage()]
    assert "xheaders=True" in record.getMessage()
    assert "secure=False" in record.getMessage()
    assert "app.example" in record.getMessage()


async def test_https_behind_a_proxy_is_secure_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With xheaders=True the proxy's X-Forwarded-Proto is believed."""
    async with SessionManager(ProbeStore()) as sessions:
        app = Application(HANDLERS, cookie_secret=SECRET, session_manager=sessions)
        async with serve(app, xheaders=True) as server:
            line = await begin(server.url, "app.example", **{"X-Forwarded-Proto": "https"})
    assert "; Secure;" in line
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


async def test_cookie_policy_is_on_every_cookie() -> None:
    """Name, Domain, Path, SameSite, Partitioned and Max-Age as asked, on setting and clearing
    (S11).
    """
    cookie = SignedCookie(
        "__Secure-sid",
        domain="app.example",
        path="/app",
        samesite="None",
        partitioned=True,
        max_age=3600,
    )
    flags = "; Path=/app; Domain=app.example; Secure; HttpOnly; SameSite=None; Partitioned"
    async with site(HANDLERS, credentials=cookie) as served:
        visitor = served.visitor()
        begun = (await visitor.post("/", {"note": "x"})).headers["Set-Cookie"]
        assert begun.startswith("__Secure-sid=2|")
        assert begun.endswith("; Max-Age=3600" + flags)
        ended = (await visitor.post("/logout")).headers["Set-Cookie"]
        assert ended.startswith("__Secure-sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        assert ended.endswith(flags)


# Keys ------------------------------------------------------------------------


class Deployed:
    """One store, seen by releases of an application that differ in their keys."""

    def __init__(self) -> None:
        self.store = ProbeStore()
        self.jar = CookieJar()

    async def fetch(self, secret: Any, version: int | None, body: Any = None) -> Any:
        """Send one request to an application with these keys."""
        sessions = SessionManager(self.store)
        options = {"cookie_secret": secret, "key_version": version, "session_manager": sessions}
        async with sessions, serve(Application(HANDLERS, **options)) as server:
            client = HTTPTestClient(server.url, cookies=self.jar)
            try:
                return await client.fetch("/", body=body)
            finally:
                client.close()

    async def note(self, secret: Any, version: int | None) -> tuple[Any, str]:
        """Read the note; return it and the cookie that was set."""
        response = await self.fetch(secret, version)
        assert response.code == 200
        return json.loads(response.body)["data"].get("note"), cookie_of(response)


async def test_key_rotation_keeps_everybody_logged_in() -> None:
    """The old key verifies and the new one signs: the cookie is sent again, once, the same one
    (S37).
    """
    deployed = Deployed()
    await deployed.fetch({1: "one" * 9}, 1, {"note": "x"})
    first = deployed.jar[COOKIE]
    assert await deployed.note({1: "one" * 9, 2: "two" * 9}, 1) == ("x", "")
    note, second = await deployed.note({1: "one" * 9, 2: "two" * 9}, 2)
    assert note == "x"
    assert second not in ("", first)
    assert "2|1:2|" in second
    assert await deployed.note({1: "one" * 9, 2: "two" * 9}, 2) == ("x", "")
    assert await deployed.note({2: "two" * 9}, 2) == ("x", "")
    deployed.jar[COOKIE] = first  # whoever was away keeps the session until the key goes
    assert await deployed.note({2: "two" * 9, 3: "three" * 9}, 3) == (None, "")


async def test_renewed_cookie_is_not_cacheable_and_changes_nothing() -> None:
    """One commit proves that it is still the current one; the record's version stays."""
    deployed = Deployed()
    await deployed.fetch({1: "one" * 9}, 1, {"note": "x"})
    response = await deployed.fetch({1: "one" * 9, 2: "two" * 9}, 2)
    assert response.headers["Cache-Control"] == "no-store"
    assert deployed.store.calls["create"] == deployed.store.calls["commit"] == 1
    (entry,) = deployed.store._entries.values()
    assert entry.record.version == 1


async def test_ambiguous_request_does_not_renew_a_cookie() -> None:
    """Of two live sessions neither's cookie is sent again."""
    deployed = Deployed()
    values = []
    for _ in range(2):
        deployed.jar.clear()
        await deployed.fetch({1: "one" * 9}, 1, {"note": "x"})
        values.append(deployed.jar[COOKIE])
    deployed.jar.clear()
    deployed.jar[COOKIE] = f"{values[0]}; {COOKIE}={values[1]}"
    assert await deployed.note({1: "one" * 9, 2: "two" * 9}, 2) == (None, "")


# Bad settings ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cookie_secret": None}, "cookie_secret=... to the Application"),
        ({"cookie_secret": 42}, "cookie_secret is a int"),
        ({"cookie_secret": {1: "x" * 20}}, "key_version"),
        ({"session_manager": None}, "session_manager=SessionManager"),
    ],
)
async def test_missing_setting_is_an_error_that_names_it(
    settings: dict[str, Any], says: str, expect_log: Any
) -> None:
    """The first request is a 500, and the log says what to set; the client learns nothing."""
    expect_log("ConfigurationError: .*" + re.escape(says), "500 GET")
    async with site(HANDLERS, settings=settings) as served:
        response = await served.visitor().get("/")
    assert response.code == 500
    assert says.encode() not in response.body


@pytest.mark.parametrize("what", ["login", "logout"])
async def test_a_renewed_cookie_never_overwrites_a_newer_one(what: str) -> None:
    """A request with a cookie of the old key is overtaken by a login, or a logout."""
    loaded, go = asyncio.Event(), asyncio.Event()

    class Slow(SessionMixin, RequestHandler):
        async def get(self) -> None:
            self.session.get("note")
            loaded.set()
            await go.wait()

    class Act(SessionMixin, RequestHandler):
        async def post(self) -> None:
            await (self.session.login("ann") if what == "login" else self.session.destroy())

    store, handlers = ProbeStore(), [*HANDLERS, ("/slow", Slow), ("/act", Act)]
    old = {"cookie_secret": {1: "a" * 32}, "key_version": 1}
    new = {"cookie_secret": {1: "a" * 32, 2: "b" * 32}, "key_version": 2}
    async with site(handlers, store, old) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        cookie = visitor.cookies[COOKIE]
    async with site(handlers, store, new) as served:
        visitor = served.visitor(cookie)
        slow = asyncio.create_task(visitor.get("/slow"))
        await loaded.wait()
        acted = await visitor.post("/act")
        go.set()
        assert (await slow).headers.get_list("Set-Cookie") == []
        assert len(acted.headers.get_list("Set-Cookie")) == 1

"""login() and regenerate() in request handlers."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from tests.apps.web_app import HANDLERS
from tests.support.web import ProbeStore, cookie_of, site
from tornado_shared_session import SessionError, StoreError


def user_of(response: Any) -> Any:
    """Return who a response says is logged in."""
    return json.loads(response.body)["user"]


async def test_login_of_a_new_visitor_stores_and_tells_who_it_is() -> None:
    """One cookie, one record, and current_user is set in the same handler."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        response = await visitor.post("/login", {"user": "ann"})
        assert json.loads(response.body)["current_user"] == "ann"
        assert len(response.headers.get_list("Set-Cookie")) == 1
        assert (await visitor.get("/private")).body == b"ann"
    assert store.calls["create"] == 1


async def test_login_as_the_same_user_keeps_the_data() -> None:
    """So does the login of a visitor; the id stays."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "kept"})
        first = await visitor.post("/login", {"user": "ann"})
        again = await visitor.post("/login", {"user": "ann"})
        assert json.loads(first.body) == json.loads(again.body)
        assert json.loads((await visitor.get("/")).body)["data"] == {"note": "kept"}


async def test_login_as_another_user_clears_the_data() -> None:
    """Nothing of ann's is left for bob."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/login", {"user": "ann"})
        await visitor.post("/", {"secret": "ann's"})
        response = await visitor.post("/login", {"user": "bob"})
        assert json.loads(response.body)["current_user"] == "bob"
        shown = json.loads((await visitor.get("/")).body)
        assert shown == {"user": "bob", "new": False, "data": {}}
        assert [info.id for info in await served.sessions.list_user("ann")] == []


async def test_superseded_credential_is_unknown_after_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within rotation_grace it neither sets nor clears a cookie; after that it starts anew (S5)."""
    async with site(HANDLERS, rotation_grace=60) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        old = served.visitor(visitor.cookies["session"])
        await visitor.post("/login", {"user": "ann"})
        refused = await old.post("/", {"note": "late"})
        assert refused.code == 409
        assert "Set-Cookie" not in refused.headers
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 61)
        accepted = await old.post("/", {"note": "anew"})
        assert accepted.code == 200
        assert cookie_of(accepted)
        assert json.loads((await old.get("/")).body)["data"] == {"note": "anew"}
        assert user_of(await visitor.get("/")) == "ann"
        assert json.loads((await visitor.get("/")).body)["data"] == {"note": "x"}


@pytest.mark.parametrize("how", ["flush", "unawaited", "finish"])
async def test_rotation_after_the_head_was_sent_raises_and_changes_nothing(how: str) -> None:
    """There is nothing left to carry a new cookie, also while the save is still pending (T4)."""
    raised: list[str] = []
    async with site(HANDLERS, settings={"raised": raised}) as served:
        for _ in range(2):  # a new session, and a stored one
            visitor = served.visitor()
            for _ in range(2):
                response = await visitor.post(f"/login-late/{how}")
                assert response.code == 200
            shown = json.loads((await visitor.get("/")).body)
            assert shown == {"user": None, "new": False, "data": {"before": "x"}}
        assert raised == ["SessionError"] * 8
        assert served.kinds == ["created"] * 2
        assert not await served.sessions.list_user("eve")


async def test_rotation_without_a_response_raises_and_changes_nothing() -> None:
    """In a script, login() and regenerate() are errors, and the credential stays good."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/login", {"user": "ann"})
        (info,) = await served.sessions.list_user("ann")
        record = await served.sessions.store.load(info.id)
        headers = HTTPHeaders({"Host": "x", "Cookie": visitor.cookies.header()})
        line = RequestStartLine("GET", "/", "HTTP/1.1")
        request = HTTPServerRequest(start_line=line, headers=headers)
        (credential,) = served.sessions.credentials.read(request)
        session = await served.sessions.load(credential)
        assert session is not None
        for rotate in (session.regenerate, lambda: session.login("eve")):
            with pytest.raises(SessionError, match="response"):
                await rotate()
        now = await served.sessions.store.load(info.id)
        assert record is not None
        assert now is not None
        assert (now.meta, now.generation, now.version) == (record.meta, 1, record.version)
        assert (await visitor.get("/private")).body == b"ann"


@pytest.mark.expects_log("500 POST")
async def test_cookie_of_a_login_leaves_with_an_error_page_too() -> None:
    """The login is stored, so its cookie leaves, whatever becomes of the response."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        response = await visitor.post("/login-then-fail")
        assert response.code == 500
        assert cookie_of(response)
        assert (await visitor.get("/private")).body == b"ann"


@pytest.mark.expects_log("503 POST")
@pytest.mark.parametrize("known", [False, True])
async def test_failed_login_is_a_503_and_logs_nobody_in(known: bool) -> None:
    """If the store fails there is no new cookie, and the old one means what it meant."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        if known:
            await visitor.post("/", {"note": "x"})
        store.failures = [StoreError("out")]
        response = await visitor.post("/login", {"user": "ann"})
        assert response.code == 503
        assert response.headers["Retry-After"] == "1"
        assert "Set-Cookie" not in response.headers
        assert user_of(await visitor.get("/")) is None


async def test_save_that_loaded_the_old_generation_is_refused() -> None:
    """With a barrier at the commit: the login goes first, the older request is a 409."""
    store = ProbeStore()
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "before"})
        old = served.visitor(visitor.cookies["session"])
        store.hold(count=1)
        slow = asyncio.create_task(old.post("/", {"note": "planted"}))
        await asyncio.wait_for(store.reached.wait(), 5)
        assert (await visitor.post("/login", {"user": "ann"})).code == 200
        store.release()
        refused = await asyncio.wait_for(slow, 5)
        assert refused.code == 409
        assert "Set-Cookie" not in refused.headers
        assert json.loads((await visitor.get("/")).body)["data"] == {"note": "before"}

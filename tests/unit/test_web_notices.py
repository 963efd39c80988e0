"""The notice of a rotation, which tells sockets of the old credential to come back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tornado.web import Application, HTTPError, RequestHandler

from tests.apps.web_app import HANDLERS
from tests.support.web import SECRET, ProbeStore, site
from tornado_shared_session import SessionManager, SessionMixin
from tornado_shared_session.notices import decode
from tornado_shared_session.testing import HTTPTestClient, serve


class Noticed(ProbeStore):
    """Remembers each notice, and whether the head of the response had left by then."""

    def __init__(self) -> None:
        super().__init__()
        self.handler: Any = None
        self.notices: list[tuple[str, bool]] = []
        self.noticed = asyncio.Event()

    async def publish(self, message: bytes) -> None:
        notice = decode(message)
        assert notice is not None
        self.notices.append((notice.reason, self.handler._headers_written))
        self.noticed.set()


class Rotating(SessionMixin, RequestHandler):
    """Rotate, then wait a moment, then respond."""

    async def post(self, how: str) -> None:
        self.settings["store"].handler = self
        await self.session.login("ann")
        for _ in range(5):  # whatever was started meanwhile had its turn
            await asyncio.sleep(0)
        if how == "error":
            raise HTTPError(400)
        self.session["also"] = "saved"


@pytest.mark.parametrize("how", ["return", "error"])
async def test_rotation_is_announced_once_and_after_the_head(how: str) -> None:
    """The browser has its new cookie on the way before its sockets are told to reconnect."""
    store = Noticed()
    async with site([*HANDLERS, (r"/rotate/(.*)", Rotating)], store, {"store": store}) as served:
        visitor = served.visitor()
        await visitor.post(f"/rotate/{how}")
        assert store.notices == []  # nobody can have a socket of a session that is new
        await visitor.post(f"/rotate/{how}")
        await asyncio.wait_for(store.noticed.wait(), 5)
        assert store.notices == [("rotated", True)]


async def test_two_logins_at_once_leave_one_credential() -> None:
    """Of two overlapping logins with one cookie one wins; the other is a 409 and sets nothing."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/", {"note": "x"})
        answers = await asyncio.gather(*(visitor.post("/login", {"user": "ann"}) for _ in "ab"))
        assert sorted(answer.code for answer in answers) == [200, 409]
        assert sum("Set-Cookie" in answer.headers for answer in answers) == 1
        shown = json.loads((await visitor.get("/")).body)
        assert shown == {"user": "ann", "new": False, "data": {"note": "x"}}


@pytest.mark.expects_log("503")
async def test_a_request_after_the_end_is_a_503() -> None:
    """With or without a cookie, if it looks at the session; it does not start the manager."""
    sessions = SessionManager(ProbeStore())
    app = Application(HANDLERS, cookie_secret=SECRET, session_manager=sessions)
    async with serve(app) as server:
        client = HTTPTestClient(server.url)
        stranger = HTTPTestClient(server.url)
        assert (await client.post("/login", {"user": "ann"})).code == 200
        await sessions.close()
        for late in (client, stranger):
            assert (await late.post("/login", {"user": "ann"})).code == 503
            late.close()
    assert sessions._home is None

"""Tornado's own ways beside ours: decorators, templates, XSRF, base handlers, streams, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tornado.template import DictLoader
from tornado.web import (
    Application,
    RequestHandler,
    StaticFileHandler,
    authenticated,
    stream_request_body,
)

from tests.apps.web_app import HANDLERS
from tests.support.ways import FULL, SETTINGS, WAYS, Saving
from tests.support.web import COOKIE, SECRET, ProbeStore, site
from tornado_shared_session import (
    MemoryStore,
    SessionEnded,
    SessionManager,
    SessionMixin,
    SignedCookie,
)
from tornado_shared_session.testing import CookieJar, HTTPTestClient, serve

TEMPLATES = {
    "who.html": "{{ current_user }}|{% if current_user %}in{% else %}out{% end %}",
    "form.html": "{% module xsrf_form_html() %}",
}


class Template(SessionMixin, RequestHandler):
    """Render a page."""

    def get(self, name: str) -> None:
        self.render(name)


async def test_authenticated_sends_visitors_to_the_login_page_and_lets_users_in() -> None:
    """@authenticated and login_url work unchanged, for GET and for POST."""
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        away = await visitor.get("/private")
        assert (away.code, away.headers["Location"]) == (302, "/login?next=%2Fprivate")
        await visitor.post("/login", {"user": "ann"})
        assert (await visitor.get("/private")).body == b"ann"


async def test_current_user_in_templates() -> None:
    """{{ current_user }} is the session's user, or None."""
    settings = {"template_loader": DictLoader(TEMPLATES)}
    async with site([*HANDLERS, (r"/t/(.*)", Template)], settings=settings) as served:
        visitor = served.visitor()
        assert (await visitor.get("/t/who.html")).body == b"None|out"
        await visitor.post("/login", {"user": "<ann>"})
        assert (await visitor.get("/t/who.html")).body == b"&lt;ann&gt;|in"


class Form(SessionMixin, RequestHandler):
    """A form with Tornado's XSRF token, and an error page that looks at the user."""

    def get(self, path: str = "") -> None:
        self.write(self.xsrf_token)

    def post(self) -> None:
        self.session["note"] = self.get_body_argument("note")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        with pytest.raises(SessionEnded, match="error page"):
            self.session["note"] = "lost"
        self.finish(f"{status_code} {self.current_user} {self.session.get('note')}")


async def test_an_error_page_needs_no_session() -> None:
    """Before it is loaded it is empty there, and cannot be changed; no cookie is set or cleared."""
    store = ProbeStore()
    async with site([("/", Form), ("/at/(.*)", Form)], store, {"xsrf_cookies": True}) as served:
        visitor = served.visitor()
        await visitor.get("/at/")
        visitor.cookies[COOKIE] = "anything"
        cookies = dict(visitor.cookies)
        assert (await visitor.fetch("/", method="BREW")).body == b"405 None None"
        assert (await visitor.get("/at/%ff")).body == b"400 None None"
        assert not store.calls
        assert visitor.cookies == cookies


async def test_xsrf_cookies_work_beside_the_session() -> None:
    """A POST with the token is saved; one without is a 403 before the session is loaded (T8)."""
    store = ProbeStore()
    settings = {"xsrf_cookies": True}
    async with site([(r"/", Form)], store, settings=settings) as served:
        visitor = served.visitor()
        token = (await visitor.get("/")).body.decode()
        assert (await visitor.post("/", {"note": "x", "_xsrf": token})).code == 200
        assert set(visitor.cookies) == {"_xsrf", COOKIE}
        store.calls.clear()
        forged = await visitor.post("/", {"note": "forged"})
        assert (forged.code, forged.body) == (403, b"403 None None")
        assert not store.calls


class Base(SessionMixin, RequestHandler):
    """A base handler as applications have one: own prepare(), own kind of user."""

    async def prepare(self) -> None:
        await super().prepare()
        if self.session.get("banned"):
            self.redirect("/banned")
        elif self.session.get("stopped"):
            self.session["stops"] = self.session.get("stops", 0) + 1
            self.finish("stopped")

    def get_current_user(self) -> Any:
        user_id = super().get_current_user()
        return None if user_id is None else {"name": user_id}


class OwnUser(Base):
    """Uses what the base handler makes of the user."""

    @authenticated
    def get(self) -> None:
        self.write(self.current_user["name"])

    async def post(self) -> None:
        before = self.current_user
        await self.session.login("ann")
        self.write({"before": before, "after": self.current_user})

    async def delete(self) -> None:
        user = self.current_user
        await self.session.regenerate()
        assert self.current_user is user


async def test_base_handler_with_its_own_prepare_and_user() -> None:
    """It awaits super().prepare(); login() refreshes current_user through its own method."""
    async with site([(r"/", OwnUser), (r"/data", HANDLERS[3][1])]) as served:
        visitor = served.visitor()
        assert json.loads((await visitor.post("/")).body) == {
            "before": None,
            "after": {"name": "ann"},
        }
        assert (await visitor.get("/")).body == b"ann"
        assert (await visitor.fetch("/", method="DELETE")).code == 200
        await visitor.post("/data", {"stopped": "1"})
        for count in (1, 2):  # prepare() finishes, with something to save
            assert (await visitor.get("/")).body == b"stopped"
            assert json.loads((await visitor.get("/data")).body)["data"]["stops"] == count
        await visitor.post("/data", {"banned": "1"})
        assert (await visitor.get("/")).headers["Location"] == "/banned"


class Forgetful(SessionMixin, RequestHandler):
    """Forgets to await super().prepare()."""

    async def prepare(self) -> None:
        pass

    def get(self) -> None:
        self.write(str(self.session.id))


@pytest.mark.expects_log("await super\\(\\).prepare\\(\\)", "500 GET")
async def test_forgotten_prepare_is_an_error_that_names_the_remedy() -> None:
    """The first access to the session says what is missing."""
    async with site([(r"/", Forgetful)]) as served:
        assert (await served.visitor().get("/")).code == 500


async def test_two_managers_in_one_process() -> None:
    """Two applications with stores, secrets and cookie names of their own do not mix."""
    jar, urls = CookieJar(), []
    async with (
        SessionManager(MemoryStore()) as one,
        SessionManager(MemoryStore(), credentials=SignedCookie("other")) as two,
    ):
        first = Application(HANDLERS, cookie_secret=SECRET, session_manager=one)
        second = Application(HANDLERS, cookie_secret=SECRET[::-1], session_manager=two)
        async with serve(first) as a, serve(second) as b:
            urls = [a.url, b.url]
            clients = [HTTPTestClient(url, cookies=jar) for url in urls]
            for client, user in zip(clients, ("ann", "bob"), strict=True):
                await client.post("/login", {"user": user})
            assert set(jar) == {COOKIE, "other"}
            for client, user in zip(clients, ("ann", "bob"), strict=True):
                assert json.loads((await client.get("/")).body)["user"] == user
                client.close()


@pytest.mark.parametrize("way", ["return", "awaited flush", "unawaited flush", "304", "redirect"])
async def test_compressed_responses(way: str) -> None:
    """Tornado's compress_response sees what it would see without us."""
    settings = {"compress_response": True, **SETTINGS}
    async with site([(r"/(.*)", Saving)], settings=settings) as served:
        visitor = served.visitor(headers={"Accept-Encoding": "gzip"})
        headers = {"If-None-Match": "*"} if way == "304" else {}
        for _ in range(2):
            response = await visitor.get("/" + quote(way), headers=headers)
            assert response.code == WAYS[way][1]
            assert response.body == (FULL.encode() if response.code == 200 else b"")
            vary = response.headers.get_list("Vary")
            assert {name.strip() for line in vary for name in line.split(",")} == {
                "Cookie",
                "Accept-Encoding",
            }


class Profile(SessionMixin, RequestHandler):
    """Its user is what the handler of a login puts into the session."""

    def get_current_user(self) -> Any:
        return self.session["profile"] if self.session.user_id else None

    async def post(self) -> None:
        assert self.current_user is None
        await self.session.login("ann")
        self.session["profile"] = "Ann"
        self.write(str(self.current_user))


async def test_a_login_does_not_ask_for_the_user_before_it_is_done() -> None:
    """`get_current_user()` may need what is stored after the login; the cap holds meanwhile."""
    async with site([("/", Profile)], max_sessions_per_user=1) as served:
        for _ in range(3):
            assert (await served.visitor().post("/")).body == b"Ann"
        assert len(await served.sessions.list_user("ann")) == 1


# Streams and files ----------------------------------------------------------


@stream_request_body
class Upload(SessionMixin, RequestHandler):
    """Counts what it is sent, in the session; refuses those who are not logged in."""

    async def prepare(self) -> None:
        await super().prepare()
        self.size = 0
        if self.current_user is None:
            self.session["refused"] = True
            self.set_status(401)
            self.finish("no")

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def put(self) -> None:
        self.session["size"] = self.size
        self.write(str(self.size))


async def test_streamed_request_body() -> None:
    """The session is loaded before the first chunk, and saved before the response."""
    async with site([*HANDLERS, (r"/upload", Upload)]) as served:
        visitor = served.visitor()
        body = b"x" * 300_000
        refused = await visitor.fetch("/upload", method="PUT", body=b"x" * 1000)
        assert (refused.code, refused.body) == (401, b"no")
        await visitor.post("/login", {"user": "ann"})
        assert (await visitor.fetch("/upload", method="PUT", body=body)).body == b"300000"
        data = json.loads((await visitor.get("/")).body)["data"]
        assert data == {"refused": True, "size": 300_000}


class File(SessionMixin, StaticFileHandler):
    """A file for those who are logged in; each download is counted."""

    async def prepare(self) -> None:
        await super().prepare()
        self.session["downloads"] = self.session.get("downloads", 0) + 1


async def test_static_files_with_a_session(tmp_path: Path) -> None:
    """Whole, partial, not modified, HEAD and missing: each waits for the save and is intact."""
    content = bytes(range(256)) * 1000
    (tmp_path / "file.bin").write_bytes(content)
    store = ProbeStore()
    store.delay = 0.01
    async with site([*HANDLERS, (r"/f/(.*)", File, {"path": str(tmp_path)})], store) as served:
        visitor = served.visitor()
        whole = await visitor.get("/f/file.bin")
        assert (whole.code, whole.body) == (200, content)
        assert int(whole.headers["Content-Length"]) == len(content)
        part = await visitor.get("/f/file.bin", headers={"Range": "bytes=100-199"})
        assert (part.code, part.body) == (206, content[100:200])
        same = await visitor.get("/f/file.bin", headers={"If-None-Match": whole.headers["Etag"]})
        assert (same.code, same.body) == (304, b"")
        head = await visitor.fetch("/f/file.bin", method="HEAD")
        assert (head.code, head.headers["Content-Length"]) == (200, str(len(content)))
        assert (await visitor.get("/f/missing")).code == 404
        assert json.loads((await visitor.get("/")).body)["data"] == {"downloads": 5}

"""A response that is held back: what the handler does meanwhile has no effect."""

from __future__ import annotations

import ast
import asyncio
import gc
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler

import tornado_shared_session
from tests.support.web import ProbeStore, Timed, cookie_of, site
from tornado_shared_session import MemoryStore, SessionMixin

#: What response.py and response_held.py use of RequestHandler, beyond its documentation.
PRIVATE = {
    "_auto_finish",
    "_current_user",
    "_execute",
    "_finished",
    "_handle_request_exception",
    "_headers",
    "_headers_written",
    "_new_cookie",
    "_prepared_future",
    "_reason",
    "_status_code",
    "_write_buffer",
}


class _Connection:
    def set_close_callback(self, callback: Any) -> None: ...


def make_handler() -> RequestHandler:
    """Return a handler as Tornado makes one, with a cookie set."""
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    headers = HTTPHeaders({"Host": "127.0.0.1"})
    connection: Any = _Connection()
    request = HTTPServerRequest(start_line=line, headers=headers, connection=connection)
    handler = RequestHandler(Application(), request)
    handler.set_cookie("a", "b")
    handler.current_user = None
    return handler


def test_private_names_of_tornado_are_still_there() -> None:
    """Tornado's RequestHandler has every private name that we rely on."""
    handler = make_handler()
    assert {name for name in PRIVATE if not hasattr(handler, name)} == set()
    assert "_new_cookie" in handler.__dict__


def test_private_names_of_tornado_are_all_listed() -> None:
    """What these two files use of Tornado's private names is what the test above looks for."""
    used = attributes("response.py") | attributes("response_held.py")
    tornados = set(dir(make_handler()))
    found = {name for name in used & tornados if name[0] == "_" and name[1] != "_"}
    assert found | {"_new_cookie"} == PRIVATE


def has_dict(handler: RequestHandler) -> bool:
    """Tell whether a handler keeps its attributes in a dict of its own."""
    kept = gc.get_referents(handler)  # vars() would make one
    return handler.application not in kept


async def test_a_burst_of_first_requests_costs_no_dict_for_each() -> None:
    """However many handlers of a class begin before the first one runs, none makes a dict."""

    class Burst(SessionMixin, RequestHandler):
        def post(self) -> None:
            self.session["mine"] = self.current_user
            self.write("ok")

        def on_finish(self) -> None:
            found.append(has_dict(self))

    found: list[bool] = []
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(site([("/", Burst)], MemoryStore()))
        clients = [await stack.enter_async_context(await Timed.open(place.url)) for _ in range(40)]
        await asyncio.gather(*(client.ask("POST", "/") for client in clients))
    assert found == [False] * 40


def test_classes_that_no_instance_may_be_made_of_beforehand() -> None:
    """`__del__` is called for handlers only, and a base written in C is no trouble."""
    torn_down: list[object] = []

    class TornDown(SessionMixin, RequestHandler):
        def __del__(self) -> None:
            torn_down.append(self)

    class Written(SessionMixin, RequestHandler, Exception):
        """An instance is made by Exception's own way only."""

    assert torn_down == []


def test_mixin_touches_no_private_name_of_tornado() -> None:
    """The private state stays in two files: web.py works with documented names."""
    assert not attributes("web.py") & PRIVATE


def attributes(name: str) -> set[str]:
    """Return the names of the attributes that a file of ours uses."""
    path = Path(tornado_shared_session.__file__).parent / name
    tree = ast.parse(path.read_text())
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


class After(SessionMixin, RequestHandler):
    """Finish, while the save is held do something more, and tell what came of it."""

    async def get(self, what: str) -> None:
        self.session["x"] = 1
        self.set_status(201)
        self.set_header("X-Kept", "yes")
        self.set_cookie("kept", "yes")
        self.write("first ")
        first = self.finish("last")
        outcomes = self.settings["outcomes"]
        store = self.settings["store"]
        await store.reached.wait()
        try:
            outcomes[what] = getattr(self, f"after_{what}")(first)
        except RuntimeError as error:
            outcomes[what] = str(error)
        store.release()
        await first
        outcomes["awaited"] = True

    def after_write(self, first: Any) -> None:
        self.write("more")

    def after_head(self, first: Any) -> None:
        self.set_status(500)
        self.set_header("X-Kept", "no")
        self.add_header("X-Late", "yes")
        self.clear_header("Content-Type")
        self.set_cookie("kept", "no")
        self.set_cookie("late", "yes")

    def after_clear(self, first: Any) -> None:
        self.clear()
        self.clear_all_cookies()

    def after_send_error(self, first: Any) -> None:
        self.send_error(500)

    def after_finish(self, first: Any) -> bool:
        return self.finish("again") is first

    def after_flush(self, first: Any) -> bool:
        return self.flush() is first

    def after_redirect(self, first: Any) -> None:
        try:
            self.redirect("/elsewhere")
        except Exception as error:
            raise RuntimeError(str(error)) from None


AFTER = {
    "write": "Cannot write() after finish()",
    "head": None,
    "clear": None,
    "send_error": None,
    "finish": True,
    "flush": True,
    "redirect": "Cannot redirect after headers have been written",
}


@pytest.mark.parametrize("what", AFTER)
async def test_what_a_handler_does_after_finish_has_no_effect(what: str, expect_log: Any) -> None:
    """While the save is pending the handler counts as finished, as with Tornado's own finish()."""
    if what == "send_error":
        expect_log("Cannot send error response after headers written")
    store, outcomes = ProbeStore(), dict[str, Any]()
    store.hold()
    settings = {"store": store, "outcomes": outcomes}
    async with site([(r"/(.*)", After)], store, settings) as served:
        response = await served.visitor().get("/" + what)
        assert outcomes == {what: AFTER[what], "awaited": True}
        assert (response.code, response.body) == (201, b"first last")
        assert response.headers["X-Kept"] == "yes"
        assert "X-Late" not in response.headers
        assert response.headers["Content-Type"].startswith("text/html")
        cookies = response.headers.get_list("Set-Cookie")
        assert [c.partition("=")[0] for c in cookies] == ["session", "kept"]
        assert "kept=yes; Path=/" in cookies


class AfterFlush(SessionMixin, RequestHandler):
    """Do what no longer has an effect after an unawaited flush."""

    async def get(self) -> None:
        self.session["x"] = 1
        self.set_header("X-Kept", "yes")
        self.write("first ")
        self.flush()
        self.set_status(500)
        self.set_header("X-Kept", "no")
        self.set_cookie("late", "yes")
        self.write("dropped")
        self.clear()
        with pytest.raises(Exception, match="after headers have been written"):
            self.redirect("/elsewhere")
        self.write("last")


async def test_an_unawaited_flush_counts_as_sent() -> None:
    """After it, head and flushed body are as they were; what was written since can be cleared."""
    async with site([(r"/", AfterFlush)]) as served:
        response = await served.visitor().get("/")
    assert (response.code, response.body) == (200, b"first last")
    assert response.headers["X-Kept"] == "yes"
    assert cookie_of(response)
    assert len(response.headers.get_list("Set-Cookie")) == 1


class Streaming(SessionMixin, RequestHandler):
    """Flush twice without waiting, then go on for long."""

    async def get(self) -> None:
        self.session["x"] = 1
        self.write("one")
        self.flush()
        self.write("two")
        self.flush()
        await self.settings["go on"].wait()


async def test_every_flush_while_a_save_is_pending_is_sent() -> None:
    """A stream that flushes again before the head has left loses nothing and waits for nobody."""
    go_on = asyncio.Event()
    async with site([(r"/", Streaming)], settings={"go on": go_on}) as served:
        async with await Timed.open(served.url) as wire:
            wire.writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = await asyncio.wait_for(wire.reader.readuntil(b"onetwo"), 5)
            assert head.startswith(b"HTTP/1.1 200")
            go_on.set()


class Envelope(RequestHandler):
    """A base class that makes something of what `finish()` is given."""

    def finish(self, chunk: Any = None) -> Any:
        return super().finish(None if chunk is None else {"data": chunk})


class Below(SessionMixin, Envelope):
    """The mixin comes before the base class, as it should."""

    def get(self, how: str) -> None:
        if "change" in how:
            self.session["x"] = how
        if "flush" in how:
            self.flush()
        self.finish("chunk")


class Above(Envelope, SessionMixin, RequestHandler):
    """The other class comes before the mixin."""

    get = Below.get


@pytest.mark.parametrize("how", ["read", "change", "read+flush", "change+flush"])
async def test_finish_of_a_base_class_sees_the_chunk_once(how: str) -> None:
    """What it makes of the chunk does not depend on whether there was something to save."""
    async with site([(r"/below/(.*)", Below), (r"/above/(.*)", Above)]) as served:
        for order in ("below", "above"):
            response = await served.visitor().get(f"/{order}/{how}")
            assert (response.code, response.body) == (200, b'{"data": "chunk"}'), order

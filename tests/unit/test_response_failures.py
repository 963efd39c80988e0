"""A response that is held back: what happens when the save, or the response, fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.web import HTTPError, RequestHandler

from tests.support.web import ProbeStore, cookie_of, site
from tornado_shared_session import MemoryStore, SessionEnded, SessionMixin, StoreError


class Cancelled(SessionMixin, RequestHandler):
    """Is cancelled while it awaits its response."""

    async def get(self, what: str) -> None:
        self.session["x"] = 1
        self.write("body")
        self.settings["tasks"].append(asyncio.current_task())
        await getattr(self, what)()


@pytest.mark.parametrize("what", ["finish", "flush"])
async def test_cancelling_a_handler_does_not_cancel_its_save(what: str, expect_log: Any) -> None:
    """The save goes on and the response is sent, so no client waits forever."""
    if what == "flush":  # as with Tornado's own flush()
        expect_log("Cannot send error response after headers written")
    store, tasks = ProbeStore(), list[Any]()
    store.hold()
    async with site([(r"/(.*)", Cancelled)], store, {"tasks": tasks}) as served:
        answer = asyncio.create_task(served.visitor().get("/" + what))
        await asyncio.wait_for(store.reached.wait(), 5)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert not answer.done()
        store.release()
        response = await asyncio.wait_for(answer, 5)
        assert (response.code, response.body) == (200, b"body")
        assert len(store.applied) == 1


async def test_store_that_is_cancelled_is_answered(expect_log: Any) -> None:
    """A save that ends in a cancellation is a 500, not a request that hangs."""
    expect_log("CancelledError", "500 GET")
    store = ProbeStore()
    store.failures = [asyncio.CancelledError()]
    async with site([(r"/(.*)", Cancelled)], store, {"tasks": []}) as served:
        response = await served.visitor().get("/flush")
        assert response.code == 500


class WrongBody(SessionMixin, RequestHandler):
    """Send what HTTP does not allow, with something to save."""

    def get(self) -> None:
        self.session["x"] = 1
        self.set_status(204)
        self.write("body")


@pytest.mark.expects_log("Cannot send body with status code HTTP204", "500 GET")
async def test_a_response_that_cannot_be_sent_is_a_500() -> None:
    """If Tornado's own finish() fails after the save, the error page leaves, with the cookie."""
    async with site([(r"/", WrongBody)]) as served:
        response = await served.visitor().get("/")
    assert response.code == 500
    assert cookie_of(response)


class Caught(SessionMixin, RequestHandler):
    """Catch what an awaited flush raises, and answer otherwise."""

    async def get(self, what: str) -> None:
        self.session["x"] = 1
        self.write("body")
        try:
            await getattr(self, what)()
        except StoreError:
            self.settings["caught"].append(what)
            if what == "flush":
                await self.session.reload()
                self.clear()
                self.set_status(299)
                self.write("instead")


@pytest.mark.parametrize("what", ["finish", "flush"])
async def test_awaited_failure_is_raised_to_the_handler(what: str, expect_log: Any) -> None:
    """After a failed flush the handler may answer itself; after finish() the answer is the 503."""
    store, caught = ProbeStore(), list[str]()
    store.failures = [StoreError("the store is out")]
    if what == "finish":
        expect_log("503 GET")
    async with site([(r"/(.*)", Caught)], store, {"caught": caught}) as served:
        response = await served.visitor().get("/" + what)
    assert caught == [what]
    assert response.code == (503 if what == "finish" else 299)
    assert (response.body == b"instead") == (what == "flush")


class Unaware(SessionMixin, RequestHandler):
    """Flush without looking at what came of it, and go on once it is over."""

    async def get(self) -> None:
        self.session["x"] = 1
        self.write("bo")
        await asyncio.wait([self.flush()])
        self.write("dy")


@pytest.mark.parametrize("error", [StoreError("out"), SessionEnded("expired")])
async def test_failure_of_a_flush_that_nobody_looked_at_is_the_response(
    error: Exception, expect_log: Any
) -> None:
    """What the handler sends on top does not turn a failed save into a success."""
    status = 503 if isinstance(error, StoreError) else 409
    if status == 503:
        expect_log("503 GET")
    store = ProbeStore()
    store.failures = [error]
    async with site([(r"/", Unaware)], store) as served:
        response = await served.visitor().get("/")
    assert response.code == status
    assert cookie_of(response) == ""
    assert store.calls["create"] == 1


class Stubborn(SessionMixin, RequestHandler):
    """An error page with a status of its own, whose template fails too."""

    def get(self, what: str) -> None:
        self.session["x"] = 1
        if what == "flush":
            self.flush()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_status(200)
        self.session["y"] = 1
        self.finish(f"sorry: {status_code}")


@pytest.mark.parametrize("what", ["return", "flush"])
async def test_error_page_of_a_failed_save_is_not_saved_again(what: str) -> None:
    """An error page that poses as a success does not start a loop of saves."""
    store = ProbeStore()
    store.failures = [StoreError("the store is out") for _ in range(50)]
    async with site([(r"/(.*)", Stubborn)], store) as served:
        response = await served.visitor().get("/" + what)
    assert response.body == b"sorry: 503"
    assert store.calls["create"] == 1


class Late(SessionMixin, RequestHandler):
    """Change the session after the head has left."""

    async def get(self, what: str) -> None:
        self.session["x"] = 1
        self.write("body")
        await self.flush()
        self.session["late"] = True
        if what == "saved":
            await self.session.save()
        elif what == "raise":
            raise HTTPError(404)


@pytest.mark.parametrize("what", ["return", "raise", "saved"])
async def test_change_after_the_head_has_left_is_an_error_unless_saved(
    what: str, expect_log: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, the response still ends, and an explicit save() stores it (T4)."""
    if what != "saved":
        expect_log("changed after the response head had left", "Cannot send error response")
    async with site([(r"/(.*)", Late)]) as served:
        response = await served.visitor().get("/" + what)
        assert (response.code, response.body) == (200, b"body")
        assert ("changed after the response head had left" in caplog.text) == (what != "saved")
        (id,) = [event.id for event in served.events if event.kind == "created"]
        record = await served.sessions.store.load(str(id))
        assert record is not None
        assert (b"late" in record.values) == (what == "saved")


class AfterTheFact(SessionMixin, RequestHandler):
    """Change the session when the response is gone."""

    async def get(self, what: str) -> None:
        if what == "task":
            await asyncio.wait_for(self.look(), 5)
        elif what == "thread":
            await asyncio.to_thread(lambda: self.session)
        if what == "redirect":
            self.redirect("/elsewhere")
        elif what != "on_finish":
            self.finish("done")
        if what != "on_finish":
            self.session["late"] = True

    async def look(self) -> None:
        assert not self.session

    def on_finish(self) -> None:
        if self.request.path == "/on_finish":
            self.session["late"] = True


@pytest.mark.parametrize("what", ["redirect", "finish", "task", "thread", "on_finish"])
@pytest.mark.expects_log("changed after the response had been sent")
async def test_a_change_that_comes_too_late_to_be_stored_is_an_error_in_the_log(what: str) -> None:
    """The response has left and cannot wait; that the change is lost is said."""
    async with site([(r"/(.*)", AfterTheFact)]) as served:
        await served.visitor().get("/" + what)
        assert not [event for event in served.events if event.kind == "created"]


class Hurried(SessionMixin, RequestHandler):
    """Gives up waiting for what the store takes long for, and goes on."""

    async def get(self) -> None:
        self.session["x"] = 1
        self.write("first ")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.flush(), 0.001)
        self.settings["given up"].set()
        await self.finish("last")
        self.settings["sent"].set()


async def test_a_flush_that_was_given_up_spoils_no_finish() -> None:
    """A handler may stop waiting for a flush; its response leaves, and it hears of that."""
    store, given_up, sent = ProbeStore(), asyncio.Event(), asyncio.Event()
    store.hold()
    async with site([("/", Hurried)], store, {"given up": given_up, "sent": sent}) as served:
        answer = asyncio.create_task(served.visitor().get("/"))
        await asyncio.wait_for(given_up.wait(), 5)
        store.release()
        response = await asyncio.wait_for(answer, 5)
        assert (response.code, response.body) == (200, b"first last")
        await asyncio.wait_for(sent.wait(), 5)


class Reused(SessionMixin, RequestHandler):
    """Goes on with the dict that it has sent."""

    def get(self, what: str) -> None:
        if "change" in what:
            self.session["x"] = 1
        if "flush" in what:
            self.flush()
        answer = {"list": [1]}
        self.finish(answer)
        answer["list"].append(2)


@pytest.mark.parametrize("what", ["read", "change", "change+flush"])
async def test_a_dict_is_sent_as_it_was(what: str) -> None:
    """What becomes of it later is no matter, whether the response had to wait or not."""
    async with site([("/(.*)", Reused)]) as served:
        assert (await served.visitor().get("/" + what)).body == b'{"list": [1]}'


@pytest.mark.parametrize("what", ["finish", "flush", "return", "redirect"])
async def test_tasks_may_be_eager(what: str) -> None:
    """With `asyncio.eager_task_factory`, where Python has it, a save may be done at once."""
    factory = getattr(asyncio, "eager_task_factory", None)  # since 3.12
    asyncio.get_running_loop().set_task_factory(factory)
    async with site([("/(.*)", Eager)], MemoryStore()) as served:
        visitor = served.visitor()
        for count in (1, 2):
            response = await asyncio.wait_for(visitor.get("/" + what), 5)
            assert response.code == (302 if what == "redirect" else 200)
            assert response.headers["X-Count"] == str(count)


class Eager(SessionMixin, RequestHandler):
    """Count, and send in one of several ways."""

    async def get(self, what: str) -> None:
        count = self.session["count"] = self.session.get("count", 0) + 1
        self.set_header("X-Count", count)
        if what == "redirect":
            self.redirect("/")
        elif what != "return":
            await getattr(self, what)()

"""What runs a page: one task, which Tornado takes as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.support.web import site
from tornado_shared_session import SessionMixin


class Counter(SessionMixin, RequestHandler):
    def get(self) -> None:
        self.write(str(self.session.get("count", 0)))

    def post(self) -> None:
        self.session["count"] = self.session.get("count", 0) + 1


class Traced(Counter):
    """Wraps what runs the handler, as tracing tools do."""

    async def _execute(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # a coroutine does as well
        await super()._execute(*args, **kwargs)
        self.settings["traced"].append((self.request.method, self.session.get("count")))


async def test_a_page_that_loads_and_saves_takes_one_task() -> None:
    """Tornado makes one for each page; that there is a session adds none."""
    pages: list[str] = []

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        name = getattr(coro, "__qualname__", "")
        if name.startswith(("SavedResponse", "SessionMixin", "RequestHandler")):
            pages.append(name)
        return asyncio.Task(coro, loop=loop, **kwargs)

    async with site([("/", Counter)]) as served:
        visitor = served.visitor()
        asyncio.get_running_loop().set_task_factory(make)
        await visitor.post("/")
        await visitor.post("/")
        assert (await visitor.get("/")).body == b"2"
        asyncio.get_running_loop().set_task_factory(None)
    assert len(pages) == 3


async def test_a_class_may_wrap_what_runs_the_handler() -> None:
    """It waits for the page, and the page for what it stores."""
    traced: list[tuple[str, int]] = []
    async with site([("/", Traced)], settings={"traced": traced}) as served:
        visitor = served.visitor()
        await visitor.post("/")
        assert (await visitor.get("/")).body == b"1"
    assert traced == [("POST", 1), ("GET", 1)]


@pytest.mark.expects_log("500 GET /")
async def test_what_is_cancelled_from_outside_still_answers() -> None:
    """A handler whose task is cancelled sends an error page, and stores nothing."""
    running: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()

    class Slow(Counter):
        async def get(self) -> None:  # type: ignore[override]  # it waits
            task = asyncio.current_task()
            assert task is not None
            running.put_nowait(task)
            self.session["x"] = 1
            await asyncio.Event().wait()

    async with site([("/", Slow)]) as served:
        answer = asyncio.ensure_future(served.visitor().get("/"))
        (await asyncio.wait_for(running.get(), 5)).cancel()
        assert (await asyncio.wait_for(answer, 5)).code == 500
        assert "created" not in served.kinds

"""A page that is prepared more than once, or finds out late what it is."""

from __future__ import annotations

from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.support.web import cookie_of, site
from tornado_shared_session import RedisStore, SessionManager, SessionMixin, StoreError
from tornado_shared_session.record import Record


class Page(SessionMixin, RequestHandler):
    """Does with its session what the path says."""

    def post(self, what: str) -> None:
        self.session["n"] = 1

    async def get(self, what: str) -> None:
        if what == "login":
            await self.session.login("ann")
        if what == "logout":
            await self.session.destroy()
        if what == "again":
            self.session["n"] = 77
            await self.prepare()
        self.write(str(self.session.get("n")))


class Twice(Page):
    """Prepares twice, as a class with two bases that do may."""

    async def prepare(self) -> None:
        await super().prepare()
        await super().prepare()


@pytest.mark.parametrize(("what", "sets"), [("read", False), ("login", True), ("logout", True)])
async def test_a_page_that_is_prepared_twice_still_tells_the_client(
    redis_url: str, prefix: str, what: str, sets: bool
) -> None:
    """What the session has to say leaves with the response, whichever time it was loaded."""
    async with site([(r"/(.*)", Twice)], RedisStore(redis_url, prefix=prefix)) as served:
        visitor = served.visitor()
        await visitor.post("/")
        response = await visitor.get(f"/{what}")
        assert (response.code, "Set-Cookie" in response.headers) == (200, sets)


async def test_prepare_loads_the_session_again(redis_url: str, prefix: str) -> None:
    """Where a method calls it; what was not saved is dropped."""
    async with site([(r"/(.*)", Page)], RedisStore(redis_url, prefix=prefix)) as served:
        visitor = served.visitor()
        await visitor.post("/")
        assert (await visitor.get("/again")).body == b"1"


class Flaky(RedisStore):
    """Fails when it is asked for the first time."""

    failed = False

    async def load(self, id: str) -> Record | None:
        if not self.failed:
            self.failed = True
            raise StoreError("not now")
        return await super().load(id)


class Retrying(Page):
    """Does not give up at the first failure."""

    async def get(self, what: str) -> None:
        with pytest.raises(StoreError):
            _ = self.session
        await self.prepare()
        self.write(str(self.session.get("n")))


async def test_prepare_may_be_tried_again_when_the_store_is_back(
    redis_url: str, prefix: str
) -> None:
    """A handler that has the time to wait for it gets its session."""
    async with site([(r"/(.*)", Retrying)], Flaky(redis_url, prefix=prefix)) as served:
        visitor = served.visitor()
        await visitor.post("/")
        assert (await visitor.get("/")).body == b"1"


class Own(Page):
    """Has a session manager that is not in the settings."""

    @property
    def session_manager(self) -> SessionManager:
        manager: SessionManager = self.settings["mine"]
        return manager


async def test_a_handler_may_name_its_session_manager_itself(redis_url: str, prefix: str) -> None:
    """By overriding the property."""
    async with SessionManager(RedisStore(redis_url, prefix=prefix)) as mine:
        settings = {"mine": mine, "session_manager": None}
        async with site([(r"/(.*)", Own)], settings=settings) as served:
            visitor = served.visitor()
            assert cookie_of(await visitor.post("/"))
            assert (await visitor.get("/")).body == b"1"


class Long(Page):
    """Ends with its session if the body asks for it, which is parsed after the headers."""

    @property
    def close_on_end(self) -> bool:  # type: ignore[override]  # as an application may
        return "long" in self.request.body_arguments

    def post(self, what: str) -> Any:
        super().post(what)
        self.settings["watched"].append(self._session_stream is not None)


async def test_a_page_may_find_out_late_that_it_ends_with_its_session(
    redis_url: str, prefix: str
) -> None:
    """It is watched from `prepare()` on, although it was looked for before."""
    watched: list[bool] = []
    store, settings = RedisStore(redis_url, prefix=prefix), {"watched": watched}
    async with site([(r"/(.*)", Long)], store, settings) as served:
        visitor = served.visitor()
        await visitor.post("/")
        await visitor.post("/", body=b"long=1")
        assert watched == [False, True]

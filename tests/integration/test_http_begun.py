"""The store is asked for a page's session when its request has come; `prepare()` waits for that."""

from __future__ import annotations

import asyncio
import gc
from typing import Any
from urllib.parse import quote

import pytest
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from tests.support.proxy import FaultProxy
from tests.support.web import COOKIE, Timed, cookie_of, site
from tornado_shared_session import (
    RedisStore,
    Session,
    SessionManager,
    SessionMixin,
    SignedCookie,
    StoreError,
)
from tornado_shared_session.record import Credential, Meta, Record
from tornado_shared_session.testing import RedisServer


class NotingStore(RedisStore):
    """Notes when it is asked for a record."""

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__(url, prefix=prefix)
        self.notes: list[str] = []

    def _ask_for(self, *args: Any) -> asyncio.Future[Any]:
        self.notes.append("asked")
        return super()._ask_for(*args)


class Noted(SessionMixin, RequestHandler):
    """A page; what of it comes before prepare() is noted."""

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        getattr(self.session_manager.store, "notes", []).append("decoded")
        return super().decode_argument(value, name)

    async def get(self, what: str) -> None:
        if what == "login":
            await self.session.login("ann")
        if what == "begin":
            self.session["n"] = 1
        self.write(str(self.session.get("n", 0)))

    def post(self, what: str) -> None:
        self.session["n"] = self.session.get("n", 0) + 1


class OwnPrepare(Noted):
    """Does something of its own before its session is loaded."""

    async def prepare(self) -> None:
        id = self.get_query_argument("destroy", "")
        if id:
            await self.session_manager.destroy(id)
        token = self.get_query_argument("cookie", "")
        if token:
            self.request.headers["Cookie"] = f"{COOKIE}={token}"
        await super().prepare()


HANDLERS = [(r"/own()", OwnPrepare), (r"/(.*)", Noted)]


@pytest.fixture
async def store(redis_url: str, prefix: str) -> NotingStore:
    """A store on the suite's Redis."""
    return NotingStore(redis_url, prefix)


@pytest.mark.parametrize("method", ["get", "post"])
async def test_a_page_asks_once_and_before_prepare(store: NotingStore, method: str) -> None:
    """What the framework does until prepare() waits passes while Redis answers."""
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        await visitor.post("/")
        store.notes.clear()
        assert (await getattr(visitor, method)("/")).code == 200
        assert store.notes == ["asked", "decoded"]


async def test_sessions_whose_answers_come_together_are_made_together(store: NotingStore) -> None:
    """Before any of their pages goes on."""
    await store.open()
    known = Meta("k" * 22, b"d" * 32, 1.0)
    await store.create(Record(known, 1, 1, 60.0, {b"n": b"\x01"}), 60.0)
    await asyncio.gather(*[store.load(known.id) for _ in range(3)])  # a lonely one does not wait
    made: list[Record | None] = []

    async def page(id: str) -> Record | None:
        answer = store.begin(id, made.append)
        assert answer is not None
        record = await answer
        assert len(made) == 3
        return record

    assert await asyncio.gather(*map(page, [known.id, "u" * 22, known.id])) == made
    assert [record and record.values for record in made] == [{b"n": b"\x01"}, None, {b"n": b"\x01"}]
    await store.close()


async def test_a_cookie_signed_with_an_older_key_is_signed_anew(store: NotingStore) -> None:
    """Once, as where the store is asked in prepare() (S37)."""
    keys = {1: "one" * 9, 2: "two" * 9}
    async with site(HANDLERS, store, {"cookie_secret": keys, "key_version": 1}) as served:
        old = cookie_of(await served.visitor().get("/begin"))
    async with site(HANDLERS, store, {"cookie_secret": keys, "key_version": 2}) as served:
        visitor = served.visitor(old)
        store.notes.clear()
        response = await visitor.get("/")
        new = cookie_of(response)
        assert ("2|1:2|" in new, response.body) == (True, b"1")
        assert cookie_of(await visitor.get("/")) == ""
        assert store.notes == ["asked", "decoded"] * 2


async def test_a_replaced_cookie_is_as_worthless_as_in_prepare(store: NotingStore) -> None:
    """Superseded it is nobody; with the session's id and no secret of its own, a new visitor."""
    async with site(HANDLERS, store) as served:
        visitor = served.visitor()
        old = cookie_of(await visitor.get("/begin"))
        (id,) = [event.id for event in served.events if event.kind == "created"]
        assert (await visitor.get("/login")).code == 200
        ours: Any = served.sessions.credentials
        stranger = ours._signer.sign(Credential.generate(str(id)))
        store.notes.clear()
        assert (await served.visitor(old).get("/")).body == b"0"
        assert (await served.visitor(old).post("/")).code == 409
        assert (await served.visitor(stranger).get("/")).body == b"0"
        assert (await visitor.get("/")).body == b"1"
        assert store.notes == ["asked", "decoded"] * 4


async def test_prepare_sees_what_the_handler_did_before_it(store: NotingStore) -> None:
    """A handler with a prepare() of its own may do anything first: the store is asked after it."""
    async with site(HANDLERS, store) as served, await Timed.open(served.url) as wire:
        cookie = cookie_of(await wire.ask("GET", "/begin"))
        store.notes.clear()
        assert (await wire.ask("GET", "/own?cookie=" + quote(cookie))).body == b"1"
        assert store.notes == ["decoded", "decoded", "asked"]
        (id,) = [event.id for event in served.events if event.kind == "created"]
        assert (await wire.ask("GET", f"/own?destroy={id}", cookie)).body == b"0"


@pytest.mark.parametrize("check", ["xsrf_cookies", "cross_origin_protection"])
async def test_a_forged_post_is_refused_before_the_store_is_asked(
    store: NotingStore, check: str
) -> None:
    """Where Tornado checks requests before prepare(), one that it refuses costs no look (T8)."""
    async with site(HANDLERS, store, {check: True}) as served, await Timed.open(served.url) as wire:
        cookie = cookie_of(await wire.ask("GET", "/begin"))
        store.notes.clear()
        forged = await wire.ask("POST", "/", cookie, Sec_Fetch_Site="cross-site")
        assert (forged.status, store.notes) == (403, ["decoded"])
        store.notes.clear()
        assert (await wire.ask("GET", "/", cookie)).body == b"1"
        assert store.notes == ["asked", "decoded"]


@pytest.mark.expects_log("503 GET /")
async def test_a_load_that_nobody_waited_for_may_fail(own_redis: RedisServer, prefix: str) -> None:
    """A request that is refused before prepare() leaves no complaint about a store that is down."""
    async with FaultProxy(own_redis.port) as proxy:
        store = NotingStore(proxy.url, prefix)
        async with site(HANDLERS, store) as served, await Timed.open(served.url) as wire:
            cookie = cookie_of(await wire.ask("GET", "/begin"))
            await proxy.refuse()
            store.notes.clear()
            assert (await wire.ask("BREW", "/", cookie)).status == 405
            assert store.notes == ["asked"]
            assert (await wire.ask("GET", "/", cookie)).status == 503
        del store
        gc.collect()  # then asyncio complains of an exception that nobody has seen


class Own(RedisStore):
    """Loads in its own way, which takes a turn of the loop."""

    async def load(self, id: str) -> Record | None:
        await asyncio.sleep(0)
        record = await super().load(id)
        if record is not None:
            record.values[b"n"] = b"\x07"  # msgpack
        return record


async def test_a_subclass_with_a_load_of_its_own_is_asked(redis_url: str, prefix: str) -> None:
    """Nothing goes around it, and it is asked once."""
    async with site(HANDLERS, Own(redis_url, prefix=prefix)) as served:
        visitor = served.visitor()
        await visitor.get("/begin")
        assert (await visitor.get("/")).body == b"7"


class Vetoing(SessionManager):
    """Admits nobody."""

    async def resolve(self, *args: Any) -> Session:
        await super().resolve(*args)
        return await super().resolve([], None)


class Forgetful(SessionManager):
    """Finds nothing."""

    async def fetch(self, *args: Any) -> None:
        await super().fetch(*args)


@pytest.mark.parametrize("kind", [Vetoing, Forgetful], ids=["resolve", "fetch"])
async def test_a_manager_that_finds_sessions_in_its_own_way_is_asked(
    store: NotingStore, redis_url: str, prefix: str, kind: type[SessionManager]
) -> None:
    """Nothing goes around it either, and the store is asked as early and as often."""
    async with site(HANDLERS, RedisStore(redis_url, prefix=prefix)) as served:
        visitor = served.visitor()
        cookie = cookie_of(await visitor.get("/begin"))
        assert (await visitor.get("/")).body == b"1"
    async with site(HANDLERS, store, manager=kind) as served:
        assert (await served.visitor(cookie).get("/")).body == b"0"
        assert store.notes == ["asked", "decoded"]


class Closed(Noted):
    """Its manager is closed between the store's answer and prepare()."""

    async def _session_execute(self, *args: Any, **kwargs: Any) -> None:
        await self.session_manager.close()
        await super()._session_execute(*args, **kwargs)


@pytest.mark.expects_log("503 GET /closed")
async def test_a_manager_that_was_closed_meanwhile_shows_nothing(store: NotingStore) -> None:
    """What it has found is not given out any more."""
    async with site([(r"/closed()", Closed), *HANDLERS], store) as served:
        visitor = served.visitor()
        await visitor.get("/begin")
        assert (await visitor.get("/closed")).code == 503


class Threaded(SessionMixin, RequestHandler):
    """Makes its page in a thread, which is the first to look at the session."""

    async def get(self) -> None:
        self.write(await asyncio.to_thread(lambda: str(self.session.get("n", 0))))
        self.session["n"] = 1


async def test_a_thread_may_look_first(store: NotingStore) -> None:
    """Also at the session of a visitor who has none yet."""
    async with site([("/", Threaded)], store) as served:
        visitor = served.visitor()
        assert [(await visitor.get("/")).body for _ in range(2)] == [b"0", b"1"]


class InBody(SignedCookie):
    """Finds the credential in the body of a request."""

    def read(self, request: HTTPServerRequest) -> list[Credential]:
        cookie = request.body_arguments.get("cookie", [b""])[0].decode()
        request.headers["Cookie"] = f"{self.name}={cookie}"
        return super().read(request)


async def test_credentials_may_be_in_the_body(store: NotingStore) -> None:
    """Credentials of an application's own are asked when the request has been parsed."""
    async with site(HANDLERS, store, credentials=InBody()) as served:
        visitor = served.visitor()
        cookie = cookie_of(await visitor.get("/begin"))
        await visitor.post("/", {"cookie": cookie})
        (id,) = [event.id for event in served.events if event.kind == "created"]
        record = await store.load(str(id))
        assert record is not None
        assert record.values[b"n"] == b"\x02"


class Raising(NotingStore):
    """Raises, also where it should return a future that does."""

    def _ask_for(self, *args: Any) -> asyncio.Future[Any]:
        raise StoreError("broken")


@pytest.mark.expects_log("503 GET /")
async def test_a_store_that_raises_at_once_is_a_503(redis_url: str, prefix: str) -> None:
    """As one that raises when it is awaited."""
    async with site(HANDLERS, Raising(redis_url, prefix)) as served:
        visitor = served.visitor()
        await visitor.get("/begin")
        assert (await visitor.get("/")).code == 503

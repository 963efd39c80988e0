"""The session object of a page while the page saves it, and when that fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.support.web import ProbeStore, Site, site
from tornado_shared_session import Session, SessionManager, SessionMixin, StoreError
from tornado_shared_session.record import Delta, Record
from tornado_shared_session.stores.base import Committed
from tornado_shared_session.testing import FakeClock


class Page(SessionMixin, RequestHandler):
    """Counts; leaves something running that uses the session, if its test says so.

    Attributes:
        beside: the name of the method that is called once the store is at work.
    """

    beside = ""
    left: asyncio.Task[None]

    def post(self) -> None:
        self.session["n"] = self.session.get("n", 0) + 1
        if self.beside:
            type(self).left = asyncio.create_task(self._beside())
        self.write(str(self.session["n"]))

    async def _beside(self) -> None:
        await at_work(self.session_manager)
        await getattr(self.session, self.beside)()


async def at_work(manager: SessionManager) -> None:
    """Wait until the store is asked to write."""
    store: Any = manager.store
    await asyncio.wait_for(store.reached.wait(), 5)


async def visited(served: Site) -> tuple[Any, str]:
    """Return a visitor with a session, and its id."""
    visitor = served.visitor()
    assert (await visitor.post("/")).body == b"1"
    (id,) = [event.id for event in served.events if event.kind == "created"]
    assert id is not None
    return visitor, id


@pytest.mark.parametrize("other", ["save", "touch", "reload", "destroy"])
async def test_what_a_handler_left_running_waits_for_the_save_of_its_page(other: str) -> None:
    """One after the other on one object, so that neither undoes what it does not know of."""
    store = ProbeStore()

    class Leaves(Page):
        pass

    async with site([("/", Leaves)], store) as served:
        visitor, id = await visited(served)
        Leaves.beside = other
        store.hold(count=1)
        page = asyncio.create_task(visitor.post("/"))
        await asyncio.wait_for(store.reached.wait(), 5)
        before = store.calls.copy()
        await asyncio.sleep(0.05)  # time is what is tested: it could have been faster
        assert not page.done()
        assert store.calls == before
        assert not Leaves.left.done()
        store.release()
        assert (await asyncio.wait_for(page, 5)).body == b"2"
        await asyncio.wait_for(Leaves.left, 5)
        record = await store.load(id)
        assert (record is None) == (other == "destroy")
        if record is not None:
            assert record.values == {b"n": b"\x02"}


async def test_the_page_waits_for_what_its_handler_left_running() -> None:
    """The other way round: what was begun by hand before comes first."""
    store = ProbeStore()

    class Begins(Page):
        async def put(self) -> None:
            self.session["n"] = 1
            type(self).left = asyncio.create_task(self.session.save())
            await at_work(self.session_manager)
            self.session["n"] = 2

    async with site([("/", Begins)], store) as served:
        visitor, id = await visited(served)
        store.hold(count=1)
        page = asyncio.create_task(visitor.fetch("/", method="PUT", body=b""))
        await asyncio.wait_for(store.reached.wait(), 5)
        await asyncio.sleep(0.05)  # time is what is tested: it could have been faster
        assert store.calls["commit"] == 1
        store.release()
        assert (await asyncio.wait_for(page, 5)).code == 200
        assert Begins.left.done()
        assert (await store.load(id)).values == {b"n": b"\x02"}  # type: ignore[union-attr]  # it is there


class Own(SessionManager):
    """Notes what it is asked to save."""

    noted: list[str]

    async def save(self, session: Session, *, touch: bool = True, prove: bool = False) -> None:
        self.noted = ["save"]
        await super().save(session, touch=touch, prove=prove)


class OwnCommit(SessionManager):
    """Notes what it commits."""

    noted: list[str]

    async def commit(self, *arguments: Any, **options: Any) -> None:
        self.noted = ["commit"]
        await super().commit(*arguments, **options)


@pytest.mark.parametrize("kind", [Own, OwnCommit])
async def test_a_managers_own_way_to_save_is_taken(kind: Any) -> None:
    """Whatever it overrides."""
    async with site([("/", Page)], manager=kind) as served:
        visitor, _ = await visited(served)
        served.sessions.noted = []  # type: ignore[attr-defined]  # of either kind
        assert (await visitor.post("/")).body == b"2"
        assert len(served.sessions.noted) == 1  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("name", ["save", "commit"])
@pytest.mark.parametrize("of", ["class", "object"])
async def test_what_is_put_in_the_place_of_a_method_is_called(
    of: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the class, as one that traces does, or of one manager."""
    async with site([("/", Page)]) as served:
        visitor, _ = await visited(served)
        called: list[str] = []
        original = getattr(SessionManager, name)
        bound = () if of == "class" else (served.sessions,)

        async def noted(*arguments: Any, **options: Any) -> None:
            called.append(name)
            await original(*bound, *arguments, **options)

        monkeypatch.setattr(SessionManager if of == "class" else served.sessions, name, noted)
        assert (await visitor.post("/")).body == b"2"
        assert called == [name]


class Retries(Page):
    """Tries again, by hand, what could not be stored."""

    async def put(self) -> None:
        self.session["n"] = 7
        self.session["m"] = 8
        del self.session["n"]
        with pytest.raises(StoreError):
            await self.flush()
        assert self.session.modified
        await self.session.save()
        self.set_status(201)
        self.write(repr(dict(self.session)))


async def test_what_a_page_could_not_store_is_unsaved_again() -> None:
    """All of it: what was set, and what was deleted."""
    store = ProbeStore()
    async with site([("/", Retries)], store) as served:
        visitor, id = await visited(served)
        store.failures = [StoreError("not now")]
        response = await visitor.fetch("/", method="PUT", body=b"")
        assert (response.code, response.body) == (201, b"{'m': 8}")
        assert (await store.load(id)).values == {b"m": b"\x08"}  # type: ignore[union-attr]  # it is there


class Nonsense(ProbeStore):
    """Says nothing of what it has committed, the first time."""

    async def commit(self, delta: Delta) -> Committed:
        committed = await super().commit(delta)
        return committed if self.calls["commit"] > 1 else None  # type: ignore[return-value]  # as said


@pytest.mark.expects_log("AttributeError", "500 POST /")
async def test_an_answer_without_sense_leaves_nobody_waiting() -> None:
    """The page fails, and what waited for its save has its turn."""
    store = Nonsense()

    class Leaves(Page):
        pass

    async with site([("/", Leaves)], store) as served:
        visitor, _ = await visited(served)
        Leaves.beside = "save"
        store.reached.clear()
        assert (await visitor.post("/")).code == 500
        await asyncio.wait_for(Leaves.left, 5)


async def test_what_was_taken_back_before_the_save_is_no_write() -> None:
    """Nor does it wait for the store."""
    store = ProbeStore()

    class Thinks(Page):
        def put(self) -> None:
            self.session["draft"] = 1
            self.finish("no")
            del self.session["draft"]

    async with site([("/", Thinks)], store) as served:
        visitor, _ = await visited(served)
        response = await visitor.fetch("/", method="PUT", body=b"")
        assert (response.code, response.body) == (200, b"no")
        assert store.calls["commit"] == 0


class Touches(Page):
    """Changes nothing, so that there is a deadline to move at most."""

    def get(self) -> None:
        self.write(str(self.session["n"]))


@pytest.mark.expects_log("cannot be written down", "500 GET /")
async def test_a_failure_that_cannot_be_reported_is_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client is told that something went wrong, and not left waiting."""
    clock = FakeClock()
    store = ProbeStore(clock=clock)

    def report(*what: Any) -> None:
        raise OSError("cannot be written down")

    async with site([("/", Touches)], store, idle_timeout=100) as served:
        visitor, _ = await visited(served)
        clock.advance(50)
        monkeypatch.setattr(served.sessions, "report", report)
        store.failures = [StoreError("not now")]
        assert (await visitor.get("/")).code == 500


async def test_a_page_that_is_prepared_again_meanwhile_ends_the_save_it_began() -> None:
    """Of the session that it had: who waits for that one has his turn."""
    store = ProbeStore()

    class Prepares(Page):
        async def put(self) -> None:
            before = self.session
            before["n"] = 7
            sent = self.flush()
            await at_work(self.session_manager)
            await self.prepare()
            waits = asyncio.create_task(before.save())
            store.release()
            await sent
            await asyncio.wait_for(waits, 5)
            self.write(str(before["n"]))

    async with site([("/", Prepares)], store) as served:
        visitor, _ = await visited(served)
        store.hold(count=1)
        assert (await visitor.fetch("/", method="PUT", body=b"")).body == b"7"


class Handshakes(ProbeStore):
    """Says of every record that a handshake made it; notes for how long one is committed."""

    ttl = 0.0

    async def load(self, id: str) -> Record | None:
        record = await super().load(id)
        return None if record is None else replace(record, provisional=True)

    async def commit(self, delta: Delta) -> Committed:
        self.ttl = delta.ttl
        return await super().commit(delta)


async def test_what_a_page_writes_into_lives_as_long_as_others() -> None:
    """Also by a handler that is no activity, if a handshake made the session."""
    store = Handshakes()

    class Polls(Page):
        session_touch = False

    async with site([("/", Polls)], store, idle_timeout=100) as served:
        visitor, _ = await visited(served)
        assert (await visitor.post("/")).body == b"2"
        assert store.ttl == 100

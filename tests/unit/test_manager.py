"""The use cases over a store without a network: load, save, end."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import (
    SessionEnded,
    SessionEvent,
    SessionManager,
    StoreError,
)
from tornado_shared_session.record import Credential


def kinds(events: list[SessionEvent]) -> list[str]:
    """Return the kinds of what was reported, in order."""
    return [event.kind for event in events]


# -- from a credential to a session ------------------------------------------------


async def test_a_visitor_who_stores_nothing_costs_nothing(
    manager: SessionManager, store: NotingStore
) -> None:
    """Neither a record nor a credential, also after reading and saving."""
    paper = Paper()
    session = await manager.resolve([], paper)
    assert session.get("a") is None
    await session.save()
    await session.destroy()
    assert (store.writes, paper.credentials, paper.cleared) == ([], [], False)


async def test_a_credential_leads_to_what_was_stored(manager: SessionManager) -> None:
    """With the carrier of the new request."""
    session, paper = await visit(manager, a=[1])
    loaded, _ = await again(manager, paper)
    assert dict(loaded) == {"a": [1]}
    assert loaded.id == session.id
    assert loaded == await manager.load(paper.credential)


async def test_an_unknown_credential_is_never_adopted(
    manager: SessionManager, store: NotingStore
) -> None:
    """However well it is signed, the visitor gets an id of his own (S3)."""
    credential = Credential.generate()
    paper = Paper()
    session = await manager.resolve([credential], paper)
    assert session.is_new
    session["a"] = 1
    await session.save()
    assert session.id != credential.id
    assert paper.credential.secret != credential.secret
    assert await manager.load(credential) is None
    assert await store.load(credential.id) is None


async def test_a_wrong_secret_is_an_unknown_credential(manager: SessionManager) -> None:
    """The id alone, which is public, opens nothing."""
    session, _ = await visit(manager, a=1)
    stranger = await manager.resolve([Credential.generate(session.id)], Paper())
    assert stranger.is_new
    assert stranger.id != session.id
    assert dict(stranger) == {}


async def test_of_several_credentials_the_only_live_one_counts(manager: SessionManager) -> None:
    """Dead and superseded ones beside it do not matter."""
    session, paper = await visit(manager)
    old = paper.credential
    await session.regenerate()
    presented = [Credential.generate(), old, paper.credential]
    assert (await manager.resolve(presented, Paper())).id == session.id


async def test_several_live_credentials_are_nobody(
    manager: SessionManager, events: list[SessionEvent]
) -> None:
    """Who the client is cannot be told, so nothing is read, set or cleared."""
    (_, one), (_, two) = await visit(manager), await visit(manager)
    paper = Paper()
    session = await manager.resolve([one.credential, two.credential], paper)
    assert dict(session) == {}
    with pytest.raises(SessionEnded) as caught:
        session["a"] = 1
    assert caught.value.reason == "ambiguous"
    with pytest.raises(SessionEnded):
        await session.destroy()
    assert (paper.credentials, paper.cleared) == ([], False)
    assert "ambiguous" in kinds(events)


async def test_a_credential_under_an_old_key_is_sent_again(manager: SessionManager) -> None:
    """Unchanged, once the session is found to be live."""
    _, paper = await visit(manager)
    credential = Credential(paper.credential.id, paper.credential.secret, renew=True)
    fresh = Paper()
    await manager.resolve([credential], fresh)
    assert fresh.credentials == [paper.credential]
    fresh = Paper()
    await manager.resolve([Credential.generate()], fresh)
    assert fresh.credentials == []


async def test_a_store_that_cannot_be_asked_is_no_answer(
    manager: SessionManager, store: NotingStore
) -> None:
    """Neither "no session" nor a new one."""
    _, paper = await visit(manager)
    store.failing = {"load"}
    with pytest.raises(StoreError):
        await again(manager, paper)
    store.failing = set()
    assert not (await again(manager, paper))[0].is_new


# -- the end -----------------------------------------------------------------------------


async def test_a_logout_deletes_clears_and_tells(
    manager: SessionManager, store: NotingStore, events: list[SessionEvent]
) -> None:
    """The record, the client's credential, the index, the other processes (S18)."""
    session, _ = await visit(manager)
    await session.login("ann")
    _, paper = session, session._carrier
    await session.destroy()
    assert isinstance(paper, Paper)
    assert paper.cleared
    assert await store.load(session.id) is None
    assert await store.index_list("ann") == []
    assert len(store.messages) == 1
    assert events[-1] == SessionEvent("ended", session.id, "logged_out")
    await session.destroy()
    assert len(store.messages) == 1


async def test_a_logout_succeeds_though_nobody_can_be_told(
    manager: SessionManager, store: NotingStore, events: list[SessionEvent]
) -> None:
    """The reload of the others finds it; here it is only reported."""
    session, paper = await visit(manager)
    await session.login("ann")
    store.failing = {"publish", "index_remove"}
    await session.destroy()
    assert paper.cleared
    assert await store.load(session.id) is None
    assert kinds(events).count("store_failed") == 2


async def test_a_logout_that_fails_clears_nothing(
    manager: SessionManager, store: NotingStore
) -> None:
    """The session may still live, so it can be tried again."""
    session, paper = await visit(manager)
    store.failing = {"delete"}
    with pytest.raises(StoreError):
        await session.destroy()
    assert not paper.cleared
    store.failing = set()
    await session.destroy()
    assert paper.cleared


async def test_a_logout_while_the_first_save_is_under_way_ends_what_it_stores(
    manager: SessionManager, store: NotingStore
) -> None:
    """It waits for the save rather than forgetting what is not there yet."""
    paper = Paper()
    session = await manager.resolve([], paper)
    session["a"] = 1
    store.gate = asyncio.Event()
    save = asyncio.ensure_future(session.save())
    await asyncio.wait_for(store.reached.wait(), 5)
    end = asyncio.ensure_future(session.destroy())
    store.gate.set()
    await asyncio.gather(save, end)
    assert await store.load(session.id) is None
    assert paper.cleared


async def test_the_room_of_a_session_that_is_not_there_raises(manager: SessionManager) -> None:
    """An emit to it must not reach anybody else."""
    for id in (Credential.generate().id, "", "not an id"):
        with pytest.raises(SessionEnded):
            await manager.room(id)

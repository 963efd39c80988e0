"""`regenerate()` and `login()`: a new secret, and what becomes of the old one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import SessionEnded, SessionError, SessionManager, StoreError


async def test_regenerate_replaces_the_secret_and_keeps_the_rest(manager: SessionManager) -> None:
    """The id, the data and the time of creation; unsaved changes go with it."""
    session, paper = await visit(manager, a=1, b=1)
    old, id, created_at = paper.credential, session.id, session.created_at
    session["a"] = 2
    del session["b"]
    await session.regenerate()
    assert paper.credential.id == old.id == id == session.id
    assert paper.credential.secret != old.secret
    assert not manager.unsettled(session)
    loaded, _ = await again(manager, paper)
    assert dict(loaded) == {"a": 2}
    assert (loaded.created_at, loaded.user_id) == (created_at, None)


async def test_login_stores_who_it_is(manager: SessionManager) -> None:
    """With a new secret, for a stored session and for a new one."""
    stored, stored_paper = await visit(manager, cart=[1])
    new_paper = Paper()
    new = await manager.resolve([], new_paper)
    new["cart"] = [2]
    for session, paper in ((stored, stored_paper), (new, new_paper)):
        await session.login("ann")
        assert session.user_id == paper.user_id == "ann"
        loaded, _ = await again(manager, paper)
        assert (loaded.user_id, dict(loaded)) == ("ann", dict(session))
    await stored.regenerate()
    assert (await again(manager, stored_paper))[0].user_id == "ann"


async def test_a_replaced_credential_authenticates_nobody_and_changes_nothing(
    manager: SessionManager, store: NotingStore
) -> None:
    """Within the grace it is superseded: no data, no new record, no cookie."""
    session, paper = await visit(manager, secret_note="x")
    old_paper = Paper()
    old_paper.credentials = list(paper.credentials)
    await session.login("ann")
    store.writes.clear()
    late, late_paper = await again(manager, old_paper)
    assert (late.user_id, dict(late), late.is_new) == (None, {}, False)
    with pytest.raises(SessionEnded) as caught:
        late["a"] = 1
    assert caught.value.reason == "rotated"
    for refused in (late.destroy, late.regenerate, late.reload, late.touch):
        with pytest.raises(SessionEnded):
            await refused()
    await late.save()
    assert not manager.unsettled(late)
    assert (late_paper.credentials, late_paper.cleared, store.writes) == ([], False, [])
    assert await manager.load(old_paper.credential) is None


async def test_after_the_grace_a_replaced_credential_is_an_unknown_one(
    store: NotingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a browser whose login response was lost is not stuck."""
    manager = SessionManager(store, rotation_grace=60)
    session, paper = await visit(manager)
    old = paper.credential
    await session.regenerate()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 59)
    assert not (await manager.resolve([old], Paper())).is_new
    monkeypatch.setattr(time, "time", lambda: real() + 61)
    fresh = await manager.resolve([old], Paper())
    assert fresh.is_new
    assert fresh.id != session.id


async def test_a_request_of_the_old_generation_cannot_commit(manager: SessionManager) -> None:
    """Nor end the session, nor rotate it, nor run a transaction on it."""
    session, paper = await visit(manager, a=1)
    slow = [(await again(manager, paper))[0] for _ in range(5)]
    await session.login("ann")
    slow[0]["a"] = "old"
    for work in (
        slow[0].save(),
        slow[1].destroy(),
        slow[2].regenerate(),
        slow[3].login("eve"),
        slow[4].transact(lambda session: session.update(a="old")),
    ):
        with pytest.raises(SessionEnded) as caught:
            await work
        assert caught.value.reason == "rotated"
    loaded, _ = await again(manager, paper)
    assert (dict(loaded), loaded.user_id) == ({"a": 1}, "ann")


async def test_a_login_during_a_save_wins(manager: SessionManager, store: NotingStore) -> None:
    """The barrier holds the commit of the old generation until the login is through."""
    session, paper = await visit(manager, a=1)
    slow, _ = await again(manager, paper)
    slow["a"] = "old"
    store.gate = asyncio.Event()
    save = asyncio.ensure_future(slow.save())
    await asyncio.wait_for(store.reached.wait(), 5)
    gate, store.gate = store.gate, None
    await session.login("ann")
    gate.set()
    with pytest.raises(SessionEnded):
        await save
    assert dict((await again(manager, paper))[0]) == {"a": 1}


async def test_another_user_does_not_inherit_the_data(manager: SessionManager) -> None:
    """The same user, or the first one to log in, does."""
    session, paper = await visit(manager, cart=[1])
    await session.login("ann")
    await session.login("ann")
    assert dict(session) == {"cart": [1]}
    session["unsaved"] = 1
    await session.login("bob")
    assert dict(session) == {}
    loaded, _ = await again(manager, paper)
    assert (dict(loaded), loaded.user_id) == ({}, "bob")


async def test_a_transaction_after_another_users_login_sees_none_of_the_data(
    manager: SessionManager,
) -> None:
    """In the same handler, where the record was loaded before the login."""
    session, paper = await visit(manager, address="of ann")
    await session.login("ann")
    session, paper = await again(manager, paper)
    await session.login("bob")
    await session.transact(lambda session: session.update(seen=dict(session)))
    assert dict((await again(manager, paper))[0]) == {"seen": {}}


async def test_rotation_needs_a_response(manager: SessionManager, store: NotingStore) -> None:
    """From a socket event, a script or after the head it raises and changes nothing."""
    session, paper = await visit(manager, a=1)
    on_socket = await manager.load(paper.credential)
    assert on_socket is not None
    paper.open = False
    store.writes.clear()
    for place in (on_socket, session):
        place["a"] = 2
        for work in (place.regenerate(), place.login("ann")):
            with pytest.raises(SessionError, match="response"):
                await work
    assert store.writes == []
    assert (session.user_id, dict(session)) == (None, {"a": 2})
    assert not (await again(manager, paper))[0].is_new


@pytest.mark.parametrize("failing", ["index_add", "commit"])
async def test_a_login_that_fails_leaves_all_as_it_was(
    manager: SessionManager, store: NotingStore, failing: str
) -> None:
    """The old credential is still good; the data is shown, and can be saved."""
    session, paper = await visit(manager, a=1)
    await session.login("ann")
    session, _ = await again(manager, paper)
    session["b"] = 2
    store.failing = {failing}
    for user_id in ("ann", "bob"):
        with pytest.raises(StoreError):
            await session.login(user_id)
        assert session.user_id == "ann"
        assert dict(session) == {"a": 1, "b": 2}
    assert len(paper.credentials) == 2
    store.failing = set()
    session["c"] = 3
    await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 1, "b": 2, "c": 3}


async def test_a_regenerate_that_fails_keeps_what_was_not_saved(
    manager: SessionManager, store: NotingStore
) -> None:
    """The next save stores it."""
    session, paper = await visit(manager, a=1)
    session["a"] = 2
    store.failing = {"commit"}
    with pytest.raises(StoreError):
        await session.regenerate()
    store.failing = set()
    await session.save()
    assert dict((await again(manager, paper))[0]) == {"a": 2}


async def test_the_index_is_written_before_the_record(
    manager: SessionManager, store: NotingStore
) -> None:
    """A crash between leaves an entry without a record, never the reverse."""
    for session in ((await visit(manager))[0], await manager.resolve([], Paper())):
        store.writes.clear()
        await session.login("ann")
        assert store.writes in (["index_add", "commit"], ["index_add", "create"])
        assert session.id in await store.index_list("ann")


async def test_a_session_that_changes_hands_leaves_the_first_ones_index(
    manager: SessionManager, store: NotingStore
) -> None:
    """After the record is the other's, so that it is always found."""
    session, _ = await visit(manager)
    await session.login("ann")
    store.writes.clear()
    await session.login("bob")
    assert store.writes == ["index_add", "commit", "index_remove"]
    assert (await store.index_list("ann"), await store.index_list("bob")) == ([], [session.id])


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_login_that_lost_against_faster_ones_says_so(store: NotingStore, when: str) -> None:
    """Others end it before it looks, or it ends itself: an error, and no cookie for nothing."""
    limited = SessionManager(store, max_sessions_per_user=2)
    session, paper = await visit(limited)
    real = store.index_list

    async def index_list(user_id: str) -> list[str]:
        store.index_list = real  # type: ignore[method-assign]  # replaced for the test
        limited.policy = replace(limited.policy, max_sessions_per_user=others_allow)
        for _ in range(2):
            await (await visit(limited))[0].login("ann")
        return await real(user_id)

    others_allow = 2 if when == "before" else None
    store.index_list = index_list  # type: ignore[method-assign]  # replaced for the test
    with pytest.raises(SessionEnded) as caught:
        await session.login("ann")
    assert caught.value.reason == "replaced"
    assert paper.cleared
    assert session.user_id is None
    assert await store.load(session.id) is None
    assert len(await limited.list_user("ann")) == 2

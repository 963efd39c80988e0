"""The session in the user's hands: what it is, in each of its states."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.core import NotingStore, Paper, again, visit
from tornado_shared_session import Session, SessionEnded, SessionError, SessionManager
from tornado_shared_session.rooms import session_room, user_room


async def test_a_new_session_has_an_id_and_nothing_else(manager: SessionManager) -> None:
    """Neither user, nor times, nor rooms; None as a room would mean everybody."""
    session = await manager.resolve([], Paper())
    assert session.is_new
    assert session.id == session.id
    assert not session.modified
    assert session.user_id is None
    assert (session.created_at, session.expires_at) == (None, None)
    with pytest.raises(SessionError, match="save"):
        session.room  # noqa: B018  # it raises
    with pytest.raises(SessionError, match="logged in"):
        session.user_room  # noqa: B018  # it raises


async def test_a_stored_session_knows_its_times(manager: SessionManager) -> None:
    """Aware, in UTC, counted by the store."""
    session, _ = await visit(manager)
    assert not session.is_new
    assert session.created_at is not None
    assert session.expires_at is not None
    assert session.created_at.tzinfo is session.expires_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - session.created_at) < timedelta(seconds=60)
    assert abs(session.expires_at - session.created_at - timedelta(seconds=1000)) < timedelta(
        seconds=60
    )


async def test_the_rooms_follow_generation_and_user(manager: SessionManager) -> None:
    """The id stays; the room of the old generation is another one."""
    session, _ = await visit(manager)
    id = session.id
    assert session.room == session_room(id, 1)
    await session.login("ann")
    assert session.id == id
    assert session.room == session_room(id, 2)
    assert session.user_room == manager.user_room("ann") == user_room("ann")
    assert await manager.room(id) == session.room


async def test_a_replaced_credential_leads_to_no_room(manager: SessionManager) -> None:
    """What is asked of it says that it has ended, not that it should be saved first."""
    session, paper = await visit(manager)
    old = paper.credential
    await session.regenerate()
    late = await manager.resolve([old], Paper())
    with pytest.raises(SessionEnded, match="credential"):
        late.room  # noqa: B018  # it raises


async def test_an_ended_session_can_be_read_and_not_written(manager: SessionManager) -> None:
    """As last loaded; it authenticates nobody."""
    session, _ = await visit(manager, a=1)
    await session.login("ann")
    await session.destroy()
    assert session["a"] == 1
    assert session.user_id is None
    assert session.expires_at is None
    writes: list[Callable[[], object]] = [
        lambda: session.__setitem__("a", 2),
        lambda: session.__delitem__("a"),
        lambda: session.update(b=1),
        session.clear,
    ]
    for write in writes:
        with pytest.raises(SessionEnded, match="logged out"):
            write()
    await session.save()


async def test_a_change_inside_a_value_of_an_ended_session_is_not_lost_silently(
    manager: SessionManager,
) -> None:
    """It cannot be refused where it is made, so it is at the save."""
    session, _ = await visit(manager, cart=[1])
    cart = session["cart"]
    await session.destroy()
    cart.append(2)
    with pytest.raises(SessionEnded):
        await session.save()


async def test_the_text_of_a_session_shows_no_secret(manager: SessionManager) -> None:
    """Its id and its state, as they may stand in a log."""
    new = await manager.resolve([], Paper())
    assert repr(new) == "<Session - new>"
    session, paper = await visit(manager, password="hunter2")
    assert repr(session) == f"<Session {session.id} live>"
    assert paper.credential.secret not in repr(vars(type(session))) + repr(session)
    await session.destroy()
    assert repr(session) == f"<Session {session.id} logged_out>"


@pytest.mark.parametrize(
    ("user_id", "error"),
    [
        (5, TypeError),
        (None, TypeError),
        (b"ann", TypeError),
        ("", ValueError),
        ("x" * 256, ValueError),
        ("\ud800", ValueError),
    ],
)
async def test_a_user_id_is_a_text(
    manager: SessionManager, store: NotingStore, user_id: Any, error: type[Exception]
) -> None:
    """Of 1 to 255 characters; anything else changes nothing."""
    session, _ = await visit(manager)
    store.writes.clear()
    with pytest.raises(error):
        await session.login(user_id)
    assert store.writes == []
    assert session.user_id is None


async def test_reload_shows_what_others_wrote_and_drops_what_was_not_saved(
    manager: SessionManager,
) -> None:
    """For a new one it drops everything."""
    session, paper = await visit(manager, a=1, b=1)
    other, _ = await again(manager, paper)
    other["a"] = 2
    await other.save()
    session["b"] = 5
    del session["a"]
    await session.reload()
    assert dict(session) == {"a": 2, "b": 1}
    new = await manager.resolve([], Paper())
    new["x"] = 1
    await new.reload()
    assert dict(new) == {}
    assert new.is_new


async def test_reload_of_a_session_that_is_gone_raises(manager: SessionManager) -> None:
    """And it stays ended; a rotated one likewise."""
    session, paper = await visit(manager)
    gone, _ = await again(manager, paper)
    await session.regenerate()
    with pytest.raises(SessionEnded) as caught:
        await gone.reload()
    assert caught.value.reason == "rotated"
    gone = Session(manager, await manager.store.load(session.id))
    await manager.destroy(session.id)
    for _ in range(2):
        with pytest.raises(SessionEnded) as caught:
            await gone.reload()
        assert caught.value.reason == "expired"


async def test_touch_moves_the_deadline_and_stores_nothing_else(
    manager: SessionManager, store: NotingStore
) -> None:
    """At once, whatever the touch interval; unsaved changes stay unsaved."""
    session, paper = await visit(manager, a=1)
    store._clock.advance(1)  # type: ignore[attr-defined]  # a FakeClock
    session["a"] = 2
    await session.touch()
    (peek,) = await store.peek([session.id])
    assert peek is not None
    assert peek.ttl == 1000
    other, _ = await again(manager, paper)
    assert other["a"] == 1
    assert session.modified
    new = await manager.resolve([], Paper())
    await new.touch()
    assert new.is_new

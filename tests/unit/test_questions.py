"""Questions and answers when something goes wrong in the middle."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.core import visit
from tornado_shared_session import MemoryStore, SessionManager
from tornado_shared_session.notices import Answer, Notice, decode_answer
from tornado_shared_session.record import generate_id


class Two(MemoryStore):
    """A store that says that somebody else listens, too."""

    async def subscribers(self) -> int:
        """Return the number of listeners."""
        return 2


@pytest.mark.parametrize("what", ["list_user", "destroy_user"])
async def test_who_gives_up_asking_leaves_no_question_behind(what: str) -> None:
    """Cancelled while the question is sent: nothing waits for its answers any more (T23)."""
    store = Two()
    async with SessionManager(store) as manager:
        session, _ = await visit(manager)
        await session.login("ann")
        manager.questions.heard.set()
        sending = asyncio.Event()

        async def held(message: bytes) -> None:
            sending.set()
            await asyncio.get_running_loop().create_future()

        store.publish = held  # type: ignore[method-assign]  # replaced for the test
        asking = asyncio.ensure_future(getattr(manager, what)("ann"))
        await asyncio.wait_for(sending.wait(), 3)
        assert manager.questions._inquiries
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert not manager.questions._inquiries


@pytest.mark.expects_log("a question could not be answered")
async def test_a_store_that_raises_anything_does_not_stop_the_answers() -> None:
    """An unforeseen error costs one answer, and the next question gets its own (T17)."""
    store, sent = MemoryStore(), asyncio.Queue[Answer | None]()
    manager = SessionManager(store)

    async def broken(message: bytes) -> None:
        store.publish = working  # type: ignore[method-assign]  # replaced for the test
        raise ValueError("unforeseen")

    async def working(message: bytes) -> None:
        sent.put_nowait(decode_answer(message))

    store.publish = broken  # type: ignore[method-assign]  # replaced for the test
    for nonce in ("first", "second"):
        manager.questions.question(Notice("", (generate_id(),), nonce))
    answer = await asyncio.wait_for(sent.get(), 3)
    assert answer is not None
    assert (answer.nonce, answer.counts) == ("second", (0,))
    await manager.questions.stop()

"""What Engine.IO asks of a queue, and what that queue knows."""

from __future__ import annotations

import asyncio

import pytest
from engineio.packet import MESSAGE, Packet

from tornado_shared_session.queues import OutQueue, Queue


async def test_what_is_put_comes_in_its_order() -> None:
    """Whether somebody waits for it or not."""
    queue = Queue()
    first, second = queue.get(), queue.get()
    for item in ("a", "b", "c", "d"):
        queue.put_nowait(item)
    await queue.put("e")
    assert (queue.qsize(), queue.waiting) == (3, 3)
    assert [await first, await second, await queue.get()] == ["a", "b", "c"]
    assert [queue.get_nowait(), queue.get_nowait()] == ["d", "e"]
    assert (queue.qsize(), queue.waiting) == (0, 0)
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


async def test_who_gives_up_takes_nothing() -> None:
    """With a timeout, as Engine.IO waits, or cancelled."""
    queue = Queue()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.001)
    cancelled, waiting = queue.get(), queue.get()
    cancelled.cancel()
    queue.put_nowait("a")
    queue.put_nowait("b")
    assert await asyncio.wait_for(waiting, 1) == "a"
    assert await asyncio.wait_for(queue.get(), 1) == "b"


async def test_a_queue_is_drained_when_all_of_it_is_on_its_way() -> None:
    """Taken is not enough; and each that waits for it hears it once."""
    queue, heard = OutQueue(), list[str]()
    queue.when_drained(lambda: heard.append("empty"))
    assert heard == ["empty"]
    taken = queue.get()
    queue.put_nowait(Packet(MESSAGE, "a"))
    queue.put_nowait(Packet(MESSAGE, "b"))
    queue.when_drained(lambda: heard.append("first"))
    queue.when_drained(lambda: heard.append("second"))
    joined = asyncio.ensure_future(queue.join())
    await asyncio.sleep(0)
    await taken
    queue.task_done()
    queue.get_nowait()
    assert heard == ["empty"]
    assert not joined.done()
    queue.task_done()
    await joined
    assert heard == ["empty", "first", "second"]


async def test_a_packet_that_comes_while_too_much_waits_is_one_too_many() -> None:
    """What nobody has taken counts, in bytes of data; a mere sign does not."""
    queue, told = OutQueue(), list[int]()
    queue.most, queue.overflow = 3, told.append
    taken = queue.get()
    queue.put_nowait(Packet(MESSAGE, "abcdef"))  # to who waits
    queue.put_nowait(Packet(MESSAGE, "abcd"))
    queue.put_nowait(Packet())
    queue.put_nowait(None)
    assert (queue.waiting, told) == (4, [])
    queue.put_nowait(Packet(MESSAGE, "e"))
    assert (queue.waiting, told) == (5, [4])
    assert (await taken).data == "abcdef"

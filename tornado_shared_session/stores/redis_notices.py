"""Notices over Redis's publish and subscribe, for as long as somebody listens."""

from __future__ import annotations

import asyncio
import random

import redis.asyncio
from redis.exceptions import RedisError

from ..events import logger
from .base import OnGap, OnMessage


async def listen(
    client: redis.asyncio.Redis,
    channel: str,
    patience: float,
    on_message: OnMessage,
    on_gap: OnGap,
) -> None:
    """Deliver what is published on a channel, until cancelled; see `Store.listen`.

    Args:
        patience: seconds for connecting and subscribing.
    """
    pause = 0.05
    while True:
        pubsub = client.pubsub()
        try:
            async with asyncio.timeout(patience):
                await pubsub.subscribe(channel)
            async for message in pubsub.listen():
                if message["type"] == "subscribe":
                    pause = 0.05
                    on_gap()
                elif message["type"] == "message":
                    on_message(message["data"])
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("the notice channel broke: %s", type(error).__name__)
        finally:
            try:
                await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py hides its types
            except (RedisError, OSError) as error:
                logger.debug("its connection did not close: %s", type(error).__name__)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
        pause = min(2 * pause, 2.0)

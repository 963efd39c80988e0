"""The Redis client that a URL stands for."""

from __future__ import annotations

import inspect
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ..errors import ConfigurationError

_NO_MAINTENANCE: dict[str, Any] = {}
if "maint_notifications_config" in inspect.signature(redis.asyncio.Redis).parameters:
    # The asyncio client takes these since redis-py 8.1, the other one for
    # longer. While they are on, the pool does not check a connection for
    # leftover replies.
    from redis.maint_notifications import MaintNotificationsConfig

    _NO_MAINTENANCE["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)


def connect(url: str, timeout: float) -> redis.asyncio.Redis:
    """Make a client whose every wait is bounded and whose retries are ours.

    redis-py's defaults retry ten times, which repeats a write whose
    reply was lost.
    """
    try:
        client = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            # hiredis makes dicts of RESP3's maps in twice the time that it
            # takes for RESP2's lists and our making dicts of those.
            protocol=2,
            **_NO_MAINTENANCE,
        )
    except ValueError as error:
        raise ConfigurationError(
            # What it quotes may be part of a password.
            f"RedisStore cannot use this URL: {str(error).partition(' as ')[0]};"
            " it looks like redis://host:6379/0"
        ) from None
    pool = client.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)  # which redis-py makes when it connects
    except TypeError as error:
        option = str(error).rpartition(" ")[2]
        raise ConfigurationError(
            f"RedisStore cannot use this URL: redis-py knows no option {option}"
        ) from None
    return client

"""The application with ``reload="interval"``, and handlers that look closely."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.apps.shared_events import Shared
from tests.support.proxy import FaultProxy
from tests.support.sites import Site, site
from tornado_shared_session import SessionEnded, StoreError
from tornado_shared_session.testing import RedisServer

INTERVAL = "interval"
SEEN_SOON = 0.4  # seconds: a reload_interval that a test can wait for


@asynccontextmanager
async def watched(
    redis_server: RedisServer, prefix: str, **settings: Any
) -> AsyncIterator[tuple[Site, FaultProxy]]:
    """Serve it behind a proxy that counts what is asked of Redis."""
    async with FaultProxy(redis_server.port) as proxy:
        async with site(redis=proxy.url, prefix=prefix, reload=INTERVAL, **settings) as running:
            yield running, proxy


def note(shared: Shared) -> None:
    """Add handlers: one that asks twice, one that changes and does not save."""
    sio = shared.sio

    @sio.on("twice")
    async def twice(sid: str, value: Any) -> list[Any]:
        first = await sio.get_session(sid)
        first["note"] = value
        second = await sio.get_session(sid)
        unsaved = second["note"]
        await first.save()
        return [unsaved, (await sio.get_session(sid))["note"], second["note"]]

    @sio.on("unsaved")
    async def unsaved(sid: str) -> Any:
        session = await sio.get_session(sid)
        session["cart"].append("unsaved")
        session["other"] = "unsaved"
        return session["cart"]

    @sio.on("save")
    async def save(sid: str) -> str:
        session = await sio.get_session(sid)
        session["note"] = "saved"
        try:
            await session.save()
        except (SessionEnded, StoreError) as error:
            return type(error).__name__
        return "saved"

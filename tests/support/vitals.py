"""What may be left over in a server process of `tests.apps.measured`."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from tests.support.processes import AppProcess
from tornado_shared_session.testing import HTTPTestClient

#: Tasks that last as long as a ping, a batch, or a request whose client has gone.
PASSING = ("AsyncSocket.", "Pipe.", "GET /socket.io/", "POST /socket.io/")
FIRST = ("AsyncServer._service_task", "Event.wait")  # Engine.IO's, since the first socket


async def settled(app: AppProcess) -> dict[str, Any]:
    """Return the vitals once no connection is left, nor a task of one."""
    http = HTTPTestClient(app.url)
    vitals: dict[str, Any] = {}
    until_then = time.monotonic() + 20
    while time.monotonic() < until_then:
        vitals = json.loads((await http.get("/vitals")).body)
        passing = [task for task in vitals["tasks"] if task.startswith(PASSING)]
        if not passing and not any(vitals["counts"].values()) and not vitals["manager_tasks"]:
            return vitals
        await asyncio.sleep(0.1)  # who went without a word is missed at the next ping
    raise AssertionError(f"something is left: {vitals}")


async def as_before(app: AppProcess, before: dict[str, Any]) -> None:
    """Check that an application at rest is as before its first socket (I8)."""
    after = await settled(app)
    tasks = [task for task in after["tasks"] if task not in FIRST]
    assert tasks == before["tasks"]
    assert after["in_use"] <= 2
    # A connection to Redis, and one to the notice channel, may come and go.
    assert after["descriptors"] <= before["descriptors"] + 1


async def pulse(app: AppProcess) -> dict[str, Any]:
    """Return how the server is; its lags, sorted, are those since the last look."""
    found: dict[str, Any] = json.loads((await HTTPTestClient(app.url).get("/pulse")).body)
    found["lags"].sort()
    return found

"""The program of docs/operations.md, as it is printed there: SIGTERM, and the real client."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.client.node import connected
from tests.support.processes import ROOT
from tests.support.programs import blocks, free_port, program
from tornado_shared_session.testing import HTTPTestClient

pytestmark = pytest.mark.node


def the_program() -> str:
    """Return the block of docs/operations.md that drains."""
    page = (ROOT / "docs" / "operations.md").read_text()
    (block,) = [block for block in blocks(page, "python") if "await drain(" in block]
    return block


async def test_the_program_of_the_documentation_drains_on_sigterm_and_clients_come_back(
    redis_url: str, tmp_path: Path, transport: str
) -> None:
    """The real client hears shutdown, and finds its session in the next process (R21)."""
    path, port = tmp_path / "app.py", free_port()
    path.write_text(the_program())
    url = f"http://127.0.0.1:{port}"
    http = HTTPTestClient(url)
    env = {"REDIS_URL": redis_url, "COOKIE_SECRET": "s" * 40, "PORT": str(port)}
    async with AsyncExitStack() as stack:
        async with program(path, port, **env) as process:
            assert (await http.post("/note", {"note": "hello"})).code == 200
            client = await stack.enter_async_context(connected(url, http, transport))
            await client.wait("connect")
            if transport == "upgrade":
                await client.wait("upgrade", transport="websocket")
            cookies = (await client.state())["cookies"]
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0
            told = await client.wait("event", name="session_ended")
            assert told["args"] == [{"reason": "shutdown"}]
        async with program(path, port, **env):
            await client.wait("connect", timeout=15)
            assert (await client.state())["cookies"] == cookies  # the session that it had
            await client.close()
    http.close()

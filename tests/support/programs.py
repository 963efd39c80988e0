"""A program of the documentation, run as its reader runs it.

    async with program(ROOT / "examples" / "counter.py", port, PORT=str(port)):
        await HTTPTestClient(f"http://127.0.0.1:{port}").get("/")

Such a program says nothing when it is ready, so its port is tried.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .processes import ROOT


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def program(path: Path, port: int, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python file until it listens; end it, and see that it has not complained."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(path),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    ended = asyncio.create_task(process.communicate())
    try:
        await listening(port, ended)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        output, _ = await asyncio.wait_for(ended, 10)
    assert b"Traceback" not in output, output.decode()


@asynccontextmanager
async def example(name: str, **env: str) -> AsyncIterator[str]:
    """Run one of examples/ on a free port; yield where it serves.

    Its sessions live in memory, unless a REDIS_URL is given.
    """
    port = free_port()
    settings = {"REDIS_URL": "", "DATABASE_URL": "", **env, "PORT": str(port)}
    async with program(ROOT / "examples" / name, port, **settings):
        yield f"http://127.0.0.1:{port}"


async def listening(port: int, ended: asyncio.Task[tuple[bytes, bytes]]) -> None:
    """Wait until a port accepts connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                # A program says nothing when its port is open.
                done, _ = await asyncio.wait([ended], timeout=0.02)
                if done:
                    raise RuntimeError(ended.result()[0].decode()) from None
            else:
                writer.close()
                return

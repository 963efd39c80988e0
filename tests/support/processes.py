"""Real server processes for tests that need more than one.

    async with start_apps("tests.apps.shared", "--redis", url, count=2) as (a, b):
        await HTTPTestClient(a.url).get("/")

A program says that it is ready with a JSON line on stdout (see
`tests.apps.runner`); what it writes to stderr is shown when it fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


class AppProcess:
    """One running program: where it serves and what it said."""

    def __init__(self, module: str, *args: str, env: Mapping[str, str] | None = None) -> None:
        self.module = module
        self.args = args
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.port = 0
        self.ready: dict[str, Any] = {}
        #: The JSON lines that came after the first.
        self.lines: list[dict[str, Any]] = []
        self._stderr = bytearray()
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @property
    def stderr(self) -> str:
        """What it has written to stderr."""
        return self._stderr.decode(errors="replace")

    async def start(self, timeout: float = 15.0) -> None:
        """Start the program and wait until it is ready.

        Raises:
            RuntimeError: it ended or was not ready in time; with its stderr.
        """
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            *self.args,
            cwd=ROOT,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._readers = [
            asyncio.create_task(self._read_stdout(self._process.stdout)),
            asyncio.create_task(self._read_stderr(self._process.stderr)),
        ]
        try:
            async with asyncio.timeout(timeout):
                while not self.ready:
                    if self._readers[0].done():
                        raise TimeoutError
                    await self._wait_change()
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"{self.module} did not start:\n{self.stderr}") from None
        self.port = self.ready["port"]

    async def wait_line(self, key: str, timeout: float = 5.0) -> dict[str, Any]:
        """Return the next JSON line that has `key`, and forget it."""
        async with asyncio.timeout(timeout):
            while True:
                for line in self.lines:
                    if key in line:
                        self.lines.remove(line)
                        return line
                await self._wait_change()

    async def terminate(self, timeout: float = 5.0) -> int:
        """End it politely (SIGTERM), then by force; return its exit status."""
        return await self._end(signal.SIGTERM, timeout)

    async def kill(self) -> int:
        """End it at once (SIGKILL)."""
        return await self._end(signal.SIGKILL, 5.0)

    def send_signal(self, number: int) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT, to it alone."""
        self._running().send_signal(number)

    async def _end(self, number: int, timeout: float) -> int:
        process = self._running()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            process.kill()
            await process.wait()
        await asyncio.wait(self._readers)
        return process.returncode or 0

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self.module} was not started")
        return self._process

    async def _wait_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _read_stdout(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            with suppress(ValueError):
                said = json.loads(line)
                if self.ready:
                    self.lines.append(said)
                else:
                    self.ready = said
            self._changed.set()
        self._changed.set()
        # The task is done only after this: let a waiter look again then.
        asyncio.get_running_loop().call_soon(self._changed.set)

    async def _read_stderr(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(1 << 16):
            self._stderr += chunk

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        await self.terminate()
        if kind is not None and self._stderr:
            print(f"--- stderr of {self!r}\n{self.stderr}", file=sys.stderr)

    def __repr__(self) -> str:
        return f"<AppProcess {self.module} on port {self.port}>"


@asynccontextmanager
async def start_apps(
    module: str, *args: str, count: int = 2, env: Mapping[str, str] | None = None
) -> AsyncIterator[list[AppProcess]]:
    """Run `count` processes of one program, named a, b, c with --name."""
    apps = [AppProcess(module, *args, "--name", chr(97 + n), env=env) for n in range(count)]
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(app) for app in apps))
        yield apps

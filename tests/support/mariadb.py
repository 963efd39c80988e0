"""A private MariaDB server for tests: its own port, as fast as it gets.

It is started without grant tables, so that it asks nobody for a
password, and syncs nothing to disk. Like `RedisServer` it only knows
the process.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tornado_shared_session.testing.redis_server import tied_to_parent

_HOST = "127.0.0.1"
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0

#: How to get it, for those who are told that tests were skipped.
HOW = "no MariaDB server: apt install mariadb-server (make test starts it by itself)"


class MariaDBServer:
    """Run a mariadbd on a free loopback port, with an empty database ``test``.

    with MariaDBServer() as server:
        store = SQLStore(server.url)
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    @staticmethod
    def find_binary() -> str | None:
        """Return the path of the server program, or None."""
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
        return shutil.which("mariadbd", path=path)

    @property
    def url(self) -> str:
        """The address for SQLAlchemy."""
        return f"mysql+aiomysql://root@{_HOST}:{self.port}/test"

    @property
    def version(self) -> str:
        """What the program calls itself."""
        binary = self.find_binary()
        assert binary
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
        return said.stdout.split("Ver ")[-1].split(" ")[0]

    def start(self) -> None:
        """Make the data directory at the first time, start, wait for the greeting.

        Raises:
            RuntimeError: it did not come up; with the end of its log.
        """
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="tss-mariadb-")
            self._install()
        self.port = self.port or _free_port()
        binary = self.find_binary()
        assert binary
        command = [
            binary,
            *self._common(),
            "--skip-grant-tables",
            f"--bind-address={_HOST}",
            f"--port={self.port}",
            "--skip-networking=0",  # skip-grant-tables may imply it
            f"--socket={self._directory.name}/s",
            f"--pid-file={self._directory.name}/pid",
            f"--log-error={self._directory.name}/log",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-buffer-pool-size=16M",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--performance-schema=OFF",
        ]
        self._process = subprocess.Popen(
            tied_to_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if not self._wait_ready():
            log = Path(self._directory.name, "log").read_text(errors="replace")[-3000:]
            self.stop()
            raise RuntimeError(f"mariadbd did not start:\n{log}")

    def stop(self) -> None:
        """End it and remove its files."""
        self.kill()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def kill(self) -> None:
        """End it at once; what it holds survives, as after a crash."""
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def pause(self) -> None:
        """Freeze it: it accepts connections and answers nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _common(self) -> list[str]:
        assert self._directory
        options = ["--no-defaults", f"--datadir={self._directory.name}/data"]
        return options + (["--user=root"] if os.geteuid() == 0 else [])

    def _install(self) -> None:
        assert self._directory
        program = shutil.which("mariadb-install-db")
        if program is None:
            raise RuntimeError(HOW)
        common = [*self._common(), "--skip-test-db", "--auth-root-authentication-method=normal"]
        made = subprocess.run([program, *common], capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")
        Path(self._directory.name, "data", "test").mkdir()  # that is all a database is

    def _wait_ready(self) -> bool:
        assert self._process
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with socket.create_connection((_HOST, self.port), timeout=1) as connection:
                    if len(connection.recv(64)) > 10:
                        return True
            except OSError:
                pass
            time.sleep(0.01)
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port

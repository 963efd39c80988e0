"""Private SQL servers for tests: their own ports, as fast as they get.

They ask nobody for a password and sync nothing to disk. Like
`RedisServer` these classes only know the process.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tornado_shared_session.testing.redis_server import freeze, tied_to_parent

_HOST = "127.0.0.1"
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0
_SERVER_FOLDERS = ["/usr/sbin", "/usr/local/sbin", *glob.glob("/usr/lib/postgresql/*/bin")]


class SQLServer:
    """Run a server on a free loopback port, with an empty database ``test``.

    with MariaDBServer() as server:
        store = SQLStore(server.url)
    """

    #: What it is called, its program, and the SQLAlchemy address.
    name = ""
    program = ""
    address = ""
    #: What starting it takes besides.
    helpers: tuple[str, ...] = ()
    #: How to get it, for those who are told that tests were skipped.
    how = ""
    _ending = signal.SIGTERM

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def find(cls, program: str) -> str | None:
        """Return the path of a program of this server, or None."""
        path = os.pathsep.join([os.environ.get("PATH", ""), *_SERVER_FOLDERS])
        return shutil.which(program, path=path)

    @classmethod
    def is_installed(cls) -> bool:
        """Tell whether the server can be started."""
        return all(map(cls.find, (cls.program, *cls.helpers)))

    @property
    def url(self) -> str:
        """The address for SQLAlchemy."""
        return self.address.format(host=_HOST, port=self.port)

    @property
    def version(self) -> str:
        """What the program calls itself."""
        said = self._run([self.program, "--version"])
        return next(word for word in said.split() if word[0].isdigit())

    def start(self) -> None:
        """Make the data at the first time, start, wait until it answers.

        Raises:
            RuntimeError: it did not come up; with the end of its log.
        """
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix=f"tss-{self.program}-")
            self._install(self._directory.name)
        self.port = self.port or _free_port()
        with Path(self._directory.name, "log").open("ab") as log_file:
            self._process = subprocess.Popen(
                self._as_user(self._command(self._directory.name)),
                cwd=self._directory.name,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log_file,
                start_new_session=True,
            )
        end = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                log = Path(self._directory.name, "log").read_text(errors="replace")[-3000:]
                self.stop()
                raise RuntimeError(f"{self.program} did not start:\n{log}")
            time.sleep(0.01)  # a server that starts can only be tried

    def stop(self) -> None:
        """End it and remove its files."""
        self._end(self._ending)
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def kill(self) -> None:
        """End it at once; what it holds survives, as after a crash."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: it accepts connections and answers nothing."""
        assert self._process
        freeze(self._process)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _install(self, folder: str) -> None:
        """Make an empty server in a folder."""
        raise NotImplementedError

    def _command(self, folder: str) -> list[str]:
        """Return how it is started."""
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _as_user(self, command: Sequence[str]) -> list[str]:
        return tied_to_parent(self._found(command))

    def _found(self, command: Sequence[str]) -> list[str]:
        program = self.find(command[0])
        if program is None:
            raise RuntimeError(self.how)
        return [program, *command[1:]]

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            self._found(command), capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

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


class MariaDBServer(SQLServer):
    """A mariadbd without grant tables, so that it asks for no password."""

    name = "MariaDB"
    program = "mariadbd"
    helpers = ("mariadb-install-db",)
    address = "mysql+aiomysql://root@{host}:{port}/test"
    how = "no MariaDB server: apt install mariadb-server (the tests start one of their own)"
    _ending = signal.SIGKILL  # nobody needs its files

    def _install(self, folder: str) -> None:
        self._run(
            [
                "mariadb-install-db",
                *self._common(folder),
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ]
        )
        Path(folder, "data", "test").mkdir()  # that is all a database is

    def _common(self, folder: str) -> list[str]:
        options = ["--no-defaults", f"--datadir={folder}/data"]
        return options + (["--user=root"] if os.geteuid() == 0 else [])

    def _command(self, folder: str) -> list[str]:
        return [
            self.program,
            *self._common(folder),
            "--skip-grant-tables",
            f"--bind-address={_HOST}",
            f"--port={self.port}",
            "--skip-networking=0",
            f"--socket={folder}/s",
            f"--pid-file={folder}/pid",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--performance-schema=OFF",
        ]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((_HOST, self.port), timeout=1) as connection:
                return len(connection.recv(64)) > 10
        except OSError:
            return False


class PostgresServer(SQLServer):
    """A postgres that trusts everybody who comes from this machine."""

    name = "PostgreSQL"
    program = "postgres"
    helpers = ("initdb", "pg_isready", *(() if os.geteuid() else ("setpriv",)))
    address = "postgresql+asyncpg://postgres@{host}:{port}/postgres"
    how = "no PostgreSQL server: apt install postgresql (the tests start one of their own)"
    _ending = signal.SIGQUIT  # nobody needs its files

    def _install(self, folder: str) -> None:
        if os.geteuid() == 0:  # it refuses to be run by root
            shutil.chown(folder, "postgres", "postgres")
        initdb = ["initdb", "-D", f"{folder}/data", "-U", "postgres"]
        self._run([*self._unprivileged(), *self._found(initdb), "-A", "trust", "-N"])

    @staticmethod
    def _unprivileged() -> list[str]:
        if os.geteuid():
            return []
        return [
            "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            "--pdeathsig=KILL",
        ]  # fmt: skip

    def _command(self, folder: str) -> list[str]:
        settings = {
            "listen_addresses": _HOST,
            "port": self.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "16MB",
        }
        options = [part for pair in settings.items() for part in ("-c", "{}={}".format(*pair))]
        return [self.program, "-D", f"{folder}/data", *options]

    def _as_user(self, command: Sequence[str]) -> list[str]:
        if os.geteuid():
            return tied_to_parent(self._found(command))
        return self._found([*self._unprivileged(), *self._found(command)])

    def _answers(self) -> bool:
        ask = ["pg_isready", "-q", "-h", _HOST, "-p", str(self.port)]
        return not subprocess.run(self._found(ask), check=False).returncode


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port

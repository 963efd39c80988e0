"""The tools of these tests, tested: who watches the watchmen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.apps.plain import app_of, make_server
from tests.support.browser import Browser, BrowserError
from tests.support.mutants import Mutant
from tests.support.node_client import TRANSPORTS, NodeClient
from tests.support.processes import ROOT, AppProcess, start_apps
from tornado_shared_session.testing import (
    HTTPTestClient,
    RunningServer,
    SocketIOTestClient,
    serve,
)


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    """A plain python-socketio server in this process."""
    async with serve(app_of(make_server(cors_allowed_origins=[]))) as running:
        yield running


# Processes


async def test_two_processes_serve_and_end() -> None:
    """Each is ready on a port of its own."""
    async with start_apps("tests.apps.plain") as (a, b):
        assert a.port != b.port
        titles = [(await HTTPTestClient(app.url).get("/")).body.decode() for app in (a, b)]
        assert f"plain {a.pid}" in titles[0]
        assert f"plain {b.pid}" in titles[1]
        async with SocketIOTestClient(b.url) as client:
            await client.connect()
            assert await client.emit("add", 1, 2) == 3
        assert await a.terminate() == 0


async def test_a_process_that_fails_shows_its_stderr() -> None:
    """The traceback is in the exception."""
    with pytest.raises(RuntimeError, match="no_such_module"):
        await AppProcess("tests.no_such_module").start()


# The JavaScript client


@pytest.mark.node
async def test_the_real_client_connects(server: RunningServer, transport: str) -> None:
    """It connects, emits, hears events and obeys a disconnect."""
    async with NodeClient(server.url, transports=TRANSPORTS[transport]) as client:
        connected = await client.wait("connect")
        assert client.versions["client"].startswith("4.")
        assert await client.emit("add", 1, 2) == 3
        if transport == "upgrade":
            await client.wait("upgrade", transport="websocket")
        expected = "polling" if transport == "polling" else "websocket"
        state = await client.state()
        assert (state["sid"], state["transport"]) == (connected["sid"], expected)
        client.answer_with("Ada")
        await client.emit("ask", ack=False)
        assert (await client.wait("event", name="answered"))["args"] == ["Ada"]
        await client.emit("leave", ack=False)
        assert (await client.wait("disconnect"))["reason"] == "io server disconnect"
        assert not (await client.state())["active"]


@pytest.mark.node
async def test_the_real_client_comes_back_with_its_cookies(
    server: RunningServer, transport: str
) -> None:
    """One jar lives as long as the process, as in a browser."""
    transports = TRANSPORTS[transport]
    async with NodeClient(server.url, cookies={"page": "1"}, transports=transports) as client:
        first = await client.wait("event", name="hello")
        assert first["args"] == [{"cookie": "page=1"}]
        await client.wait("connect")
        if transport == "upgrade":
            await client.wait("upgrade")
        if transport == "polling":  # a cut between two polls goes unnoticed
            await client.emit("leave_engine", ack=False)
        else:
            server.cut_connections()
        assert (await client.wait("disconnect"))["reason"] == "transport close"
        again = (await client.wait("event", name="hello"))["args"][0]["cookie"]
        assert "page=1" in again
        assert ("io=" in again) == (transport != "websocket")
        assert client.count("reconnect_attempt") >= 1


@pytest.mark.node
async def test_the_real_client_tells_why_it_was_refused(server: RunningServer) -> None:
    """A refused namespace and a closed port are both a connect_error."""
    async with NodeClient(server.url, auth="bad", reconnection=False) as client:
        error = await client.wait("connect_error")
        assert (error["message"], error["data"]) == ("go away", {"why": "bad"})
    async with NodeClient("http://127.0.0.1:1", reconnection=False, jar=False) as client:
        assert "error" in (await client.wait("connect_error"))["message"]


# The browser


@pytest.mark.browser
async def test_the_browser_shows_a_page(
    server: RunningServer, browser: Browser, tmp_path: Path
) -> None:
    """Navigate, run JavaScript, wait, read cookies, take a picture."""
    page = await browser.new_page()
    await page.goto(server.url)
    assert await page.evaluate("document.title") == f"plain {os.getpid()}"
    assert await page.evaluate("fetch('/').then(r => r.text())") != ""
    assert await page.wait_for("document.cookie.includes('page=seen') && 7") == 7
    assert (await page.cookies())["page"]["value"] == "seen"
    await page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(BrowserError, match="boom"):
        await page.evaluate("Promise.reject(new Error('boom'))")
    with pytest.raises(TimeoutError):
        await page.wait_for("false", timeout=0.05)


@pytest.mark.browser
async def test_two_visitors_share_nothing_and_two_tabs_share_cookies(
    server: RunningServer, browser: Browser
) -> None:
    """A context is a browser of its own."""
    one = await browser.new_page()
    tab = await browser.new_page(context=one.context)
    other = await browser.new_page()
    await one.goto(server.url)
    assert "page" in await tab.cookies()
    assert await other.cookies() == {}


# Mutants


CLOCK_TEST = "tests/unit/test_testing_tools.py::test_the_clock_moves_only_forward"


def test_a_mutant_is_killed_only_by_a_test_that_notices() -> None:
    """The broken copy fails the test; a harmless change does not."""
    assert Mutant("testing/clock.py", "if step < 0:", "if False:").kills(CLOCK_TEST)
    assert not Mutant("testing/clock.py", "a clock cannot go back", "never go back").kills(
        CLOCK_TEST
    )


def test_a_stale_mutant_is_an_error() -> None:
    """A snippet that is not there, or a test that is not, must not look killed."""
    with pytest.raises(ValueError, match="0 times"):
        Mutant("testing/clock.py", "no such code", "").kills(CLOCK_TEST)
    with pytest.raises(RuntimeError):
        Mutant("testing/clock.py", "if step < 0:", "if False:").kills("tests/unit/none.py::test")


# The house rules

RULES = {
    "unexpected in the log: tornado.general": """
        def test(): logging.getLogger("tornado.general").error("boom")""",
    "expected in the log, but absent: boom": """
        def test(expect_log): expect_log("boom")""",
    "unexpected in the log: asyncio: Task exception": """
        async def fail(): raise ValueError("boom")
        async def test(): asyncio.create_task(fail()); await asyncio.sleep(0)""",
    "1 tasks were left over": """
        async def test():
            globals()["task"] = asyncio.create_task(asyncio.Event().wait())""",
    "was skipped under CI=true": """
        def test(): pytest.skip("no such thing")""",
    "coroutine 'Event.wait' was never awaited": """
        def test(): asyncio.Event().wait()""",
}
FINE = """
@pytest.mark.expects_log("boo+m")
def test_log(): logging.getLogger("tornado.general").error("booom")
async def test_task(): await asyncio.create_task(asyncio.sleep(0))
def test_transport(transport): assert transport
"""


def run_rules(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run a test file under our conftest in a process of its own."""
    path = folder / "test_rule.py"
    path.write_text(f"import asyncio, logging, pytest\n{source}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), str(path)]
    environ = {**os.environ, "CI": "true"}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("complaint", RULES)
def test_the_house_rules_fail_a_test(complaint: str, tmp_path: Path) -> None:
    """Each rule is enforced, with a message that says which."""
    result = run_rules(tmp_path, RULES[complaint].replace("\n        ", "\n"))
    assert result.returncode == 1
    assert complaint in result.stdout


def test_the_house_rules_let_a_clean_test_pass(tmp_path: Path) -> None:
    """An expected error, an awaited task and a parameter are fine."""
    result = run_rules(tmp_path, FINE)
    assert "5 passed" in result.stdout, result.stdout

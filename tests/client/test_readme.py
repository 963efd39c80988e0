"""The README, the quickstart and the examples do what they say."""

from __future__ import annotations

import asyncio
import http.client
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.programs import blocks, example, free_port, program
from tornado_shared_session.events import REASONS
from tornado_shared_session.testing import CookieJar, HTTPTestClient, SocketIOTestClient

README = (ROOT / "README.md").read_text()
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()
REDIS = "redis://localhost:6379/0"
PORT = "8888"


@asynccontextmanager
async def served(source: str, folder: Path, redis_url: str) -> AsyncIterator[int]:
    """Run a code block as printed, on a free port and the private Redis."""
    assert source.count(f"listen({PORT})") == 1
    port = free_port()
    # Nothing on this machine but the tests needs to reach it.
    there = source.replace(f"listen({PORT})", f'listen({port}, "127.0.0.1")')
    path = folder / "example.py"
    path.write_text(there.replace(REDIS, redis_url))
    async with program(path, port):
        yield port


def curl(command: str, port: int, jar: CookieJar) -> str:
    """Do what a curl command line does, as far as our documents use curl."""
    words = shlex.split(command)
    assert words.pop(0) == "curl"
    method, body, show, url = "", None, False, ""
    while words:
        match words.pop(0):
            case "-i":
                show = True
            case "-X":
                method = words.pop(0)
            case "-d":
                body = words.pop(0)
            case "-b" | "-c":
                words.pop(0)
            case word if word.startswith("http://127.0.0.1:"):
                url = word
            case word:
                raise ValueError(f"{word} in {command}")
    keeps, shows = "-c " in command, "-b " in command
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    if shows and jar:
        headers["Cookie"] = jar.header()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    path = url.removeprefix(f"http://127.0.0.1:{PORT}")
    connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if keeps:
        jar.store(answer.msg.get_all("Set-Cookie") or [])
    head = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    head += [f"{name}: {value}" for name, value in answer.getheaders()]
    return "\n".join([*head, "", text]) if show else text


def steady(line: str) -> str:
    """Return a line without what differs each time."""
    line = re.sub(r"^(Date|Server|Etag): .*", r"\1: ...", line)
    return re.sub(r"session=[^;]+", "session=...", line)


async def check_transcript(transcript: str, port: int) -> int:
    """Do each curl command; each line shown must come, in its order. Return how many."""
    jar, commands = CookieJar(), 0
    for part in re.split(r"^\$ ", transcript, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        answer = await asyncio.to_thread(curl, command, port, jar)
        lines = iter(answer.split("\n"))
        for line in shown:
            same = (steady(line) == steady(real) for real in lines)
            assert any(same), (line, command, answer)
        commands += 1
    return commands


async def test_the_readme_example_runs_as_printed(redis_url: str, tmp_path: Path) -> None:
    """Counter, note, login, rename over a socket, and a logout that closes the socket."""
    source = blocks(README, "python")[0]
    assert REDIS in source
    async with served(source, tmp_path, redis_url) as port:
        url = f"http://127.0.0.1:{port}"
        page = HTTPTestClient(url)
        assert (await page.post("/incr")).body == b"1"
        async with SocketIOTestClient(url, cookies=page.cookies) as client:
            await client.connect()
            assert (await page.post("/incr")).body == b"2"
            assert (await client.wait_for("current count")) == 2
            await client.emit("rename", "Ada")
            assert (await page.post("/note", {"note": "hello"})).code == 200
        assert (await page.post("/login", {"user": "ada"})).code == 200
        async with SocketIOTestClient(url, transport="websocket", cookies=page.cookies) as client:
            await client.connect()
            assert (await page.post("/logout")).code == 200
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}
            await client.wait_transport_closed()
        assert page.cookies == {}


async def test_the_readme_transcript_is_what_happens(redis_url: str, tmp_path: Path) -> None:
    """Line by line, but for the date and the credential."""
    (transcript,) = [block for block in blocks(README, "console") if "curl" in block]
    async with served(blocks(README, "python")[0], tmp_path, redis_url) as port:
        assert await check_transcript(transcript, port) >= 1


def test_the_versions_that_the_readme_asks_for_are_those_of_setup_py() -> None:
    """Of what a reader has already, and may have to upgrade."""
    setup = (ROOT / "setup.py").read_text()
    (tornado,) = re.findall(r'"tornado>=([\d.]+)"', setup)
    (socketio,) = re.findall(r'"python-socketio>=([\d.]+)"', setup)
    assert f"Tornado {tornado} and python-socketio {socketio}, or newer" in " ".join(README.split())


async def test_the_quickstarts_first_program_and_transcript(redis_url: str, tmp_path: Path) -> None:
    """A counter of visits, on no Redis at all."""
    source = blocks(QUICKSTART, "python")[0]
    assert "redis" not in source.lower()
    async with served(source, tmp_path, redis_url) as port:
        assert await check_transcript(blocks(QUICKSTART, "console")[0], port) == 2


async def test_the_quickstarts_second_program(redis_url: str, tmp_path: Path) -> None:
    """Login, rename over the socket, logout."""
    async with served(blocks(QUICKSTART, "python")[1], tmp_path, redis_url) as port:
        url = f"http://127.0.0.1:{port}"
        page = HTTPTestClient(url)
        assert (await page.post("/login", {"user": "Ada"})).body == b"hello, Ada\n"
        async with SocketIOTestClient(url, cookies=page.cookies) as client:
            await client.connect()
            await client.emit("rename", "Countess")
            assert await client.wait_for("renamed") == "Countess"
            await page.post("/logout")
            assert await client.wait_for("session_ended") == {"reason": "logged_out"}


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_the_counter_example(redis_url: str, store: str) -> None:
    """Its buttons do what they say, and its page has the script."""
    async with example("counter.py", REDIS_URL=redis_url if store == "redis" else "") as url:
        page = HTTPTestClient(url)
        assert b'id="count">0<' in (await page.get("/")).body
        async with SocketIOTestClient(url, cookies=page.cookies) as client:
            await client.connect()
            assert await client.emit("incr") == 1
            assert (await page.post("/incr")).body == b"2"
            assert [await client.wait_for("count") for _ in range(2)] == [1, 2]
        assert b'id="count">2<' in (await page.get("/")).body


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_the_login_example(redis_url: str, store: str) -> None:
    """Login, the current user in a template, XSRF, logging out one's other browsers."""
    async with example("login.py", REDIS_URL=redis_url if store == "redis" else "") as url:
        one, two = HTTPTestClient(url), HTTPTestClient(url)
        assert (await one.get("/")).headers["Location"].startswith("/login")
        assert (await one.post("/login", {"name": "Ada"})).code == 403
        for visitor in (one, two):
            await submit(visitor, "/login", "/login", name="Ada")
            assert b"Hello, Ada" in (await visitor.get("/")).body
        await submit(one, "/", "/logout/others")
        assert (await two.get("/")).code == 302
        assert b"opened this page 3 times" in (await one.get("/")).body
        await submit(one, "/", "/logout")
        assert (await one.get("/")).code == 302


async def submit(visitor: HTTPTestClient, page: str, action: str, **fields: str) -> None:
    """Fill in a page's form, with its XSRF token, and post it."""
    form = (await visitor.get(page)).body.decode()
    token = re.search(r'name="_xsrf" value="([^"]+)"', form)
    assert token, form
    answer = await visitor.post(action, {**fields, "_xsrf": token[1]})
    assert answer.code == 302, answer.body


def test_the_reasons_in_the_quickstart_are_those_of_the_library() -> None:
    """No word there that a client never gets."""
    table = QUICKSTART[QUICKSTART.index("| What happened") :]
    reasons = set(re.findall(r"^\|[^|]+\| `([a-z_]+)` \|", table, re.MULTILINE)) - {"reason"}
    assert "logged_out" in reasons
    assert reasons <= set(REASONS)

"""At DEBUG, no log of ours or of the frameworks contains what lets somebody in."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tornado.web import HTTPError, RequestHandler, create_signed_value

from tests.apps.shared import SECRET, Handler
from tests.support.sites import Site, site, status_of
from tests.support.streams import Socket, Stream
from tests.support.streams import site as streams
from tornado_shared_session.record import Credential
from tornado_shared_session.testing import CookieJar, HTTPTestClient, SocketIOTestClient

NAMES = ("tornado_shared_session", "tornado", "engineio", "socketio", "asyncio", "redis")


class Everything(logging.Handler):
    """Keeps each record as it would be written, with its traceback and arguments."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {self.format(record)} {record.args!r}")


@contextmanager
def everything() -> Iterator[Everything]:
    """Set every logger to DEBUG and keep what they say."""
    handler = Everything()
    loggers = [logging.getLogger()] + [
        found
        for name, found in logging.Logger.manager.loggerDict.items()
        if isinstance(found, logging.Logger) and name.split(".")[0] in NAMES
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    loggers[0].addHandler(handler)
    try:
        yield handler
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Issued:
    """Every credential that the manager has made, and the forms in which it travels."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secrets: set[str] = set()
        self.carried: set[str] = set()
        init = Credential.__post_init__

        def noted(credential: Credential) -> None:
            init(credential)
            self.secrets.add(credential.secret)

        monkeypatch.setattr(Credential, "__post_init__", noted)

    def forms(self) -> set[str]:
        """Return what must not be found: plain, signed, base64 and quoted."""
        found = set(self.secrets)
        for secret in self.secrets:
            for before in ("", ".", "A."):  # base64 looks different at each offset
                data = base64.b64encode((before + secret).encode()).decode()
                found.add(data[4:40])
        for text in self.carried:
            found |= {text, urllib.parse.quote(text), text.strip('"').split("|")[-1]}
        return {text for text in found if len(text) >= 20}


class Fail(Handler):
    """Fail with a session at hand."""

    def get(self, how: str) -> None:
        self.session.get("note")
        if how == "bug":
            raise ValueError("a bug")
        raise HTTPError(418)


def edit(shared: Any) -> None:
    """Add the failing pages, and an event that fails."""
    pages: list[tuple[str, type[RequestHandler]]] = [(r"/fail/(\w+)", Fail)]
    shared.app.add_handlers(".*", pages)


async def walk(a: Site, carrier: str, transport: str, issued: Issued) -> None:
    """Visit, log in, be superseded, forge, fail, and log out, on one transport."""
    jar = CookieJar()
    http = HTTPTestClient(a.url, cookies=jar)
    headers: dict[str, str] = {}

    async def post(path: str, **body: str) -> int:
        response = await http.post(path, body or {"x": "x"}, headers=headers)
        if token := response.headers.get("Session-Token"):
            headers["Authorization"] = f"Bearer {token}"
            issued.carried.add(token)
        issued.carried |= set(jar.values())
        return int(response.code)

    def client(shown: dict[str, str], cookies: CookieJar) -> SocketIOTestClient:
        more = {} if carrier == "cookie" else {"headers": shown}
        return a.client(transport, cookies if carrier == "cookie" else None, **more)

    assert await post("/note", value='"a"') == 200
    old, old_jar = dict(headers), CookieJar(jar)
    async with client(old, old_jar) as socket:
        await socket.connect()
        assert await socket.emit("get") == "a"
        assert await post("/login", user="ann") == 200
        await socket.wait_transport_closed()
    assert await status_of(client(old, old_jar)) == 401  # superseded
    assert await post("/regenerate") == 200
    for how in ("bug", "http"):
        await http.fetch(f"/fail/{how}", headers=headers)
    forged = create_signed_value("another secret", "session", "A" * 22 + "." + "F" * 43).decode()
    issued.carried.add(forged)
    async with a.client(transport, {"session": forged}) as socket:
        await socket.connect()
    shown = headers.get("Authorization", "").removeprefix("Bearer ")
    auth: Any = {"token": shown} if shown else None
    async with a.client(transport, jar if carrier == "cookie" else None) as socket:
        await socket.connect(auth=auth)
        if carrier == "token":
            said = await socket.emit("getToken", {"token": shown})
            issued.carried.add(said["token"])
            await socket.emit("getToken", {"token": forged})
            assert await socket.emit("rotate", "regenerate") == "rotated"
            issued.carried |= {e.args[0]["token"] for e in socket.events if e.name == "gotToken"}
        await socket.send_raw("42{}")  # malformed, with a token under way
        await socket.wait_transport_closed()
    assert await post("/logout") in (200, 409)
    http.close()


@pytest.mark.parametrize("carrier", ["cookie", "token"])
@pytest.mark.expects_log("a bug", "500 GET /fail")
async def test_no_credential_is_in_any_log(
    redis_url: str, prefix: str, carrier: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP, Socket.IO with both its loggers on, error pages, superseded and forged ones
    (S35, W23).
    """
    issued = Issued(monkeypatch)
    with everything() as log:
        server = {"logger": True, "engineio_logger": True}
        async with site(
            redis=redis_url, prefix=prefix, credentials=carrier, server=server, edit=edit
        ) as a:
            for logger in (a.sio.logger, a.sio.eio.logger):
                assert logger.isEnabledFor(logging.INFO)
            await walk(a, carrier, transport, issued)
            await a.empty()
    check(log, issued)
    assert {line.split(".")[0].split(":")[0] for line in log.lines} >= {"engineio", "socketio"}


def check(log: Everything, issued: Issued) -> None:
    """Nothing of what was issued is in what was logged."""
    forms = issued.forms()
    assert len(issued.secrets) > 1
    assert len(log.lines) > 10
    assert [line for line in log.lines if any(form in line for form in forms)] == []


async def test_no_credential_of_a_socket_or_stream_is_in_any_log(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain WebSockets and server-sent events, to their end by logout and by login (S35)."""
    issued = Issued(monkeypatch)
    with everything() as log:
        async with streams(redis=redis_url, prefix=prefix) as a:
            for end in ("login", "logout"):
                jar = await a.visitor(note="a")
                issued.carried |= set(jar.values())
                async with (
                    await Socket.connect(a.url, "/ws", jar) as socket,
                    await Stream.begin(a.url, "/events?flush=1", jar) as stream,
                ):
                    assert await socket.ask("get note") == json.dumps("a")
                    assert await stream.read_head() == 200
                    await a.post(f"/do/{end}", jar)
                    issued.carried |= set(jar.values())
                    await asyncio.wait_for(socket.ended(), 5)
    check(log, issued)


def test_the_search_finds_what_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that has a secret in any of its forms is found."""
    issued = Issued(monkeypatch)
    credential, _ = Credential.generate(), Credential.generate()
    signed = create_signed_value(SECRET, "session", str(credential)).decode()
    encoded = base64.b64encode(b"x" + str(credential).encode()).decode()
    for leak in (str(credential), signed, encoded):
        with everything() as log:
            for line in [leak, *"x" * 10]:
                logging.getLogger("tornado.general").debug("a line: %s", line)
        with pytest.raises(AssertionError, match="a line"):
            check(log, issued)

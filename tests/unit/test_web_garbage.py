"""Random cookies: whatever a client sends is "no session", never an error."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, create_signed_value

from tests.apps.web_app import HANDLERS
from tests.support.web import COOKIE, SECRET, ProbeStore, Timed
from tornado_shared_session import SessionManager
from tornado_shared_session.testing import serve

VALID = create_signed_value(SECRET, COOKIE, "A" * 22 + "." + "B" * 43).decode()
# What may stand in a header line, beyond what a browser sends: any byte but line ends.
TEXT = st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n\0"), max_size=300)


def mutate(value: str, at: int, replacement: str) -> str:
    """Replace one place of a valid cookie."""
    at %= len(value)
    return value[:at] + replacement + value[at + 1 :]


COOKIES = st.one_of(
    TEXT,
    TEXT.map(lambda text: f"{COOKIE}={text}"),
    TEXT.map(lambda text: f"{COOKIE}=2|{text}"),
    TEXT.map(lambda text: f"{COOKIE}=2|1:0|{text}"),
    st.builds(mutate, st.just(f"{COOKIE}={VALID}"), st.integers(0), TEXT.filter(bool)),
    st.lists(TEXT, max_size=6).map(lambda many: "; ".join(f"{COOKIE}={t}" for t in many)),
)
SECRETS: list[Any] = [SECRET, {0: "old " + SECRET, 1: SECRET}]


@settings(max_examples=300, deadline=None)
@given(st.lists(COOKIES, min_size=1, max_size=30), st.sampled_from([0, 1]))
@example([f"{COOKIE}=1|0|0", f"{COOKIE}={VALID}x", f'{COOKIE}="{VALID[:-1]}"'], 1)
def test_random_cookies_are_no_session(cookies: list[str], which: int) -> None:
    """No 500, no cookie, no question to the store, with one secret and with several."""
    asyncio.run(send(cookies, which))


async def send(cookies: list[str], which: int) -> None:
    """Send each as the Cookie header of a request on one connection."""
    store = ProbeStore()
    options = {"cookie_secret": SECRETS[which], "key_version": which or None}
    async with SessionManager(store) as sessions:
        app = Application(HANDLERS, session_manager=sessions, **options)
        async with serve(app) as server, await Timed.open(server.url) as wire:
            for cookie in cookies:
                head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
                wire.writer.write(head.encode("latin-1"))
                response = await asyncio.wait_for(wire._response(), 5)
                if response.status == 400:  # Tornado refuses the header, and hangs up
                    return
                assert response.status == 200
                assert "Set-Cookie" not in response.headers
    valid = sum(f"{COOKIE}={VALID}" in cookie for cookie in cookies)
    assert store.calls["load"] <= valid
    assert not store.applied


def test_signed_values_that_are_no_ids_ask_the_store_nothing() -> None:
    """Validly signed, but not of the form of a credential: refused before any store call (S2)."""
    store = ProbeStore()
    sessions = SessionManager(store, secret=SECRET)
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    tail = "B" * 43
    for number in range(1000):
        for make in (
            "{}",
            "{:x}",
            "{:021d}." + tail,
            "{:023d}." + tail,
            "{:022d}.",
            "/{:021d}." + tail,
        ):
            value = create_signed_value(SECRET, COOKIE, make.format(number)).decode()
            headers = HTTPHeaders({"Host": "x", "Cookie": f"{COOKIE}={value}"})
            request = HTTPServerRequest(start_line=line, headers=headers)
            assert sessions.credentials.read(request) == []
    assert not store.calls

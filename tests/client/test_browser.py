"""A real page in a real browser, against two processes of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.browser import Browser, Page
from tests.support.processes import AppProcess

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("js_client")]

VISITORS = 5
LOGINS = 20  # of each visitor
BACK = 3.0  # seconds
TRANSPORTS = {"polling": "polling", "websocket": "websocket", "upgrade": ""}


async def visit(
    browser: Browser, url: str, transport: str = "upgrade", *, context: str | None = None
) -> Page:
    """Open the page in a tab and wait until its socket is connected."""
    page = await browser.new_page(context=context)
    await page.goto(f"{url}/?transports={TRANSPORTS[transport]}")
    await page.wait_for("socket.connected && kinds('hello').length")
    if transport == "upgrade":
        await page.wait_for("socket.io.engine.transport.name === 'websocket'")
    return page


async def logins(page: Page, users: list[str]) -> list[float]:
    """Log in as one after the other; return the seconds until the socket was back."""
    times: list[float] = []
    for user in users:
        milliseconds = await page.evaluate(f"login('{user}')", 20)
        times.append(milliseconds / 1000)
    return times


@pytest.mark.slow
async def test_the_pages_own_socket_is_back_after_each_of_a_hundred_logins(
    browser: Browser, apps: list[AppProcess]
) -> None:
    """With the new cookie, within three seconds, with the client's default delays."""
    kinds = ["upgrade", "polling", "websocket", "upgrade", "upgrade"]
    pages = [await visit(browser, apps[n % 2].url, kinds[n]) for n in range(VISITORS)]
    # Another user each time, so that each login rotates and each answer is new.
    users = [f"user-{n}" for n in range(LOGINS)]
    measured = await asyncio.gather(*(logins(page, users) for page in pages))
    times = [seconds for of_page in measured for seconds in of_page]
    print(f"socket back after a login: {len(times)} times, at most {max(times):.2f} s")
    assert len(times) == 100
    assert max(times) <= BACK, sorted(times)[-10:]
    for page in pages:
        assert await page.evaluate("kinds('session_ended').length") == LOGINS
        reasons = await page.evaluate("[...new Set(seen.map((entry) => entry[2].reason))]")
        assert set(reasons) <= {"rotated", None}


async def test_a_login_in_the_middle_of_a_reconnect_brings_the_socket_back(
    browser: Browser, apps: list[AppProcess]
) -> None:
    """At each stage of the client's handshake, on whatever is under way."""
    page = await visit(browser, apps[0].url)
    stages = {
        "reconnect_attempt": "socket.io.once('reconnect_attempt', go)",
        "open": "socket.io.once('open', go)",
        "connect": "socket.once('connect', go)",
        "upgrading": "socket.io.once('open', () => socket.io.engine.once('upgrading', go))",
        "upgrade": "socket.io.once('open', () => socket.io.engine.once('upgrade', go))",
    }
    for number, (stage, when) in enumerate(stages.items()):
        user = f"{stage}-{number}"
        milliseconds = await page.evaluate(
            "new Promise((done, failed) => {"
            f" const go = () => login('{user}').then(done, failed);"
            f" {when}; socket.io.engine.close(); }})"
        )
        assert milliseconds / 1000 <= 2 * BACK, (stage, milliseconds)  # two closes, two delays
        assert (await page.evaluate("whoami()"))["user"] == user


async def test_a_logout_in_the_page_closes_its_socket_for_good(
    browser: Browser, apps: list[AppProcess], transport: str
) -> None:
    """The page hears why, and the socket stays away."""
    page = await visit(browser, apps[0].url, transport)
    await page.evaluate("login('ada')")
    if transport == "upgrade":
        await page.wait_for("socket.io.engine.transport.name === 'websocket'")
    started = await page.evaluate("performance.now()")
    await page.evaluate("post('/logout')")
    await page.wait_for("kinds('disconnect').at(-1)[2] === 'io server disconnect'")
    heard = await page.evaluate(f"seen.filter((entry) => entry[0] > {started})")
    assert [(kind, detail) for _, kind, detail in heard] == [
        ("session_ended", {"reason": "logged_out"}),
        ("disconnect", "io server disconnect"),
    ]
    assert heard[-1][0] - started < 1000
    # The client's first delay is at most 1.5 s: that long nothing may happen.
    await asyncio.sleep(2)  # that nothing happens announces itself nowhere
    assert await page.evaluate("[socket.connected, socket.active]") == [False, False]
    assert await page.evaluate("seen.at(-1)[1]") == "disconnect"
    assert await page.cookies() == {}


async def test_two_tabs_on_two_processes_are_one_visitor(
    browser: Browser, apps: list[AppProcess]
) -> None:
    """What one does the other sees, to the end."""
    a, b = apps
    one = await visit(browser, a.url)
    two = await visit(browser, b.url, context=one.context)
    assert await two.evaluate("last('hello').id") == await one.evaluate("last('hello').id")
    await one.evaluate("login('ada')")
    await two.wait_for("socket.connected && last('hello').user === 'ada'")
    assert await one.evaluate("post('/count').then((told) => told.count)") == 1
    await two.wait_for("last('count') === 1")
    assert await two.evaluate("ask('incr')") == 2
    await one.wait_for("last('count') === 2")
    assert await one.evaluate("whoami().then((told) => told.count)") == 2
    stranger = await visit(browser, a.url)
    assert await stranger.evaluate("last('hello').user") is None
    await two.evaluate("post('/logout')")
    for tab in (one, two):
        await tab.wait_for("last('session_ended').reason === 'logged_out'")
        await tab.wait_for("last('disconnect') === 'io server disconnect' && !socket.active")
    assert await stranger.evaluate("socket.connected")
    assert await one.evaluate("whoami().then((told) => told.user)") is None


async def test_a_counter_moved_by_both_ways_at_once_misses_nothing(
    browser: Browser, apps: list[AppProcess], transport: str
) -> None:
    """Ten requests and ten events, overlapping."""
    page = await visit(browser, apps[0].url, transport)
    await page.evaluate(
        "Promise.all(Array.from({ length: 10 }, () => [post('/count'), ask('incr')]).flat())"
    )
    assert await page.evaluate("whoami().then((told) => told.count)") == 20
    await page.wait_for("kinds('count').length === 20")
    counts: list[Any] = await page.evaluate("kinds('count').map((entry) => entry[2])")
    assert sorted(counts) == list(range(1, 21))


async def test_the_cookie_is_hidden_from_scripts_and_says_what_it_should(
    browser: Browser, apps: list[AppProcess]
) -> None:
    """HttpOnly, SameSite=Lax, for the whole host, until the browser closes; gone after a logout
    (S13, W7).
    """
    page = await browser.new_page()
    await page.goto(f"{apps[0].url}/whoami")
    assert await page.cookies() == {}
    await page.goto(apps[0].url)
    await page.wait_for("socket.connected")
    cookies = await page.cookies()
    assert list(cookies) == ["session"]
    cookie = cookies["session"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert (cookie["domain"], cookie["session"], cookie["secure"]) == ("127.0.0.1", True, False)
    assert await page.evaluate("document.cookie") == ""
    await page.evaluate("login('ada')")
    again = (await page.cookies())["session"]
    assert again["value"] != cookie["value"]
    assert again["httpOnly"]
    assert await page.evaluate("document.cookie") == ""
    await page.evaluate("post('/logout')")
    assert await page.cookies() == {}


async def test_bytes_pass_both_ways_in_the_browser(
    browser: Browser, apps: list[AppProcess], transport: str
) -> None:
    """In an acknowledgement and in an event."""
    page = await visit(browser, apps[0].url, transport)
    answer = "ask('reverse', new Uint8Array([1, 2, 3])).then((b) => [...new Uint8Array(b)])"
    assert await page.evaluate(answer) == [3, 2, 1]
    await page.wait_for("last('reversed')")
    assert await page.evaluate("[...new Uint8Array(last('reversed').data)]") == [3, 2, 1]


async def test_a_page_of_another_site_gets_no_socket(
    browser: Browser, apps: list[AppProcess], transport: str
) -> None:
    """Though the browser would send the visitor's cookie along with it (S22, W5)."""
    url = apps[0].url
    page = await visit(browser, url)
    await page.evaluate("login('ada')")
    evil = await browser.new_page(context=page.context)
    await evil.goto(url.replace("127.0.0.1", "localhost"))
    await evil.wait_for("socket.connected && last('hello').user === null")
    transports = TRANSPORTS[transport] or "polling,websocket"
    await evil.evaluate(
        f"theirs = io('{url}', {{ transports: '{transports}'.split(','), withCredentials: true,"
        " forceNew: true, reconnectionDelay: 50 });"
        " theirs.on('connect', () => note('theirs', 'connected'));"
        " theirs.on('connect_error', (error) => note('refused', error.message)); null"
    )
    await evil.wait_for("kinds('refused').length === 2")
    assert await evil.evaluate("kinds('theirs').length") == 0
    assert await page.evaluate("socket.connected")

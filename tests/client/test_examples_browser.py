"""The pages of the examples, in a real browser: their buttons do what they say."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.browser import Browser, BrowserError, Page
from tests.support.programs import example

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("js_client")]

CLICK = "[...document.querySelectorAll('button')].find((b) => b.textContent === '{}').click()"
SEEN = "document.querySelector('#seen').textContent.includes('{}')"

#: What to do on a page (a button, or JavaScript that begins with "!"), and what then is true.
STEPS = {
    "counter.py": [
        ("!0", "socket.connected"),
        ("+1 by HTTP", "document.querySelector('#count').textContent === '1'"),
        ("+1 by socket", "document.querySelector('#count').textContent === '2'"),
    ],
    "guide.py": [
        ("!0", "state.textContent === 'connected'"),
        ("+1 by HTTP", "http.textContent === '1' && count.textContent === '1'"),
        ("+1 by socket", "count.textContent === '2'"),
        ("Log out", "state.textContent === 'disconnected: io server disconnect'"),
    ],
    "guide_login.py": [
        (
            "!document.querySelector('[type=password]').value = 'changeit'",
            "document.title === 'Log in'",
        ),
        ("Log in", "document.title === 'Home' && who.textContent === 'john'"),
        ("!0", SEEN.format("john is here")),
        ("Log out", "location.pathname === '/login'"),
    ],
    "express_socket_io_session.py": [
        ("userdata", SEEN.format('logged_in {"connects":1,"userdata":{"name":"Ada"}}')),
        ("away with it", SEEN.format('logged_out {"connects":1}')),
        ("Log in", SEEN.format('sessiondata {"connects":2}')),
        ("Log out", SEEN.format('session_ended {"reason":"logged_out"}')),
    ],
    "namespaces.py": [
        ("!document.querySelectorAll('input')[0].value = 'Ada'", SEEN.format("welcome")),
        ("That is me", "chat.emit('who', (names) => { window.names = names }), names[0] === 'Ada'"),
        ("!document.querySelectorAll('input')[1].value = 'hello'", "true"),
        ("Say it", SEEN.format('said {"from":"Ada","text":"hello"}')),
        ("Who?", SEEN.format("here: Ada")),
    ],
    "tokens.py": [
        ("!0", SEEN.format("a token, because: Session Not Found")),
        ("Log in", "document.querySelector('#seen').textContent.split('a token').length === 3"),
        ("!socket.disconnect().connect()", SEEN.format("a token\\na token")),
        (
            "!socket.emit('user:secured', (answer) => { window.answer = answer; })",
            "window.answer === 'for ada only'",
        ),
    ],
    "websocket.py": [
        ("!0", "state.textContent === 'open'"),
        ("+1 by socket", "count.textContent === '1'"),
        ("+1 by HTTP", "socket.send('hello'), count.textContent === '2'"),
        ("Log out", "state.textContent === '1008 logged_out'"),
    ],
    "sse.py": [
        ("!0", "state.textContent === 'open'"),
        ("+1", "count.textContent === '1'"),
        ("Log out", "state.textContent === 'closed'"),
        ("!0", "events.readyState === EventSource.CLOSED"),
    ],
}


async def true_now(page: Page, expression: str) -> bool:
    """Tell whether something is true on a page, which may be leaving for another."""
    try:
        return bool(await page.evaluate(expression))
    except BrowserError:
        return False


@pytest.mark.parametrize("name", STEPS)
async def test_the_buttons_of_its_page_do_what_they_say(browser: Browser, name: str) -> None:
    """One after the other, and nothing is wrong on the page."""
    async with example(name) as url:
        page = await browser.new_page()
        await page.goto(url)
        for do, then in STEPS[name]:
            script = do[1:] if do.startswith("!") else CLICK.format(do)
            await page.evaluate(f"void ({script})")
            async with asyncio.timeout(10):
                while not await true_now(page, then):
                    await asyncio.sleep(0.02)  # pages announce nothing
        assert [line for line in page.console if "Uncaught" in line] == []

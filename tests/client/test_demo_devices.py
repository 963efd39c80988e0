"""The demo's chat and its list of devices: two browsers, and people who guess."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.demo import Demo, logged, login, running, say, tab, text
from tests.support.browser import Browser
from tests.support.chromium import Chromium
from tests.support.proofs import measured
from tornado_shared_session.testing import HTTPTestClient, SocketIOTestClient

pytestmark = [
    pytest.mark.node,
    pytest.mark.usefixtures("js_client", "redis_program"),
]

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
AGENTS = {
    FIREFOX: "Firefox on Windows",
    "Mozilla/5.0 (Windows NT 10.0) Chrome/142.0 Safari/537.36 Edg/142.0": "Edge on Windows",
    "Mozilla/5.0 (Linux; Android 16) Chrome/142.0 Mobile Safari/537.36": "Chrome on Android",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/26.0 Safari/605": "Safari on macOS",
    "Opera/9.80 (iPad)": "A browser on iPad",
    "curl/8.14.1": "curl",
    "<script>": "An unknown device",
}
LIVE = "devices.filter((device) => device.sockets).length"
REVOKED = "Another of your devices has logged this one out."


@pytest.fixture
async def other_browser() -> AsyncIterator[Browser]:
    """A second Chromium, with a profile of its own."""
    with Chromium() as process:
        async with Browser(process) as connected:
            yield connected


# In browsers ------------------------------------------------------------


@pytest.mark.browser
async def test_two_browsers_chat_and_log_each_other_out(
    browser: Browser, other_browser: Browser, tmp_path: Path
) -> None:
    """Devices come and go live, one is revoked and says why, then all; a third user stays (S20)."""
    async with running(tmp_path) as demo:
        here = await tab(browser, demo.url)
        there = await tab(other_browser, demo.second, agent=FIREFOX)
        bob = await tab(browser, demo.url)
        for page, name in ((here, "Ada"), (there, "Ada"), (bob, "Bob")):
            await login(page, name)
        for page in (here, there):
            await page.wait_for(f"{LIVE} === 2")
        assert await bob.evaluate(LIVE) == 1
        first, second = await here.evaluate("[...$('devices').children].map((r) => r.textContent)")
        assert first.startswith("Log outChrome on Linuxthis device1 live socket127.0.0.1 · ")
        assert second.startswith("Log outFirefox on Windows1 live socket127.0.0.1 · logged in ")

        await say(here, "<b>Hello</b>")
        await say(there, "Hello yourself")
        for page in (here, there, bob):
            await page.wait_for("$('messages').children.length === 2")
            said = "[...$('messages').children].map((m) => [m.children[0], m.children[2]].map("
            assert await page.evaluate(said + "(part) => part.textContent))") == [
                ["Ada", "<b>Hello</b>"],
                ["Ada", "Hello yourself"],
            ]

        second_tab = await tab(other_browser, demo.url, context=there.context)
        await here.wait_for("devices.at(-1).sockets === 2")
        await second_tab.close()
        await here.wait_for("devices.at(-1).sockets === 1")

        # By the clock of the machine, which both browsers have in common.
        await there.evaluate(
            "(window.told = new Promise((tell) => new MutationObserver(() => tell(Date.now()))"
            ".observe($('notice'), { attributes: true })), 0)"
        )
        button = "$('devices').children[1].querySelector('button')"
        clicked = await here.evaluate(f"({button}.focus(), {button}.click(), Date.now())")
        # By notice: the reload would come 15 s later.
        took = await there.evaluate("told", 5) - clicked
        measured("the demo: from the click to the page that was logged out, ms", round(took))
        assert await text(there, "notice-text") == REVOKED
        await there.wait_for("!$('notice').hidden && !socket.connected && !socket.active")
        assert "session_ended revoked" in await logged(there)
        assert await there.evaluate("[user, devices.length, $('words').disabled]") == [
            None,
            0,
            True,
        ]
        assert await text(there, "messages") == ""
        await here.wait_for("devices.length === 1 && $('devices').children.length === 1")
        assert await here.evaluate("document.activeElement.id") == "h-devices"
        assert await here.evaluate("$('logout-others').disabled && socket.connected")

        await there.click("#notice-login")
        assert await there.evaluate("document.activeElement.id") == "name"
        await login(there, "Ada")
        assert await there.evaluate("$('notice').hidden")
        await here.wait_for(f"{LIVE} === 2")
        await there.click("#logout-everywhere")
        for page, why in ((here, REVOKED), (there, "You logged out")):
            await page.wait_for("!$('notice').hidden && !socket.connected && user === null")
            assert (await text(page, "notice-text")).startswith(why)
        # The socket tells the page before the answer, which takes the cookie away, has come.
        await there.wait_for("$('log').querySelector('[data-kind=logged]')")
        assert "session" not in await there.cookies()
        assert await bob.evaluate(f"[socket.connected, user, {LIVE}]") == [True, "Bob", 1]
        for page in (here, there, bob):
            assert page.console == []


@pytest.mark.browser
async def test_a_page_that_was_away_says_that_it_was_logged_out(
    browser: Browser, tmp_path: Path
) -> None:
    """It learns of the end when it comes back; and `log out the others` keeps who asked."""
    async with running(tmp_path) as demo:
        here, away = [await tab(browser, demo.url) for _ in range(2)]
        for page in (here, away):
            await login(page, "Ada")
        await here.wait_for(f"{LIVE} === 2")
        await away.evaluate("socket.disconnect() && 0")
        await here.wait_for(f"devices.length === 2 && {LIVE} === 1")
        await here.click("#logout-others")
        await here.wait_for("devices.length === 1")
        assert await here.evaluate("[socket.connected, user]") == [True, "Ada"]
        await away.evaluate("socket.connect() && 0")
        await away.wait_for("!$('notice').hidden && socket.connected")
        assert await text(away, "notice-text") == "You are logged out: the session ended meanwhile."
        assert await away.evaluate("[user, devices.length]") == [None, 0]


@pytest.mark.browser
async def test_the_page_fits_and_is_named(browser: Browser, tmp_path: Path) -> None:
    """Nothing is wider than the window, and every control has a name for a screen reader."""
    async with running(tmp_path) as demo:
        page = await tab(browser, demo.url)
        await login(page, "W" * 40)
        await say(page, "W" * 300)
        await page.wait_for("$('messages').children.length && $('devices').children.length")
        await page.evaluate("showNotice('W'.repeat(60))")
        for width in (1280, 768, 390, 320):
            await page.send(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=800,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
            page_width = "document.documentElement.scrollWidth"
            assert await page.evaluate(f"{page_width} <= innerWidth"), width
        tree = (await page.send("Accessibility.getFullAXTree"))["nodes"]
        controls = [
            (node["role"]["value"], node["name"]["value"])
            for node in tree
            if node.get("role", {}).get("value") in ("button", "textbox", "log", "list", "alert")
            and not node["ignored"]
        ]
        assert {role for role, name in controls if name} >= {"button", "textbox", "log"}
        assert [role for role, name in controls if role in ("button", "textbox") and not name] == []


# Over the wire ----------------------------------------------------------


class Visitor:
    """A logged-in device without a browser: HTTP of one process, a socket to the other."""

    def __init__(self, demo: Demo, agent: str = FIREFOX) -> None:
        self.http = HTTPTestClient(demo.url, headers={"User-Agent": agent})
        self.socket = SocketIOTestClient(demo.second, cookies=self.http.cookies)
        self.id = ""

    @asynccontextmanager
    async def logged_in(self, name: str) -> AsyncIterator[Visitor]:
        """Log in, connect, and disconnect in the end."""
        assert (await self.http.post("/login", {"name": name})).code == 200
        async with self.socket:
            await self.socket.connect()
            self.id = (await self.socket.emit("look"))["id"]
            yield self

    async def devices(self, count: int) -> list[dict[str, Any]]:
        """Wait for a list of so many devices."""
        while True:
            found: list[dict[str, Any]] = (await self.socket.wait_for("devices"))["list"]
            if len(found) == count:
                return found


async def test_nobody_sees_or_ends_the_devices_of_others(tmp_path: Path) -> None:
    """Not by a guessed id, not without a login, not from a foreign page (S20)."""
    async with running(tmp_path) as demo:
        async with (
            Visitor(demo).logged_in("Ada") as ada,
            Visitor(demo).logged_in("Ada") as phone,
            Visitor(demo).logged_in("Eve") as eve,
        ):
            assert [each["id"] for each in await ada.devices(2)] == [ada.id, phone.id]
            for guess in (ada.id, phone.id, "", "x" * 22, "*"):
                assert (await eve.http.post("/revoke", {"id": guess})).code == 404
            assert (await eve.http.post("/revoke")).code == 400
            for path in ("/revoke", "/logout/others", "/logout/everywhere"):
                body = {"id": ada.id}
                assert (await HTTPTestClient(demo.url).post(path, body)).code == 403
                foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
                assert (await ada.http.post(path, body, headers=foreign)).code == 403
            assert (await eve.http.post("/logout/others")).code == 200
            for device in (ada, phone):
                assert (await device.socket.emit("look"))["user"] == "Ada"
            # Whatever this process sent before has arrived with the last of it.
            await ada.socket.emit("count")
            await ada.socket.emit("say", "anybody here?")
            await eve.socket.wait_for("said")
            lists = [each.args[0]["list"] for each in eve.socket.events if each.name == "devices"]
            assert {device["id"] for each in lists for device in each} == {eve.id}
            assert all(each.args == (eve.id,) for each in eve.socket.events if each.name == "seen")

            assert (await ada.http.post("/revoke", {"id": phone.id})).code == 200
            assert await phone.socket.wait_for("session_ended") == {"reason": "revoked"}
            await phone.socket.wait_transport_closed()
            assert [each["id"] for each in await ada.devices(1)] == [ada.id]
            assert (await ada.http.post("/revoke", {"id": phone.id})).code == 404


async def test_devices_are_named_in_human_words_and_capped(tmp_path: Path) -> None:
    """What a client says of itself is only looked at; the seventh login ends the first (S21)."""
    async with running(tmp_path) as demo:
        agents = list(AGENTS)
        async with Visitor(demo, agents[0]).logged_in("Ada") as oldest:
            for agent in agents[1:-1]:
                await Visitor(demo, agent).http.post("/login", {"name": "Ada"})
            names = [device["name"] for device in await oldest.devices(6)]
            assert names == list(AGENTS.values())[:-1]
            async with Visitor(demo, agents[-1]).logged_in("Ada") as newest:
                assert await oldest.socket.wait_for("session_ended") == {"reason": "replaced"}
                names = [device["name"] for device in await newest.devices(6)]
                assert names == list(AGENTS.values())[1:]


async def test_the_chat_is_for_who_is_logged_in_and_takes_no_flood(tmp_path: Path) -> None:
    """Text of a sensible length, in peace; its author is who the session says."""
    async with running(tmp_path) as demo:
        async with (
            Visitor(demo).logged_in("Ada") as ada,
            Visitor(demo).logged_in("Bob") as bob,
            SocketIOTestClient(demo.url) as stranger,
        ):
            await stranger.connect()
            assert await stranger.emit("say", "hello") == {"error": "login required"}
            for nothing in ("", "  ", None, 7, {"user": "Bob"}):
                assert await ada.socket.emit("say", nothing) == {"error": "There is nothing to say"}
            too_much = await ada.socket.emit("say", "x" * 301)
            assert too_much == {"error": "At most 300 characters"}
            first, second = await asyncio.gather(
                *(ada.socket.emit("say", f" {n} " + "x" * 290) for n in (1, 2))
            )
            assert (first, second) == ({}, {"error": "Not so fast"})
            assert await bob.socket.emit("say", "enough") == {}
            for device in (ada, bob):
                heard = [await device.socket.wait_for("said") for _ in range(2)]
                assert [(each["user"], each["text"][:6]) for each in heard] == [
                    ("Ada", "1 xxxx"),
                    ("Bob", "enough"),
                ]
            assert await stranger.emit("look")
            assert "said" not in [event.name for event in stranger.events]

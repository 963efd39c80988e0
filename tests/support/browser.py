"""Headless Chromium over the DevTools protocol, with Tornado alone.

    async def test_page(browser):                 # a fixture of conftest.py
        page = await browser.new_page()
        await page.goto(server.url)
        assert await page.evaluate("document.title") == "plain"

Each `new_page()` without a context is a visitor of its own: its cookies
are its own. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tornado.websocket import WebSocketClientConnection, websocket_connect

from .chromium import Chromium
from .ran import PROGRAMS


class BrowserError(Exception):
    """Chromium refused a command, or the page's JavaScript threw."""


class Browser:
    """One test's connection to Chromium; what it opened closes with it."""

    def __init__(self, chromium: Chromium) -> None:
        self.chromium = chromium
        self._connection: WebSocketClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._contexts: list[str] = []

    async def start(self) -> None:
        """Connect to Chromium."""
        self._connection = await websocket_connect(
            self.chromium.address, max_message_size=100 << 20
        )
        self._reader = asyncio.create_task(self._read())
        PROGRAMS["Chromium"] = (await self.send("Browser.getVersion"))["product"]

    async def new_page(self, *, context: str | None = None) -> Page:
        """Open a tab, in a given context or in a new one of its own."""
        if context is None:
            context = await self.new_context()
        target = await self.send("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, context, target["targetId"], attached["sessionId"])
        self._pages[page.session] = page
        for domain in ("Page", "Runtime", "Network"):
            await page.send(f"{domain}.enable")
        return page

    async def new_context(self) -> str:
        """Make a visitor: cookies and storage that nobody shares."""
        made = await self.send("Target.createBrowserContext")
        self._contexts.append(made["browserContextId"])
        return self._contexts[-1]

    async def send(
        self, method: str, *, session: str | None = None, wait: float = 20.0, **params: Any
    ) -> dict[str, Any]:
        """Send one DevTools command and return its result."""
        assert self._connection is not None
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        future = asyncio.get_running_loop().create_future()
        self._replies[number] = future
        await self._connection.write_message(json.dumps(message))
        try:
            reply = await asyncio.wait_for(future, wait)
        finally:
            self._replies.pop(number, None)
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def close(self) -> None:
        """Close the visitors with their tabs, and disconnect."""
        for context in self._contexts:
            with suppress(BrowserError):
                await self.send("Target.disposeBrowserContext", browserContextId=context)
        if self._connection is not None:
            self._connection.close()
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=5)

    async def _read(self) -> None:
        assert self._connection is not None
        while (text := await self._connection.read_message()) is not None:
            message = json.loads(text)
            if (future := self._replies.get(message.get("id"))) and not future.done():
                future.set_result(message)
            elif page := self._pages.get(message.get("sessionId", "")):
                page._take(message["method"], message["params"])
        for future in self._replies.values():
            if not future.done():
                future.set_exception(BrowserError("Chromium is gone"))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class Page:
    """One tab."""

    def __init__(self, browser: Browser, context: str, target: str, session: str) -> None:
        self.browser = browser
        self.context = context
        self.target = target
        self.session = session
        #: What the page wrote to its console, exceptions included.
        self.console: list[str] = []
        #: Every DevTools event of the tab, such as Network.responseReceived.
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._loads = asyncio.Event()

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one DevTools command to this tab."""
        return await self.browser.send(method, session=self.session, **params)

    async def goto(self, url: str, timeout: float = 20.0) -> None:
        """Navigate and wait for the load event."""
        self._loads.clear()
        result = await self.send("Page.navigate", url=url)
        if "errorText" in result:
            raise BrowserError(f"{url}: {result['errorText']}")
        await asyncio.wait_for(self._loads.wait(), timeout)

    async def reload(self, timeout: float = 20.0) -> None:
        """Reload and wait for the load event."""
        self._loads.clear()
        await self.send("Page.reload")
        await asyncio.wait_for(self._loads.wait(), timeout)

    async def evaluate(self, expression: str, timeout: float = 20.0) -> Any:
        """Return the JSON value of a JavaScript expression; promises are awaited.

        Raises:
            BrowserError: it threw, or the promise was rejected.
        """
        result = await self.send(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
            wait=timeout,
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            thrown = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"{expression[:200]}: {thrown}")
        return result["result"].get("value")

    async def wait_for(self, expression: str, timeout: float = 20.0) -> Any:
        """Return the first truthy value of an expression; the page looks each 20 ms."""
        look = (
            "new Promise((found, failed) => {"
            f" const end = Date.now() + {int(timeout * 1000)};"
            f" const look = () => {{ let value; try {{ value = ({expression}); }}"
            " catch (error) { value = undefined; }"
            " if (value) found(value);"
            " else if (Date.now() > end) failed(new Error('waited in vain'));"
            " else setTimeout(look, 20); }; look(); })"
        )
        try:
            return await self.evaluate(look, timeout + 5)
        except BrowserError as error:
            raise TimeoutError(f"{error}\nconsole: {self.console[-20:]}") from None

    async def click(self, selector: str) -> None:
        """Click the element that a CSS selector finds."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def cookies(self) -> dict[str, dict[str, Any]]:
        """Return the visitor's cookies by name, HttpOnly ones included."""
        result = await self.browser.send("Storage.getCookies", browserContextId=self.context)
        return {cookie["name"]: cookie for cookie in result["cookies"]}

    async def set_cookie(self, name: str, value: str, url: str) -> None:
        """Plant a cookie."""
        await self.send("Network.setCookie", name=name, value=value, url=url)

    async def screenshot(self, path: str | Path, *, width: int = 1200, height: int = 900) -> None:
        """Write what the tab shows, as PNG."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        shot = await self.send("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    async def close(self) -> None:
        """Close the tab."""
        await self.browser.send("Target.closeTarget", targetId=self.target)

    def _take(self, method: str, params: dict[str, Any]) -> None:
        self.events.append((method, params))
        if method == "Page.loadEventFired":
            self._loads.set()
        elif method == "Runtime.consoleAPICalled":
            values = (arg.get("value", arg.get("description")) for arg in params["args"])
            self.console.append(" ".join(map(str, values)))
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))

"""Your devices: the live sessions of a user, shown on each of them.

The list is pushed. If pages fetched it, every look would be a request,
and each device would have been seen just now.
"""

import asyncio
import logging
import re
import time
from datetime import UTC, datetime
from typing import Any

import tornado.web
from shared import WHO, BaseHandler, sessions, sio

from tornado_shared_session import StoreError
from tornado_shared_session.devices import SessionInfo

# The first that is found counts: Edge and Opera also say Chrome, Chrome
# also says Safari, and Android also says Linux.
BROWSERS = {
    r"Edg": "Edge",
    r"OPR": "Opera",
    r"Firefox|FxiOS": "Firefox",
    r"Chrom|CriOS": "Chrome",
    r"Safari": "Safari",
    r"curl": "curl",
}
SYSTEMS = {
    r"iPhone": "iPhone",
    r"iPad": "iPad",
    r"Android": "Android",
    r"Windows": "Windows",
    r"Mac OS": "macOS",
    r"CrOS": "ChromeOS",
    r"Linux": "Linux",
}


def describe(user_agent: str) -> str:
    """Say in human words what a client says of itself."""

    def find(names: dict[str, str]) -> str | None:
        return next((name for what, name in names.items() if re.search(what, user_agent)), None)

    browser, system = find(BROWSERS), find(SYSTEMS)
    if system is None:
        return browser or "An unknown device"
    return f"{browser or 'A browser'} on {system}"


def view(info: SessionInfo) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "id": info.id,
        "name": describe(info.user_agent),
        "address": info.address,
        "sockets": info.sockets,
        # Seconds, not times of day: the browser's clock may be wrong.
        "created": (now - info.created_at).total_seconds(),
        "seen": (now - info.last_seen).total_seconds(),
        "left": (info.expires_at - now).total_seconds(),
    }


async def show(user: str) -> None:
    """Show a user's devices on all of them, in both processes."""
    at = time.time()  # of two lists that cross on their way the page keeps the newer
    try:
        infos = await sessions.list_user(user)
        devices = [view(info) for info in infos]
        await sio.emit("devices", {"at": at, "list": devices}, room=sessions.user_room(user))
    except StoreError as error:
        logging.warning("the devices are not shown: %s", error)


tasks: set[asyncio.Task[None]] = set()  # the loop itself would forget them


def changed(*users: str | None) -> None:
    """Show it soon: a socket that is just going away would still be counted."""
    for user in filter(None, users):
        task = asyncio.create_task(show(user))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


class Revoke(BaseHandler):
    @tornado.web.authenticated
    async def post(self) -> None:
        user = self.current_user
        # The id comes from the client, so say whose session it has to be.
        if not await sessions.destroy(self.get_body_argument("id"), user_id=user):
            raise tornado.web.HTTPError(404, reason="You have no such device")
        changed(user)
        self.write(WHO)


class LogoutOthers(BaseHandler):
    @tornado.web.authenticated
    async def post(self) -> None:
        await self.end_others()

    async def end_others(self) -> None:
        user = self.current_user
        done = await sessions.destroy_user(user, keep=[self.session.id])
        changed(user)
        self.write({**WHO, "sessions": done.sessions, "sockets": done.sockets})


class LogoutEverywhere(LogoutOthers):
    @tornado.web.authenticated
    async def post(self) -> None:
        await self.end_others()
        await self.session.destroy()  # last, so that it was really everywhere

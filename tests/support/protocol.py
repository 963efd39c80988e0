"""The page about the protocol: its tables, its scripts, its program."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.apps.shared import SECRET
from tests.support.processes import ROOT
from tests.support.programs import blocks
from tests.support.sites import Site
from tornado_shared_session import Session
from tornado_shared_session.testing import CookieJar

KEYS = {0: SECRET}
PAGE = (ROOT / "docs" / "protocol.md").read_text()
PROGRAM = "\n".join(blocks(PAGE, "python"))


@functools.cache
def other() -> types.SimpleNamespace:
    """Return the names of the page's program, which knows nothing of us."""
    names: dict[str, Any] = {"__name__": "other"}
    exec(compile(PROGRAM, "other.py", "exec"), names)
    return types.SimpleNamespace(**names)


def section(title: str) -> str:
    """Return what stands below a heading, up to the next one."""
    (found,) = re.findall(rf"^##+ {re.escape(title)}\n(.*?)(?=^## |^### |\Z)", PAGE, re.M | re.S)
    return str(found)


def table(title: str, number: int = 0) -> list[list[str]]:
    """Return the rows of a table below a heading, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE)
    rows = [line.strip().strip("|").split("|") for line in tables[number].splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def script(name: str) -> str:
    """Return a script as it stands on the page, with the newline before it."""
    (source,) = blocks(section(name), "lua")
    return "\n" + source


@contextmanager
def raw(url: str) -> Iterator[redis.Redis]:
    """Return a client that the library does not know of."""
    client = redis.Redis.from_url(url)
    try:
        yield client
    finally:
        client.close()


async def member(a: Site, **values: Any) -> CookieJar:
    """Return the cookies of somebody who has logged in as ann."""
    jar = await a.visitor(**values)
    assert (await a.http(jar).post("/login", {"user": "ann"})).code == 200
    return jar


def read(server: redis.Redis, prefix: str, cookie: str) -> tuple[str, Any]:
    """Do what the program's last lines do: say what a cookie is worth, and its record."""
    page = other()
    shown = page.from_cookie(cookie, KEYS)
    record = page.load(server, shown[0], prefix) if shown else None
    return page.check(record, shown[1]) if record else "unknown", record


async def session_of(a: Site, id: str) -> Session:
    """Return a stored session, to look at and to change."""
    record = await a.manager.fetch(id)
    assert record is not None
    return Session(a.manager, record)

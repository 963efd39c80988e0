"""Several cookies of one name: who the client is is told by the only live session, or by none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.web_app import HANDLERS
from tests.integration.test_http_bad_input import NO_CREDENTIAL, UNKNOWN, signed
from tests.support.web import COOKIE, Site, Timed, site


async def two_sessions(served: Site) -> list[str]:
    """Return the cookies of two live sessions."""
    cookies = []
    for user in ("ann", "bob"):
        visitor = served.visitor()
        await visitor.post("/login", {"user": user})
        cookies.append(visitor.cookies[COOKIE])
    return cookies


async def ask(served: Site, *cookie_headers: str, method: str = "GET", path: str = "/") -> Any:
    """Send a request with these Cookie headers, as they are."""
    async with await Timed.open(served.url) as wire:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 0"]
        lines += [f"Cookie: {header}" for header in cookie_headers]
        wire.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return await wire._response()


async def test_two_live_sessions_are_no_session() -> None:
    """Who the client is cannot be told, so nobody is logged in and no cookie is set or cleared
    (F11).
    """
    async with site(HANDLERS) as served:
        ann, bob = await two_sessions(served)
        both = f"{COOKIE}={ann}; {COOKIE}={bob}"
        for headers in ([both], [f"{COOKIE}={ann}", f"{COOKIE}={bob}"]):
            read = await ask(served, *headers)
            assert json.loads(read.body) == {"user": None, "new": False, "data": {}}
            written = await ask(served, *headers, method="POST", path="/login?user=eve")
            assert written.status in (400, 409)
            counted = await ask(served, *headers, method="POST", path="/count")
            assert counted.status == 409
            for response in (read, written, counted):
                assert "Set-Cookie" not in response.headers
        assert served.kinds.count("ambiguous") == 6
        assert {(await one.get("/private")).body for one in map(served.visitor, (ann, bob))} == {
            b"ann",
            b"bob",
        }


@pytest.mark.parametrize("planted", ["4 of ended sessions", "3, and a live one", "300 forged"])
async def test_planted_cookies_make_nobody_somebody_else(planted: str) -> None:
    """A neighbouring host can set cookies for the whole domain, and those with a longer path come
    first. Signed ones that are too many to look up are nobody, also of sessions that have ended,
    and forged ones are nothing (F11).
    """
    async with site(HANDLERS) as served:
        mine, mallory = await two_sessions(served)
        ended = [f"{COOKIE}={value}" for value in await ended_sessions(served, 4)]
        before = {
            "4 of ended sessions": ended,
            "3, and a live one": [*ended[:3], f"{COOKIE}={mallory}"],
            "300 forged": [f"{COOKIE}={mallory[:-8]}{n:08x}" for n in range(300)],
        }[planted]
        header = "; ".join([*before, f"{COOKIE}={mine}"])
        read = await ask(served, header)
        counted = await ask(served, header, method="POST", path="/count")
        believed = planted == "300 forged"
        assert json.loads(read.body)["user"] == ("ann" if believed else None)
        assert counted.status == (200 if believed else 409)
        assert "Set-Cookie" not in read.headers
        assert "Set-Cookie" not in counted.headers
        assert json.loads((await served.visitor(mallory).get("/")).body)["data"] == {}


async def ended_sessions(served: Site, count: int) -> list[str]:
    """Return the cookies of sessions that were logged out."""
    cookies = []
    for _ in range(count):
        visitor = served.visitor()
        await visitor.post("/login", {"user": "mallory"})
        cookies.append(visitor.cookies[COOKIE])
        await visitor.post("/logout")
    return cookies


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("other", ["unknown", "forged", "superseded", "same"])
async def test_only_live_session_of_several_cookies_counts(order: int, other: str) -> None:
    """Beside a cookie that names no live session the one that does is taken, in either order
    (F11).
    """
    async with site(HANDLERS) as served:
        visitor = served.visitor()
        await visitor.post("/login", {"user": "ann"})
        cookies = {
            "unknown": signed(str(UNKNOWN)),
            "forged": NO_CREDENTIAL["forged"],
            "superseded": visitor.cookies[COOKIE],
        }
        await visitor.post("/regenerate")
        live = visitor.cookies[COOKIE]
        pair = [live, cookies.get(other, live)][::order]
        response = await ask(served, "; ".join(f"{COOKIE}={value}" for value in pair))
        assert json.loads(response.body)["user"] == "ann"


@pytest.mark.parametrize("name", ["\xa0session", "session\xa0", "\x85session", "sess\xadion"])
async def test_cookie_with_a_lookalike_name_does_not_shadow(name: str) -> None:
    """Tornado strips such blanks from names; we read the header as it is (F11)."""
    async with site(HANDLERS) as served:
        ann, bob = await two_sessions(served)
        for pairs in ([(COOKIE, ann), (name, bob)], [(name, bob), (COOKIE, ann)]):
            response = await ask(served, "; ".join(f"{key}={value}" for key, value in pairs))
            assert json.loads(response.body)["user"] == "ann"
        alone = await ask(served, f"{name}={bob}")
        assert json.loads(alone.body)["user"] is None

"""The ways in which a handler sends its response, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tornado.template import DictLoader
from tornado.web import Finish, HTTPError, RequestHandler

from tornado_shared_session import SessionMixin

FULL = "full"
SETTINGS = {"template_loader": DictLoader({"page.html": FULL})}


class Saving(SessionMixin, RequestHandler):
    """Change the session, then respond in the way that the path names."""

    async def get(self, way: str) -> None:
        self.session["seen"] = self.session.get("seen", 0) + 1
        await WAYS[way][0](self)

    async def head(self, way: str) -> None:
        await self.get(way)


async def _return(handler: Saving) -> None:
    handler.write(FULL)


async def _finish(handler: Saving) -> None:
    handler.finish(FULL)


async def _awaited_finish(handler: Saving) -> None:
    await handler.finish(FULL)


async def _awaited_flush(handler: Saving) -> None:
    handler.write(FULL[:2])
    await handler.flush()
    handler.write(FULL[2:])


async def _unawaited_flush(handler: Saving) -> None:
    handler.write(FULL[:1])
    handler.flush()
    handler.write(FULL[1:2])
    handler.flush()
    handler.write(FULL[2:])


async def _flush_with_footers(handler: Saving) -> None:
    handler.write(FULL)
    await handler.flush(include_footers=True)


async def _render(handler: Saving) -> None:
    handler.render("page.html")


async def _redirect(handler: Saving) -> None:
    handler.redirect("/elsewhere")


async def _redirect_and_raise(handler: Saving) -> None:
    handler.redirect("/elsewhere")
    raise ValueError("too late to matter")


async def _http_error(handler: Saving) -> None:
    raise HTTPError(404)


async def _send_error(handler: Saving) -> None:
    handler.send_error(403)


async def _raise_finish(handler: Saving) -> None:
    handler.write(FULL)
    raise Finish


#: What the handler does, and the status that comes of it.
WAYS: dict[str, tuple[Callable[[Saving], Awaitable[None]], int]] = {
    "return": (_return, 200),
    "finish": (_finish, 200),
    "awaited finish": (_awaited_finish, 200),
    "awaited flush": (_awaited_flush, 200),
    "unawaited flush": (_unawaited_flush, 200),
    "flush with footers": (_flush_with_footers, 200),
    "render": (_render, 200),
    "redirect": (_redirect, 302),
    "redirect and raise": (_redirect_and_raise, 302),
    "HTTPError": (_http_error, 404),
    "send_error": (_send_error, 403),
    "Finish": (_raise_finish, 200),
    "304": (_return, 304),
    "HEAD": (_return, 200),
}

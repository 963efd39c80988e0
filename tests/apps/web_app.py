"""Request handlers that share sessions; a program of which tests run several.

`HANDLERS` also serves tests that run it in their own process.
"""

from __future__ import annotations

import argparse
import json
from contextlib import AsyncExitStack
from typing import Any

import tornado.web
from tornado.web import RequestHandler

from tests.apps.runner import run
from tests.support.web import SECRET
from tornado_shared_session import RedisStore, Session, SessionManager, SessionMixin


class Untouched(RequestHandler):
    """Knows nothing of sessions."""

    def get(self) -> None:
        self.write("ok")


class Unused(SessionMixin, RequestHandler):
    """Has a session and does not look at it."""

    get = Untouched.get


class Polled(SessionMixin, RequestHandler):
    """Is asked by a page on its own, so it is no activity."""

    session_touch = False

    def get(self) -> None:
        self.write(describe(self.session))

    async def post(self) -> None:
        self.session["polls"] = self.session.get("polls", 0) + 1
        if self.request.query == "save":
            await self.session.save()


class Data(SessionMixin, RequestHandler):
    """GET shows the session; POST stores the form's fields."""

    def get(self) -> None:
        self.write(describe(self.session))

    def post(self) -> None:
        for key in self.request.body_arguments:
            self.session[key] = self.get_body_argument(key)
        self.write("stored")


class Cart(SessionMixin, RequestHandler):
    """GET reads a nested value, POST changes it in place."""

    def get(self) -> None:
        self.write(json.dumps(self.session.get("cart")))

    def post(self) -> None:
        cart = self.session.setdefault("cart", {"items": []})
        if item := self.get_body_argument("item", ""):
            cart["items"].append(item)


class Login(SessionMixin, RequestHandler):
    """Log in, and tell what the handler sees afterwards."""

    async def post(self) -> None:
        await self.session.login(self.get_body_argument("user"))
        self.write({"id": self.session.id, "current_user": self.current_user})


class LoginThenFail(SessionMixin, RequestHandler):
    """Log in, then raise."""

    async def post(self) -> None:
        await self.session.login("ann")
        raise tornado.web.HTTPError(500)


class LoginLate(SessionMixin, RequestHandler):
    """Log in when the head has left, or been sent by the handler; tell what it raised."""

    async def post(self, how: str) -> None:
        self.session["before"] = "x"
        if how == "flush":
            await self.flush()
        elif how == "unawaited":
            self.flush()
        else:
            self.finish()
        for rotate in (self.session.regenerate(), self.session.login("eve")):
            try:
                await rotate
            except Exception as error:
                self.settings["raised"].append(type(error).__name__)


class Regenerate(SessionMixin, RequestHandler):
    """Replace the credential."""

    async def post(self) -> None:
        await self.session.regenerate()
        self.write({"id": self.session.id})


class Logout(SessionMixin, RequestHandler):
    """End the session."""

    async def post(self) -> None:
        await self.session.destroy()
        self.write({"current_user": self.current_user})


class Count(SessionMixin, RequestHandler):
    """Add one, exactly."""

    async def post(self) -> None:
        def bump(session: Session) -> int:
            session["count"] = session.get("count", 0) + 1
            return int(session["count"])

        self.write(str(await self.session.transact(bump)))


class Private(SessionMixin, RequestHandler):
    """For those who are logged in."""

    @tornado.web.authenticated
    def get(self) -> None:
        self.write(str(self.current_user))


def describe(session: Session) -> dict[str, Any]:
    """Return what a session is and holds."""
    return {"user": session.user_id, "new": session.is_new, "data": dict(session)}


HANDLERS: list[Any] = [
    (r"/untouched", Untouched),
    (r"/unused", Unused),
    (r"/polled", Polled),
    (r"/", Data),
    (r"/cart", Cart),
    (r"/login", Login),
    (r"/login-then-fail", LoginThenFail),
    (r"/login-late/(.*)", LoginLate),
    (r"/regenerate", Regenerate),
    (r"/logout", Logout),
    (r"/count", Count),
    (r"/private", Private),
]


async def make_app(args: argparse.Namespace, stack: AsyncExitStack) -> tornado.web.Application:
    """Return the application, on the Redis that the command line names."""
    sessions = SessionManager(RedisStore(args.redis, prefix=args.prefix))
    await stack.enter_async_context(sessions)
    return tornado.web.Application(
        HANDLERS, cookie_secret=SECRET, session_manager=sessions, login_url="/login"
    )


if __name__ == "__main__":
    run(make_app)

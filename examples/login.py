"""Tornado's own way to ask for a login, on a session that can be ended.

Run it and open http://127.0.0.1:8888 in two browsers:

    python examples/login.py

Sessions live in memory; set REDIS_URL to keep them in Redis.
"""

import asyncio
import os
import secrets

import tornado.template
import tornado.web

from tornado_shared_session import MemoryStore, RedisStore, SessionManager, SessionMixin

PORT = int(os.environ.get("PORT", "8888"))
REDIS_URL = os.environ.get("REDIS_URL")

PAGES = tornado.template.DictLoader(
    {
        "home.html": """<!doctype html><title>Home</title>
<h1>Hello, {{ current_user }}</h1>
<p>You have opened this page {{ visits }} times.</p>
<form method="post" action="/logout">{% module xsrf_form_html() %}<button>Log out</button></form>
<form method="post" action="/logout/others">{% module xsrf_form_html() %}
  <button>Log out my other browsers</button></form>""",
        "login.html": """<!doctype html><title>Log in</title>
<form method="post">{% module xsrf_form_html() %}
  <label>Name <input name="name" required maxlength="40"></label> <button>Log in</button></form>""",
    }
)

sessions = SessionManager(
    RedisStore(REDIS_URL) if REDIS_URL else MemoryStore(),
    idle_timeout=1800,
    absolute_timeout=12 * 3600,
    max_sessions_per_user=5,
)


class BaseHandler(SessionMixin, tornado.web.RequestHandler):
    """What all handlers of this application have in common."""


class Home(BaseHandler):
    @tornado.web.authenticated  # asks current_user, which is session.user_id
    async def get(self) -> None:
        self.session["visits"] = self.session.get("visits", 0) + 1
        self.render("home.html", visits=self.session["visits"])


class Login(BaseHandler):
    def get(self) -> None:
        self.render("login.html")

    async def post(self) -> None:
        # Here a real application checks the password first.
        await self.session.login(self.get_body_argument("name"))
        self.redirect("/")


class Logout(BaseHandler):
    async def post(self) -> None:
        await self.session.destroy()
        self.redirect("/login")


class LogoutOthers(BaseHandler):
    @tornado.web.authenticated
    async def post(self) -> None:
        await sessions.destroy_user(self.current_user, keep=[self.session.id])
        self.redirect("/")


async def main() -> None:
    app = tornado.web.Application(
        [(r"/", Home), (r"/login", Login), (r"/logout", Logout), (r"/logout/others", LogoutOthers)],
        cookie_secret=os.environ.get("COOKIE_SECRET") or secrets.token_urlsafe(32),
        session_manager=sessions,
        login_url="/login",
        xsrf_cookies=True,
        template_loader=PAGES,
    )
    async with sessions:
        app.listen(PORT, "127.0.0.1")
        print(f"http://127.0.0.1:{PORT}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass

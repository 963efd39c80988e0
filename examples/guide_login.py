"""The same guide's variant with a login: no socket without one.

    python examples/guide_login.py

Log in as john or mary with the password "changeit". Each session has a
room and each user has one; both are there without being joined.
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import tornado.web

from _serve import serve, store
from tornado_shared_session import (
    SessionManager,
    SessionMixin,
    SessionServer,
    get_tornado_handler,
)

LOGIN = """<!doctype html><title>Log in</title>
<form method="post"><input name="user" value="john"> <input name="password" type="password">
<button>Log in</button></form>"""
HOME = """<!doctype html><title>Home</title>
<p>You are <b id="who">?</b>. <button onclick="fetch('/logout', {method: 'POST'})">Log out</button>
<pre id="seen"></pre>
<script src="/client/socket.io.min.js"></script>
<script>
  const socket = io();
  socket.on("connect", () => socket.emit("whoami", (user) => { who.textContent = user; }));
  socket.on("told", (text) => seen.append(text + "\\n"));
  socket.on("session_ended", () => location.assign("/login"));
</script>"""

PASSWORDS = {"john": "changeit", "mary": "changeit"}  # yours are hashes, in a database
sessions = SessionManager(store(), idle_timeout=1800, max_sessions_per_user=10)
sio = SessionServer(sessions, login_required=True)  # without a login, a handshake is a 401


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    session = await sio.get_session(sid)
    await sio.emit("told", f"{session.user_id} is here", room=session.user_room)


@sio.event
async def whoami(sid: str) -> str | None:
    return (await sio.get_session(sid)).user_id


class Home(SessionMixin, tornado.web.RequestHandler):
    @tornado.web.authenticated
    def get(self) -> None:
        self.write(HOME)


class Login(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(LOGIN)

    async def post(self) -> None:
        user, password = self.get_body_argument("user"), self.get_body_argument("password")
        if PASSWORDS.get(user) != password:
            raise tornado.web.HTTPError(401)
        await self.session.login(user)
        self.redirect("/")


class Logout(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        await self.session.destroy()
        self.set_status(204)


class Online(SessionMixin, tornado.web.RequestHandler):
    @tornado.web.authenticated
    def get(self, user: str) -> None:
        self.write({"online": sio.is_online(user)})  # here; another process answers for itself


class Tell(SessionMixin, tornado.web.RequestHandler):
    @tornado.web.authenticated
    async def post(self, user: str) -> None:
        text = f"{self.current_user}: {self.get_body_argument('text')}"
        await sio.emit("told", text, room=sessions.user_room(user))  # on all devices of theirs


if __name__ == "__main__":
    routes: list[Any] = [(r"/", Home), (r"/login", Login), (r"/logout", Logout)]
    routes += [(r"/online/(\w+)", Online), (r"/tell/(\w+)", Tell)]
    routes += [(r"/socket.io/", get_tornado_handler(sio))]
    serve(sessions, routes, login_url="/login")

"""Sharing a session as express-socket.io-session does, and a login that is one.

    python examples/express_socket_io_session.py

The events `login` and `logout` keep `userdata` in the session, as there.
What a client says of itself proves nothing: a real login is over HTTP,
where there is a response to carry the new credential.
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import tornado.web

from _serve import Page, serve, store
from tornado_shared_session import (
    SessionManager,
    SessionMixin,
    SessionServer,
    authenticated,
    get_tornado_handler,
)

PAGE = """<!doctype html><title>Shared session</title>
<button onclick="socket.emit('login', {name: 'Ada'})">userdata</button>
<button onclick="socket.emit('logout')">away with it</button>
<button onclick="fetch('/logout', {method: 'POST'})">Log out</button>
<form method="post" action="/login"><button>Log in</button>
  <input name="user" value="ada"> <input name="password" value="changeit"></form>
<pre id="seen"></pre> <script src="/client/socket.io.min.js"></script> <script>
  const socket = io();
  socket.onAny((name, data) => seen.append(name + " " + JSON.stringify(data) + "\\n"));
</script>"""

PASSWORDS = {"ada": "changeit"}  # yours are hashes, in a database
sessions = SessionManager(store(), idle_timeout=1800)
sio = SessionServer(sessions, autosave=True)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    session = await sio.get_session(sid)
    session["connects"] = session.get("connects", 0) + 1  # stored, for autosave is on
    await sio.emit("sessiondata", dict(session), to=sid)


@sio.event
async def login(sid: str, userdata: Any) -> None:
    async with sio.session(sid) as session:
        session["userdata"] = userdata
    await sio.emit("logged_in", dict(session), to=sid)  # it is stored by now


@sio.event
async def logout(sid: str, *_: Any) -> None:
    async with sio.session(sid) as session:
        session.pop("userdata", None)
    await sio.emit("logged_out", dict(session), to=sid)


@sio.event
async def checksession(sid: str) -> dict[str, Any]:
    return dict(await sio.get_session(sid))


@sio.event
@authenticated
async def whoami(sid: str) -> str | None:
    return (await sio.get_session(sid)).user_id


@sio.event
async def forget(sid: str) -> None:
    await (await sio.get_session(sid)).destroy()  # closes this socket and all its siblings


class Login(SessionMixin, tornado.web.RequestHandler):
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


class Me(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write({"id": self.session.id, "user": self.current_user, **self.session})


if __name__ == "__main__":
    routes = [(r"/login", Login), (r"/logout", Logout), (r"/me", Me), (r"/", Page, {"html": PAGE})]
    serve(sessions, [*routes, (r"/socket.io/", get_tornado_handler(sio))])

"""Socket.IO's guide to express-session, in Tornado: a counter and a logout.

    python examples/guide.py

A page of http://localhost:4200 may use it too: one setting, for HTTP and
for sockets. The guide's variant with a login is `guide_login.py`.
"""

# mypy: disable-error-code="untyped-decorator"

import tornado.web

from _serve import Page, serve, store
from tornado_shared_session import (
    CORSMixin,
    Session,
    SessionManager,
    SessionMixin,
    SessionServer,
    get_tornado_handler,
)

ORIGINS = ["http://localhost:4200"]
PAGE = """<!doctype html>
<title>The guide</title>
<p>HTTP said <b id="http">?</b>, the socket said <b id="count">?</b>, and is <i id="state">new</i>
<p><button onclick="post('/incr').then((text) => { http.textContent = text; })">+1 by HTTP</button>
<button onclick="socket.emit('incr', (count) => console.log('now', count))">+1 by socket</button>
<button onclick="post('/logout')">Log out</button>
<script src="/client/socket.io.min.js"></script>
<script>
  const post = (path) => fetch(path, { method: "POST" }).then((response) => response.text());
  const socket = io({ withCredentials: true });
  const show = (text) => { state.textContent = text; };
  socket.on("connect", () => show("connected"));
  socket.on("disconnect", (why) => show("disconnected: " + why));
  socket.on("current count", (value) => { count.textContent = value; });
</script>
"""

sessions = SessionManager(
    store(), idle_timeout=1800, reload_interval=15, cors_allowed_origins=ORIGINS
)
sio = SessionServer(sessions)  # each event reads the session anew; none runs after its end


def bump(session: Session) -> int:
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


class Base(CORSMixin, SessionMixin, tornado.web.RequestHandler):
    """What all handlers of this application have in common."""


class Incr(Base):
    async def post(self) -> None:
        count = await self.session.transact(bump)
        await sio.emit("current count", count, room=self.session.room)
        self.write(str(count))


class Logout(Base):
    async def post(self) -> None:
        await self.session.destroy()  # every socket of the session goes, in every process
        self.set_status(204)


@sio.event
async def incr(sid: str) -> int:
    session = await sio.get_session(sid)
    count = await session.transact(bump)  # reload, change and save, with nobody in between
    await sio.emit("current count", count, room=session.room)
    return count


@sio.event
async def note(sid: str, text: str) -> str | None:
    session = await sio.get_session(sid)
    before: str | None = session.get("note")
    session["note"] = text
    await session.save()  # whoever writes another key meanwhile loses nothing
    return before


if __name__ == "__main__":
    serve(
        sessions,
        [
            (r"/", Page, {"html": PAGE}),
            (r"/incr", Incr),
            (r"/logout", Logout),
            (r"/socket.io/", get_tornado_handler(sio)),
        ],
    )

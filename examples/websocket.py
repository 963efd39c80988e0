"""A session in a plain WebSocket, without Socket.IO.

    python examples/websocket.py

The socket counts in the same session as the page, and closes with 1008
and the reason when the session ends.
"""

import tornado.web
import tornado.websocket

from _serve import serve, store
from tornado_shared_session import Session, SessionManager, SessionMixin, SessionWebSocketMixin

PAGE = """<!doctype html>
<title>WebSocket</title>
<h1 id="count">{count}</h1>
<button onclick="socket.send('+1')">+1 by socket</button>
<button onclick="fetch('/incr', {method: 'POST'})">+1 by HTTP</button>
<button onclick="fetch('/logout', {method: 'POST'})">Log out</button>
<p id="state">connecting</p>
<script>
  const socket = new WebSocket(location.href.replace("http", "ws") + "socket");
  socket.onmessage = ({ data }) => { count.textContent = data; };
  socket.onclose = ({ code, reason }) => { state.textContent = code + " " + reason; };
  socket.onopen = () => { state.textContent = "open"; };
</script>
"""

sessions = SessionManager(store(), idle_timeout=1800)


def bump(session: Session) -> int:
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


class Home(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(PAGE.replace("{count}", str(self.session.get("count", 0))))


class Counter(SessionWebSocketMixin, tornado.websocket.WebSocketHandler):
    session_reload = True  # so each message sees what HTTP has written meanwhile

    def open(self) -> None:
        self.write_message(str(self.session.get("count", 0)))

    async def on_message(self, message: str | bytes) -> None:
        if message == "+1":
            count = await self.session.transact(bump)
        else:
            self.session["said"] = message
            await self.session.save()  # there is no response to save it with
            count = self.session.get("count", 0)
        await self.write_message(str(count))


class Incr(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        self.write(str(await self.session.transact(bump)))


class Logout(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        await self.session.destroy()
        self.set_status(204)


if __name__ == "__main__":
    serve(sessions, [(r"/", Home), (r"/socket", Counter), (r"/incr", Incr), (r"/logout", Logout)])

"""Server-sent events that end with the session.

    python examples/sse.py

Open it in two tabs and log out in one: the other's stream ends too.
"""

import asyncio

import tornado.iostream
import tornado.web

from _serve import serve, store
from tornado_shared_session import Session, SessionManager, SessionMixin

PAGE = """<!doctype html>
<title>Events</title>
<h1 id="count">{count}</h1>
<button onclick="fetch('/incr', {method: 'POST'})">+1</button>
<button onclick="fetch('/logout', {method: 'POST'})">Log out</button>
<p id="state">connecting</p>
<script>
  const events = new EventSource("/events");
  events.onopen = () => { state.textContent = "open"; };
  events.onmessage = ({ data }) => { count.textContent = data; };
  events.onerror = () => { state.textContent = "closed"; };
</script>
"""

sessions = SessionManager(store(), idle_timeout=1800)
#: The open streams of each session, in this process.
streams: dict[str, set["Events"]] = {}


def bump(session: Session) -> int:
    session["count"] = session.get("count", 0) + 1
    return int(session["count"])


class Home(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write(PAGE.replace("{count}", str(self.session.setdefault("count", 0))))


class Events(SessionMixin, tornado.web.RequestHandler):
    close_on_end = True  # logout, expiry, revocation, a login that replaces the credential

    def initialize(self) -> None:
        self.counts: asyncio.Queue[int | None] = asyncio.Queue()

    async def get(self) -> None:
        if self.session.is_new:
            self.set_status(204)  # tells an EventSource not to come back
            return
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        streams.setdefault(self.session.id, set()).add(self)
        try:
            await self.send(self.session.get("count", 0))
            while (count := await self.counts.get()) is not None:
                await self.send(count)
        except tornado.iostream.StreamClosedError:
            pass
        finally:
            streams[self.session.id].discard(self)
            if not streams[self.session.id]:
                del streams[self.session.id]

    async def send(self, count: int) -> None:
        self.write(f"data: {count}\n\n")
        await self.flush()

    def on_connection_close(self) -> None:  # whoever closed it
        super().on_connection_close()
        self.counts.put_nowait(None)


class Incr(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        count = await self.session.transact(bump)
        for stream in streams.get(self.session.id, ()):
            stream.counts.put_nowait(count)
        self.write(str(count))


class Logout(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        await self.session.destroy()
        self.set_status(204)


if __name__ == "__main__":
    routes = [(r"/", Home), (r"/events", Events), (r"/incr", Incr), (r"/logout", Logout)]
    serve(sessions, routes)

"""The session or the error, a namespace, everybody who is there.

    python examples/namespaces.py

What session.socket.io and express-session.io do: a connect handler that
decides by itself about a socket without a usable session, a `/chat`
namespace, a list of all clients with their sessions, a chosen cookie.
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import tornado.web

from _serve import Page, serve, store
from tornado_shared_session import (
    SessionError,
    SessionManager,
    SessionMixin,
    SessionServer,
    SignedCookie,
    get_tornado_handler,
)

CHAT = "/chat"
PAGE = """<!doctype html>
<title>Chat</title>
<form onsubmit="chat.emit('name', this.what.value); return false">
  <input name="what" placeholder="your name"> <button>That is me</button></form>
<form onsubmit="chat.emit('say', this.what.value); return false">
  <input name="what" placeholder="your text"> <button>Say it</button></form>
<button onclick="chat.emit('who', (names) => show('here: ' + names.join(', ')))">Who?</button>
<pre id="seen"></pre>
<script src="/client/socket.io.min.js"></script>
<script>
  const chat = io("/chat");
  const show = (text) => seen.append(text + "\\n");
  chat.onAny((name, data) => show(name + " " + JSON.stringify(data)));
</script>
"""

sessions = SessionManager(store(), credentials=SignedCookie("connect.sid"))
sio = SessionServer(sessions, on_session_error="pass")


@sio.on("connect", namespace=CHAT)
async def connect(sid: str, environ: dict[str, Any]) -> None:
    try:
        session = await sio.get_session(sid, CHAT)
    except SessionError as error:  # it may listen, as a guest
        sio.local(sid, CHAT)["guest"] = True
        await sio.emit("guest", type(error).__name__, to=sid, namespace=CHAT)
    else:
        await sio.emit("welcome", session.get("name", "?"), to=sid, namespace=CHAT)


@sio.on("name", namespace=CHAT)
async def name(sid: str, name: str) -> None:
    async with sio.session(sid, CHAT) as session:  # for a guest this raises
        session["name"] = str(name)  # a client may send anything


@sio.on("say", namespace=CHAT)
async def say(sid: str, text: str) -> None:
    session = await sio.get_session(sid, CHAT)
    line = {"from": session.get("name", "?"), "text": text}
    await sio.emit("said", line, namespace=CHAT)  # to all of this namespace, and no other


@sio.on("who", namespace=CHAT)
async def who(sid: str) -> list[str]:
    return sorted(session.get("name", "?") for _, session in await sio.online(CHAT))


@sio.event
async def whisper(sid: str) -> str:
    """In the main namespace, on the same connection: the same session."""
    return str((await sio.get_session(sid)).get("name", "?"))


class Login(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        self.session["name"] = self.get_body_argument("name")
        await self.session.login(self.session["name"])  # check a password first


if __name__ == "__main__":
    sockets = get_tornado_handler(sio)
    serve(sessions, [(r"/", Page, {"html": PAGE}), (r"/login", Login), (r"/socket.io/", sockets)])

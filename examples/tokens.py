"""Tokens for clients that keep no cookies, as socket.io-mysql-session has them.

    python examples/tokens.py

The client keeps the token itself and says getToken at each connect; the
server answers gotToken. Sessions are in memory, in Redis (REDIS_URL) or
in a database: DATABASE_URL=mysql+aiomysql://... and the extra [sql].
"""

# mypy: disable-error-code="untyped-decorator"

import logging
import os
from typing import Any

import tornado.web

from _serve import Page, serve, store
from tornado_shared_session import (
    BearerToken,
    SessionManager,
    SessionMixin,
    SessionServer,
    Store,
    authenticated,
    get_tornado_handler,
)

PAGE = """<!doctype html><title>Tokens</title>
<button onclick="socket.emit('user:login', {user: 'ada', password: 'changeit'})">Log in</button>
<button onclick="socket.emit('user:secured', console.log)">Something for users</button>
<pre id="seen"></pre> <script src="/client/socket.io.min.js"></script> <script>
  const socket = io();
  const ask = () => socket.emit("getToken", { token: localStorage.getItem("token") || "" });
  socket.on("connect", ask);
  socket.on("gotToken", ({ token, errors }) => {
    if (token) localStorage.setItem("token", token);
    seen.append("a token" + (errors && ", because: " + errors) + "\\n");
  });
</script>
"""


def choose() -> Store:
    if url := os.environ.get("DATABASE_URL"):
        from tornado_shared_session.stores.sql import SQLStore

        return SQLStore(url)
    return store()


PASSWORDS = {"ada": "changeit"}  # yours are hashes, in a database
logging.basicConfig(level=logging.INFO)
sessions = SessionManager(
    choose(),
    credentials=BearerToken(),
    idle_timeout=3600,  # seconds, and they count
    logger=logging.getLogger("tokens"),  # any logger of yours
)
sio = SessionServer(sessions, auth_timeout=20)


@sio.on("user:login")
async def login(sid: str, params: dict[str, Any]) -> None:
    user, password = str(params["user"]), params["password"]
    if user not in PASSWORDS or PASSWORDS[user] != password:  # a client may send null
        return
    await (await sio.get_session(sid)).login(user)  # the new token leaves in gotToken


@sio.on("user:secured")
@authenticated
async def secured(sid: str) -> str:
    return f"for {(await sio.get_session(sid)).user_id} only"


@sio.on("set")
async def set_(sid: str, key: str, value: Any) -> None:
    await sio.save_session(sid, {key: value})  # set and stored


@sio.on("get")
async def get(sid: str, key: str) -> Any:
    return (await sio.get_session(sid)).get(key, "")


@sio.on("clear")
async def clear(sid: str) -> None:
    async with sio.session(sid) as session:
        session.clear()  # the token stays


class Data(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:  # with Authorization: Bearer <token>
        self.write({**self.session, "user": self.current_user})


if __name__ == "__main__":
    sockets = get_tornado_handler(sio)
    serve(sessions, [(r"/", Page, {"html": PAGE}), (r"/data", Data), (r"/socket.io/", sockets)])

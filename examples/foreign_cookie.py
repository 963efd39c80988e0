"""A session cookie that an Express application can read, and may have signed.

    python examples/foreign_cookie.py

`credentials=` takes any object with the two methods of `Credentials`.
This one signs as Express' cookie-parser does, so that with the same
secret it is `req.signedCookies.shop` over there. What is in it is still
ours: an id and a secret, of which the store keeps only a hash.
"""

import base64
import hmac
import json
import os
import secrets
from urllib.parse import quote, unquote

import tornado.web
from tornado.httputil import HTTPServerRequest

from _serve import serve, store
from tornado_shared_session import SessionManager, SessionMixin, SessionServer, get_tornado_handler
from tornado_shared_session.record import Credential


class ExpressCookie:
    """A credential as ``s:<credential>.<base64 of its HMAC-SHA256>``.

    Args:
        name: the cookie's name; not one that express-session uses.
        secrets: the first one signs, all are accepted: put a new one first.
    """

    def __init__(self, name: str, secrets: list[str]) -> None:
        self.name = name
        self._keys = [secret.encode() for secret in secrets]

    def read(self, request: HTTPServerRequest) -> list[Credential]:
        """Return every credential with a good signature: a neighbour may have planted another."""
        pairs = ";".join(request.headers.get_list("Cookie")).split(";")
        cookies = [pair.strip(" \t").partition("=") for pair in pairs]
        read = [self._verify(unquote(value)) for name, _, value in cookies if name == self.name]
        return list(dict.fromkeys(credential for credential in read if credential))

    def write(self, handler: tornado.web.RequestHandler, credential: Credential | None) -> None:
        """Set the cookie, or take it away."""
        if credential is None:
            handler.clear_cookie(self.name)
            return
        text = str(credential)
        value = quote(f"s:{text}.{_sign(self._keys[0], text)}", safe="")
        https = handler.request.protocol == "https"
        handler.set_cookie(self.name, value, httponly=True, samesite="Lax", secure=https)

    def _verify(self, value: str) -> Credential | None:
        text, _, signature = value.removeprefix("s:").rpartition(".")
        for number, key in enumerate(self._keys):
            good = hmac.compare_digest(_sign(key, text).encode(), signature.encode())
            if good and value.startswith("s:"):
                return Credential.parse(text, renew=number > 0)  # None for a text of theirs
        return None


def _sign(key: bytes, text: str) -> str:
    digest = hmac.digest(key, text.encode(errors="replace"), "sha256")
    return base64.b64encode(digest).decode().rstrip("=")


KEYS = json.loads(os.environ.get("SECRETS") or "[]")
if not KEYS:
    print("""SECRETS='["that of Express"]' is not set: a random one signs, until this ends""")
    KEYS = [secrets.token_urlsafe(32)]
sessions = SessionManager(store(), credentials=ExpressCookie("shop", KEYS))
sio = SessionServer(sessions)


class Note(SessionMixin, tornado.web.RequestHandler):
    def get(self) -> None:
        self.write({"user": self.current_user, **self.session})

    def post(self) -> None:
        self.session["note"] = self.get_body_argument("note")


class Login(SessionMixin, tornado.web.RequestHandler):
    async def post(self) -> None:
        await self.session.login(self.get_body_argument("user"))  # check the password first


@sio.event  # type: ignore[untyped-decorator]  # python-socketio is untyped
async def note(sid: str) -> str | None:
    value: str | None = (await sio.get_session(sid)).get("note")
    return value


if __name__ == "__main__":
    handler = get_tornado_handler(sio)
    serve(sessions, [(r"/", Note), (r"/login", Login), (r"/socket.io/", handler)])

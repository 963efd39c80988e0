"""The credential as a token, for clients that keep no cookies: `BearerToken`.

Over HTTP it comes in the Authorization header and leaves in a response
header; how a Socket.IO client shows it is in `socketio_tokens.py`. Like
`credentials.py` this file verifies signatures and nothing else.
"""

from __future__ import annotations

import base64
import re

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from .credentials import Credentials, SignedCookie
from .errors import ConfigurationError
from .record import Credential
from .signing import Secret, Signer

#: The response header in which a new token leaves.
NEW_IN = "Session-Token"

# What is signed has "|" and ":" in it, which RFC 6750, section 2.1 does not
# allow in a token, so it travels as base64url.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,700}")
# No cookie can have this name, so a cookie's value is never a token, nor a
# token the value of a cookie.
_PURPOSE = "session token"


class BearerToken:
    """The credential in ``Authorization: Bearer <token>``.

    A new token leaves in the response header ``Session-Token``, or, for
    Socket.IO clients, in the event ``gotToken``. It is never read from
    the query string, which ends up in logs.

    A request with a Bearer token is judged by that alone, even when it
    is bad: its cookies are ignored, no cookie is set, and the XSRF check
    does not apply, for no page can make another site's visitor send it.
    An Authorization header of another scheme is not ours: browsers send
    the ``Basic`` password that a proxy asked for with every request, so
    it decides nothing here and exempts from nothing.

    Args:
        fallback: for the requests without a Bearer token, for instance
            ``SignedCookie()``; None: they have no session.

    Attributes:
        vary: the request headers that responses depend on.

    Raises:
        ConfigurationError: `fallback` cannot read and write, or is a
            `BearerToken` itself.
    """

    def __init__(self, *, fallback: Credentials | None = None) -> None:
        if isinstance(fallback, BearerToken) or (
            fallback is not None
            and not all(callable(getattr(fallback, name, None)) for name in ("read", "write"))
        ):
            raise ConfigurationError(
                f"BearerToken(fallback={fallback!r}): use another way to carry the credential,"
                " for instance fallback=SignedCookie()"
            )
        self.fallback = fallback
        self.vary = "Authorization"
        if fallback is not None:
            self.vary += ", " + getattr(fallback, "vary", "Cookie")
        self._signer = Signer(_PURPOSE)

    def __repr__(self) -> str:
        return "BearerToken()" if self.fallback is None else f"BearerToken({self.fallback!r})"

    def bind(self, secret: Secret, key_version: int | None) -> None:
        """Take the application's ``cookie_secret`` and ``key_version``, and pass them on.

        Raises:
            ConfigurationError: another manager with another secret uses
                this object.
        """
        self._signer.bind(secret, key_version, self)
        bind = getattr(self.fallback, "bind", None)
        if bind is not None:
            bind(secret, key_version)

    def by_header(self, request: HTTPServerRequest) -> bool:
        """Tell whether the Authorization header decides about a request."""
        return bool(_bearers(request))

    def read(self, request: HTTPServerRequest) -> list[Credential]:
        """Return the verified credential of the token, or what the fallback finds."""
        found = _bearers(request)
        if found:
            credential = self.verify(found[0]) if len(found) == 1 else None
            return [] if credential is None else [credential]
        return [] if self.fallback is None else self.fallback.read(request)

    def token_of(self, request: HTTPServerRequest) -> str:
        """Return the token in the Authorization header as it is, or ""."""
        return "".join(_bearers(request)[:1])

    def write(self, handler: RequestHandler, credential: Credential | None) -> None:
        """Add the ``Session-Token`` header, or whatever the fallback adds.

        There is nothing to add for a token that was revoked.
        """
        if self.fallback is not None and not self.by_header(handler.request):
            self.fallback.write(handler, credential)
        elif credential is not None:
            handler.set_header(NEW_IN, self.sign(credential))
            handler.set_header("Cache-Control", "no-store")

    def verify(self, token: object) -> Credential | None:
        """Return the credential in a token; None if it is not one of ours."""
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return None
        try:
            value = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        except ValueError:
            return None
        return self._signer.verify(value)

    def sign(self, credential: Credential) -> str:
        """Return the token that a client is to show."""
        signed = self._signer.sign(credential).encode()
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def only_headers(credentials: Credentials) -> bool:
    """Tell whether these are known to look at the headers of a request and at nothing else.

    Those of an application's own, subclasses too, may look at its body as well.
    """
    ours: list[object] = [credentials]
    if type(credentials) is BearerToken and credentials.fallback is not None:
        ours.append(credentials.fallback)
    return all(type(one) in (BearerToken, SignedCookie) for one in ours)


def _bearers(request: HTTPServerRequest) -> list[str]:
    """Return what stands after "Bearer" in Authorization headers; a client sends one."""
    parts = [header.partition(" ") for header in request.headers.get_list("Authorization")]
    return [token.strip(" ") for scheme, _, token in parts if scheme.lower() == "bearer"]

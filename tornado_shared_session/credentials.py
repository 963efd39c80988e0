"""How a client carries its credential: here, in a signed cookie.

This file turns a request into credentials and a credential into a
response header. It verifies signatures and nothing else: whether a
credential is worth anything is for the record to say. The raw value
goes no further than this file.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, Protocol

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from .errors import ConfigurationError
from .events import logger
from .record import Credential
from .signing import Secret, Signer, may_be_signed

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 6265, cookie-name
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")  # RFC 6265, any CHAR but controls and ";"
#: Credentials of one request that are looked up; a browser has one, perhaps two.
MOST = 4
_REMEMBERED = 1024  # Cookie headers
_LONGEST = 4096  # bytes of one that is remembered


class Credentials(Protocol):
    """Where credentials are found in a request and put in a response.

    `SignedCookie` is the one most applications use. An object with
    these two methods may take its place, for instance to read a cookie
    that another framework signed. If it has a ``bind(secret,
    key_version)`` method too, it is called with the application's
    ``cookie_secret`` before the first request. What responses depend on
    is the request header Cookie, unless it says otherwise in an
    attribute ``vary``; and requests for which a method
    ``by_header(request)`` returns True are exempt from the XSRF check.
    """

    def read(self, request: HTTPServerRequest) -> list[Credential]:
        """Return what the client presents, verified, without duplicates.

        Forged, malformed, expired or absent: an empty list, never an
        error. More than one: the caller takes the one that names a live
        session, if only one does. Of more than four it takes none, so
        what comes after the fifth may be left out.
        """

    def write(self, handler: RequestHandler, credential: Credential | None) -> None:
        """Hand the client a new credential, or take its own away (None).

        Called before the response head leaves and after the session is
        stored.
        """


class SignedCookie:
    """The credential in a cookie, signed with Tornado's signed values.

    Args:
        name: the cookie's name. ``__Host-`` and ``__Secure-`` prefixes
            are honoured (RFC 6265bis, section 4.1.3).
        domain, path: as in `RequestHandler.set_cookie`.
        secure: True, False, or ``"auto"``: Secure unless the request's
            Host is a loopback address.
        samesite: ``"Lax"``, ``"Strict"`` or ``"None"``.
        partitioned: CHIPS, for pages inside other sites' pages.
        max_age: seconds the browser keeps it, or None: until it closes.

    The cookie is always HttpOnly.

    Raises:
        ConfigurationError: the attributes contradict each other.
    """

    def __init__(
        self,
        name: str = "session",
        *,
        domain: str | None = None,
        path: str = "/",
        secure: bool | Literal["auto"] = "auto",
        samesite: Literal["Lax", "Strict", "None"] = "Lax",
        partitioned: bool = False,
        max_age: int | None = None,
    ) -> None:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"SignedCookie(name={name!r}) is not a cookie name")
        for label, value in (("domain", domain), ("path", path)):
            if value is not None and not (isinstance(value, str) and _ATTRIBUTE.fullmatch(value)):
                raise ConfigurationError(
                    f"SignedCookie({label}={value!r}) cannot stand in a cookie"
                )
        if not path.startswith("/"):
            raise ConfigurationError(
                f'SignedCookie(path={path!r}) must begin with "/": browsers ignore another, and'
                " send the cookie to pages beside the login only (RFC 6265, 5.2.4)"
            )
        if secure not in (True, False, "auto"):
            raise ConfigurationError(f'SignedCookie(secure={secure!r}): use True, False or "auto"')
        if samesite not in ("Lax", "Strict", "None"):
            raise ConfigurationError(
                f'SignedCookie(samesite={samesite!r}): use "Lax", "Strict" or "None"'
            )
        if max_age is not None and (type(max_age) is not int or max_age <= 0):
            raise ConfigurationError(f"SignedCookie(max_age={max_age!r}): use a number of seconds")
        prefixed = name.lower().startswith(("__host-", "__secure-"))
        if name.lower().startswith("__host-") and (domain is not None or path != "/"):
            raise ConfigurationError(
                f'SignedCookie(name={name!r}) takes no domain and path="/": browsers refuse a'
                " __Host- cookie with anything else; drop domain= and path=, or the prefix"
            )
        must = prefixed or samesite == "None" or partitioned
        if must and secure is False:
            raise ConfigurationError(
                "SignedCookie(secure=False) contradicts a __Host-/__Secure- name, samesite="
                '"None" and partitioned=True: browsers drop such a cookie unless it is Secure;'
                " use secure=True"
            )
        self.name = name
        self._secure: bool | Literal["auto"] = True if must else secure
        self._head = f"; Path={path}" + (f"; Domain={domain}" if domain else "")
        self._tail = f"; HttpOnly; SameSite={samesite}" + ("; Partitioned" if partitioned else "")
        self._lifetime = "" if max_age is None else f"; Max-Age={max_age}"
        self._warned = False
        self._signer = Signer(name)
        self._read: dict[str, list[Credential]] = {}

    def __repr__(self) -> str:
        return f"SignedCookie({self.name!r})"

    def bind(self, secret: Secret, key_version: int | None) -> None:
        """Take the application's ``cookie_secret`` and ``key_version``.

        Raises:
            ConfigurationError: another manager with another secret uses
                this object.
        """
        self._signer.bind(secret, key_version, self)
        self._read.clear()

    def read(self, request: HTTPServerRequest) -> list[Credential]:
        """Return the verified credentials in the Cookie header, at most five."""
        headers = request.headers.get_list("Cookie")
        if not headers:
            return []
        # A browser sends the same header with each request. What it names is
        # remembered, as in the signer; never whether that lives.
        header = headers[0] if len(headers) == 1 else ""
        known = self._read.get(header)
        if known is not None:
            return known
        found = self._verified(self._values(headers))
        if found and 0 < len(header) <= _LONGEST:
            if len(self._read) >= _REMEMBERED:
                del self._read[next(iter(self._read))]  # the oldest
            self._read[header] = found
        return found

    def _verified(self, values: list[str]) -> list[Credential]:
        found: list[Credential] = []
        for value in values:
            credential = self._signer.verify(value)
            if credential is not None and credential not in found:
                found.append(credential)
                if len(found) > MOST:
                    break
        return found

    def write(self, handler: RequestHandler, credential: Credential | None) -> None:
        """Add the Set-Cookie header."""
        if credential is None:
            pair = f"{self.name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        else:
            pair = f"{self.name}={self._signer.sign(credential)}{self._lifetime}"
        secure = "; Secure" if self._is_secure(handler.request) else ""
        handler.add_header("Set-Cookie", pair + self._head + secure + self._tail)

    def _values(self, headers: list[str]) -> list[str]:
        # Not `request.cookies`: it strips non-ASCII blanks from names, so
        # that "\xa0session" would shadow "session", and keeps only the
        # last of several cookies. A neighbouring host can plant some for
        # the whole domain, which come before the real one: all are looked
        # at, for those of our form are 400 at most in a header of 64 KB.
        values: dict[str, None] = {}  # in their order, each once
        for header in headers:
            for pair in header.split(";"):
                name, equals, value = pair.partition("=")
                if equals and name.strip(" \t") == self.name:
                    value = value.strip(" \t")
                    if len(value) > 1 and value[0] == value[-1] == '"':
                        value = value[1:-1]
                    if may_be_signed(value):
                        values[value] = None
        return list(values)

    def _is_secure(self, request: HTTPServerRequest) -> bool:
        if self._secure != "auto":
            return self._secure
        if is_loopback(request.host_name):
            return False
        if request.protocol != "https" and not self._warned:
            self._warned = True
            logger.warning(
                "a session cookie marked Secure was sent over plain HTTP to Host %r, and browsers"
                " will drop it. Behind a TLS proxy: HTTPServer(app, xheaders=True). Without TLS:"
                " SessionManager(credentials=SignedCookie(secure=False))",
                request.host_name,
            )
        return True


def is_loopback(host: str) -> bool:
    """Tell whether a Host header names this machine's loopback."""
    host = host.lower().rstrip(".").strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

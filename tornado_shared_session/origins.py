"""Which web pages may talk to us: one rule, our own.

Tornado's check is skipped for some requests and Engine.IO's differs
between polling and WebSocket, so neither decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from .errors import ConfigurationError
from .events import logger

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# Not what a URL may be: of that a browser sends only this much.
_ORIGIN = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[A-Za-z0-9._-]+|\[[A-Fa-f0-9:.]+\])(?::([1-9][0-9]{0,4}))?"
)


class Origins:
    """Which pages may use the sessions: their own, and those listed.

    Args:
        allowed: exact origins, ``"https://app.example"``.

    Raises:
        ConfigurationError: ``"*"`` or something that is no origin. With
            cookies, every site on the web could act as its visitors.
    """

    def __init__(self, allowed: str | Sequence[str] | None) -> None:
        origins = [allowed] if isinstance(allowed, str) else allowed or ()
        if not isinstance(origins, Iterable):
            raise ConfigurationError(f"cors_allowed_origins={allowed!r} is no list of origins")
        origins = list(origins)
        for origin in origins:
            if not _is_origin(origin):
                raise ConfigurationError(
                    f"cors_allowed_origins contains {origin!r}: with session cookies, list exact"
                    ' origins such as "https://app.example" (scheme, host and port in ASCII;'
                    " no path, no wildcard, no user)"
                )
            if origin != _as_browsers_say(origin):
                raise ConfigurationError(
                    f"cors_allowed_origins contains {origin!r}, which no browser sends: write"
                    f" {_as_browsers_say(origin)!r} (lower case, no default port)"
                )
        self._allowed = frozenset(origins)
        self._told = False

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def lists(self, origin: str | None) -> bool:
        """Whether an Origin header is one of those listed."""
        return origin in self._allowed

    def allows(self, request: HTTPServerRequest) -> bool:
        """Judge a request by its Origin, else by its Sec-Fetch-Site."""
        origin = request.headers.get("Origin")
        if origin is None:
            # Its name in drafts before RFC 6455, which Tornado takes for one too.
            origin = request.headers.get("Sec-WebSocket-Origin")
        if origin is None:
            # Browsers leave Origin out of same-origin GETs, and say so.
            return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
        # A proxy may add the port to the Host header that browsers leave out.
        own = f"{request.protocol}://{request.host.lower()}"
        if origin in self._allowed or origin in (own, _as_browsers_say(own)):
            return True
        # Compared, never parsed: a client may send what no URL could be.
        pages = (_as_browsers_say(f"{scheme}://{request.host}") for scheme in _DEFAULT_PORTS)
        if not self._told and origin in pages:
            self._told = True
            logger.warning(
                "a socket from %r was refused, for the request seems to be %s. Behind a TLS proxy:"
                " HTTPServer(app, xheaders=True), or list it in cors_allowed_origins",
                origin,
                request.protocol,
            )
        return False


def make_readable(request: HTTPServerRequest) -> None:
    """Make an Origin that is no URL "null", as browsers say where there is none to name.

    Tornado's `cross_origin_protection` would fail at it.
    """
    headers = request.headers
    if "Origin" in headers:
        try:
            urlsplit(headers["Origin"])
        except ValueError:
            headers["Origin"] = "null"


def _is_origin(origin: object) -> bool:
    found = _ORIGIN.fullmatch(origin) if isinstance(origin, str) else None
    return found is not None and int(found[1] or 0) <= 65535


def _as_browsers_say(origin: str) -> str:
    """Spell an origin as the Origin header does (RFC 6454, section 6.2)."""
    scheme, _, place = origin.lower().partition("://")
    return f"{scheme}://{place.removesuffix(_DEFAULT_PORTS.get(scheme, ' '))}"

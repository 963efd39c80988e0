"""The cookies of one pretended browser, for one host.

Values are kept as a browser keeps them: byte for byte, with the quotes
that Tornado puts around a signed value. Path, Domain and Secure are not
looked at, because a test talks to one server on the loopback address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class CookieJar(dict[str, str]):
    """A dict of cookies that understands ``Set-Cookie``.

    Pass one jar to several clients to make them one browser; any other
    mapping is copied by those who accept a jar.
    """

    @classmethod
    def of(cls, cookies: Mapping[str, str] | None) -> CookieJar:
        """Return `cookies` itself if it is a jar, else a jar of its own."""
        return cookies if isinstance(cookies, CookieJar) else cls(cookies or {})

    def header(self) -> str:
        """Return the value for the ``Cookie`` request header, or ""."""
        return "; ".join(f"{name}={value}" for name, value in self.items())

    def store(self, set_cookies: Iterable[str]) -> None:
        """Take in the ``Set-Cookie`` headers of one response."""
        for line in set_cookies:
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            if _is_over(attributes):
                self.pop(name, None)
            else:
                self[name] = value


def _is_over(attributes: Iterable[str]) -> bool:
    """Tell whether a cookie is deleted; Max-Age wins (RFC 6265, 5.3)."""
    fields = {}
    for attribute in attributes:
        name, _, value = attribute.strip().partition("=")
        fields[name.lower()] = value
    if "max-age" in fields:
        return int(fields["max-age"]) <= 0
    if "expires" in fields:
        expires = parsedate_to_datetime(fields["expires"])
        return expires.replace(tzinfo=expires.tzinfo or UTC) <= datetime.now(UTC)
    return False

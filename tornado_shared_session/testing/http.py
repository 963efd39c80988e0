"""A browser's HTTP half: Tornado's client plus a cookie jar."""

# ruff: noqa: ASYNC109 - a timeout argument is what a test wants to read

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from .cookies import CookieJar


class HTTPTestClient:
    """Fetch pages of one server as one visitor.

    Redirects are returned, not followed, and no status raises: a test
    looks at both. Share the jar with a `SocketIOTestClient` to be the
    same browser there.

    Args:
        url: where the server is, such as ``http://127.0.0.1:8888``.
        cookies: the cookies to start with; a `CookieJar` is shared.
        headers: sent with every request.
    """

    def __init__(
        self,
        url: str,
        *,
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.cookies = CookieJar.of(cookies)
        self.headers = dict(headers or {})
        self.timeout = timeout
        self._client = AsyncHTTPClient(force_instance=True, max_clients=1000)

    async def fetch(
        self,
        path: str,
        *,
        method: str | None = None,
        body: Mapping[str, Any] | str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> HTTPResponse:
        """Send one request with the jar's cookies, keep those that come back.

        A mapping as body is sent as a form, and a body means POST unless
        `method` says otherwise.

        Raises:
            OSError: the connection was refused or cut.
            HTTPClientError: with code 599, there was no answer in time.
        """
        method = method or ("GET" if body is None else "POST")
        sent = {**self.headers, **(headers or {})}
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = self.cookies.header()
        request = HTTPRequest(
            self.url + path,
            method=method,
            headers=sent,
            body=_encode(body, method),
            allow_nonstandard_methods=True,
            follow_redirects=False,
            connect_timeout=timeout or self.timeout,
            request_timeout=timeout or self.timeout,
        )
        response = await self._client.fetch(request, raise_error=False)
        self.cookies.store(response.headers.get_list("Set-Cookie"))
        return response

    async def get(self, path: str, **options: Any) -> HTTPResponse:
        """Fetch with GET."""
        return await self.fetch(path, method="GET", **options)

    async def post(
        self, path: str, body: Mapping[str, Any] | str | bytes = b"", **options: Any
    ) -> HTTPResponse:
        """Fetch with POST."""
        return await self.fetch(path, method="POST", body=body, **options)

    def close(self) -> None:
        """Release the client; requests under way are left alone."""
        self._client.close()


def _encode(body: Mapping[str, Any] | str | bytes | None, method: str) -> bytes | None:
    if body is None:
        return b"" if method in ("POST", "PUT", "PATCH") else None
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else urlencode(body).encode()

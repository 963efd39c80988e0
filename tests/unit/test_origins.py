"""Whose pages may use the sessions: which origins can be listed, and how one is compared."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from tornado_shared_session import ConfigurationError
from tornado_shared_session.origins import Origins


@pytest.mark.parametrize(
    "origin",
    [
        *("https://app.example", "http://localhost:4200", "https://my_app.example:65535"),
        *("http://127.0.0.1:8080", "https://[::1]", "https://[2001:db8::1]:8443"),
        *("capacitor://localhost", "chrome-extension://abcdefghij", "https://xn--kln-sna.example"),
    ],
)
def test_an_origin_that_browsers_send_can_be_listed(origin: str) -> None:
    """A page's, an app's or an extension's."""
    assert Origins([origin]).lists(origin)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://*.example.com", "https://*", "*.example.com", "*", "null", ""),
        *("https://a.example:x", "https://a.example:", "https://a.example:0443"),
        *("https://a.example:65536", "https://a.example:-1", "https://a.example:4\u0662"),
        *("https://u@h.example", "https://u:p@h.example", "https://a b.example"),
        *("https://a.example ", "https://a.example\n", "https://a.example,https://b.example"),
        *("https://[::1", "https://::1]", "https://[]", "https://[x]", "https://[::1]x"),
        *("https://a.example?", "https://a.example#", "https://a.example\\", "https://%61.example"),
        *("https://", "https:a.example", "//a.example", "1://a.example"),
        "https://k\xf6ln.example",  # which a browser sends as xn--kln-sna.example
    ],
)
def test_what_no_browser_sends_is_refused(origin: str) -> None:
    """It would look like a permission and be none (S23)."""
    for allowed in (origin, ["https://app.example", origin]):
        with pytest.raises(ConfigurationError, match=r"cors_allowed_origins.*list exact.*no wildc"):
            Origins(allowed)


def request(protocol: str, host: str, origin: str) -> HTTPServerRequest:
    """Return a request of a page, as Tornado makes it."""
    made = HTTPServerRequest(
        headers=HTTPHeaders({"Host": host, "Origin": origin}),
        start_line=RequestStartLine("GET", "/ws", "HTTP/1.1"),
    )
    made.protocol = protocol
    return made


@pytest.mark.parametrize(
    "origin",
    [
        *("http://[", "http://[::1", "http://]", "http://[::1]x", "[", "://", "://app.example"),
        "http://a\u2100b",  # a letter that some parsers read as a/c
    ],
)
def test_what_is_no_url_is_nobodys_origin(origin: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is refused like that of any other site, without a word (S22)."""
    for host in ("app.example", "[::1]"):
        assert not Origins("https://ok.example").allows(request("https", host, origin))
    assert not caplog.records


@pytest.mark.parametrize(
    ("protocol", "host", "origin", "own"),
    [
        ("https", "app.example:443", "https://app.example", True),
        ("https", "App.Example:443", "https://app.example", True),
        ("https", "[::1]:443", "https://[::1]", True),
        ("http", "app.example:80", "http://app.example", True),
        ("https", "app.example", "https://app.example", True),
        ("http", "app.example:443", "http://app.example:443", True),
        ("https", "app.example:443", "https://app.example:443", True),  # of some programs
        ("http", "app.example:443", "http://app.example", False),
        ("https", "app.example:80", "https://app.example", False),
        ("https", "app.example:4430", "https://app.example", False),
        ("https", "app.example:8443", "https://app.example:8", False),
        ("https", "app.example", "https://app.example:443", False),
        ("http", "app.example:443", "https://app.example", False),
        ("https", "[fe80::443]", "https://[fe80:", False),
        ("https", "app.example.evil:443", "https://app.example", False),
    ],
)
def test_a_host_with_the_port_that_browsers_leave_out_is_the_pages_own(
    protocol: str, host: str, origin: str, own: bool
) -> None:
    """Some proxies send it; each scheme has but one such port (S22)."""
    assert Origins(None).allows(request(protocol, host, origin)) is own


@pytest.mark.parametrize("host", ["app.example", "App.example", "app.example:443"])
def test_a_page_behind_a_tls_proxy_is_told_of_once(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The hint names both remedies."""
    origins = Origins(None)
    assert not origins.allows(request("http", host, "https://evil.example"))
    assert not caplog.records
    for _ in range(2):
        assert not origins.allows(request("http", host, "https://app.example"))
    (record,) = caplog.records
    assert "seems to be http." in record.getMessage()
    assert "xheaders=True" in record.getMessage()

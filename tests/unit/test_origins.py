"""Whose pages may use the sessions: which origins can be listed, and how one is compared."""

from __future__ import annotations

import pytest

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

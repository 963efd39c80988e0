"""For each check of tokens over HTTP and beside cookies: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

FALLBACK = "tests/integration/test_tokens_fallback.py::"
HTTP = "tests/integration/test_tokens_http.py::"
UNIT = "tests/unit/test_tokens.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "tokens and cookies have one purpose": (
        "tokens.py",
        '_PURPOSE = "session token"',
        '_PURPOSE = "session"',
        UNIT + "test_a_token_that_was_tampered_with_names_nothing",
    ),
    "a bad header leaves it to the cookie": (
        "tokens.py",
        "return [] if credential is None else [credential]",
        "if credential is not None:\n                return [credential]",
        HTTP + "test_the_header_decides_alone[bad]",
    ),
    "a cookie is set beside a header": (
        "tokens.py",
        "if self.fallback is not None and not self.by_header(handler.request):",
        "if self.fallback is not None:",
        HTTP + "test_the_header_decides_alone[bad]",
    ),
    "every header decides": (
        "tokens.py",
        'if scheme.lower() == "bearer"]',
        "]",
        HTTP + "test_without_the_header_the_cookie_decides",
    ),
    "the header is not exempt from the XSRF check": (
        "web.py",
        "if by_header is None or not by_header(self.request):",
        "if True:",
        HTTP + "test_only_the_header_is_exempt_from_the_xsrf_check",
    ),
    "everything is exempt from the XSRF check": (
        "web.py",
        "if by_header is None or not by_header(self.request):",
        "if by_header is None:",
        HTTP + "test_only_the_header_is_exempt_from_the_xsrf_check",
    ),
    "Vary names the cookie": (
        "web.py",
        "self._session_vary(self.session_manager.vary)",
        'self._session_vary("Cookie")',
        HTTP + "test_a_new_token_leaves_in_a_header",
    ),
    "a cookie's connection switches by token": (
        "socketio_switch.py",
        "if state.by_cookie:",
        "if False:",
        FALLBACK + "test_a_socket_that_came_by_cookie_gets_no_token" + WS,
    ),
    "Engine.IO logs tokens": (
        "socketio.py",
        "self.eio.logger.addFilter(without_tokens)",
        "pass",
        FALLBACK + "test_no_log_line_has_a_token",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

"""Tokens: what is one, and which requests they decide about."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import RequestHandler

from tests.unit.test_credentials import NOBODY
from tornado_shared_session import (
    BearerToken,
    ConfigurationError,
    MemoryStore,
    SessionManager,
    SessionServer,
    SignedCookie,
)
from tornado_shared_session.record import Credential
from tornado_shared_session.token_state import without_tokens


def bound(**settings: Any) -> BearerToken:
    """Return one that can sign."""
    tokens = BearerToken(**settings)
    tokens.bind("a secret", None)
    return tokens


def request(*authorization: str, cookie: str = "") -> HTTPServerRequest:
    """Return a request with some Authorization headers."""
    headers = HTTPHeaders({"Host": "localhost"})
    for value in authorization:
        headers.add("Authorization", value)
    if cookie:
        headers.add("Cookie", cookie)
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    return HTTPServerRequest(headers=headers, start_line=line, connection=NOBODY)


def test_a_token_names_its_credential() -> None:
    """It may stand in a header as it is: RFC 6750, section 2.1."""
    tokens, credential = bound(), Credential.generate()
    token = tokens.sign(credential)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert tokens.verify(token) == credential
    assert tokens.read(request(f"Bearer {token}")) == [credential]
    assert tokens.read(request(f"bearer  {token}")) == [credential]


@pytest.mark.parametrize(
    "value", [None, 7, b"x", [], {}, "", "x", "=" * 8, "A" * 701, "\u00fc" * 9, "Mnwx", "a b"]
)
def test_what_is_no_token_names_nothing(value: object) -> None:
    """Of whatever type and length, without an error."""
    assert bound().verify(value) is None


@pytest.mark.parametrize("harm", ["cut", "longer", "case", "a cookie's", "another secret's"])
def test_a_token_that_was_tampered_with_names_nothing(harm: str) -> None:
    """One of another use or another application neither."""
    tokens, credential = bound(), Credential.generate()
    token = tokens.sign(credential)
    if harm == "a cookie's":
        cookie = SignedCookie()
        cookie.bind("a secret", None)
        value = cookie._signer.sign(credential)
        assert cookie._signer.verify(value) == credential
        assert tokens.verify(value) is None
        token = base64.urlsafe_b64encode(value.encode()).rstrip(b"=").decode()
    elif harm == "another secret's":
        other = BearerToken()
        other.bind("another", None)
        token = other.sign(credential)
    else:
        token = {"cut": token[:-4], "longer": token + "AAAA", "case": token.swapcase()}[harm]
    assert tokens.verify(token) is None


def test_the_purpose_is_no_cookies_name() -> None:
    """Whatever a cookie is called, its value is no token."""
    with pytest.raises(ConfigurationError):
        SignedCookie(BearerToken()._signer.purpose)


def test_only_a_bearer_header_decides() -> None:
    """Another scheme is not ours; of two tokens neither counts, and the cookie does not step in."""
    cookie = SignedCookie()
    tokens, credential = bound(fallback=cookie), Credential.generate()
    token = tokens.sign(credential)
    jar = f"session={cookie._signer.sign(other := Credential.generate())}"
    for headers, decides, found in (
        ((), False, [other]),
        (("Basic dXNlcjpwYXNzd29yZA==",), False, [other]),
        (("Bearer",), True, []),
        (("Bearer bad",), True, []),
        ((f"Bearer {token}",), True, [credential]),
        ((f"Bearer {token}", f"Bearer {token}"), True, []),
        (("Basic x", f"Bearer {token}"), True, [credential]),
    ):
        one = request(*headers, cookie=jar)
        assert tokens.by_header(one) == decides, headers
        assert tokens.read(one) == found, headers


def test_it_says_what_responses_depend_on() -> None:
    """With the fallback's part, which is the cookie unless that says otherwise."""
    assert BearerToken().vary == "Authorization"
    assert BearerToken(fallback=SignedCookie()).vary == "Authorization, Cookie"


def test_a_carrier_of_ones_own_may_say_so_too() -> None:
    """What it varies by, and which requests no page can forge; without that, cookies are meant."""

    class ByKey:
        vary = "X-Key"

        def read(self, request: HTTPServerRequest) -> list[Credential]:
            return []

        def write(self, handler: RequestHandler, credential: Credential | None) -> None:
            """It has no way back."""

        def by_header(self, request: HTTPServerRequest) -> bool:
            return "X-Key" in request.headers

    own = SessionManager(MemoryStore(), credentials=ByKey())
    assert own.vary == "X-Key"
    assert own.by_header is not None
    assert not own.by_header(request())
    assert BearerToken(fallback=ByKey()).vary == "Authorization, X-Key"
    plain = SessionManager(MemoryStore())
    assert (plain.vary, plain.by_header) == ("Cookie", None)


def test_a_fallback_is_a_carrier_of_another_kind() -> None:
    """Anything else is refused by name, when it is made."""
    wrong: Any
    for wrong in (BearerToken(), "cookie", object()):
        with pytest.raises(ConfigurationError, match="fallback="):
            BearerToken(fallback=wrong)


def test_its_repr_tells_no_secret() -> None:
    """But what it falls back to."""
    assert repr(bound()) == "BearerToken()"
    assert repr(bound(fallback=SignedCookie())) == "BearerToken(SignedCookie('session'))"


def test_one_object_serves_one_secret() -> None:
    """As a cookie does; the fallback is bound along with it."""
    cookie = SignedCookie()
    tokens = bound(fallback=cookie)
    assert cookie._signer.verify(cookie._signer.sign(Credential.generate()))
    with pytest.raises(ConfigurationError, match="BearerToken"):
        tokens.bind("another secret", None)


@pytest.mark.parametrize(
    "line",
    [
        '42["getToken",{"token":"secret"}]',
        '42/chat,7["getToken","secret"]',
        '40{"token":"secret","other":1}',
        '40/chat,{ "token" : "sec\\"secret" }',
        '42["gotToken",{"token":"secret","errors":""}]',
        '430[{"token":"secret","errors":""}]',
    ],
)
def test_what_engine_io_logs_loses_its_tokens(line: str) -> None:
    """And nothing else of the packet that matters."""
    record = logging.LogRecord("x", 20, "", 0, "%s: %s %s", ("sid", 1, line), None)
    assert without_tokens(record)
    assert "secret" not in record.getMessage()
    assert record.getMessage().startswith("sid: 1 4")


def test_auth_timeout_is_a_duration_of_twenty_seconds() -> None:
    """A timedelta will do; anything else is refused by name."""
    sessions = SessionManager(MemoryStore(), credentials=BearerToken())
    assert SessionServer(sessions).auth_timeout == 20
    assert SessionServer(sessions, auth_timeout=timedelta(minutes=1)).auth_timeout == 60
    wrong: Any
    for wrong in (0, -1, "20", None, True):
        with pytest.raises(ConfigurationError, match="auth_timeout"):
            SessionServer(sessions, auth_timeout=wrong)

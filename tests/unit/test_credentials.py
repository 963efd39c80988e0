"""The signed cookie: what is read, what is written."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import create_signed_value

from tornado_shared_session import MemoryStore, SessionManager, SignedCookie
from tornado_shared_session.credentials import is_loopback
from tornado_shared_session.record import Credential

NOBODY: Any = SimpleNamespace(context=None)
SECRET = "a secret for these tests"


class Head:
    """A response head, as far as a cookie needs one."""

    def __init__(self, host: str = "127.0.0.1:8888", protocol: str = "http") -> None:
        self.request = request(host=host, protocol=protocol)
        self.cookies: list[str] = []

    def add_header(self, name: str, value: str) -> None:
        """Keep it."""
        assert name == "Set-Cookie"
        self.cookies.append(value)


def request(
    *cookies: str, host: str = "127.0.0.1:8888", protocol: str = "http"
) -> HTTPServerRequest:
    """Return a request with Cookie headers."""
    headers = HTTPHeaders({"Host": host})
    for cookie in cookies:
        headers.add("Cookie", cookie)
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    made = HTTPServerRequest(headers=headers, start_line=line, connection=NOBODY)
    made.protocol = protocol
    return made


def signer(secret: Any = SECRET, version: int | None = None, **options: Any) -> SignedCookie:
    """Return a bound cookie."""
    cookie = SignedCookie(**options)
    cookie.bind(secret, version)
    return cookie


def value_of(cookie: SignedCookie, credential: Credential | None) -> str:
    """Return the Set-Cookie header for a credential."""
    head = Head()
    cookie.write(head, credential)  # type: ignore[arg-type]  # a Head is enough
    return head.cookies[0]


def signed(text: str, secret: Any = SECRET, name: str = "session", **kwargs: Any) -> str:
    """Return a Cookie header with a signed value."""
    return f"{name}={create_signed_value(secret, name, text, **kwargs).decode()}"


def test_what_was_written_is_read() -> None:
    """The pair of the Set-Cookie header, sent back, is the credential."""
    cookie, credential = signer(), Credential.generate()
    pair = value_of(cookie, credential).split(";")[0]
    assert cookie.read(request(f"a=1; {pair}; b=2")) == [credential]
    assert cookie.read(request(pair.replace("=", '="', 1) + '"')) == [credential]
    assert not cookie.read(request(pair))[0].renew


def test_no_cookie_is_no_credential() -> None:
    """Nor is an empty one, or one of another name."""
    cookie = signer()
    other = signed(str(Credential.generate()), name="sessions")
    for header in ("", "session", "session=", "session=''", "; ;=;", other, "Session=x"):
        assert cookie.read(request(header)) == []
    assert cookie.read(request()) == []


@pytest.mark.parametrize("change", ["forged", "truncated", "extended", "renamed", "other secret"])
def test_a_cookie_that_is_not_ours_is_no_credential(change: str) -> None:
    """Never an error: it means that there is no session."""
    good = signed(str(Credential.generate()))
    bad = {
        "forged": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "truncated": good[:-5],
        "extended": good + "0",
        "renamed": good.replace("|7:session|", "|8:sessions|"),
        "other secret": signed(str(Credential.generate()), "another secret"),
    }[change]
    assert bad != good
    assert signer().read(request(bad)) == []


def test_version_1_is_refused() -> None:
    """It is HMAC-SHA1, and Tornado logs such a cookie in full (F12)."""
    assert signer().read(request(signed(str(Credential.generate()), version=1))) == []
    assert signer({1: SECRET}, 1).read(request("session=MQ==|1700000000|abc")) == []


@pytest.mark.parametrize("text", ["", "hello", "x.y", "A" * 22, "ä.b", "A" * 22 + "." + "B" * 44])
def test_a_signed_value_of_another_form_is_no_credential(text: str) -> None:
    """Tornado's secret may sign other things than ours."""
    assert signer().read(request(signed(text))) == []


def test_an_old_cookie_is_as_good_as_a_new_one() -> None:
    """How long a session lives is the store's business."""
    credential = Credential.generate()
    assert signer().read(request(signed(str(credential), clock=lambda: 1.0))) == [credential]


def test_ten_thousand_bad_values_are_none() -> None:
    """Whatever is cut out of, put into or done to a good one."""
    cookie, chance = signer({0: SECRET, 1: "new"}, 1), random.Random(2)
    good = signed(str(Credential.generate())).partition("=")[2]
    letters = "|:0123456789abcdef.=\"' \tÿ²"
    for _ in range(10_000):
        text = list(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 3)] = chance.choice(letters) * chance.randint(0, 3)
        bad = "".join(text)
        if bad.strip(" \t\"'") != good:
            assert cookie.read(request(f"session={bad}; a=1")) == []


def test_of_several_cookies_each_is_reported_once() -> None:
    """Five at most, which are one too many; duplicates and bad ones do not count."""
    credentials = [Credential.generate() for _ in range(7)]
    pairs = [signed(str(credential)) for credential in credentials]
    assert signer().read(request("; ".join(pairs[:2] * 2))) == credentials[:2]
    assert signer().read(request(pairs[0], pairs[1])) == credentials[:2]
    assert signer().read(request("; ".join(["session=bad", *pairs]))) == credentials[:5]


def test_a_name_that_only_looks_like_ours_does_not_shadow_it() -> None:
    """Tornado's own parser strips non-ASCII blanks (F11)."""
    good, evil = Credential.generate(), Credential.generate()
    for blank in ("\xa0", "\x85"):
        header = f"{signed(str(good))}; {blank}{signed(str(evil))}"
        assert signer().read(request(header)) == [good]


@pytest.mark.parametrize("first", ["signed", "unsigned"])
def test_under_a_chosen_name_too_only_what_is_signed_is_believed(first: str) -> None:
    """Beside a signed cookie an unsigned one does not count, and by itself neither."""
    cookie = signer(name="connect.sid")
    mine, planted = Credential.generate(), Credential.generate()
    signed = f"connect.sid={cookie._signer.sign(mine)}"
    unsigned = f"connect.sid={planted}"
    pair = [signed, unsigned] if first == "signed" else [unsigned, signed]
    assert cookie.read(request("; ".join(pair))) == [mine]
    assert cookie.read(request(unsigned)) == []
    assert cookie.read(request(f"connect.sid=s:{planted}.AAAA")) == []
    assert value_of(cookie, mine).startswith("connect.sid=2|")


def test_an_oversized_cookie_is_not_looked_at() -> None:
    """However it is signed."""
    assert signer().read(request(signed("x" * 4000))) == []


def test_the_plain_cookie_is_a_session_cookie_with_safe_attributes() -> None:
    """HttpOnly, SameSite, a path, and no lifetime unless asked for (S13, W7)."""
    written = value_of(signer(), Credential.generate())
    assert written.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]
    assert len(written) < 300
    written = value_of(
        signer(
            name="__Secure-sid",
            domain="app.example",
            path="/app",
            samesite="None",
            partitioned=True,
            max_age=60,
        ),
        Credential.generate(),
    )
    assert written.split("; ")[1:] == [
        "Max-Age=60",
        "Path=/app",
        "Domain=app.example",
        "Secure",
        "HttpOnly",
        "SameSite=None",
        "Partitioned",
    ]


def test_a_cookie_is_cleared_with_the_attributes_it_was_set_with() -> None:
    """Else the browser would keep it (S18)."""
    cookie = signer(domain="app.example", path="/app", secure=True, max_age=60)
    cleared = value_of(cookie, None).split("; ")
    assert cleared[0] == "session="
    assert "Max-Age=0" in cleared
    assert cleared[3:] == ["Path=/app", "Domain=app.example", "Secure", "HttpOnly", "SameSite=Lax"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_secure_depends_on_the_host_alone(host: str, loopback: bool) -> None:
    """A loopback page has no TLS; everything else must have."""
    assert is_loopback(host) is loopback


def test_a_secure_cookie_over_plain_http_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With both remedies; over TLS there is nothing to say."""
    cookie = signer()
    quiet = Head("app.example", "https")
    cookie.write(quiet, Credential.generate())  # type: ignore[arg-type]  # a Head is enough
    assert not caplog.records
    for _ in range(2):
        head = Head("app.example")
        cookie.write(head, Credential.generate())  # type: ignore[arg-type]  # a Head is enough
        assert "; Secure;" in head.cookies[0]
    (record,) = caplog.records
    assert "xheaders=True" in record.getMessage()
    assert "secure=False" in record.getMessage()


def test_keys_rotate() -> None:
    """The old key verifies and asks for renewal, the new one signs, a removed one is refused
    (S37).
    """
    credential = Credential.generate()
    secrets: Mapping[int, str] = {1: "old", 2: "new"}
    old = value_of(signer(secrets, 1), credential).split(";")[0]
    new = value_of(signer(secrets, 2), credential).split(";")[0]
    cookie = signer(secrets, 2)
    assert cookie.read(request(old)) == cookie.read(request(new)) == [credential]
    assert cookie.read(request(old))[0].renew
    assert not cookie.read(request(new))[0].renew
    assert signer({2: "new"}, 2).read(request(old)) == []


def test_the_text_of_a_cookie_shows_no_secret() -> None:
    """Only its name."""
    assert repr(signer()) == "SignedCookie('session')"


def test_secrets_in_any_mapping_sign_and_verify() -> None:
    """Tornado itself takes none but a dict."""
    cookie = SignedCookie()
    secrets: dict[int, str | bytes] = {1: "old", 2: b"new"}
    SessionManager(MemoryStore(), secret=MappingProxyType(secrets), credentials=cookie)
    credential = Credential.generate("A" * 22)
    pair = value_of(cookie, credential).split(";")[0]
    assert cookie.read(request(pair)) == [credential]
    value = create_signed_value({1: "old"}, "session", str(credential), key_version=1)
    assert cookie.read(request("session=" + value.decode()))[0].renew


def test_planted_cookies_do_not_hide_the_real_one() -> None:
    """A neighbouring host can set cookies for the domain, and they may come first."""
    cookie = signer()
    credential = Credential.generate()
    real = "session=" + cookie._signer.sign(credential)
    forged = [f"{real[:-8]}{i:08x}" for i in range(200)]
    junk = [*(f"session=2|junk{i}" for i in range(200)), *forged]
    assert cookie.read(request("; ".join([*junk, real, *junk]))) == [credential]

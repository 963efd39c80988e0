"""Settings that cannot work: each is an error that names the setting and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
import socketio
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler

from tornado_shared_session import (
    ConfigurationError,
    MemoryStore,
    MsgpackSerializer,
    RedisStore,
    SessionManager,
    SessionMixin,
    SessionServer,
    SignedCookie,
    get_tornado_handler,
)


def manager(**options: Any) -> SessionManager:
    """Return a manager without a warning about its store."""
    return SessionManager(MemoryStore(), **options)


SHARED = SignedCookie()
CLASS: Any = MemoryStore  # in the place of an object


def bind(**settings: Any) -> None:
    """Do what the first request of an Application does."""
    manager().bind(settings)


WHEN_MADE: dict[str, tuple[Callable[[], object], str]] = {
    "__Host- with a Domain": (
        lambda: SignedCookie("__Host-session", domain="app.example"),
        r"__Host-session.*drop domain=",
    ),
    "__Host- with a path": (lambda: SignedCookie("__Host-session", path="/app"), r"path=\"/\""),
    "SameSite=None without Secure": (
        lambda: SignedCookie(samesite="None", secure=False),
        r"samesite=.*use secure=True",
    ),
    "__Secure- without Secure": (
        lambda: SignedCookie("__Secure-session", secure=False),
        r"__Secure-.*use secure=True",
    ),
    "Partitioned without Secure": (
        lambda: SignedCookie(partitioned=True, secure=False),
        r"partitioned=.*use secure=True",
    ),
    "a cookie name with a blank": (lambda: SignedCookie("my session"), r"name='my session'"),
    "a path that browsers ignore": (lambda: SignedCookie(path="app"), r"path='app'.*begin with"),
    "no path": (lambda: SignedCookie(path=""), r"path=''.*begin with"),
    "a path that ends the cookie": (lambda: SignedCookie(path="/; x=y"), r"path=.*cannot stand"),
    "a domain with a line break": (lambda: SignedCookie(domain="a\r\nb"), r"domain=.*cannot"),
    "samesite in small letters": (lambda: SignedCookie(samesite="lax"), r'samesite=.*"Lax"'),  # type: ignore[arg-type]  # wrong on purpose
    "secure as a word": (lambda: SignedCookie(secure="yes"), r'secure=.*"auto"'),  # type: ignore[arg-type]  # wrong on purpose
    "max_age of nothing": (lambda: SignedCookie(max_age=0), r"max_age=0.*seconds"),
    "cors * as a text": (
        lambda: SessionServer(manager(), cors_allowed_origins="*"),
        r"cors_allowed_origins.*https://app.example",
    ),
    "cors * in a list": (
        lambda: SessionServer(manager(), cors_allowed_origins=["https://app.example", "*"]),
        r"cors_allowed_origins contains '\*'",
    ),
    "an origin with a path": (
        lambda: SessionServer(manager(), cors_allowed_origins=["https://app.example/"]),
        r"cors_allowed_origins.*no path",
    ),
    "an origin in capitals": (
        lambda: SessionServer(manager(), cors_allowed_origins="https://App.example"),
        r"'https://App\.example'.*write 'https://app\.example'",
    ),
    "an origin with the port of https": (
        lambda: SessionServer(manager(), cors_allowed_origins="https://app.example:443"),
        r"write 'https://app\.example'",
    ),
    "an origin with the port of http": (
        lambda: SessionServer(manager(), cors_allowed_origins="http://[::1]:80"),
        r"write 'http://\[::1\]'",
    ),
    "another async_mode": (
        lambda: SessionServer(manager(), async_mode="asgi"),
        r'async_mode must be "tornado"',
    ),
    "an unknown reload": (lambda: SessionServer(manager(), reload="never"), r'reload=.*"event"'),  # type: ignore[arg-type]  # wrong on purpose
    "an unknown anonymous": (
        lambda: SessionServer(manager(), anonymous="maybe"),  # type: ignore[arg-type]  # wrong on purpose
        r'anonymous=.*"create"',
    ),
    "a server without a manager": (lambda: SessionServer(MemoryStore()), r"SessionManager"),  # type: ignore[arg-type]  # wrong on purpose
    "python-socketio's server": (
        lambda: get_tornado_handler(socketio.AsyncServer(async_mode="tornado")),
        r"SessionServer",
    ),
    "a client that decodes": (
        lambda: RedisStore(redis.asyncio.Redis(decode_responses=True)),
        r"decode_responses=True.*decode_responses=False",
    ),
    "a URL that decodes": (
        lambda: RedisStore("redis://localhost?decode_responses=True"),
        r"decode_responses=True.*without it",
    ),
    "no URL of Redis": (lambda: RedisStore("http://localhost"), r"redis://host:6379/0"),
    "a URL with an unknown option": (
        lambda: RedisStore("redis://:geheim@localhost?foo=1"),
        r"this URL: redis-py knows no option 'foo'$",
    ),
    "a number for Redis": (lambda: RedisStore(6379), r"redis:// URL"),  # type: ignore[arg-type]  # wrong on purpose
    "an empty prefix": (lambda: RedisStore("redis://localhost", prefix=""), r"prefix=.*non-empty"),
    "a timeout of nothing": (
        lambda: RedisStore("redis://localhost", timeout=0),
        r"timeout=0 must be above 0",
    ),
    "a timeout that is no number": (
        lambda: RedisStore("redis://localhost", timeout=float("nan")),
        r"timeout=nan must be a number",
    ),
    "a timeout of True": (
        lambda: RedisStore("redis://localhost", timeout=True),
        r"timeout=True must be a number",
    ),
    "a URL for a store": (lambda: SessionManager("redis://x"), r"RedisStore\("),  # type: ignore[arg-type]  # wrong on purpose
    "a class for a store": (
        lambda: SessionManager(CLASS),
        r"store= is the class MemoryStore: pass an object, MemoryStore\(\.\.\.\)",
    ),
    "a class for credentials": (
        lambda: manager(credentials=SignedCookie),
        r"credentials= is the class SignedCookie: pass an object, SignedCookie\(\.\.\.\)",
    ),
    "a class for a serializer": (
        lambda: manager(serializer=MsgpackSerializer),
        r"serializer= is the class MsgpackSerializer",
    ),
    "a number for origins": (
        lambda: manager(cors_allowed_origins=5),
        r"cors_allowed_origins=5 is no list",
    ),
    "credentials of no use": (
        lambda: manager(credentials="cookie"),
        r"credentials=.*read and write",
    ),
    "a serializer of no use": (lambda: manager(serializer=1), r"serializer=.*encode and decode"),
    "a hook of no use": (lambda: manager(on_event="log"), r"on_event=.*function"),
    "an empty secret": (lambda: manager(secret=""), r"cookie_secret=.*secret="),
    "a number for a secret": (lambda: manager(secret=5), r"cookie_secret is a int"),
    "secrets by name": (lambda: manager(secret={"old": "x"}), r"cookie_secret as a dict"),
    "secrets by number and name": (
        lambda: manager(secret={1: "x", "old": "y"}),
        r"cookie_secret as a dict maps key versions \(int\)",
    ),
    "no secrets": (lambda: manager(secret={}), r"cookie_secret as a dict"),
    "two managers with one cookie": (
        lambda: [manager(secret=s, credentials=SHARED) for s in ("one", "two")],
        r"two SessionManagers.*give each its own",
    ),
}


AT_THE_FIRST_REQUEST: dict[str, tuple[Callable[[], object], str]] = {
    "no cookie_secret": (bind, r"pass cookie_secret=.* to the Application.*token_hex"),
    "an empty cookie_secret": (lambda: bind(cookie_secret=""), r"cookie_secret"),
    "a cookie_secret of another type": (lambda: bind(cookie_secret=5), r"cookie_secret is a int"),
    "an empty dict": (lambda: bind(cookie_secret={}, key_version=1), r"cookie_secret as a dict"),
    "a dict without key_version": (lambda: bind(cookie_secret={1: "x"}), r"pass key_version="),
    "an unknown key_version": (
        lambda: bind(cookie_secret={1: "x"}, key_version=2),
        r"key_version=2 is not in cookie_secret",
    ),
}


@pytest.mark.parametrize("case", WHEN_MADE)
def test_what_contradicts_itself_is_refused_where_it_is_made(case: str) -> None:
    """Not when the first visitor comes (S9, S11, S23)."""
    make, sentence = WHEN_MADE[case]
    with pytest.raises(ConfigurationError, match=sentence):
        make()


@pytest.mark.parametrize("case", AT_THE_FIRST_REQUEST)
def test_what_the_application_lacks_is_refused_by_the_first_request(case: str) -> None:
    """A manager hears of its Application no earlier."""
    make, sentence = AT_THE_FIRST_REQUEST[case]
    with pytest.raises(ConfigurationError, match=sentence):
        make()


def test_two_applications_with_different_secrets_cannot_share_a_manager() -> None:
    """Neither would read the other's cookies; the same secret, or one of its own, is fine."""
    shared = manager()
    shared.bind({"cookie_secret": "one"})
    shared.bind({"cookie_secret": "one", "debug": True})
    with pytest.raises(ConfigurationError, match=r"two Applications.*cookie_secret.*secret=\.\.\."):
        shared.bind({"cookie_secret": "two"})
    with pytest.raises(ConfigurationError, match=r"key_version"):
        shared.bind({"cookie_secret": {1: "one"}, "key_version": 1})
    own = manager(secret="three")
    own.bind({"cookie_secret": "one"})
    own.bind({"cookie_secret": "two"})


def test_two_applications_with_one_secret_share_what_was_verified() -> None:
    """Requests of both in turn must not make the cookie forget."""
    cookie = Counting()
    shared = manager(credentials=cookie)
    for _ in range(2):
        shared.bind({"cookie_secret": "one"})
        shared.bind({"cookie_secret": "one", "debug": True})
    assert cookie.bound == 1


class Counting(SignedCookie):
    """Counts how often it was told the secret."""

    bound = 0

    def bind(self, secret: Any, key_version: int | None) -> None:
        """Count."""
        self.bound += 1
        super().bind(secret, key_version)


def test_secrets_that_could_not_be_taken_are_refused_again() -> None:
    """By every request, not only by the first."""
    cookie = SignedCookie()
    manager(secret="one", credentials=cookie)
    second = manager(credentials=cookie)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="two SessionManagers"):
            second.bind({"cookie_secret": "two"})


def test_a_mixin_after_the_handler_class_is_refused() -> None:
    """It would never be asked; the error shows the right order."""
    with pytest.raises(ConfigurationError, match=r"class Wrong\(SessionMixin, RequestHandler\)"):

        class Wrong(RequestHandler, SessionMixin):  # type: ignore[misc]  # wrong on purpose
            pass


def handler_of(kind: type[RequestHandler], **settings: Any) -> RequestHandler:
    """Return a handler as Tornado makes it for a request."""
    request = HTTPServerRequest(
        headers=HTTPHeaders({"Host": "localhost"}),
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"),
        connection=Silent(),  # type: ignore[arg-type]  # wrong on purpose
    )
    return kind(Application([], cookie_secret="x" * 40, **settings), request)


class Silent:
    """A connection that nothing is sent on."""

    context = None

    def set_close_callback(self, callback: Callable[[], None]) -> None:
        """Never close."""


class Forgetful(SessionMixin, RequestHandler):
    """Overrides prepare() and forgets the rest."""

    async def prepare(self) -> None:
        """Load nothing."""


def test_a_forgotten_super_prepare_is_named() -> None:
    """At the first access to the session or to the user."""
    handler = handler_of(Forgetful, session_manager=manager())
    accesses: list[Callable[[], object]] = [
        lambda: handler.session,  # type: ignore[attr-defined]  # wrong on purpose
        lambda: handler.current_user,
    ]
    for access in accesses:
        with pytest.raises(ConfigurationError, match=r"Forgetful.*await super\(\).prepare\(\)"):
            access()


class Plain(SessionMixin, RequestHandler):
    """Has nothing of its own."""


@pytest.mark.parametrize("given", [{}, {"session_manager": MemoryStore()}])
async def test_an_application_without_a_manager_is_told(given: dict[str, Any]) -> None:
    """With the line that is missing."""
    handler = handler_of(Plain, **given)
    with pytest.raises(ConfigurationError, match=r"session_manager=SessionManager\(\.\.\.\)"):
        await handler.prepare()  # type: ignore[misc]  # wrong on purpose

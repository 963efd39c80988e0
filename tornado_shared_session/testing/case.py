"""A Tornado test case with sessions, a fake clock and a cookie jar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import HTTPResponse
from tornado.testing import AsyncHTTPTestCase
from tornado.web import Application

from ..manager import SessionManager
from ..stores.memory import MemoryStore
from .clock import FakeClock
from .cookies import CookieJar


class SessionTestCase(AsyncHTTPTestCase):
    """Test handlers that use `SessionMixin`, without Redis and without waiting.

        class NoteTest(SessionTestCase):
            def get_handlers(self):
                return [(r"/note", Note)]

            def test_a_note_lasts_half_an_hour(self):
                self.fetch("/note", body={"note": "hello"})
                self.assertEqual(self.fetch("/note").body, b"hello")
                self.clock.advance(1801)
                self.assertEqual(self.fetch("/note").body, b"")

    Each test has a store, a manager (`sessions`), a `clock` and a jar
    (`cookies`) of its own. Override `get_sessions` for other policies.
    """

    clock: FakeClock
    cookies: CookieJar
    sessions: SessionManager

    #: The policy of `sessions`.
    idle_timeout: float | timedelta = 1800
    absolute_timeout: float | timedelta = 43200

    def get_handlers(self) -> list[Any]:
        """Return the routes of the application under test."""
        raise NotImplementedError

    def get_settings(self) -> dict[str, Any]:
        """Return more settings for the application."""
        return {}

    def get_sessions(self) -> SessionManager:
        """Return the manager; called once per test, after `clock` is set."""
        return SessionManager(
            MemoryStore(clock=self.clock),
            idle_timeout=self.idle_timeout,
            absolute_timeout=self.absolute_timeout,
        )

    def get_app(self) -> Application:
        """Return an application with the handlers and the manager."""
        self.clock = FakeClock()
        self.cookies = CookieJar()
        self.sessions = self.get_sessions()
        secret = "only for tests, and long enough to be a secret"  # noqa: S105 - not one
        settings = {"cookie_secret": secret, "session_manager": self.sessions}
        return Application(self.get_handlers(), **{**settings, **self.get_settings()})

    def tearDown(self) -> None:
        """Close the manager, then the server."""
        self.io_loop.run_sync(self.sessions.close)
        super().tearDown()

    def fetch(self, path: str, raise_error: bool = False, **kwargs: Any) -> HTTPResponse:
        """Fetch with the cookies of the jar, and keep those that come back.

        A mapping as `body` is sent as a form, and a body means POST.
        Redirects are not followed, for their cookies would be lost.
        """
        body = kwargs.get("body")
        if isinstance(body, Mapping):
            kwargs["body"] = urlencode(body)
        if body is not None:
            kwargs.setdefault("method", "POST")
        headers = dict(kwargs.pop("headers", None) or {})
        if self.cookies:
            headers.setdefault("Cookie", self.cookies.header())
        kwargs.setdefault("follow_redirects", False)
        response = super().fetch(path, raise_error, headers=headers, **kwargs)
        self.cookies.store(response.headers.get_list("Set-Cookie"))
        return response

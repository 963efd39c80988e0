"""The Tornado test case that users get, used as a user would."""

from __future__ import annotations

from typing import Any

import tornado.web

from tornado_shared_session import SessionMixin
from tornado_shared_session.testing import SessionTestCase


class Note(SessionMixin, tornado.web.RequestHandler):
    """Keep a note, and show it."""

    def get(self) -> None:
        self.write(self.session.get("note", "nothing"))

    def post(self) -> None:
        self.session["note"] = self.get_body_argument("note")
        self.redirect("/note")


class NoteTest(SessionTestCase):
    """Two visits of one browser."""

    idle_timeout = 60

    def get_handlers(self) -> list[Any]:
        return [(r"/note", Note)]

    def test_a_note_lasts_until_the_idle_timeout(self) -> None:
        """The jar carries the session; the clock ends it."""
        assert self.fetch("/note", body={"note": "hello"}).code == 302
        assert self.fetch("/note").body == b"hello"
        self.clock.advance(61)
        assert self.fetch("/note").body == b"nothing"

    def test_another_browser_has_another_note(self) -> None:
        """An empty jar is a new visitor."""
        self.fetch("/note", body={"note": "hello"})
        self.cookies.clear()
        assert self.fetch("/note").body == b"nothing"
        assert not self.cookies

"""Break the HTTP half in one place each, and a test of it notices."""

from __future__ import annotations

import pytest

from tests.support.mutants import Broken, Mutant

SAVED = "tests/integration/test_http_saved_before_seen.py::"
ROTATION = "tests/integration/test_http_rotation.py::"
FRAMEWORK = "tests/integration/test_http_framework.py::"
COOKIE = "tests/integration/test_http_cookie.py::"
RESPONSE = "tests/unit/test_response.py::"
FAILURES = "tests/unit/test_response_failures.py::"
NOTICES = "tests/unit/test_web_notices.py::"
SEVERAL = "tests/integration/test_http_several_cookies.py::"
WEB = "tests/unit/test_web.py::"


MUTANTS = {
    "names of attributes are not shared from the first handler on": Broken(
        "web.py",
        "            share_names(cls, (*RESPONSE_NAMES, *_SET))",
        "            pass",
        RESPONSE + "test_a_burst_of_first_requests_costs_no_dict_for_each",
    ),
    "instances are made of any class": Broken(
        "attributes.py",
        'if hasattr(cls, "__del__"):',
        "if False:",
        RESPONSE + "test_classes_that_no_instance_may_be_made_of_beforehand",
    ),
    "finish() does not wait for the save": Broken(
        "response.py",
        "if self._finished or self._session_loose or not self._session_waits():",
        "if True:",
        SAVED + "test_response_waits_for_a_slow_commit[finish]",
    ),
    "a method that returns does not wait for the save": Broken(
        "response.py",
        "elif self._session_waits():",
        "elif False:",
        SAVED + "test_response_waits_for_a_slow_commit[return]",
    ),
    "flush() does not wait for the save": Broken(
        "response.py",
        "if not self._session_finishing and self._session_waits():",
        "if False:",
        SAVED + "test_response_waits_for_a_slow_commit[awaited flush]",
    ),
    "the head leaves while Redis has the commit": Broken(
        "response.py",
        "                    try:\n"
        "                        self._session_saved(held, await self._session_save(held))",
        "                    try:\n"
        "                        asyncio.ensure_future(self._session_save(held))",
        SAVED + "test_response_waits_for_a_delayed_redis[return]",
    ),
    "the head of a finish() leaves while Redis has the commit": Broken(
        "response.py",
        "            try:\n"
        "                self._session_saved(held, await self._session_save(held))",
        "            try:\n                asyncio.ensure_future(self._session_save(held))",
        SAVED + "test_response_waits_for_a_delayed_redis[finish]",
    ),
    "a failed save is ignored": Broken(
        "response.py",
        "if failure is not None:\n                raise failure",
        "if False:\n                raise failure",
        SAVED + "test_failed_commit_is_a_503[return]",
    ),
    "a failed save is a 200": Broken(
        "web.py",
        "(StoreError, 503)",
        "(StoreError, 200)",
        SAVED + "test_failed_commit_is_a_503[return]",
    ),
    "a refused change is a 200": Broken(
        "web.py",
        "(SessionEnded, 409)",
        "(SessionEnded, 200)",
        SAVED + "test_commit_to_an_ended_session_is_a_409[return]",
    ),
    "the cookie is set before the commit": Broken(
        "manager.py",
        "        record = Record(meta, 1, 1, ttl, dict(values), provisional)\n",
        "        record = Record(meta, 1, 1, ttl, dict(values), provisional)\n"
        "        carrier.issued(credential, user_id)\n",
        SAVED + "test_failed_commit_is_a_503[return]",
    ),
    "a failed flush is forgotten": Broken(
        "response.py",
        "self._session_flush_failed = (error, held.status)",
        "pass",
        FAILURES + "test_failure_of_a_flush_that_nobody_looked_at_is_the_response",
    ),
    "the handler is not finished while the save is pending": Broken(
        "response_held.py",
        "        handler._finished = finishes\n",
        "",
        RESPONSE + "test_what_a_handler_does_after_finish_has_no_effect[write]",
    ),
    "the head is not put back": Broken(
        "response_held.py",
        "handler._headers = self._headers",
        "pass",
        RESPONSE + "test_what_a_handler_does_after_finish_has_no_effect[head]",
    ),
    "the status is not put back": Broken(
        "response_held.py",
        "handler._status_code, handler._reason = self.status, self._reason",
        "pass",
        RESPONSE + "test_what_a_handler_does_after_finish_has_no_effect[head]",
    ),
    "cookies set too late are sent": Broken(
        "response_held.py",
        "        _take_cookies(handler)\n",
        "",
        RESPONSE + "test_an_unawaited_flush_counts_as_sent",
    ),
    "the body is not put back": Broken(
        "response_held.py",
        "handler._write_buffer = self._body",
        "pass",
        RESPONSE + "test_what_a_handler_does_after_finish_has_no_effect[clear]",
    ),
    "what is written after a pending flush is lost": Broken(
        "response.py",
        "self._write_buffer = later",
        "self._write_buffer = []",
        SAVED + "test_response_waits_for_a_slow_commit[unawaited flush]",
    ),
    "a held response forgets what finish() was given": Broken(
        "response.py",
        "sent = self._session_finish(held.chunk)",
        "sent = self._session_finish(None)",
        RESPONSE + "test_finish_of_a_base_class_sees_the_chunk_once",
    ),
    "the error page of a failed save is saved": Broken(
        "response.py",
        "if self._session_loose or self._session_gave_up:",
        "if self._session_loose:",
        FAILURES + "test_error_page_of_a_failed_save_is_not_saved_again",
    ),
    "a login after finish() is accepted": Broken(
        "response.py",
        "return not held.head_left and held.task is asyncio.current_task()",
        "return not held.head_left",
        ROTATION + "test_rotation_after_the_head_was_sent_raises_and_changes_nothing",
    ),
    "a change after the head has left is dropped": Broken(
        "autosave.py",
        "return session._state is not State.ENDED and session.modified",
        "return False",
        FAILURES + "test_change_after_the_head_has_left_is_an_error_unless_saved",
    ),
    "changes are saved whatever the status": Broken(
        "autosave.py",
        "if session is None or status >= 500:",
        "if session is None:",
        WEB + "test_each_error_has_its_status[bug]",
    ),
    "a superseded credential is a new visitor": Broken(
        "manager.py",
        "        if superseded:\n",
        "        if False:\n",
        ROTATION + "test_superseded_credential_is_unknown_after_the_grace",
    ),
    "several live sessions renew a cookie": Broken(
        "manager.py",
        "                live.append((credential, ",
        "                if credential.renew and carrier is not None:\n"
        "                    carrier.issued(credential, None)\n"
        "                live.append((credential, ",
        COOKIE + "test_ambiguous_request_does_not_renew_a_cookie",
    ),
    "a failed touch fails the response": Broken(
        "autosave.py",
        "StoreError | SessionEnded) or session.modified:",
        "StoreError | SessionEnded) or True:",
        WEB + "test_deadline_that_cannot_be_moved_does_not_fail_the_response",
    ),
    "a handler that is no activity is activity": Broken(
        "autosave.py",
        "due = self.session_touch and",
        "due = True and",
        WEB + "test_what_a_polling_handler_writes_is_stored_without_moving_the_deadline",
    ),
    "a renewed cookie is not proved": Broken(
        "autosave.py",
        "prove=True",
        "prove=False",
        "tests/integration/test_http_cookie.py::"
        "test_a_renewed_cookie_never_overwrites_a_newer_one[login]",
    ),
    "an error page fails for want of a session": Broken(
        "web.py",
        "if self._session_in_error and (",
        "if False and (",
        FRAMEWORK + "test_an_error_page_needs_no_session",
    ),
    "a login asks for the user in its middle": Broken(
        "carrier.py",
        "handler._session_forget_user()",
        "handler.current_user = handler.get_current_user()",
        FRAMEWORK + "test_a_login_does_not_ask_for_the_user_before_it_is_done",
    ),
    "a flush that was given up spoils the finish": Broken(
        "response_held.py",
        "if self.awaited is None or self.awaited.cancelled():",
        "if self.awaited is None:",
        FAILURES + "test_a_flush_that_was_given_up_spoils_no_finish",
    ),
    "a dict is sent as it has become": Broken(
        "response.py",
        "        self.write(chunk)  # a dict as it is now\n        return None",
        "        return chunk",
        FAILURES + "test_a_dict_is_sent_as_it_was[change]",
    ),
    "a rotation is announced before the head": Broken(
        "carrier.py",
        "        self.rotated = True\n",
        "        self.rotated = True\n        self._handler()._session_announce()\n",
        NOTICES + "test_rotation_is_announced_once_and_after_the_head",
    ),
    "a response with a new cookie may be cached": Broken(
        "web.py",
        'self.set_header("Cache-Control", "no-store")',
        "pass",
        WEB + "test_response_that_sets_the_cookie_is_not_cacheable",
    ),
    "an explicit save is activity": Broken(
        "session.py",
        "save(self, touch=False)",
        "save(self)",
        WEB + "test_what_a_polling_handler_writes_is_stored_without_moving_the_deadline",
    ),
    "of too many credentials some are looked up": Broken(
        "manager.py",
        "if len(presented) > MOST:",
        "if False:",
        SEVERAL + "test_planted_cookies_make_nobody_somebody_else[4 of ended sessions]",
    ),
    "too many credentials look like four": Broken(
        "credentials.py",
        "if len(found) > MOST:",
        "if len(found) == MOST:",
        SEVERAL + "test_planted_cookies_make_nobody_somebody_else[4 of ended sessions]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", MUTANTS)
def test_mutant_is_killed(what: str) -> None:
    """The named test fails when this is broken."""
    broken = MUTANTS[what]
    assert Mutant(broken.module, broken.old, broken.new).kills(broken.killed_by)

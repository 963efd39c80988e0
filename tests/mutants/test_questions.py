"""For each check on a question or an answer: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

QUESTIONS = "tests/integration/test_questions.py::"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "questions pile up": (
        "questions.py",
        " or len(self._pending) >= _PENDING:",
        ":",
        QUESTIONS + "test_forged_questions_and_answers_change_nothing",
    ),
    "an answer is counted each time": (
        "questions.py",
        "if known in self._seen or ",
        "if ",
        QUESTIONS + "test_a_replayed_answer_is_counted_once",
    ),
    "an answer need not fit its question": (
        "questions.py",
        "len(ids) != len(answer.counts) or ",
        "",
        QUESTIONS + "test_a_replayed_answer_is_counted_once",
    ),
    "late answers are kept waiting for": (
        "questions.py",
        "            self._inquiries.pop(nonce, None)\n",
        "            pass\n",
        QUESTIONS + "test_a_process_that_does_not_answer_is_not_waited_for_long",
    ),
    "who answers has not looked": (
        "questions.py",
        "            await self._watcher.look(notice.ids, notice.reason)\n",
        "            pass\n",
        QUESTIONS + "test_the_sockets_of_every_process_are_closed_and_counted[websocket]",
    ),
    "the answers to a part are all": (
        "questions.py",
        "if self._complete and self._has_all():",
        "if self._has_all():",
        QUESTIONS + "test_a_question_waits_for_what_is_asked_after_it",
    ),
    "a look under way is good enough": (
        "watcher.py",
        " if not self._due.named(id))",
        ")",
        "tests/integration/test_watcher.py::test_who_asks_while_the_store_answers_is_told_later",
    ),
    "visitors' addresses are kept": (
        "rotation.py",
        " or meta.user_id is None else",
        " else",
        "tests/integration/test_user_list.py::test_of_a_visitor_nothing_is_kept",
    ),
    "a user agent is kept as it is": (
        "record.py",
        'char if char.isprintable() else " "',
        "char",
        "tests/unit/test_record.py::test_bookkeeping_tells_where_a_login_came_from",
    ),
    "a user agent is kept whole": (
        "record.py",
        "for char in text[:most]",
        "for char in text",
        "tests/integration/test_user_list.py::test_each_session_shows_where_it_was_logged_in_from",
    ),
    "the index comes after the record": (
        "rotation.py",
        "            await manager.index(user_id, session.id)\n",
        "            asyncio.ensure_future(manager.index(user_id, session.id))\n",
        "tests/integration/test_crash.py"
        "::test_a_crash_at_any_call_leaves_no_session_that_cannot_be_found",
    ),
    "a login does not count the others": (
        "rotation.py",
        "if user_id is not None and not await manager.limit(user_id, session.id):",
        "if False:",
        "tests/integration/test_session_cap.py"
        "::test_a_hundred_parallel_logins_never_leave_more_than_the_cap[websocket]",
    ),
    "a mere transport counts as a socket": (
        "transport.py",
        " and bool(self.sids)",
        "",
        QUESTIONS + "test_a_socket_that_took_its_leave_is_not_counted",
    ),
    "a script never subscribes": (
        "questions.py",
        "if self.watcher is None and self._listener is None:",
        "if False:",
        QUESTIONS + "test_who_serves_nothing_asks_those_who_do",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

"""For each rule about what is known between two loads: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

INTERVAL = "tests/integration/test_socket_interval.py::"
ENDS = "tests/integration/test_socket_interval_ends.py::"
KNOWN = "tests/unit/test_known.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "the reload does not compare versions": (
        "watcher.py",
        "known[id].peeked(peek, asked)",
        "known[id].peeked(peek._replace(version=known[id]._version), asked)",
        INTERVAL + "test_what_others_write_is_seen_within_the_interval" + WS,
    ),
    "Redis tells no version": (
        "stores/redis_scripts.py",
        "number(b[3]) or 0",
        "1",
        INTERVAL + "test_what_others_write_is_seen_within_the_interval" + WS,
    ),
    "who is logged in is asked of the last object": (
        "socketio_authenticated.py",
        "if state is not None and not state.by_cookie:",
        "if False:",
        ENDS + "test_authenticated_knows_of_a_login_in_an_event" + WS,
    ),
    "who came by cookie has a token": (
        "socketio_authenticated.py",
        "if state is not None and not state.by_cookie:",
        "if state is not None:",
        "tests/integration/test_tokens_fallback.py::"
        "test_authenticated_goes_by_what_a_socket_came_with" + WS,
    ),
    "a commit is not entered": (
        "saving.py",
        "    connections.committed(delta, committed)\n",
        "",
        INTERVAL + "test_what_this_process_writes_is_seen_at_once" + WS,
    ),
    "a failed commit is not noted": (
        "saving.py",
        "connections.committed(delta, None)",
        "pass",
        ENDS + "test_a_failed_commit_leaves_nothing_known" + WS,
    ),
    "another's commit in between is not noticed": (
        "known.py",
        "record is None or version > due or",
        "record is None or",
        INTERVAL + "test_a_write_meets_what_others_wrote" + WS,
    ),
    "a late load is kept": (
        "known.py",
        "if record.version >= self._version or asked > self._heard:",
        "if True:",
        KNOWN + "test_a_load_from_before_a_commit_is_not_kept",
    ),
    "one object for all events": (
        "known.py",
        "values = dict(record.values)",
        "values = record.values",
        KNOWN + "test_what_was_loaded_is_a_copy_for_each",
    ),
    "what is known never grows old": (
        "known.py",
        "left <= 0 or now - self._checked > most",
        "left <= 0",
        ENDS + "test_nothing_is_believed_for_longer_than_the_interval" + WS,
    ),
    "a task left behind sees what is known": (
        "socketio_sessions.py",
        "session = self._known_session(event.connection, event.id)",
        "session = self._known_session(event.connection, event.connection.id)",
        "tests/integration/test_socket_session.py"
        "::test_a_task_that_outlives_its_event_reads_anew[websocket-interval]",
    ),
    "what is known outlives its connections": (
        "connections.py",
        "            self.known.pop(connection.id, None)\n",
        "",
        ENDS + "test_a_session_that_has_ended_is_not_written" + WS,
    ),
    "what is gone stays known": (
        "known.py",
        "        if record is None:\n            self.forget()\n        elif",
        "        if record is None:\n            pass\n        elif",
        ENDS + "test_what_a_request_finds_gone_no_event_goes_by" + WS,
    ),
    "a block that raises is saved": (
        "socketio_sessions.py",
        "if kind is None:",
        "if True:",
        "tests/integration/test_socket_session.py::test_a_failing_block_saves_nothing" + WS,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_rule_is_noticed(name: str) -> None:
    """The test that is named for a rule fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

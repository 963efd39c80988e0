"""For each guard of a revocation against what a client does: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

RACES = "tests/integration/test_end_races.py::"
UNIT = "tests/unit/test_watcher.py::"
UNSAID = "tests/integration/test_end_unsaid.py::"
UNREAD = "tests/integration/test_end_unread.py::"
ROTATION = "tests/integration/test_socket_rotation.py::"
UNOPENED = "test_a_websocket_that_ends_before_it_opens_hears_nothing"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "a process that ends a session waits for its own notice": (
        "lifecycle.py",
        "self.connections.end(id, reason)",
        "pass",
        RACES + "test_destroy_returns_when_its_own_process_has_ended_the_sockets" + WS,
    ),
    "handshake: an end during the load is overlooked": (
        "connections.py",
        "        if self.phase is Phase.ENDED:\n            raise",
        "        if False:\n            raise",
        ROTATION + "test_a_logout_meets_a_connection_that_is_loading" + WS,
    ),
    "handshake: an end before Engine.IO is overlooked": (
        "socketio_gate.py",
        "        if connection.phase is Phase.ENDED:\n            return False",
        "        if False:\n            return False",
        RACES + "test_a_logout_between_admission_and_engine_io_opens_nothing[polling]",
    ),
    "handshake: one that has ended keeps Engine.IO's queue": (
        "frames.py",
        "        self.receive_queue = Queue()\n"
        "        connection = self.session_connection\n"
        "        if connection is None or connection.phase is Phase.ENDED:\n"
        "            self.session_over = True  # what may still come is for nobody\n",
        "        connection = self.session_connection\n"
        "        if connection is not None and connection.phase is not Phase.ENDED:\n"
        "            self.receive_queue = Queue()\n"
        "        else:\n",
        RACES + UNOPENED + "[True]",
    ),
    "handshake: what comes after the end is kept": (
        "frames.py",
        "self.session_over = True  # what may still come is for nobody",
        "pass",
        RACES + UNOPENED + "[True]",
    ),
    "handshake: a touch creates": (
        "stores/redis_scripts.py",
        "if not b[1] or not b[2] then return {{{GONE}}} end\nif b[1] ~= ARGV[1]",
        "if b[1] and b[1] ~= ARGV[1]",
        RACES + "test_a_logout_meets_a_cookie_that_comes_back",
    ),
    "event: the end is not looked at": (
        "socketio_gate.py",
        "        if connection.phase is not Phase.OPEN:\n            return False, None",
        "        if False:\n            return False, None",
        RACES + "test_an_event_whose_turn_comes_after_the_end_runs_no_handler" + WS,
    ),
    "poll: the end is not looked at": (
        "socketio_gate.py",
        "        if connection.phase is not Phase.OPEN:\n            return False, None",
        "        if False:\n            return False, None",
        RACES + "test_an_event_whose_turn_comes_after_the_end_runs_no_handler[polling]",
    ),
    "reload: it does not wait for who says why": (
        "watcher.py",
        "                if reason in _UNSAID:\n",
        "                if False:\n",
        UNSAID + "test_a_question_that_comes_before_a_notice_waits_for_it[reload]",
    ),
    "reload: what nobody says is not asked about again": (
        "watcher.py",
        "later(liveness.NOTICE_GRACE, self._ask_those, unsaid",
        "later(liveness.NOTICE_GRACE, self._ask_those, []",
        UNIT + "test_one_answer_about_sessions_of_every_kind",
    ),
    "reload: a rotation tells why it is gone": (
        "watcher.py",
        "reason in _UNSAID",
        "not reason",
        UNSAID + "test_a_question_that_comes_before_a_notice_waits_for_it[rotated]",
    ),
    "reload: an event relies on what is gone": (
        "connections.py",
        "                self.known[id].forget()\n            for connection",
        "                pass\n            for connection",
        UNSAID + "test_an_event_relies_on_nothing_that_a_reload_found_gone",
    ),
    "reload: it forgets what it found if the store fails then": (
        "connections.py",
        "                connection.deadline = deadline\n",
        "                pass\n",
        UNIT + "test_what_was_found_gone_ends_though_the_store_fails_then",
    ),
    "poll: a connection that is being closed goes on": (
        "connections.py",
        "        self.phase = Phase.ENDED\n        self.reason = reason\n",
        "        self.reason = reason\n",
        RACES + "test_a_post_whose_body_comes_after_the_end_runs_no_handler",
    ),
    "poll: rooms reach who has ended": (
        "socketio_admission.py",
        "if connection is None or connection.phase is not Phase.OPEN:",
        "if connection is None:",
        RACES + "test_a_poll_after_the_end_fetches_nothing_that_was_said_after_it",
    ),
    "poll: questions reach who has ended": (
        "socketio_admission.py",
        "connection.phase is Phase.ENDED or pkt.packet_type not in _CONNECTING",
        "connection.phase is Phase.LOADING and pkt.packet_type not in _CONNECTING",
        RACES + "test_a_poll_after_the_end_fetches_nothing_that_was_said_after_it",
    ),
    "upgrade: an end during the load is overlooked": (
        "liveness.py",
        "if connection.phase is not Phase.OPEN or connection.id is not id:",
        "if connection.id is not id:",
        RACES + "test_a_logout_meets_an_upgrade_that_is_loading",
    ),
    "poll: an answer that nobody reads stays": (
        "ending.py",
        "if polled is not None and unsent(polled):",
        "if False:",
        UNREAD + "test_a_client_that_reads_nothing_is_cut_off[polling]",
    ),
    "poll: the TCP connection of a fetched answer is kept": (
        "transport.py",
        "        if self.polled is stream:\n",
        "        if False:\n",
        UNREAD + "test_a_poll_that_was_fetched_leaves_its_tcp_connection_to_others",
    ),
    "login: a commit creates": (
        "stores/redis_scripts.py",
        "if not b[1] or not b[2] then return {{{GONE}}} end\nif b[1] ~= ARGV[1]",
        "if b[1] and b[1] ~= ARGV[1]",
        RACES + "test_a_logout_meets_a_login_that_is_about_to_commit[login]",
    ),
    "login: a replaced credential logs out": (
        "manager.py",
        "self.store.delete(session.id, generation=record.generation)",
        "self.store.delete(session.id)",
        RACES + "test_a_login_that_was_faster_survives_the_old_credentials_logout",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a guard fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

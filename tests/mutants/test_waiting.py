"""What comes too fast, or at a bad moment: take a check away, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

UNREAD = "tests/integration/test_socket_unread.py::"
LEAVING = "tests/integration/test_socket_leaving.py::"
WITHHELD = "tests/integration/test_socket_withheld.py::"
LEFT = "test_an_event_whose_namespace_was_left_while_it_loaded_is_not_handled[websocket]"
REPEATS = "tests/integration/test_log_lines.py::"
ONE_LINE = REPEATS + "test_a_thousand_bad_reconnects_are_one_line_in_ten_seconds"
TOKEN = "test_a_token_at_connect_that_cannot_be_loaded_is_passed_on[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "who has left is not looked for": (
        "socketio_gate.py",
        "if not go or args[0] not in self._by_sid:",
        "if not go:",
        LEAVING + LEFT,
    ),
    "a connect handler runs for a transport that has gone": (
        "socketio_admission.py",
        "if event is None or not event.connection.admits:",
        "if event is None or event.connection.phase is not Phase.OPEN:",
        LEAVING + "test_a_namespace_is_not_connected_once_its_transport_has_gone[websocket]",
    ),
    "a namespace stays that was connected while the others were told": (
        "socketio_admission.py",
        "        if connection.admits:\n",
        "        if connection.phase is Phase.OPEN:\n",
        LEAVING + "test_a_namespace_whose_connect_handler_outlives_its_transport_is_disconnected"
        "[websocket]",
    ),
    "a disconnect handler that raises stops the others": (
        "socketio_gate.py",
        '                logger.exception("a disconnect handler raised")\n',
        "                raise\n",
        LEAVING + "test_a_disconnect_handler_that_raises_leaves_nothing[websocket-the transport]",
    ),
    "an attachment is kept without its packet": (
        "socketio_admission.py",
        "        if header:\n            connection.keeps",
        "        if True:\n            connection.keeps",
        WITHHELD + "test_a_binary_packet_is_kept_whole_or_not_at_all[websocket-0]",
    ),
    "all is kept for who is being connected": (
        "socketio_admission.py",
        "connection.keeps = len(held) < _WITHHELD_MOST",
        "connection.keeps = True",
        WITHHELD + "test_no_more_is_kept_than_a_number[websocket]",
    ),
    "who cannot be loaded waits": (
        "socketio_switch.py",
        "if connecting and self._pass_errors and connection.phase is Phase.LOADING:",
        "if False:",
        "tests/integration/test_tokens_admission.py::" + TOKEN,
    ),
    "the handlers that waited go on waiting": (
        "socketio_switch.py",
        "                connection.admit_without(error)\n                self._wake(connection)",
        "                connection.admit_without(error)",
        "tests/integration/test_tokens_admission.py::" + TOKEN,
    ),
    "anything is read while a handler waits": (
        "frames.py",
        "if self.session_unread <= most or connection.phase is Phase.ENDED:",
        "if True:",
        UNREAD + "test_while_a_connect_handler_waits_a_flood_waits_too[websocket]",
    ),
    "nobody reads on": (
        "frames.py",
        "if self.session_room is not None and self.session_unread <= self.session_host.max_queued:",
        "if False:",
        UNREAD + "test_while_a_connect_handler_waits_a_flood_waits_too[websocket]",
    ),
    "every line is written": (
        "events.py",
        "if now - at < _QUIET and key in told:",
        "if False:",
        ONE_LINE + "[user]",
    ),
    "a line for each session": (
        "connections.py",
        'f"{reason}: {why}", source=source)',
        'f"{reason}: {why}", source=str(connection.id))',
        ONE_LINE + "[nobody]",
    ),
    "one line about everybody": (
        "connections.py",
        'f"{reason}: {why}", source=source)',
        'f"{reason}: {why}", source="client")',
        REPEATS + "test_the_first_line_about_somebody_else_is_not_left_out",
    ),
    "the quiet begins anew with each": (
        "events.py",
        "told[key] = at, left + 1",
        "told[key] = now, left + 1",
        "tests/unit/test_repeats.py::test_there_is_one_line_in_ten_seconds_and_it_counts_the_rest",
    ),
    "any number of sources is remembered": (
        "events.py",
        'key = (kind, "")\n                break',
        "break",
        "tests/unit/test_repeats.py"
        "::test_many_sources_take_bounded_memory_and_give_a_bounded_number_of_lines",
    ),
    "the access log is written by who is refused": (
        "events.py",
        "if 400 <= status < 500 else 0",
        "if False else 0",
        REPEATS + "test_a_refused_handshake_is_one_line_of_the_access_log",
    ),
}


@pytest.mark.parametrize(("module", "old", "new", "node_id"), TABLE.values(), ids=TABLE)
def test_each_guard_is_missed(module: str, old: str, new: str, node_id: str) -> None:
    """Each guard is there for a reason that a test knows."""
    assert Mutant(module, old, new).kills(node_id)

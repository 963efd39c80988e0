"""What comes while something else is awaited: take a check away, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

UNREAD = "tests/integration/test_socket_unread.py::"
LEFT = "test_an_event_whose_namespace_was_left_while_it_loaded_is_not_handled[websocket]"
TOKEN = "test_a_token_at_connect_that_cannot_be_loaded_is_passed_on[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "who has left is not looked for": (
        "socketio_gate.py",
        "if not go or args[0] not in self._by_sid:",
        "if not go:",
        "tests/integration/test_socket_leaving.py::" + LEFT,
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
        "endpoint.py",
        "if self.session_unread > server.max_queued:",
        "if False:",
        UNREAD + "test_while_a_connect_handler_waits_a_flood_waits_too[websocket]",
    ),
    "nobody reads on": (
        "endpoint.py",
        "if self.session_room is not None and self.session_unread <= server.max_queued:",
        "if False:",
        UNREAD + "test_while_a_connect_handler_waits_a_flood_waits_too[websocket]",
    ),
}


@pytest.mark.parametrize(("module", "old", "new", "node_id"), TABLE.values(), ids=TABLE)
def test_each_wait_is_guarded(module: str, old: str, new: str, node_id: str) -> None:
    """Each guard is there for a reason that a test knows."""
    assert Mutant(module, old, new).kills(node_id)

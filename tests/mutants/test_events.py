"""For each rule of event handlers and their sessions: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

ADMITTED = "tests/integration/test_socket_admitted.py::"
AUTOSAVE = "tests/integration/test_socket_autosave.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "nothing is saved by itself": (
        "socketio_admission.py",
        "                await handled.save()\n",
        "                pass\n",
        AUTOSAVE + "test_a_change_after_an_await_is_stored_before_its_acknowledgement" + WS,
    ),
    "the acknowledgement does not wait": (
        "socketio_admission.py",
        "                await handled.save()\n",
        "                self.sessions.spawn(handled.save())\n",
        AUTOSAVE + "test_the_acknowledgement_waits_for_the_commit",
    ),
    "a handler that raised is saved": (
        "socketio_admission.py",
        "            if handled.handed:\n                handled.handed.clear()",
        "            if handled.handed:\n                await handled.save()",
        AUTOSAVE + "test_a_handler_that_raises_stores_nothing" + WS,
    ),
    "a handler's saves never end": (
        "socketio_gate.py",
        "handled.handed = None  # and saves for itself",
        "pass",
        AUTOSAVE + "test_a_task_that_outlives_its_handler_keeps_nothing[event]",
    ),
    "a connect handler's saves never end": (
        "socketio_admission.py",
        "                    handled.handed = None  # and saves for itself\n",
        "",
        AUTOSAVE + "test_a_task_that_outlives_its_handler_keeps_nothing[connect]",
    ),
    "who has logged out is online": (
        "socketio.py",
        "and self._by_sid[sid].phase is not Phase.ENDED",
        "and True",
        ADMITTED + "test_nobody_is_online_who_has_logged_out",
    ),
    "a block's session is saved again": (
        "socketio_sessions.py",
        "self._session = await self._server._read_session(",
        "self._session = await self._server.get_session(",
        AUTOSAVE + "test_a_handler_that_raises_stores_nothing" + WS,
    ),
    "a session that was never found is looked for": (
        "socketio_sessions.py",
        "        if connection.error is not None:\n            raise",
        "        if False:\n            raise",
        ADMITTED + "test_redis_down_at_the_handshake_is_passed_on" + WS,
    ),
    "those without a session are asked about": (
        "connections.py",
        'if "" in self._by_id:',
        "if False:",
        ADMITTED + "test_a_closing_manager_ends_those_without_a_session_too" + WS,
    ),
    "those without a session are not in the registry": (
        "handshake.py",
        "        self.manager.connections.add(connection)\n        connection.admit_without",
        "        connection.admit_without",
        ADMITTED + "test_a_closing_manager_ends_those_without_a_session_too" + WS,
    ),
    "everybody is authenticated": (
        "socketio_authenticated.py",
        "if _user_of(event.connection) is None:",
        "if event.connection.session is None:",
        ADMITTED + "test_authenticated_handlers_run_for_users_only[websocket-event]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a rule fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

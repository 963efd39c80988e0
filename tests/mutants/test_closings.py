"""For each step of a closing: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

CLOSING = "tests/integration/test_closing.py::"
MANY = "tests/integration/test_closing_many.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "no hard close": (
        "ending.py",
        "        for stream in self._streams:\n",
        "        for stream in ():\n",
        CLOSING + "test_a_mute_client_is_cut_off_and_cannot_connect_again" + WS,
    ),
    "farewell and CLOSE in one payload": (
        "ending.py",
        "if socket.upgraded or await patience.wait(socket.queue.when_drained):",
        "if True:",
        CLOSING + "test_a_polling_client_between_two_polls_hears_why",
    ),
    "no bound for a client that stops polling": (
        "closings.py",
        "call_later(seconds, self._end)",
        "call_later(3600, self._end)",
        CLOSING + "test_a_client_that_stops_polling_is_forgotten",
    ),
    "each step of a closing has its own second": (
        "closings.py",
        "        self._step = step\n",
        "        self._step = step\n"
        "        self._timer.cancel()\n"
        "        self._timer = step.get_loop().call_later(0.8, self._end)\n",
        CLOSING + "test_all_steps_of_a_closing_share_one_second",
    ),
    "all closings begin at once": (
        "closings.py",
        "_AT_ONCE = 20",
        "_AT_ONCE = 2000",
        "tests/unit/test_closings.py::test_all_are_told_before_one_is_finished",
    ),
    "one is freed before others are told": (
        "closings.py",
        "(calm and not self._in_turn)",
        "True",
        MANY + "test_all_are_told_before_one_disconnect_handler_runs",
    ),
    "a flood of ends keeps a socket open": (
        "closings.py",
        "_LONGEST = 0.4",
        "_LONGEST = 4.0",
        MANY + "test_a_flood_of_ends_keeps_no_socket_open[websocket]",
    ),
    "what failed is kept": (
        "closings.py",
        "            closing.give_up()\n",
        "",
        "tests/unit/test_closings.py"
        "::test_one_that_fails_is_let_go_of_and_the_others_go_on[finish]",
    ),
    "what was not freed is forgotten": (
        "closings.py",
        "begun.popleft()[1]).give_up()",
        "begun.popleft()[1])",
        "tests/unit/test_closings.py::test_those_that_were_not_begun_end_with_their_owner",
    ),
    "Engine.IO hears of a closed WebSocket before the end is its own": (
        "frames.py",
        "if ending is None or not ending.defers(self._session_end):",
        "if True:",
        MANY + "test_what_a_client_says_to_its_end_changes_nothing[no packet]",
    ),
    "Engine.IO hears what a client says after its end": (
        "frames.py",
        "connection.ending is not None and connection.ending.said",
        "False",
        MANY + "test_what_a_client_says_to_its_end_changes_nothing[1]",
    ),
    "Engine.IO hears what was read before a client was cut off": (
        "ending.py",
        "ending = _OVER  # what",
        "ending = None  # what",
        MANY + "test_frames_that_were_read_before_the_cut_are_not_heard",
    ),
    "the wait of an upgrade is cancelled": (
        "socketio_wire.py",
        "        and len(connection.handlers) == 1  # of two",
        "        # of two",
        "tests/integration/test_socket_leaving.py"
        "::test_of_two_upgrades_the_one_that_goes_is_no_error",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_step_is_noticed(name: str) -> None:
    """The test that is named for a step fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

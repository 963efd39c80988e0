"""For each check of `session_expiring`: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

EXPIRING = "tests/integration/test_socket_expiring.py::"

#: What is taken out: (snippet, what it becomes, the test that fails).
TABLE = {
    "the store is not asked": (
        "                    await self._watcher.look(ids)\n",
        "                    pass\n",
        EXPIRING + "test_activity_moves_it_and_it_is_told_again[another process]",
    ),
    "it is told with each look": (
        "connection.deadline > connection.warned + _SAME",
        "True",
        EXPIRING + "test_a_client_is_told_once_before_the_end[websocket]",
    ),
    "it is told once and never again": (
        "        self._deadlines.expect(id, again)\n",
        "",
        EXPIRING + "test_activity_moves_it_and_it_is_told_again[another process]",
    ),
    "an outage is an end": (
        "                continue\n",
        "                pass\n",
        EXPIRING + "test_nobody_is_told_while_the_store_cannot_be_asked",
    ),
    "a provisional record is about to end": (
        "near and moved and not connection.provisional",
        "near and moved",
        EXPIRING + "test_a_visitor_without_a_session_of_his_own_is_not_told",
    ),
    "a late socket is forgotten": (
        "or any(map(self._owes, self._open(id))):",
        "or False:",
        EXPIRING + "test_who_comes_late_is_told_too[websocket]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    old, new, test = TABLE[name]
    assert Mutant("socketio_expiring.py", old, new).kills(test)

"""For each guard against a race in token mode: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

RACES = "tests/integration/test_tokens_races.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "an older record is waited for": (
        "liveness.py",
        "connection.generation != generation)",
        "record.generation < connection.generation)",
        RACES + "test_a_record_from_before_a_rotation_ends_the_connection" + WS,
    ),
    "a namespace that left still waits": (
        "socketio_switch.py",
        "if self.manager.sid_from_eio_sid(connection.eio_sid, namespace) is None:",
        "if False:",
        RACES + "test_who_leaves_a_namespace_before_the_token_may_connect_it_again" + WS,
    ),
    "who goes has the session it asked for": (
        "socketio_sessions.py",
        "record = await self.sessions.fetch(session.id)",
        "record = await self.sessions.fetch(connection.id)",
        RACES + "test_who_goes_during_a_switch_was_never_in_the_other_session" + WS,
    ),
    "every token interrupts": (
        "socketio_switch.py",
        'errors = (await self._resolve(credential))[1] if has else ""',
        'errors = ""',
        RACES + "test_a_token_that_is_worth_nothing_interrupts_nothing[websocket-CONNECT]",
    ),
    "nobody hears of an end meanwhile": (
        "socketio_switch.py",
        "            self.sessions.connections.add(away)\n",
        "",
        RACES + "test_an_end_during_a_switch_that_fails_is_not_missed[websocket-destroyed]",
    ),
    "nobody hears of a rotation meanwhile": (
        "token_state.py",
        'or ("rotated" if self.generation < self.minimum else "")',
        "",
        RACES + "test_an_end_during_a_switch_that_fails_is_not_missed[websocket-rotated]",
    ),
    "who has gone is given a session": (
        "socketio_switch.py",
        """        if connection.phase is Phase.ENDED:
            raise SessionEnded(connection.reason)
        kept =""",
        "        kept =",
        RACES + "test_questions_that_wait_at_the_end_make_no_sessions",
    ),
    "what is written in between is deleted": (
        "socketio_switch.py",
        "Delta(id, generation, 0, record.version, meta=meta, confirm=False)",
        "Delta(id, generation, 0, meta=meta, confirm=False)",
        RACES + "test_what_is_written_while_an_unused_session_is_dropped_is_kept" + WS,
    ),
    "an event does not wait for a switch": (
        "socketio_sessions.py",
        "if connection.phase is Phase.LOADING and connection.rotation is not None:",
        "if event is None and connection.phase is Phase.LOADING and connection.rotation:",
        RACES + "test_an_event_waits_for_a_switch_that_may_fail",
    ),
    "the end of a session that was left ends the next": (
        "liveness.py",
        "    if connection.id is id:\n        manager",
        "    if True:\n        manager",
        RACES + "test_who_leaves_a_session_that_is_gone_stays",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_guard_is_noticed(name: str) -> None:
    """The test that is named for a guard fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

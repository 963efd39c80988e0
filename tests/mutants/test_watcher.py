"""For each hint and each question of the watcher: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

AGENDA = "tests/unit/test_agenda.py::"
EXPIRY = "tests/integration/test_socket_expiry.py::"
WATCHER = "tests/integration/test_watcher.py::"
KEPT = "test_forged_notices_do_not_end_what_an_open_socket_keeps_alive"
OUTAGE = "test_an_outage_ends_all_that_is_long_due_and_little_of_it_in_one_turn"
PERSISTED = "test_a_session_without_a_time_to_live_is_not_asked_about_all_the_time"
UNIT = "tests/unit/test_watcher.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "a deadline is not looked at": (
        "watcher.py",
        '        elif known:\n            self._ask(id, "expired")\n',
        "",
        EXPIRY + "test_a_silent_socket_is_closed_at_its_expiry" + WS,
    ),
    "the reload asks about nothing": (
        "watcher.py",
        "            self._ask_all(renew=True)\n",
        "",
        EXPIRY + "test_the_reload_alone_closes_it_while_pub_sub_is_cut" + WS,
    ),
    "a gap is not made up for": (
        "channel.py",
        "        self._heard = time.monotonic()\n        self._gap()\n",
        "        self._heard = time.monotonic()\n",
        WATCHER + "test_a_killed_subscription_comes_back_and_checks_everything" + WS,
    ),
    "a notice is believed": (
        "watcher.py",
        "if peek is None:",
        "if True:",
        WATCHER + "test_forged_notices_close_nothing" + WS,
    ),
    "a notice takes the reload's place": (
        "agenda.py",
        "self.renew.update(some)",
        "pass",
        WATCHER + KEPT + "[sockets_keep_alive]",
    ),
    "what is named waits for the reload": (
        "agenda.py",
        "ids = list(islice(named, _BATCH // 2 if rest else _BATCH))",
        "ids = [] if rest else list(islice(named, _BATCH))",
        AGENDA + "test_what_is_named_in_the_middle_of_a_reload_does_not_wait_for_its_end",
    ),
    "the reload waits for what is named": (
        "agenda.py",
        "_BATCH // 2 if rest else _BATCH",
        "_BATCH",
        AGENDA + "test_a_flood_of_names_does_not_keep_the_reload_waiting",
    ),
    "a gap in a reload takes its renewals": (
        "agenda.py",
        "renew or (self._renews and bool(self._all))",
        "renew",
        AGENDA + "test_a_gap_in_the_middle_of_a_reload_asks_anew_and_renews_still",
    ),
    "a notice renews": (
        "watcher.py",
        "                renew.discard(id)\n",
        "",
        WATCHER + KEPT + "[a visitor's socket]",
    ),
    "nobody listens for the heartbeat": (
        "channel.py",
        "if time.monotonic() - self._heard > 2 * interval:",
        "if False:",
        WATCHER + "test_a_deaf_process_subscribes_anew",
    ),
    "a provisional record is taken for one for good": (
        "liveness.py",
        "        connection.verified(peek.ttl, peek.provisional)\n",
        "",
        EXPIRY + "test_events_are_activity_with_interval_too",
    ),
    "a loading connection's deadline counts": (
        "watcher.py",
        " if one.phase is Phase.OPEN]",
        "]",
        WATCHER + "test_a_handshake_that_loads_when_the_deadline_comes_hides_no_expiry" + WS,
    ),
    "a flood that names many is many questions": (
        "watcher.py",
        "await asyncio.sleep(pause)",
        "await asyncio.sleep(0)",
        UNIT + "test_a_flood_of_notices_is_a_few_questions[600]",
    ),
    "between many there is a pause": (
        "watcher.py",
        "if not left:",
        "if True:",
        UNIT + "test_many_are_asked_about_without_a_pause_between",
    ),
    "all end in one turn": (
        "watcher.py",
        "if number % _CLOSED == 0:\n                await asyncio.sleep(0)\n            self._end",
        "if False:\n                await asyncio.sleep(0)\n            self._end",
        UNIT + "test_few_sessions_end_in_one_turn_and_a_reason_that_comes_meanwhile_counts",
    ),
    "an outage is noticed a batch at a time": (
        "watcher.py",
        "enumerate(list(self._due)):",
        "enumerate(list(self._due)[-500:]):",
        UNIT + OUTAGE,
    ),
    "an outage ends all in one turn": (
        "watcher.py",
        "if number % _CLOSED == 0:\n                await asyncio.sleep(0)\n            for",
        "if False:\n                await asyncio.sleep(0)\n            for",
        UNIT + OUTAGE,
    ),
    "no time to live is a deadline that has come": (
        "watcher.py",
        "            if ttl:  # else",
        "            if True:  # else",
        EXPIRY + PERSISTED + "[server0]",
    ),
    "who warns asks all the time": (
        "socketio_expiring.py",
        "if deadline <= now:",
        "if False:",
        EXPIRY + PERSISTED + "[server1]",
    ),
    "an answer is for open connections only": (
        "connections.py",
        "others.append((connection, generation))",
        "pass",
        UNIT + "test_one_answer_about_sessions_of_every_kind",
    ),
    "what was expected first stays": (
        "deadlines.py",
        "when < expected(id, math.inf) - _CLOSE:",
        "id in self._expected:",
        WATCHER + "test_an_earlier_deadline_takes_the_place_of_a_later_one[3600.0]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

"""For each guard against a fault of Redis: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

CHANNEL = "tests/proofs/test_notice_channel.py::"
FAILOVER = "tests/integration/test_redis_failover.py::"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "the store is asked as often as there are notices": (
        "watcher.py",
        "_PACE = 0.005",
        "_PACE = 0.0",
        CHANNEL + "test_ten_thousand_forged_or_replayed_messages_close_nothing",
    ),
    "a gap is not made up for": (
        "channel.py",
        "        self._heard = time.monotonic()\n        self._gap()\n",
        "        self._heard = time.monotonic()\n",
        CHANNEL + "test_a_hundred_cuts_are_each_followed_by_a_full_check",
    ),
    "health does not know of a heartbeat that was not sent": (
        "channel.py",
        "        except StoreError:\n            self.connected = False\n",
        "        except StoreError:\n",
        CHANNEL + "test_health_tells_of_a_store_that_is_gone",
    ),
    "a replica is taken for the primary": (
        "stores/redis_pipe.py",
        "if errors and any(",
        "if False and any(",
        FAILOVER + "test_a_primary_that_became_a_replica_is_left",
    ),
    "a try to connect is under way for ever": (
        "stores/redis_line.py",
        "self._task.add_done_callback(self._on_task)",
        "pass",
        "tests/integration/test_redis_closing.py",
    ),
    "half a message is left to others": (
        "stores/redis_wire.py",
        "if wire.unclear or wire.closing:",
        "if wire.closing:",
        "tests/integration/test_redis_closing.py"
        "::test_half_a_message_is_not_left_to_the_application",
    ),
    "any reply is an answer to a commit": (
        "stores/redis.py",
        "if type(reply) is not list or not reply or type(reply[0]) is not int:",
        "if False:",
        FAILOVER + "test_whatever_the_server_says_is_one_typed_error[a number]",
    ),
    "a busy loop is an outage": (
        "stores/redis_pipe.py",
        "again = self._last_look(now, self._due)",
        "again = now",
        "tests/integration/test_redis_faults.py::test_an_answer_to_a_busy_event_loop_may_be_late",
    ),
    "why a session ended comes too late": (
        "watcher.py",
        "end(id, heard if heard in FINAL else reason)",
        "end(id, reason)",
        "tests/integration/test_watcher.py"
        "::test_why_a_session_ended_is_heard_while_the_store_answers",
    ),
    "a clock that was set decides": (
        "liveness.py",
        "spent = min(max(time.time() - session._loaded_at, 0.0), most)",
        "spent = time.time() - session._loaded_at",
        "tests/integration/test_clocks.py"
        "::test_a_clock_that_is_set_during_an_event_moves_no_deadline[-3600]",
    ),
    "all users are in one room": (
        "rooms.py",
        'return f"{USER_ROOM}{user_id}"',
        'return f"{USER_ROOM}all"',
        "tests/proofs/test_users_apart.py::test_two_hundred_users_are_never_shown_each_other",
    ),
    "deadlines are kept for ever": (
        "deadlines.py",
        "if len(self._heap) >= self._most:",
        "if False:",
        "tests/unit/test_deadlines.py::test_deadlines_of_those_who_left_are_forgotten",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_guard_is_noticed(name: str) -> None:
    """The test that is named for a guard fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

"""Break what keeps answers apart and counts exact, and a proof notices."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

CANCEL = "tests/proofs/test_cancellation.py::"
STORE = CANCEL + "test_cancelled_operations_leave_nobody_a_foreign_answer[1]"
HTTP = CANCEL + "test_cancelled_handlers_leave_nobody_a_foreign_session[8]"
LATE = CANCEL + "test_answers_that_come_too_late_are_nobodys"
WIRE = "tests/integration/test_redis_wire.py::"
LOST = "tests/proofs/test_lost_replies.py::"
TRANSACT = "tests/proofs/test_transact.py::"

LEFT_OUT = (
    "batch, self._sent = self._sent, []\n        start",
    "batch, self._sent = [r for r in self._sent if not r.future.done()], []\n        start",
)
SKIPPED = (
    "sum([request.count for request in batch])",
    "sum([r.count for r in batch if not r.future.done()])",
)
SHIFTED = ("            start = end\n", "                start = end\n")
KEPT = ("self._fail(LATE)\n            self._let_go()\n", "self._fail(LATE)\n")
REPEATED = (
    "fail([r for r in batch if not r.repeatable]",
    "for r in batch:\n            r.repeatable = True\n"
    "        fail([r for r in batch if not r.repeatable]",
)

#: What is broken: (module, (old, new), the proof that notices).
MUTANTS = {
    "the cancelled are left out of their batch": ("stores/redis_pipe.py", LEFT_OUT, STORE),
    "replies to the cancelled stay unread": ("stores/redis_pipe.py", SKIPPED, STORE),
    "replies to the cancelled stay unread, over HTTP": ("stores/redis_pipe.py", SKIPPED, HTTP),
    "replies to the cancelled go to the next": ("stores/redis_pipe.py", SHIFTED, STORE),
    "replies to the cancelled go to the next, over HTTP": ("stores/redis_pipe.py", SHIFTED, HTTP),
    "a connection with a reply on its way is kept": ("stores/redis_pipe.py", KEPT, LATE),
    "a connection is not given back": (
        "stores/redis_pipe.py",
        ("self._home.call_soon(self._rest)", "pass"),
        CANCEL + "test_cancelled_operations_leave_nobody_a_foreign_answer[8]",
    ),
    "what follows a foreign reply is believed": (
        "stores/redis_pipe.py",
        ("if self._wire is not wire:", "if False:"),
        WIRE + "test_nobody_believes_what_follows_a_foreign_reply",
    ),
    "an error holds its own future": (
        "stores/redis_requests.py",
        (".with_traceback(None)", ""),
        WIRE + "test_an_error_keeps_nobody_alive",
    ),
    "a write is tried again": (
        "stores/redis_pipe.py",
        REPEATED,
        LOST + "test_a_rotation_whose_reply_was_lost_is_not_done_twice",
    ),
    "a count is tried again": (
        "transactions.py",
        (
            "    except SessionConflict:\n        return result, False",
            "    except Exception:\n        return result, False",
        ),
        LOST + "test_a_count_whose_reply_was_lost_is_not_counted_twice",
    ),
    "a commit creates": (
        "stores/redis_scripts.py",
        (
            "if not b[1] or not b[2] then return {{{GONE}}} end\nif b[1] ~= ARGV[1]",
            "if b[1] and b[1] ~= ARGV[1]",
        ),
        LOST + "test_ten_thousand_saves_against_a_logout_bring_nothing_back",
    ),
    "no version check": (
        "transactions.py",
        ("version=copy._record.version", "version=None"),
        TRANSACT + "test_fifty_writers_count_to_exactly_ten_thousand",
    ),
    "no jitter": (
        "transactions.py",
        ("pause * random.random()", "pause"),
        TRANSACT + "test_whoever_cannot_win_gives_up_in_bounded_time",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_proof_notices(name: str) -> None:
    """The proof that is named for it fails."""
    module, (old, new), proof = MUTANTS[name]
    assert Mutant(module, old, new).kills(proof)

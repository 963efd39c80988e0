"""Break transactions, and what a save may leave behind, and a test notices."""

from __future__ import annotations

import pytest

from tests.mutants.test_core import MAPPING, ON_REDIS
from tests.support.mutants import Broken, Mutant

TRANSACT = "tests/unit/test_transactions.py::"
NEW = "tests/unit/test_transactions_new.py::"
QUEUES = "tests/unit/test_transaction_queues.py::"

MUTANTS = {
    "an own commit vouches for what others wrote": Broken(
        "stored.py",
        "if version == record.version + changed:",
        "if True:",
        TRANSACT + "test_what_others_wrote_before_an_own_save_is_not_overlooked",
    ),
    "a conflict is not tried again": Broken(
        "transactions.py",
        "    except SessionConflict:\n        return result, False",
        "    except SessionConflict:\n        return result, True",
        TRANSACT + "test_a_conflict_runs_it_again_on_what_is_stored",
    ),
    "no version check": Broken(
        "transactions.py",
        "version=copy._record.version",
        "version=None",
        ON_REDIS + "test_twenty_writers_lose_no_increment",
    ),
    "no queue": Broken(
        "transactions.py",
        "        async with queue:\n",
        "        if True:\n",
        QUEUES + "test_transactions_of_one_session_queue",
    ),
    "a transaction is over for a new session once it was saved elsewhere": Broken(
        "transactions.py",
        "if session._state is not State.NEW:\n            return False",
        "if session._state is not State.NEW:\n            return True",
        NEW + "test_a_new_session_that_is_saved_meanwhile_is_a_stored_one",
    ),
    "a login ends a transaction of its own session": Broken(
        "transactions.py",
        "if its and known and its.generation != known.generation:",
        "if False:",
        TRANSACT + "test_a_login_of_the_same_object_does_not_end_it",
    ),
    "what may be stored is not deleted": Broken(
        "mapping.py",
        " or key in self._unclear",
        "",
        MAPPING + "test_what_a_failed_commit_may_have_stored_is_deleted_by_name",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for it fails."""
    broken = MUTANTS[name]
    assert Mutant(broken.module, broken.old, broken.new).kills(broken.killed_by)

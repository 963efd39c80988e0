"""Break the index of a user's sessions in one place each, and a test notices."""

from __future__ import annotations

import pytest

from tests.support.mutants import Broken, Mutant

REDIS = "tests/contract/test_store_contract.py::TestRedisStore::"
SQL = "tests/contract/test_store_contract.py::TestSQLStore::"
CAP = "tests/integration/test_session_cap.py::"
LIST = "tests/integration/test_user_list.py::"

MUTANTS = {
    "Redis: a login with a shorter lifetime is an older one": Broken(
        "stores/redis_scripts.py",
        "math.max(time + ARGV[2], newest + 1,",
        "math.max(time + ARGV[2],",
        CAP + "test_a_login_with_a_shorter_timeout_does_not_give_way_to_an_older_session",
    ),
    "Redis: logins of one millisecond have no order": Broken(
        "stores/redis_scripts.py",
        "newest + 1, tonumber(",
        "newest + 0, tonumber(",
        REDIS + "test_entries_of_one_moment_keep_their_order[resp3]",
    ),
    "SQL: a login with a shorter lifetime is an older one": Broken(
        "stores/sql.py",
        "max((found.newest or 0) + 1, found.latest or 0)",
        "found.latest or 0",
        SQL + "test_a_later_entry_is_the_newest_though_it_is_shorter[sqlite]",
    ),
    "memory: an entry is over before its session": Broken(
        "stores/memory.py",
        "now + lifetime, latest)",
        "now + lifetime)",
        LIST + "test_a_session_that_may_live_longer_than_the_others_is_not_missed",
    ),
    "an entry is over before a session that came late": Broken(
        "users.py",
        "self.policy.absolute_timeout + _LATE",
        "self.policy.absolute_timeout",
        LIST + "test_a_session_whose_record_came_late_is_not_missed",
    ),
    "Redis: an entry is over before its session": Broken(
        "stores/redis.py",
        "kept, latest or 0)",
        "kept, 0)",
        REDIS + "test_an_entry_stays_as_long_as_its_record_may_live[resp3]",
    ),
    "SQL: an entry is over before its session": Broken(
        "stores/sql.py",
        "max((found.newest or 0) + 1, found.latest or 0)",
        "(found.newest or 0) + 1",
        SQL + "test_an_entry_stays_as_long_as_its_record_may_live[sqlite]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_index_is_killed(name: str) -> None:
    """The test that is named for it fails."""
    broken = MUTANTS[name]
    assert Mutant(broken.module, broken.old, broken.new).kills(broken.killed_by)

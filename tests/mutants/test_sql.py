"""Break the SQL store in one place each, and a test of it notices."""

from __future__ import annotations

import pytest

from tests.support.mutants import Broken, Mutant

pytestmark = pytest.mark.mariadb

CONTRACT = "tests/contract/test_store_contract.py::TestSQLStore::"
STORE = "tests/integration/test_sql_store.py::"
FAULTS = "tests/integration/test_sql_faults.py::"
OUTAGE = "tests/integration/test_sql_outage.py::"
SETTINGS = "tests/integration/test_sql_settings.py::"
SQLITE = "tests/integration/test_sql_sqlite.py::"

SAME_GENERATION = 's.c.generation == _number("generation_")'
ANY_GENERATION = 's.c.generation >= 0 * _number("generation_")'

MUTANTS = {
    "a commit of any generation is taken": Broken(
        "stores/sql_statements.py",
        f"{SAME_GENERATION},\n            s.c.deadline > live",
        f"{ANY_GENERATION},\n            s.c.deadline > live",
        FAULTS + "test_a_login_in_between_refuses_the_commit[touch]",
    ),
    "a delete of any generation is taken": Broken(
        "stores/sql_statements.py",
        f"where(one, {SAME_GENERATION})",
        f"where(one, {ANY_GENERATION})",
        FAULTS + "test_a_login_in_between_refuses_the_delete",
    ),
    "what has expired is written": Broken(
        "stores/sql_statements.py",
        "s.c.deadline > live,",
        "s.c.deadline > 0,",
        FAULTS + "test_what_expires_in_between_stays_expired",
    ),
    "the clock is read before the wait for the lock": Broken(
        "stores/sql_statements.py",
        "s, live = self._sessions, self._clock.live",
        "s, live = self._sessions, self._clock.now",
        FAULTS + "test_what_expires_while_its_row_is_locked_stays_expired",
    ),
    "a rival is overwritten": Broken(
        "stores/sql_statements.py",
        's.c.version == _number("version_")',
        's.c.version >= 0 * _number("version_")',
        FAULTS + "test_a_rival_with_another_key_loses_nothing",
    ),
    "what has expired is found": Broken(
        "stores/sql_statements.py",
        "some = and_(s.c.id.in_(ids), s.c.deadline > clock.now)",
        "some = s.c.id.in_(ids)",
        CONTRACT + "test_a_record_expires[sqlite]",
    ),
    "the absolute deadline is forgotten": Broken(
        "stores/sql_statements.py",
        'self._least(live + _number("ttl"), s.c.latest)',
        'live + _number("ttl")',
        CONTRACT + "test_the_absolute_deadline_holds[sqlite]",
    ),
    "the deadline moves back": Broken(
        "stores/sql_statements.py",
        "most(s.c.deadline, until)",
        "most(0, until)",
        CONTRACT + "test_the_deadline_never_moves_back[sqlite]",
    ),
    "what was found expired is deleted whatever it is by then": Broken(
        "stores/sql_statements.py",
        "delete(s).where(s.c.id.in_(ids), s.c.deadline <= clock.now)",
        "delete(s).where(s.c.id.in_(ids))",
        STORE + "test_what_is_renewed_meanwhile_is_not_purged[sqlite]",
    ),
    "what was found in the index is deleted whatever it is by then": Broken(
        "stores/sql_statements.py",
        "u.c.id.in_(ids), u.c.deadline <= clock.now)",
        "u.c.id.in_(ids))",
        STORE + "test_what_is_renewed_meanwhile_is_not_purged[sqlite]",
    ),
    "a purge has no end": Broken(
        "stores/sql_purge.py",
        "for _ in range(_MOST):",
        "while True:",
        STORE + "test_one_purge_is_bounded_as_a_whole[sqlite]",
    ),
    "a lost commit is sent again": Broken(
        "stores/sql_writes.py",
        "attempt.unsafe = True\n                answer = await connection.execute("
        "self._statements.update",
        "answer = await connection.execute(self._statements.update",
        OUTAGE + "test_a_lost_answer_is_an_error_and_no_second_try[commit]",
    ),
    "a create does not know its own row": Broken(
        "stores/sql_writes.py",
        'return attempt.repeated and stored.meta == row["meta_"]',
        "return False",
        OUTAGE + "test_a_create_whose_answer_was_lost_is_found_again",
    ),
    "a create takes another's row for its own": Broken(
        "stores/sql_writes.py",
        'return attempt.repeated and stored.meta == row["meta_"]',
        "return attempt.repeated",
        OUTAGE + "test_a_create_whose_answer_was_lost_is_found_again",
    ),
    "commits of one session do not queue": Broken(
        "stores/sql_engine.py",
        "repeat if turn is None else _queue(turn, repeat)",
        "repeat",
        OUTAGE + "test_a_cancelled_commit_never_lands_after_a_later_one",
    ),
    "a deadlock is an error": Broken(
        "stores/sql_engine.py",
        "if failure is Failure.UNDONE and undone < _UNDONE_MOST:",
        "if False:",
        FAULTS + "test_a_deadlock_is_tried_again",
    ),
    "a connection may break for ever": Broken(
        "stores/sql_engine.py",
        "not attempt.unsafe and lost < _LOST_MOST",
        "not attempt.unsafe",
        OUTAGE + "test_a_connection_that_keeps_breaking_is_given_up",
    ),
    "a missing table is an outage": Broken(
        "stores/sql_engine.py",
        "elif failure is Failure.MISSING:",
        "elif False:",
        STORE + "test_a_missing_table_is_an_error_that_says_how_to_create_it[sqlite]",
    ),
    "nobody ends an operation": Broken(
        "stores/sql_engine.py",
        "await asyncio.wait((task,), timeout=seconds)",
        "end.cancel()\n        await asyncio.wait((task,))",
        FAULTS + "test_a_lock_that_is_never_released_is_an_error_in_time",
    ),
    "errors show statements": Broken(
        "stores/sql_errors.py",
        "cause = error.orig or error",
        "cause = error",
        SETTINGS + "test_an_error_tells_no_statement_no_value_and_no_address[sqlite]",
    ),
    "a and A are one id": Broken(
        "stores/sql_schema.py",
        'mysql.VARCHAR(_ID_LENGTH, charset="ascii", collation="ascii_bin")',
        "mysql.VARCHAR(_ID_LENGTH)",
        STORE + "test_ids_and_users_compare_exactly[mariadb]",
    ),
    "values are escaped by the driver": Broken(
        "stores/sql_schema.py",
        "_HexBytes(), _HexDigest(32)",
        "mysql.LONGBLOB(), mysql.BINARY(32)",
        SETTINGS + "test_values_are_never_part_of_a_statement[NO_BACKSLASH_ESCAPES]",
    ),
    "a read of SQLite is interrupted": Broken(
        "stores/sql_engine.py",
        'self.backend == "sqlite"',
        "False",
        SQLITE + "test_a_read_that_came_too_late_locks_nobody_out",
    ),
    "a record of another id is shown": Broken(
        "stores/sql.py",
        "if meta.id != id:",
        "if False:",
        STORE + "test_a_record_that_names_another_id_is_refused[sqlite]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_sql_store_is_killed(name: str) -> None:
    """The test that is named for it fails."""
    broken = MUTANTS[name]
    assert Mutant(broken.module, broken.old, broken.new).kills(broken.killed_by)

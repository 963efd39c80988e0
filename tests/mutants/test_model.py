"""Break a rule of the life of a session, and a random history finds it."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

PROOF = "tests/proofs/test_model.py::test_overlapping_handlers_"

#: What is broken: (module, old, new, where it is noticed).
MUTANTS = {
    "memory: a commit of any generation is taken": (
        "stores/memory.py",
        "        if record.generation != delta.generation:",
        "        if False:",
        "in_memory",
    ),
    "memory: the deadline moves back": (
        "stores/memory.py",
        "entry.deadline = max(entry.deadline, min(now + delta.ttl, entry.absolute))",
        "entry.deadline = min(now + delta.ttl, entry.absolute) - 100",
        "in_memory",
    ),
    "memory: the absolute deadline is forgotten": (
        "stores/memory.py",
        "max(entry.deadline, min(now + delta.ttl, entry.absolute))",
        "max(entry.deadline, now + delta.ttl)",
        "in_memory",
    ),
    "Redis: a commit of any generation is taken": (
        "stores/redis_scripts.py",
        "if b[1] ~= ARGV[1] then return {{{ROTATED}}} end\nif ARGV[2]",
        "if ARGV[2]",
        "on_redis",
    ),
    "Redis: a commit creates": (
        "stores/redis_scripts.py",
        "if not b[1] or not b[2] then return {{{GONE}}} end\nif b[1] ~= ARGV[1]",
        "if b[1] and b[1] ~= ARGV[1]",
        "on_redis",
    ),
    "Redis: a login keeps another user's data": (
        "stores/redis_scripts.py",
        "if flag('c') then",
        "if false then",
        "on_redis",
    ),
    "SQL: a rival's write is overwritten": (
        "stores/sql_writes.py",
        "versioned=counted or delta.version is not None,",
        "versioned=False,",
        "on_sqlite",
    ),
    "SQL: a deletion of any generation is taken": (
        "stores/sql_writes.py",
        "if generation is not None and row.generation != generation:",
        "if False:",
        "on_sqlite",
    ),
    "a save writes all it has": (
        "manager.py",
        "ttl, version, changes, gone,",
        "ttl, version, {**session._stored, **changes}, gone,",
        "in_memory",
    ),
    "another user inherits the data": (
        "rotation.py",
        "clear = login and before is not None and before != user_id",
        "clear = False",
        "in_memory",
    ),
    "a login forgets who it was": (
        "rotation.py",
        "        meta = meta.of_user(user_id)",
        "        pass",
        "in_memory",
    ),
    "a touch of what is provisional leaves it so": (
        "stores/memory.py",
        "if delta.confirm:",
        "if delta.confirm and delta.changes_values:",
        "in_memory",
    ),
    "a transaction begins with what was loaded": (
        "stored.py",
        "if version == record.version + changed:",
        "if True:",
        "in_memory",
    ),
    "a change in place is overlooked": (
        "mapping.py",
        "        if type(value) in IMMUTABLE:\n            return None\n",
        "        return None\n",
        "in_memory",
    ),
    "a socket is admitted though its session was rotated": (
        "connections.py",
        "if record.generation < self.minimum:",
        "if False:",
        "in_memory",
    ),
    "a socket of an older credential lives on": (
        "watcher.py",
        "elif connection.generation < generation:",
        "elif False:",
        "in_memory",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_history_finds_the_mutant(name: str) -> None:
    """One of the two hundred differs from the model."""
    module, old, new, where = MUTANTS[name]
    assert Mutant(module, old, new).kills(PROOF + where)

"""Change what is stored, signed or sent, and the page about the protocol is wrong: a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

PAGE = "tests/integration/test_protocol_page.py::"
PROGRAM = "tests/integration/test_protocol_program.py::"
FIELDS = PAGE + "test_the_fields_of_a_record_are_those_of_the_table"
META = PAGE + "test_the_bookkeeping_has_the_types_of_the_table"
NAMES = PAGE + "test_the_names_of_keys_and_channel_are_those_of_the_store"
MESSAGES = PAGE + "test_messages_on_the_channel_have_the_parts_of_the_table"
SIGNED = PROGRAM + "test_the_program_and_the_library_accept_the_same_signatures"

#: What is changed: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "the format number": (
        "record.py",
        "FORMAT = 1",
        "FORMAT = 2",
        PAGE + "test_the_numbers_of_the_page_are_those_of_the_code",
    ),
    "the keys of sessions": ("stores/redis.py", 'prefix + "s:"', 'prefix + "x:"', NAMES),
    "the keys of users": ("stores/redis.py", 'prefix + "u:"', 'prefix + "x:"', NAMES),
    "the channel": ("stores/redis.py", "{prefix}notices:", "{prefix}news:", NAMES),
    "a field of its own more": (
        "stores/redis_scripts.py",
        "if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], '\\255p', '1') end",
        "redis.call('HSET', KEYS[1], '\\255x', '1')",
        FIELDS,
    ),
    "a script": (
        "stores/redis_scripts.py",
        "if want > left or",
        "if want >= left or",
        PAGE + "test_a_script_is_printed_as_it_runs[COMMIT]",
    ),
    "the order of the bookkeeping": (
        "record.py",
        "self.created_at, self.user_id, self.superseded]",
        "self.user_id, self.created_at, self.superseded]",
        META,
    ),
    "the number of an extension type": (
        "serializers.py",
        "_DATETIME, _DATE, _DECIMAL, _UUID, _SET, _TUPLE, _FROZENSET = range(1, 8)",
        "_DATE, _DATETIME, _DECIMAL, _UUID, _SET, _TUPLE, _FROZENSET = range(1, 8)",
        PAGE + "test_the_extension_types_are_those_of_the_serializer",
    ),
    "the form of a notice": (
        "notices.py",
        "packb([1, self.reason, self.ids, self.nonce])",
        "packb([self.reason, 1, self.ids, self.nonce])",
        MESSAGES,
    ),
    "the reasons": (
        "events.py",
        '"rotated", "shutdown")',
        '"rotated", "shutdown", "bored")',
        PAGE + "test_the_reasons_are_those_that_notices_may_have",
    ),
    "the purpose of a token": (
        "tokens.py",
        '_PURPOSE = "session token"',
        '_PURPOSE = "token"',
        PROGRAM + "test_a_token_is_read",
    ),
    "the hash of a secret": (
        "record.py",
        "hashlib.sha256(self.secret.encode()).digest()",
        "hashlib.sha3_256(self.secret.encode()).digest()",
        SIGNED,
    ),
    "how long a secret is superseded": (
        "manager.py",
        "rotation_grace: Duration = 60",
        "rotation_grace: Duration = 30",
        PAGE + "test_the_numbers_of_the_page_are_those_of_the_code",
    ),
    "a column in SQL": (
        "stores/sql_schema.py",
        'Column("version", BigInteger, nullable=False)',
        'Column("version", SmallInteger, nullable=False)',
        PAGE + "test_the_tables_of_sql_are_those_that_are_created",
    ),
}


@pytest.mark.parametrize(("module", "old", "new", "node_id"), TABLE.values(), ids=TABLE)
def test_the_page_is_held_to_the_code(module: str, old: str, new: str, node_id: str) -> None:
    """What other programs rely on cannot change without the page."""
    assert Mutant(module, old, new).kills(node_id)

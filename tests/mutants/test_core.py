"""Break the core in one place each, and a test of it notices."""

from __future__ import annotations

import pytest

from tests.support.mutants import Broken, Mutant

MEMORY = "tests/contract/test_store_contract.py::TestMemoryStore::"
REDIS = "tests/contract/test_store_contract.py::TestRedisStore::"
SAVE = "tests/unit/test_manager_save.py::"
MANAGER = "tests/unit/test_manager.py::"
ROTATION = "tests/unit/test_rotation.py::"
USERS = "tests/unit/test_users.py::"
RECORD = "tests/unit/test_record.py::"
MAPPING = "tests/unit/test_mapping.py::"
WIRE = "tests/integration/test_redis_store.py::"
ON_REDIS = "tests/integration/test_core_on_redis.py::"
FAULTS = "tests/integration/test_redis_faults.py::"
STORE = "tests/integration/test_redis_store.py::"


MUTANTS = {
    "memory: a commit of any generation is taken": Broken(
        "stores/memory.py",
        "if record.generation != delta.generation:",
        "if False:",
        ROTATION + "test_a_login_during_a_save_wins",
    ),
    "Redis: a commit of any generation is taken": Broken(
        "stores/redis_scripts.py",
        "if b[1] ~= ARGV[1] then return {{{ROTATED}}} end\nif ARGV[2]",
        "if ARGV[2]",
        ON_REDIS + "test_a_commit_held_on_the_wire_does_not_outlive_a_login",
    ),
    "Redis: a commit creates": Broken(
        "stores/redis_scripts.py",
        "if not b[1] or not b[2] then return {{{GONE}}} end\nif b[1] ~= ARGV[1]",
        "if b[1] and b[1] ~= ARGV[1]",
        ON_REDIS + "test_a_commit_held_on_the_wire_does_not_resurrect",
    ),
    "Redis: a conflict is overlooked": Broken(
        "stores/redis_scripts.py",
        "if ARGV[2] ~= '' and b[2] ~= ARGV[2] then return {{{CONFLICT}}} end",
        "",
        ON_REDIS + "test_twenty_writers_lose_no_increment",
    ),
    "Redis: the deadline moves back": Broken(
        "stores/redis_scripts.py",
        "if want > left or left < 0 then",
        "if true then",
        REDIS + "test_the_deadline_never_moves_back[resp3]",
    ),
    "Redis: the absolute deadline is forgotten": Broken(
        "stores/redis_scripts.py",
        "if tonumber(b[3]) then want",
        "if false then want",
        REDIS + "test_the_absolute_deadline_holds[resp3]",
    ),
    "Redis: a record without a time to live has no end": Broken(
        "stores/redis.py",
        "if ttl == -1 and absolute.isdigit()",
        "if False and absolute.isdigit()",
        WIRE + "test_a_key_without_time_to_live_ends_at_its_absolute_deadline",
    ),
    "Redis: a peek finds it for ever": Broken(
        "stores/redis_scripts.py",
        "if left == -1 then",
        "if false then",
        WIRE + "test_a_key_without_time_to_live_ends_at_its_absolute_deadline",
    ),
    "Redis: thousands of keys go in one call": Broken(
        "stores/redis_scripts.py",
        "for i = first, last, 1000 do\n"
        "    redis.call(command, key, unpack(ARGV, i, math.min(i + 999, last)))\n  end",
        "if first <= last then redis.call(command, key, unpack(ARGV, first, last)) end",
        REDIS + "test_thousands_of_keys_in_one_delta[resp3]",
    ),
    "Redis: what the first call has no room for is lost": Broken(
        "stores/redis_scripts.py",
        "slices('HSET', key, 1008, last)",
        "slices('HSET', key, 1010, last)",
        REDIS + "test_thousands_of_keys_in_one_delta[resp3]",
    ),
    "Redis: deleting needs room": Broken(
        "stores/redis_scripts.py",
        "slices('HDEL', key, last + 1, #ARGV)\n",
        "redis.call('HSET', key, '\\255v', version)\nslices('HDEL', key, last + 1, #ARGV)\n",
        FAULTS + "test_a_refused_write_is_one_error_and_changes_nothing",
    ),
    "Redis: anybody's session can be deleted": Broken(
        "stores/redis_scripts.py",
        "if ARGV[2] ~= '' and b[2] ~= ARGV[2] then return {GONE} end",
        "",
        REDIS + "test_delete_checks_the_user[resp3]",
    ),
    "Redis: one key of another type spoils a peek": Broken(
        "stores/redis_scripts.py",
        "redis.pcall(",
        "redis.call(",
        STORE + "test_a_key_of_another_type_is_a_corrupt_record[string]",
    ),
    "Redis: a record of another id is shown": Broken(
        "stores/redis.py",
        "if meta.id != id:",
        "if False:",
        STORE + "test_a_record_that_names_another_id_is_refused",
    ),
    "Redis: a commit is tried again": Broken(
        "stores/redis_pipe.py",
        "fail([r for r in batch if not r.repeatable]",
        "for r in batch:\n            r.repeatable = True\n"
        "        fail([r for r in batch if not r.repeatable]",
        FAULTS + "test_a_lost_reply_is_an_error_and_no_second_try",
    ),
    "Redis: no bound on waiting": Broken(
        "stores/redis_pipe.py",
        "self._timer = self._home.call_at(due, ",
        "self._timer = self._home.call_at(due + 3600, ",
        FAULTS + "test_nobody_waits_longer_than_the_bound[black hole]",
    ),
    "memory: a commit takes what is not there for granted": Broken(
        "stores/memory.py",
        "entry = self._find(delta.id)\n"
        '        if entry is None:\n            raise SessionEnded("expired")',
        "entry = self._find(delta.id) or next(iter(self._entries.values()))",
        MEMORY + "test_commit_never_creates",
    ),
    "memory: anybody's session can be deleted": Broken(
        "stores/memory.py",
        "if user_id is not None and record.meta.user_id != user_id:",
        "if False:",
        USERS + "test_a_session_is_only_ended_for_its_user",
    ),
    "any secret is good": Broken(
        "record.py",
        "if hmac.compare_digest(digest, self.meta.digest):",
        "if True:",
        MANAGER + "test_a_wrong_secret_is_an_unknown_credential",
    ),
    "a replaced secret is known forever": Broken(
        "record.py",
        "if hmac.compare_digest(digest, old) and now - replaced_at < grace:",
        "if hmac.compare_digest(digest, old):",
        ROTATION + "test_after_the_grace_a_replaced_credential_is_an_unknown_one",
    ),
    "a replaced secret is an unknown one at once": Broken(
        "record.py",
        "verdict = Verdict.SUPERSEDED",
        "verdict = Verdict.UNKNOWN",
        ROTATION + "test_a_replaced_credential_authenticates_nobody_and_changes_nothing",
    ),
    "a rotation that keeps the generation": Broken(
        "stores/memory.py",
        "record.generation += 1",
        "pass",
        ROTATION + "test_a_request_of_the_old_generation_cannot_commit",
    ),
    "a rotation without a response": Broken(
        "rotation.py",
        "if carrier is None or not carrier.can_issue():",
        "if carrier is None:",
        ROTATION + "test_rotation_needs_a_response",
    ),
    "the record before the index": Broken(
        "rotation.py",
        "            await manager.index(user_id, session.id)\n",
        "            pass\n",
        ROTATION + "test_the_index_is_written_before_the_record",
    ),
    "another user inherits the data": Broken(
        "rotation.py",
        "clear = login and before is not None and before != user_id",
        "clear = False",
        ROTATION + "test_another_user_does_not_inherit_the_data",
    ),
    "a transaction begins with the values of the load": Broken(
        "stored.py",
        "return replace(self._record, values=dict(self._stored))",
        "return self._record.copy()",
        ROTATION + "test_a_transaction_after_another_users_login_sees_none_of_the_data",
    ),
    "a save that ignores the end": Broken(
        "stored.py",
        "        if self._state is State.ENDED:\n            raise",
        "        if False:\n            raise",
        SAVE + "test_a_late_save_does_not_resurrect_a_destroyed_session",
    ),
    "an ended object is saved all the same": Broken(
        "manager.py",
        "                if session.modified:\n                    session._check_writable()\n",
        "",
        "tests/unit/test_session.py::"
        "test_a_change_inside_a_value_of_an_ended_session_is_not_lost_silently",
    ),
    "two saves at once": Broken(
        "stored.py",
        "        if self._lock is None:\n            self._lock = asyncio.Lock()\n",
        "        if True:\n            self._lock = asyncio.Lock()\n",
        SAVE + "test_two_saves_of_one_object_at_once_are_one_after_the_other",
    ),
    "a save under way is overlooked": Broken(
        "manager.py",
        "session._is_modified() or session._is_busy() or",
        "session.modified or",
        SAVE + "test_a_save_under_way_counts_as_unsettled",
    ),
    "a failed save forgets the changes": Broken(
        "mapping.py",
        "self._assigned = {*self._assigned, *(key for key in names if key in self._values)}",
        "pass",
        SAVE + "test_a_failed_commit_is_tried_again_by_the_next_save",
    ),
    "a read counts as a change": Broken(
        "mapping.py",
        "if old is not None and (new == old or same(self._serializer.decode(old), value)):",
        "if False:",
        SAVE + "test_a_mere_read_never_writes",
    ),
    "True is taken for 1": Broken(
        "mapping.py",
        "same(self._serializer.decode(old), value)",
        "self._serializer.decode(old) == value",
        MAPPING + "test_a_change_inside_a_value_is_noticed",
    ),
    "a written record stays provisional": Broken(
        "manager.py",
        "if record.provisional and (changes or deleted):",
        "if False:",
        SAVE + "test_what_is_written_into_makes_a_provisional_record_a_normal_one",
    ),
    "every request moves the deadline": Broken(
        "policy.py",
        "if self.idle_timeout - ttl < self.touch_interval:",
        "if False:",
        SAVE + "test_activity_moves_the_deadline_at_most_once_per_interval",
    ),
    "several live sessions: the first one": Broken(
        "manager.py",
        "if len(live) == 1:",
        "if live:",
        MANAGER + "test_several_live_credentials_are_nobody",
    ),
    "an outage is no session": Broken(
        "users.py",
        "        except ForeignRecord:\n",
        "        except StoreError:\n            return None\n        except ForeignRecord:\n",
        MANAGER + "test_a_store_that_cannot_be_asked_is_no_answer",
    ),
    "the dead count against the limit": Broken(
        "users.py",
        "live = [id for id, peek in zip(live, peeks, strict=True) if peek is not None]",
        "pass",
        USERS + "test_an_expired_session_counts_for_nothing",
    ),
    "the limit spares nobody": Broken(
        "users.py",
        "live[:-keep]",
        "live[: 1 - keep]",
        USERS + "test_a_hundred_logins_at_once_leave_as_many_as_allowed",
    ),
    "a login that lost looks like one that did not": Broken(
        "users.py",
        "return id in live[-keep:]",
        "return True",
        ROTATION + "test_a_login_that_lost_against_faster_ones_says_so[after]",
    ),
    "the sessions of others count against the limit": Broken(
        "users.py",
        *("if not _others(it, user_id)]", "]"),
        USERS + "test_a_session_that_is_another_users_by_now_does_not_count",
    ),
    "strange bookkeeping is believed": Broken(
        "record.py",
        "or not all(type(old) is bytes for old, _ in superseded)",
        "",
        RECORD + "test_unreadable_bookkeeping_is_one_kind_of_error",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_core_is_killed(name: str) -> None:
    """The test that is named for it fails."""
    broken = MUTANTS[name]
    assert Mutant(broken.module, broken.old, broken.new).kills(broken.killed_by)

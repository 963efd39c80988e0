"""Break the save of a page in one place each, and a test of it notices."""

from __future__ import annotations

import pytest

from tests.support.mutants import Broken, Mutant

AUTOSAVE = "tests/integration/test_http_autosave.py::"
BESIDE = AUTOSAVE + "test_what_a_handler_left_running_waits_for_the_save_of_its_page"


MUTANTS = {
    "a page is not alone with what it saves": Broken(
        "autosave.py",
        "(manager, session, delta, deleted), True",
        "(manager, session, delta, deleted), False",
        BESIDE + "[save]",
    ),
    "a save of a page does not hold the lock": Broken(
        "stored.py",
        "            if self._saving:\n",
        "            if False:\n",
        BESIDE + "[destroy]",
    ),
    "a save of a page keeps the lock": Broken(
        "stored.py",
        "        if self._lock is not None:\n            self._lock.release()\n",
        "",
        BESIDE + "[touch]",
    ),
    "a page saves while another save is under way": Broken(
        "autosave.py",
        "            and session._lock is None\n",
        "",
        AUTOSAVE + "test_the_page_waits_for_what_its_handler_left_running",
    ),
    "a manager's own save is gone around": Broken(
        "autosave.py",
        'getattr(manager.save, "__func__", None) is _SAVE',
        "True",
        AUTOSAVE + "test_a_managers_own_way_to_save_is_taken[Own]",
    ),
    "a manager's own commit is gone around": Broken(
        "autosave.py",
        'getattr(manager.commit, "__func__", None) is _COMMIT',
        "True",
        AUTOSAVE + "test_a_managers_own_way_to_save_is_taken[OwnCommit]",
    ),
    "what is put in the place of save() is gone around": Broken(
        "autosave.py",
        'getattr(manager.save, "__func__", None) is _SAVE',
        'getattr(manager.save, "__func__", None) is SessionManager.save',
        AUTOSAVE + "test_what_is_put_in_the_place_of_a_method_is_called[class-save]",
    ),
    "what a page could not store is forgotten": Broken(
        "autosave.py",
        "            session._put_back(delta.set, deleted)\n",
        "",
        AUTOSAVE + "test_what_a_page_could_not_store_is_unsaved_again",
    ),
    "a save that failed keeps the lock": Broken(
        "autosave.py",
        "delta.set, deleted)\n            session._saved()\n",
        "delta.set, deleted)\n",
        AUTOSAVE + "test_an_answer_without_sense_leaves_nobody_waiting",
    ),
    "a page of which nobody can tell why hangs": Broken(
        "response.py",
        "        except BaseException as another:",
        "        except ZeroDivisionError as another:",
        AUTOSAVE + "test_a_failure_that_cannot_be_reported_is_an_answer",
    ),
    "a page leaves provisional what it writes into": Broken(
        "autosave.py",
        "            and not record.provisional\n",
        "",
        AUTOSAVE + "test_what_a_page_writes_into_lives_as_long_as_others",
    ),
    "nothing is written": Broken(
        "autosave.py",
        "if changes or deleted or due:",
        "if True:",
        AUTOSAVE + "test_what_was_taken_back_before_the_save_is_no_write",
    ),
}


@pytest.mark.parametrize("what", MUTANTS)
def test_mutant_is_killed(what: str) -> None:
    """The named test fails when this is broken."""
    broken = MUTANTS[what]
    assert Mutant(broken.module, broken.old, broken.new).kills(broken.killed_by)

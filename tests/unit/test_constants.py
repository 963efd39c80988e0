"""Constants that are compared by identity."""

from __future__ import annotations

import copy
import pickle

import pytest

from tornado_shared_session import MemoryStore, SessionManager
from tornado_shared_session.connections import Phase
from tornado_shared_session.constants import Constant
from tornado_shared_session.record import Verdict
from tornado_shared_session.session import Session
from tornado_shared_session.stored import State


@pytest.mark.parametrize("kind", [Phase, State, Verdict])
def test_each_is_known_by_its_name(kind: type[Constant]) -> None:
    """Its name is that of the attribute, and its repr says which class it is of."""
    for name in kind.__annotations__:
        found = getattr(kind, name)
        assert type(found) is kind
        assert (found.name, repr(found)) == (name, f"{kind.__name__}.{name}")


@pytest.mark.parametrize("one", [Phase.OPEN, State.NEW, Verdict.LIVE])
def test_a_copy_is_the_same_one(one: Constant) -> None:
    """However it is copied, or what holds it."""
    assert copy.copy(one) is copy.deepcopy(one) is pickle.loads(pickle.dumps(one)) is one
    assert copy.copy(Session(SessionManager(MemoryStore()))).is_new

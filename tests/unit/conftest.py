"""A manager without a network, for the unit tests of the core."""

from __future__ import annotations

import pytest

from tests.support.core import NotingStore
from tornado_shared_session import SessionEvent, SessionManager
from tornado_shared_session.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """The store's clock."""
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> NotingStore:
    """An empty store."""
    return NotingStore(clock)


@pytest.fixture
def events() -> list[SessionEvent]:
    """What was reported."""
    return []


@pytest.fixture
def manager(store: NotingStore, events: list[SessionEvent]) -> SessionManager:
    """A manager without a network."""
    return SessionManager(
        store, idle_timeout=1000, absolute_timeout=5000, touch_interval=50, on_event=events.append
    )

"""What handlers find in an Application's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ConfigurationError
from .manager import SessionManager


def manager_of(settings: Mapping[str, Any]) -> SessionManager:
    """Return the Application's session manager.

    Raises:
        ConfigurationError: there is none.
    """
    manager = settings.get("session_manager")
    if not isinstance(manager, SessionManager):
        raise ConfigurationError(
            "the Application has no session manager: pass it as"
            " Application(..., session_manager=SessionManager(...))"
        )
    return manager

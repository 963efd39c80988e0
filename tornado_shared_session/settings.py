"""What handlers find in an Application's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tornado.web import RequestHandler

from .errors import ConfigurationError
from .manager import SessionManager

if TYPE_CHECKING:
    _Handler = RequestHandler
else:
    _Handler = object


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


class WithManager(_Handler):
    """A handler that knows its Application's session manager."""

    _session_manager: SessionManager | None = None

    @property
    def session_manager(self) -> SessionManager:
        """The Application's session manager.

        Raises:
            ConfigurationError: there is none.
        """
        manager = self._session_manager
        if manager is None:
            manager = self._session_manager = manager_of(self.settings)
        return manager

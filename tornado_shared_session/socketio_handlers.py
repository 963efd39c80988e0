"""What a cancellation means in a handler: it raised, as with any exception.

python-socketio takes it for an answer. A connect handler whose lookup
was cancelled, by whoever shared it, would admit its client, and with
autosave what an event had changed by half would be stored.
"""

from __future__ import annotations

import functools
import inspect
from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socketio import AsyncServer as _Server
else:
    _Server = object


class Handlers(_Server):  # type: ignore[misc]  # python-socketio is untyped
    """The part of the server that registers handlers."""

    _autosave: bool

    def on(
        self,
        event: str,
        handler: Callable[..., Any] | None = None,
        namespace: str | None = None,
    ) -> Any:
        """Register an event handler; see `socketio.AsyncServer.on`."""
        server: Any = super()

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            server.on(event, _loud(handler) if self._matters(event) else handler, namespace)
            return handler

        return register if handler is None else register(handler)

    def register_namespace(self, namespace_handler: Any) -> None:
        """Register a class of handlers; see `socketio.AsyncServer.register_namespace`."""
        super().register_namespace(namespace_handler)
        for name in dir(namespace_handler):
            if name.startswith("on_") and self._matters(name.removeprefix("on_")):
                # On the object, where its trigger_event() looks first.
                setattr(namespace_handler, name, _loud(getattr(namespace_handler, name)))

    def _matters(self, event: str) -> bool:
        """Whether something is done when the handler has returned."""
        return event == "connect" or self._autosave


def _loud(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make a handler raise where it would be cancelled."""
    if not inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    async def run(*args: Any) -> Any:
        try:
            return await handler(*args)
        except CancelledError as error:
            raise RuntimeError("what a handler waited for was cancelled") from error

    return run

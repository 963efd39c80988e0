"""For each cycle that is broken: leave it, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

PAGE = "tests/unit/test_garbage.py::test_a_handler_is_freed_as_soon_as_its_response_is_sent"
PLAIN = (
    "tests/integration/test_socket_garbage.py"
    "::test_a_plain_websocket_is_freed_as_soon_as_it_has_gone"
)
SOCKET = "tests/integration/test_socket_garbage.py::test_a_socket_is_freed_as_soon_as_it_has_gone"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "a page: the handler and its carrier": (
        "carrier.py",
        "self._handler = weakref.ref(handler)",
        "self._handler = lambda: handler",
        PAGE + "[False]",
    ),
    "a page that would end: the handler and its connection": (
        "streaming.py",
        "        self._handler._session_stream = None  # what",
        "        # what",
        PAGE + "[True]",
    ),
    "a WebSocket: the handler and its own methods": (
        "websocket.py",
        "                vars(self).pop(name, None)",
        "                pass",
        PLAIN + "[client]",
    ),
    "a WebSocket: the handler and its connection": (
        "websocket_close.py",
        "        self._handler = None  # what",
        "        # what",
        PLAIN + "[session]",
    ),
    "Socket.IO: the error by which Engine.IO knows that a client left": (
        "frames.py",
        "if idle is None or not idle.cancel():",
        "if True:",
        SOCKET + "[websocket-client]",
    ),
    "Socket.IO: the same for a client that was dropped": (
        "frames.py",
        "        if isinstance(message, str) and not",
        "        self.session_idle = None\n        if isinstance(message, str) and not",
        SOCKET + "[websocket-malformed]",
    ),
    "Socket.IO: the connection and its ending": (
        "ending.py",
        "        self._connection.ending = _OVER  # what",
        "        # what",
        SOCKET + "[websocket-session]",
    ),
    "Socket.IO: what sleeps holds the connection": (
        "ending.py",
        "    socket.queue.overflow = None\n",
        "",
        SOCKET + "[polling-session]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_cycle_is_noticed(name: str) -> None:
    """The test that is named for a cycle fails where it is left."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

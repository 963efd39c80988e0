"""What hostile requests found missing: take it out again, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

EVENTS = "tests/integration/test_socket_events.py::"
HANDSHAKE = "tests/integration/test_socket_handshake.py::"
POSTS = "tests/integration/test_socket_posts.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "any list is an event": (
        "socketio_gate.py",
        "isinstance(data[0], str) and ",
        "",
        EVENTS + "test_an_event_with_a_number_for_a_name_is_dropped[websocket]",
    ),
    "Engine.IO's own disconnect": (
        "endpoint.py",
        "    server.eio.disconnect = disconnect\n",
        "",
        POSTS + "test_a_post_that_engine_io_rejects_is_answered_and_closes[2-False]",
    ),
    "a socket goes in the middle of its request": (
        "socketio_gate.py",
        "asyncio.get_running_loop().call_soon(release, self.eio, connection.eio_sid)",
        "release(self.eio, connection.eio_sid)",
        POSTS + "test_a_post_that_engine_io_rejects_is_answered_and_closes[close-True]",
    ),
    "an old secret will do": (
        "endpoint.py",
        "if shown and connection.shows_another_secret(presented):",
        "if False:",
        HANDSHAKE + "test_a_superseded_credential_cannot_use_a_newer_connection[get]",
    ),
    "another secret is always a wrong one": (
        "endpoint.py",
        "shown = await self._is_newer(connection, presented)",
        "shown = False",
        HANDSHAKE + "test_a_newer_credential_ends_the_connection_of_the_older_one[get]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

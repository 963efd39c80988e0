"""What hostile requests found missing: take it out again, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

EVENTS = "tests/integration/test_socket_events.py::"
HANDSHAKE = "tests/integration/test_socket_handshake.py::"
LOOK_ALIKES = "tests/integration/test_look_alikes.py::"
ORIGINS = "tests/unit/test_origins.py::"
POSTS = "tests/integration/test_socket_posts.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "an acknowledgement may be number zero": (
        "socketio_packets.py",
        " and type(id) is int and id > 0",
        " and type(id) is int",
        EVENTS + "test_an_acknowledgement_of_what_was_never_asked_drops_its_client[websocket-ack]",
    ),
    "UPGRADE may come by POST": (
        "payload.py",
        " and p[0] != _UPGRADE",
        "",
        "tests/integration/test_socket_slow.py::"
        "test_an_upgrade_packet_in_a_post_is_400_and_closes[5]",
    ),
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
        "asyncio.get_running_loop().call_soon(release, self.eio, socket)",
        "release(self.eio, socket)",
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
    "an origin in other letters is the same": (
        "origins.py",
        "if origin in self._allowed or",
        "if origin.lower() in self._allowed or",
        LOOK_ALIKES + "test_look_alikes_are_refused_before_anything_else[polling]",
    ),
    "the beginning of an origin will do": (
        "origins.py",
        "if origin in self._allowed or",
        "if any(map(origin.startswith, self._allowed)) or",
        LOOK_ALIKES + "test_look_alikes_are_refused_before_anything_else[plain websocket]",
    ),
    "only the host of the own origin counts": (
        "origins.py",
        "origin in (own, _as_browsers_say(own))",
        'origin.partition("://")[2] == request.host.lower()',
        LOOK_ALIKES + "test_look_alikes_are_refused_before_anything_else[upgrade]",
    ),
    "Tornado sees what no URL could be": (
        "origins.py",
        'headers["Origin"] = "null"',
        "pass",
        LOOK_ALIKES + "test_tornados_own_protection_fails_at_no_origin",
    ),
    "a default port is that of any scheme": (
        "origins.py",
        "origin in (own, _as_browsers_say(own))",
        'origin in (own, own.removesuffix(":443").removesuffix(":80"))',
        ORIGINS + "test_a_host_with_the_port_that_browsers_leave_out_is_the_pages_own",
    ),
    "the beginning of a listed one is judged": (
        "origins.py",
        "_ORIGIN.fullmatch(origin)",
        "_ORIGIN.match(origin)",
        ORIGINS + "test_what_no_browser_sends_is_refused[https://a.example,https://b.example]",
    ),
    "a neighbour that names no Origin is let in": (
        "origins.py",
        'request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")',
        'request.headers.get("Sec-Fetch-Site", "none") != "cross-site"',
        LOOK_ALIKES
        + "test_a_request_that_names_no_origin_must_not_come_from_another_site[same-site-poll]",
    ),
    "the origin of the old drafts is none": (
        "origins.py",
        'origin = request.headers.get("Sec-WebSocket-Origin")',
        "pass",
        LOOK_ALIKES + "test_the_origin_of_the_old_drafts_is_an_origin[plain websocket]",
    ),
    "compression as python-socketio has it": (
        "endpoint.py",
        "            return None\n\n        @property",
        "            return {}\n\n        @property",
        LOOK_ALIKES + "test_compression_is_not_agreed_to[websocket]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

"""Take a limit away, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

SIZES = "tests/integration/test_size_limits.py::"
LIMITS = "tests/integration/test_socket_limits.py::"
CAP = "test_a_client_that_does_not_read_is_closed_at_a_byte_cap"
SLOW = "tests/integration/test_socket_slow.py::" + CAP
PLAIN = "tests/integration/test_websocket_limits.py::"
PILE = LIMITS + "test_an_attachment_pile_up_closes_and_frees"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "a session may have any size": (
        "limits.py",
        "if size > self.session:",
        "if False:",
        SIZES + "test_too_much_is_a_500_and_the_old_data_is_intact[redis-S40-session-save]",
    ),
    "a value may have any size": (
        "limits.py",
        "if len(data) > self.value:",
        "if False:",
        "tests/unit/test_limits.py::test_a_value_is_measured_by_its_encoded_bytes",
    ),
    "too large a value is decoded": (
        "mapping.py",
        "if len(data) > self._limits.value:",
        "if False:",
        SIZES + "test_a_stored_value_that_is_too_large_is_not_decoded",
    ),
    "any number of attachments": (
        "socketio_packets.py",
        "if packet.attachment_count > self.max_attachments:",
        "if False:",
        PILE + "[websocket-count]",
    ),
    "attachments of any size": (
        "socketio_packets.py",
        "if connection.attached > self.eio.max_http_buffer_size:",
        "if False:",
        PILE + "[websocket-bytes]",
    ),
    "half a packet of who is gone stays": (
        "socketio_gate.py",
        "        self._binary_packet.pop(connection.eio_sid, None)\n",
        "",
        LIMITS + "test_a_client_that_goes_in_the_middle_of_a_packet_leaves_nothing[websocket]",
    ),
    "the form of a packet is not looked at": (
        "socketio_packets.py",
        "            _check(packet)\n",
        "",
        LIMITS + "test_a_malformed_packet_closes_with_one_line_and_no_traceback[websocket-42[[]]]",
    ),
    "Engine.IO reads any payload": (
        "endpoint.py",
        "if connection is not None and not is_payload(body):",
        "if False:",
        LIMITS + "test_a_payload_that_engine_io_cannot_read_is_400_and_closes[True-17]",
    ),
    "a body is read before it is judged": (
        "endpoint.py",
        "    @stream_request_body  # so",
        "    # so",
        LIMITS + "test_a_large_post_to_no_connection_is_not_kept[bogus]",
    ),
    "a body without a length has no end": (
        "endpoint.py",
        "self._check_length(len(self.session_body))  # where no header says it",
        "pass",
        LIMITS + "test_a_post_that_is_too_large_is_400_and_closes[True]",
    ),
    "a request waits for a body that never comes": (
        "endpoint.py",
        "RequestHandler.on_connection_close(self)",
        "pass",
        LIMITS + "test_a_client_that_goes_in_the_middle_of_a_post_leaves_nothing",
    ),
    "a polling client's queue has no end": (
        "queues.py",
        "if self.waiting > self.most and self.overflow is not None and self._size(item):",
        "if False:",
        SLOW + "[polling]",
    ),
    "a WebSocket's buffer has no end": (
        "frames.py",
        "if waiting > self.session_host.max_queued:",
        "if False:",
        SLOW + "[websocket]",
    ),
    "a plain WebSocket's buffer has no end": (
        "websocket_close.py",
        "if waiting > most:",
        "if False:",
        PLAIN + CAP,
    ),
    "Tornado's ten megabytes": (
        "websocket.py",
        '"websocket_max_message_size", MESSAGE',
        '"websocket_max_message_size", 10 * MESSAGE',
        PLAIN + "test_a_message_that_is_too_large_closes_with_1009[None]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_limit_is_noticed(name: str) -> None:
    """The test that is named for a limit fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

"""For each condition of the short way: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

EXPRESS = "tests/integration/test_socket_express.py::"
WAITS = EXPRESS + "test_nothing_overtakes_a_packet_that_waits"
FRAMES = "tests/integration/test_socket_frames.py::"
LISTENS = EXPRESS + "test_who_listens_in_hears_everything"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "the farewell overtakes what was said before": (
        "ending.py",
        " or not socket.upgraded or socket.queue.undone:",
        " or not socket.upgraded:",
        "tests/integration/test_closing.py"
        "::test_what_was_said_before_the_end_is_heard_before_it[websocket]",
    ),
    "it overtakes what is queued": (
        "socketio_wire.py",
        "or socket.queue.undone",
        "or False",
        WAITS,
    ),
    "it is written during an upgrade": (
        "socketio_wire.py",
        "        or socket.upgrading\n",
        "",
        WAITS,
    ),
    "who answers no ping is answered": (
        "socketio_wire.py",
        "time.time() - socket.last_ping > eio.ping_timeout",
        "False",
        WAITS,
    ),
    "an event comes between a packet and its attachment": (
        "socketio_express.py",
        "or connection.eio_sid in self._binary_packet",
        "or False",
        WAITS,
    ),
    "the admin page sees nothing": (
        "socketio_wire.py",
        "and AsyncSocket._websocket_handler is _LONG_WAY  #",
        "and True  #",
        LISTENS + "[websocket]",
    ),
    "another handler of messages sees nothing": (
        "socketio_express.py",
        'and self.eio.handlers.get("message") == self._handle_eio_message',
        "and True",
        LISTENS + "[message]",
    ),
    "the log sees nothing": (
        "socketio_express.py",
        "and not self.logger.isEnabledFor(logging.INFO)",
        "and True",
        LISTENS + "[logger]",
    ),
    "who is not connected is heard": (
        "socketio_express.py",
        "or not self.manager.is_connected(sid, namespace)",
        "or False",
        EXPRESS + "test_who_is_being_disconnected_is_not_heard",
    ),
    "who has ended is answered": (
        "socketio_wire.py",
        "        or connection.phase is not Phase.OPEN\n",
        "",
        FRAMES + "test_who_has_ended_is_not_answered",
    ),
    "the log of Engine.IO misses an answer": (
        "socketio_wire.py",
        "        or eio.logger.isEnabledFor(logging.INFO)\n",
        "",
        FRAMES + "test_a_connect_is_answered_by_the_short_way[logged-websocket]",
    ),
    "a tracing tool misses an answer": (
        "socketio_express.py",
        'and getattr(super(Admission, self)._send_packet, "__func__", None) is _SEND',
        "and True",
        FRAMES + "test_who_listens_to_what_is_said_hears_it_all[server]",
    ),
    "a subclass of the handler misses an answer": (
        "socketio_wire.py",
        "        or type(handlers[0]).write_message is not Frames.write_message\n",
        "",
        FRAMES + "test_who_listens_to_what_is_said_hears_it_all[websocket]",
    ),
    "nothing is compressed": (
        "frames.py",
        "self.get_compression_options() is None and type",
        "type",
        FRAMES + "test_a_subclass_may_have_its_websockets_compressed",
    ),
    "bytes are sent as what they are": (
        "frames.py",
        " and type(message) is (bytes if binary else str):",
        ":",
        FRAMES + "test_a_subclass_may_say_something_itself",
    ),
    "many frames of one read are handled in one turn": (
        "frames.py",
        "            return turn\n",
        "            return None\n",
        FRAMES + "test_others_have_a_turn_between_two_frames_of_one_read",
    ),
    "a flood is handled all at once": (
        "socketio_express.py",
        "or connection.taken >= _AT_ONCE",
        "or False",
        EXPRESS + "test_a_flood_takes_the_long_way",
    ),
    "clients trigger connect": (
        "socketio_express.py",
        "or data[0] in self.reserved_events",
        "or False",
        "tests/integration/test_socket_session.py::"
        "test_clients_cannot_trigger_connect_and_disconnect[websocket]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_condition_is_noticed(name: str) -> None:
    """The test that is named for a condition fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

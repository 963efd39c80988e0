"""For each check on the way of a socket: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

CLOSING = "tests/integration/test_closing.py::"
CONNECT = "tests/integration/test_socket_connect.py::"
REFUSALS = "tests/integration/test_socket_refusals.py::"
EVENTS = "tests/integration/test_socket_events.py::"
HANDSHAKE = "tests/integration/test_socket_handshake.py::"
LEAKS = "tests/integration/test_socket_leaks.py::"
ORIGINS = "tests/integration/test_socket_origins.py::"
ROTATION = "tests/integration/test_socket_rotation.py::"
SESSION = "tests/integration/test_socket_session.py::"
SEAMS = "tests/integration/test_seams.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "register after the load": (
        "handshake.py",
        """        self.manager.connections.add(connection)
        try:
            session = await self.manager.resolve(presented, carrier)
""",
        """        try:
            session = await self.manager.resolve(presented, carrier)
            self.manager.connections.add(connection)
""",
        ROTATION + "test_a_logout_meets_a_connection_that_is_loading" + WS,
    ),
    "no generation in admit": (
        "connections.py",
        "if record.generation < self.minimum:",
        "if False:",
        ROTATION + "test_a_rotation_notice_leaves_a_minimum" + WS,
    ),
    "a notice leaves no minimum": (
        "watcher.py",
        "connection.minimum = max(connection.minimum, generation)",
        "pass",
        ROTATION + "test_a_rotation_notice_leaves_a_minimum" + WS,
    ),
    "no check at a namespace CONNECT": (
        "socketio_admission.py",
        "session = await self.load_session(connection)",
        "session = connection.session",
        ROTATION + "test_a_namespace_connect_asks_the_store" + WS,
    ),
    "no check at an upgrade": (
        "endpoint.py",
        "if asks and await server.load_session(connection) is None:",
        "if False:",
        ROTATION + "test_an_upgrade_asks_the_store",
    ),
    "no generation in the room": (
        "rooms.py",
        '{id}.{generation}"',
        '{id}"',
        ROTATION + "test_the_room_of_the_new_generation_is_another" + WS,
    ),
    "no outgoing gate": (
        "socketio_admission.py",
        "        if connection.withheld:\n",
        "        if False:\n",
        CONNECT + "test_nothing_is_heard_while_the_connect_handler_decides" + WS,
    ),
    "what was withheld is dropped": (
        "socketio_admission.py",
        "held.append((send, packet))",
        "pass",
        CONNECT + "test_what_the_connect_handler_emits_arrives_after_admission" + WS,
    ),
    "the gate opens before the emits of this turn have run": (
        "socketio_admission.py",
        "await asyncio.sleep(0)",
        "pass",
        CONNECT + "test_nothing_is_heard_while_the_connect_handler_decides" + WS,
    ),
    "an exception in connect is no refusal": (
        "socketio_admission.py",
        'raise socketio.exceptions.ConnectionRefusedError("Unable to connect") from error',
        "raise",
        REFUSALS + "test_a_handler_that_raises_takes_an_early_answer_back" + WS,
    ),
    "what python-socketio could not undo stays": (
        "socketio_admission.py",
        "if left is not None and not self.manager.is_connected(left, namespace):",
        "if False:",
        REFUSALS + "test_a_refusal_that_no_packet_can_carry_refuses[websocket-date]",
    ),
    "a cancelled connect handler has agreed": (
        "socketio_handlers.py",
        'return event == "connect" or self._autosave',
        "return self._autosave",
        REFUSALS + "test_a_connect_handler_that_was_cancelled_refuses[websocket-class]",
    ),
    "a refused connect is not undone": (
        "socketio_admission.py",
        "                self._by_sid.pop(sid, None)\n",
        "",
        CONNECT + "test_a_connect_handler_that_raises_refuses" + WS,
    ),
    "a connect that outlived its transport is not undone": (
        "socketio_admission.py",
        "await self._handle_disconnect(eio_sid, namespace, self.eio.reason.SERVER_DISCONNECT)",
        "pass",
        CONNECT + "test_a_client_that_leaves_during_a_slow_connect_handler_leaks_nothing[polling]",
    ),
    "a second CONNECT is not told apart": (
        "socketio_admission.py",
        "if namespace in connection.withheld or namespace in connection.sids:",
        "if False:",
        CONNECT + "test_two_connects_at_once_do_not_undo_each_other",
    ),
    "Redis down at CONNECT is final": (
        "socketio_admission.py",
        "if connection.sids.keys() - {namespace}:",
        "if True:",
        CONNECT + "test_redis_down_during_connect_refuses_for_now" + WS,
    ),
    "no deadline for transports that never connect": (
        "endpoint.py",
        "connection.close_unless_connected(server.connect_timeout)",
        "pass",
        LEAKS + "test_a_transport_that_never_connects_is_closed" + WS,
    ),
    "no check at an event": (
        "socketio_gate.py",
        "return session is not None, session",
        "return True, session",
        EVENTS + "test_an_event_after_the_end_runs_no_handler" + WS,
    ),
    "no check at an acknowledgement": (
        "socketio_gate.py",
        "(await self._before(connection))[0]",
        "True",
        EVENTS + "test_an_acknowledgement_after_the_end_resolves_nothing" + WS,
    ),
    "no generation at an event": (
        "liveness.py",
        "if record is not None and record.generation == connection.generation:",
        "if record is not None:",
        EVENTS + "test_an_event_after_a_rotation_runs_no_handler" + WS,
    ),
    "an end during an event's load is overlooked": (
        "liveness.py",
        "if connection.phase is not Phase.OPEN or connection.id is not id:",
        "if connection.id is not id:",
        EVENTS + "test_a_session_that_ends_while_an_event_loads_runs_no_handler" + WS,
    ),
    "clients may name reserved events": (
        "socketio_gate.py",
        " and data[0] not in self.reserved_events:",
        ":",
        SESSION + "test_clients_cannot_trigger_connect_and_disconnect" + WS,
    ),
    "a load outlives its event": (
        "socketio_gate.py",
        "handled.session = None",
        "pass",
        SESSION + "test_a_task_that_outlives_its_event_reads_anew[websocket-event]",
    ),
    "who has given up takes what comes": (
        "queues.py",
        "if not getter.done():",
        "if True:",
        "tests/unit/test_queues.py::test_who_gives_up_takes_nothing",
    ),
    "taken is as good as sent": (
        "queues.py",
        "        if self.undone == 0:\n",
        "        if True:\n",
        "tests/unit/test_queues.py::test_a_queue_is_drained_when_all_of_it_is_on_its_way",
    ),
    "all rooms are looked at when a client goes": (
        "socketio_rooms.py",
        "self._manager.rooms, {namespace: {}}",
        "self._manager.rooms, self._manager.rooms",
        "tests/integration/test_rooms.py"
        "::test_a_client_that_goes_costs_no_look_at_the_rooms_of_others[polling]",
    ),
    "an upgrade that was given up still holds polling back": (
        "transport.py",
        "socket.upgrading = False",
        "pass",
        CLOSING + "test_an_upgrade_that_is_given_up_leaves_polling_as_it_was",
    ),
    "an ended connection hands out what was queued": (
        "endpoint.py",
        "connection.keep_farewell()",
        "pass",
        CLOSING + "test_an_ended_connection_answers_a_stranger_with_the_farewell_only",
    ),
    "a frame that is not Engine.IO is let through": (
        "frames.py",
        "if isinstance(message, str) and not is_packet(message):",
        "if False:",
        CLOSING + "test_a_frame_that_is_not_engine_io_closes_at_once",
    ),
    "one failing close stops the others": (
        "connections.py",
        "            except Exception:  # a handler of the application may be what failed\n",
        "            except KeyError:\n",
        CLOSING + "test_one_connection_that_fails_to_close_does_not_stop_the_others" + WS,
    ),
    "a closing manager leaves its sockets": (
        "watcher.py",
        'self._manager.connections.end_one(connection, "shutdown")',
        "pass",
        CLOSING + "test_a_closing_manager_says_shutdown" + WS,
    ),
    "any session may use a connection": (
        "endpoint.py",
        "            if not shown:\n                raise",
        "            if False:\n                raise",
        HANDSHAKE + "test_a_connection_answers_only_its_own_session[post]",
    ),
    "a returned cookie changes nothing": (
        "handshake.py",
        "if record.provisional:",
        "if False:",
        HANDSHAKE + "test_a_cookie_that_comes_back_makes_the_record_normal" + WS,
    ),
    "no origin check": (
        "endpoint.py",
        "if not handshaker.origins.allows(self.request):",
        "if False:",
        ORIGINS + "test_only_listed_origins_and_the_pages_own_come_in",
    ),
    "Sec-Fetch-Site does not matter": (
        "origins.py",
        'return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")',
        "return True",
        ORIGINS + "test_a_cross_site_request_without_origin_is_refused",
    ),
    "the environ keeps the cookie": (
        "socketio_gate.py",
        'environ.pop("HTTP_COOKIE", None)',
        "pass",
        ORIGINS + "test_handlers_see_the_real_address_and_no_cookie" + WS,
    ),
    "refused CONNECTs push the deadline on": (
        "transport.py",
        "if self.timer.when() <= loop.time() + seconds:",
        "if False:",
        LEAKS + "test_refused_connects_do_not_push_the_deadline_on",
    ),
    "a failed handshake keeps its connection": (
        "handshake.py",
        """            except BaseException:
                self._forget(connection)
                raise
            handler""",
        """            except BaseException:
                raise
            handler""",
        HANDSHAKE + "test_a_handshake_that_fails_late_leaves_no_connection",
    ),
    "Nagle": (
        "frames.py",
        "self.set_nodelay(True)",
        "pass",
        SEAMS + "test_websockets_do_not_wait_for_nagle" + WS,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

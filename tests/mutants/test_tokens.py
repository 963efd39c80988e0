"""For each check of token mode: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

ADMISSION = "tests/integration/test_tokens_admission.py::"
LOGIN = "tests/integration/test_tokens_login.py::"
SOCKET = "tests/integration/test_tokens_socket.py::"
SWITCH = "tests/integration/test_tokens_switch.py::"
WS = "[websocket]"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "whoever waits hears": (
        "socketio_admission.py",
        """    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is not Phase.OPEN:
""",
        """    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        connection = self._by_eio.get(eio_sid)
        if connection is None or connection.phase is Phase.ENDED:
""",
        SOCKET + "test_a_socket_without_a_token_hears_nothing" + WS,
    ),
    "whoever waits may connect nothing": (
        "socketio_admission.py",
        "connection.phase is Phase.ENDED or pkt.packet_type not in _CONNECTING",
        "True",
        SOCKET + "test_a_socket_without_a_token_hears_nothing" + WS,
    ),
    "the connect handler does not wait": (
        "socketio_tokens.py",
        "                return None  # python-socketio answers",
        "                event.connection.phase = Phase.OPEN  # python-socketio answers",
        SOCKET + "test_namespaces_share_the_session_of_one_token" + WS,
    ),
    "events from before the token are handled after it": (
        "socketio_tokens.py",
        "return connection.phase is not Phase.OPEN",
        "return False",
        SOCKET + "test_an_event_from_before_the_token_is_not_run_after_it",
    ),
    "no auth_timeout": (
        "socketio_tokens.py",
        'connection.end("no_token")',
        "pass",
        SOCKET + "test_a_socket_that_shows_no_token_is_closed" + WS,
    ),
    "the token stays in auth": (
        "socketio_tokens.py",
        'if key != "token"}',
        "}",
        SOCKET + "test_a_token_in_auth_gives_the_session" + WS,
    ),
    "handlers see the header": (
        "socketio_gate.py",
        'environ.pop("HTTP_AUTHORIZATION", None)',
        "pass",
        SOCKET + "test_a_token_in_the_handshakes_header_gives_the_session" + WS,
    ),
    "register after the load": (
        "socketio_switch.py",
        """            self._rekey(connection, credential.id, Phase.LOADING)
            self.sessions.connections.add(away)
            try:
                errors = await self._load(connection, credential, token)
""",
        """            try:
                session = await self.sessions.resolve([credential], None)
                self._rekey(connection, credential.id, Phase.LOADING)
                self._admit(connection, session, token)
                errors = ""
""",
        ADMISSION + "test_a_logout_meets_a_token_that_is_loading" + WS,
    ),
    "no generation in admit": (
        "connections.py",
        "if record.generation < self.minimum:",
        "if False:",
        ADMISSION + "test_a_login_meets_a_token_that_is_loading" + WS,
    ),
    "a namespace that waited hears before its handler agrees": (
        "socketio_switch.py",
        "            connection.withheld[namespace] = []\n",
        "            connection.withheld.setdefault('x', [])\n",
        ADMISSION + "test_nothing_is_heard_while_a_handler_that_waited_decides[polling]",
    ),
    "a refusal that comes late is none": (
        "socketio_tokens.py",
        "        except REFUSALS:\n            return False\n",
        "        except REFUSALS:\n            return True\n",
        ADMISSION + "test_a_connect_handler_that_waited_may_refuse" + WS,
    ),
    "anonymous clients get a session all the same": (
        "socketio_switch.py",
        "or not self._creates:",
        "or False:",
        ADMISSION + "test_anonymous_clients_may_be_refused" + WS,
    ),
    "no login is required": (
        "socketio_switch.py",
        "if self._login_required and session.user_id is None:",
        "if False:",
        ADMISSION + "test_a_login_may_be_required" + WS,
    ),
    "a switch leaves the registry as it was": (
        "socketio_switch.py",
        "        connections.discard(connection)\n",
        "",
        SWITCH + "test_another_token_switches_the_connection" + WS,
    ),
    "a switch leaves the rooms as they were": (
        "socketio_switch.py",
        "manager.basic_leave_room(sid, namespace, room)",
        "pass",
        SWITCH + "test_another_token_switches_the_connection" + WS,
    ),
    "a switch leaves the application's rooms as they were": (
        "socketio_switch.py",
        "self._move(connection, everything=True)",
        "self._move(connection, everything=False)",
        SWITCH + "test_another_token_switches_the_connection" + WS,
    ),
    "it speaks and hears while it switches": (
        "socketio_switch.py",
        "connection.id, connection.phase, connection.minimum = id, phase, 0",
        "connection.id, connection.minimum = id, 0",
        SWITCH + "test_nothing_is_heard_or_handled_while_it_switches",
    ),
    "what ended during a failed switch is not looked up": (
        "socketio_switch.py",
        "self._look_up(connection.id)",
        "pass",
        SWITCH + "test_an_end_during_a_failed_switch_is_not_missed" + WS,
    ),
    "a load of the session before is taken for one of this": (
        "liveness.py",
        "if connection.phase is not Phase.OPEN or connection.id is not id:",
        "if connection.phase is not Phase.OPEN:",
        SWITCH + "test_an_event_that_loads_while_it_switches_does_not_mix",
    ),
    "who asks while it switches hears that all is over": (
        "socketio_sessions.py",
        "if connection.phase is Phase.LOADING and connection.rotation is not None:",
        "if False:",
        SWITCH + "test_who_asks_while_it_switches_is_given_the_new_session",
    ),
    "an event reads on in another session": (
        "socketio_sessions.py",
        "if event is not None and event.id and event.id is not connection.id:",
        "if False:",
        SWITCH + "test_an_event_of_the_session_before_is_not_acknowledged" + WS,
    ),
    "an event is acknowledged to another session": (
        "socketio_gate.py",
        """            if connection.id is not id:
                return self.not_handled  # it has switched to another session
""",
        "            id = connection.id\n",
        SWITCH + "test_an_event_that_outlives_its_session_is_not_acknowledged" + WS,
    ),
    "what was made for a socket stays": (
        "socketio_switch.py",
        "await store.delete(id, generation=generation + 1)",
        "pass",
        SWITCH + "test_asking_again_and_again_fills_nothing" + WS,
    ),
    "a socket alone makes a session a normal one": (
        "session.py",
        "save(self, touch=False)",
        "save(self)",
        SWITCH + "test_an_empty_gettoken_returns_the_token_it_has" + WS,
    ),
    "what was written is deleted": (
        "socketio_switch.py",
        "if record is not None and record.provisional:",
        "if record is not None:",
        SWITCH + "test_asking_again_and_again_fills_nothing" + WS,
    ),
    "an empty getToken makes a session": (
        "socketio_switch.py",
        'if has and token == "":',
        "if False:",
        SWITCH + "test_an_empty_gettoken_returns_the_token_it_has" + WS,
    ),
    "a dead token in auth costs the session": (
        "socketio_switch.py",
        "if not errors or (has and connecting):",
        "if not errors:",
        SWITCH + "test_a_dead_token_in_auth_costs_no_session" + WS,
    ),
    "any number of questions may wait": (
        "socketio_tokens.py",
        "_MOST = 8 ",
        "_MOST = 800 ",
        SWITCH + "test_too_many_questions_at_once_are_answered_at_once",
    ),
    "a login in an event stays where it was": (
        "socketio_switch.py",
        "        connection.generation += 1\n",
        "",
        LOGIN + "test_a_login_in_an_event_moves_the_connection[websocket-login]",
    ),
    "a login in an event closes no other": (
        "socketio_switch.py",
        'self.spawn(self.sessions.announce("rotated", [connection.id]))',
        "pass",
        LOGIN + "test_a_login_in_an_event_closes_the_other_connections" + WS,
    ),
    "the header of the handshake is an old secret": (
        "transport.py",
        "            return False  # the header of the handshake",
        "            pass  # the header of the handshake",
        LOGIN + "test_a_header_from_before_a_login_in_an_event_keeps_its_connection",
    ),
    "an event does not wait for a login beside it": (
        "liveness.py",
        "and (rotation.locked() or connection.generation != generation)",
        "and False",
        LOGIN + "test_an_event_beside_a_login_waits_for_it",
    ),
    "the watcher does not wait for a login": (
        "watcher.py",
        "if connection.rotation is not None and connection.rotation.locked():",
        "if False:",
        LOGIN + "test_an_event_beside_a_login_waits_for_it",
    ),
    "a replaced token is given another": (
        "socketio_switch.py",
        "errors in (LOGIN_REQUIRED, REPLACED)",
        "errors == LOGIN_REQUIRED",
        SOCKET + "test_a_superseded_token_is_answered_with_none" + WS,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

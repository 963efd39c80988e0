"""For each check of WebSockets, streams and CORS: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

CORS = "tests/integration/test_cors.py::"
HANDSHAKE = "tests/integration/test_websocket_handshake.py::"
RACES = "tests/integration/test_streaming_races.py::"
STREAM = "tests/integration/test_streaming.py::"
WS = "tests/integration/test_websocket.py::"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "messages are handled after the end": (
        "websocket.py",
        "        if connection.phase is not Phase.OPEN or connection.leaving:\n",
        "        if False:\n",
        WS + "test_messages_that_wait_at_the_end_are_not_handled[/ws]",
    ),
    "session_reload does not read": (
        "websocket.py",
        "if self.session_reload:",
        "if False:",
        WS + "test_no_message_is_handled_after_the_end_though_no_notice_came[logout]",
    ),
    "a message of an ended session is handled": (
        "websocket.py",
        "                if session is None:\n                    return\n",
        "",
        WS + "test_no_message_is_handled_after_the_end_though_no_notice_came[login]",
    ),
    "the end is not looked at after a reload": (
        "liveness.py",
        "    if connection.phase is not Phase.OPEN or",
        "    if",
        WS + "test_a_logout_meets_a_message_that_is_reloading",
    ),
    "messages are handled side by side": (
        "websocket.py",
        "        await self._session_run(connection, partial(handle, message))\n",
        "        asyncio.ensure_future(self._session_run(connection, partial(handle, message)))\n",
        WS + "test_messages_that_wait_at_the_end_are_not_handled[/ws]",
    ),
    "messages are no activity": (
        "websocket.py",
        "await liveness.keep_alive(manager, connection, session)",
        "pass",
        WS + "test_messages_are_activity",
    ),
    "the close has no code": (
        "websocket_close.py",
        "self._handler.close(code, self.reason)",
        "self._handler.close()",
        WS + "test_a_silent_socket_is_closed_at_its_expiry",
    ),
    "a stream of HTTP/1.0 has no end": (
        "streaming.py",
        'handler.request.version == "HTTP/1.0"',
        "False",
        STREAM + "test_a_stream_of_http_1_0_ends_with_its_connection",
    ),
    "a mute client is not cut off": (
        "websocket_close.py",
        "            if self.stream is not None:\n                self.stream.close()",
        "            pass",
        WS + "test_a_mute_client_is_cut_off",
    ),
    "a write to an ended socket is an error": (
        "websocket.py",
        "if connection.reason not in REASONS and connection.reason != TOO_SLOW:",
        "if True:",
        WS + "test_a_client_that_does_not_read_is_cut_off",
    ),
    "a failed write is never looked at": (
        "websocket.py",
        "written.add_done_callback(look)",
        "pass",
        WS + "test_a_write_that_nobody_awaits_is_no_error",
    ),
    "login works though nothing carries its credential": (
        "websocket.py",
        "connection.session._carrier = None",
        "pass",
        WS + "test_a_session_ended_by_its_own_message_closes_it",
    ),
    "an ended session is opened": (
        "websocket.py",
        "            connection.say_why()  # it ended while the 101 was made",
        "            pass",
        HANDSHAKE + "test_an_end_before_open_closes_it",
    ),
    "the origin is left to Tornado": (
        "websocket.py",
        "if not manager.origins.allows(self.request):",
        "if False:",
        HANDSHAKE + "test_the_managers_origins_decide_before_the_101"
        "[same-origin-https://sub.ok.example-403]",
    ),
    "Tornado's origin check decides too": (
        "websocket.py",
        "    def check_trusted_origin(self, origin: str) -> bool:",
        "    def _check_nothing(self, origin: str) -> bool:",
        HANDSHAKE + "test_a_handler_cannot_let_in_more_origins",
    ),
    "a failed upgrade is kept": (
        "websocket.py",
        "pop(name, None)\n            self._session_forget(connection)\n",
        "pop(name, None)\n",
        HANDSHAKE + "test_forgotten_whatever_the_handler_overrides",
    ),
    "a refusal in prepare() is kept": (
        "websocket.py",
        "if self._session_connection is not None and self.get_status() != 101:",
        "if False:",
        HANDSHAKE + "test_a_refusal_in_prepare_is_forgotten",
    ),
    "a client that left is opened": (
        "websocket.py",
        "if self._session_client_gone:",
        "if False:",
        HANDSHAKE + "test_a_client_that_leaves_during_its_handshake_is_forgotten",
    ),
    "prepare() without super() opens a socket": (
        "websocket.py",
        "            if _is_upgrade(self):\n                raise",
        "            if False:\n                raise",
        HANDSHAKE + "test_prepare_without_super_opens_nothing",
    ),
    "a stream is registered after the load": (
        "streaming.py",
        "    manager.connections.add(connection)\n    try:\n"
        "        session = await manager.resolve(presented, carrier)\n",
        "    try:\n        session = await manager.resolve(presented, carrier)\n"
        "        manager.connections.add(connection)\n",
        RACES + "test_an_end_meets_a_request_that_is_loading[logout]",
    ),
    "nobody watches when the first stream loads": (
        "streaming.py",
        "    watch(manager)  # from here",
        "    # from here",
        RACES + "test_an_end_meets_a_request_that_is_loading[login]",
    ),
    "a client that left is watched": (
        "streaming.py",
        "if connection.stream is None or connection.stream.closed():",
        "if False:",
        RACES + "test_a_client_that_leaves_while_it_loads_is_forgotten",
    ),
    "a stream does not know its deadline": (
        "streaming.py",
        "watch(self._manager).expect(self.id, self.deadline)",
        "pass",
        STREAM + "test_a_silent_stream_ends_at_its_expiry",
    ),
    "a login in a stream ends it": (
        "streaming.py",
        'if reason == "rotated" and record is not None',
        "if False and record is not None",
        RACES + "test_the_response_with_the_new_credential_goes_on[]",
    ),
    "a reload in the middle of a login ends the stream": (
        "streaming.py",
        "if session._is_busy():  # perhaps",
        "if False:  # perhaps",
        RACES + "test_a_reload_in_the_middle_of_a_login_ends_nothing",
    ),
    "nobody looks again after a login": (
        "streaming.py",
        "            watch(self._manager).notice(Notice(reason, (self.id,)))",
        "            pass",
        RACES + "test_a_rotation_elsewhere_during_a_save_ends_the_stream",
    ),
    "a session of its own is not followed": (
        "streaming.py",
        "    elif session._state is State.LIVE:",
        "    elif False:",
        RACES + "test_a_session_that_began_with_the_stream_ends_it",
    ),
    "a logout of its own is a 401": (
        "streaming.py",
        "return carrier.revoke  # until",
        "return False  # until",
        RACES + "test_a_handler_may_end_its_own_session",
    ),
    "a logout of its own does not end the stream": (
        "streaming.py",
        "        if session._state is State.ENDED:  # by the handler itself",
        "        if False:",
        RACES + "test_a_handler_may_end_its_own_session",
    ),
    "what ended can still be written to": (
        "streaming.py",
        "        vars(handler).update(\n",
        "        dict().update(\n",
        STREAM + "test_a_handler_that_goes_on_writing_is_a_debug_line[flush=1&writes=3]",
    ),
    "the handler is not told": (
        "streaming.py",
        "            self._on_connection_close()\n        except",
        "        except",
        STREAM + "test_a_handler_that_goes_on_writing_is_a_debug_line[]",
    ),
    "a client that does not read is waited for": (
        "streaming.py",
        "timeout=_GRACE",
        "timeout=None",
        STREAM + "test_a_client_that_does_not_read_is_cut_off",
    ),
    "unsaved changes are a conflict": (
        "streaming.py",
        "session._end(reason)  # what",
        "pass  # what",
        STREAM + "test_unsaved_changes_of_an_ended_session_are_dropped",
    ),
    "a finished response is kept": (
        "streaming.py",
        "        handler.on_finish = self._on_finish",
        "        self._on_finish",
        STREAM + "test_it_is_forgotten_when_its_response_is_finished[]",
    ),
    "a stream begins without the store": (
        "web.py",
        "            if self.close_on_end:\n                raise  #",
        "            if False:\n                raise  #",
        RACES + "test_a_store_that_is_down_is_a_503",
    ),
    "a preflight loads the session": (
        "cors.py",
        "            raise Finish  #",
        "            pass  #",
        CORS + "test_a_preflight_is_204_and_costs_nothing",
    ),
    "every origin is named": (
        "cors.py",
        "if manager.origins.lists(origin):",
        "if origin:",
        CORS + "test_other_origins_get_no_cors_header[https://ok.example:444]",
    ),
    "every preflight is granted": (
        "cors.py",
        'if origins.lists(headers.get("Origin")):',
        "if True:",
        CORS + "test_other_origins_get_no_cors_header[null]",
    ),
    "caches are not told": (
        "cors.py",
        'self.add_header("Vary", "Origin")',
        "pass",
        CORS + "test_other_origins_get_no_cors_header[None]",
    ),
    "listed origins may not write": (
        "cors.py",
        "return listed or super()",
        "return super()",
        CORS + "test_cross_origin_protection_lets_listed_origins_write[https://ok.example]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_mutant_is_killed(name: str) -> None:
    """The named test fails when this is taken out."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

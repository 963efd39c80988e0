"""For each guard of the drain, of forks and of event loops: take it out, and a test fails."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

DRAIN = "tests/integration/test_drain.py::"
BOUNDS = "tests/integration/test_drain_bounds.py::"
FORKS = "tests/integration/test_forks.py::"
LOOPS = "tests/integration/test_event_loops.py::"

#: What is taken out: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "handlers under way are not waited for": (
        "draining.py",
        "        if connection.running:\n            self._waiting",
        "        if False:\n            self._waiting",
        DRAIN + "test_an_event_under_way_is_acknowledged_before_its_socket_is_told[websocket]",
    ),
    "handlers whose client has left are not waited for": (
        "draining.py",
        " and not connections.running",
        "",
        DRAIN + "test_an_event_whose_client_has_left_is_let_through[websocket]",
    ),
    "handlers whose client has left are not counted": (
        "draining.py",
        "cut, busy = self._manager.connections.running,",
        "cut, busy = 0,",
        BOUNDS + "test_a_handler_whose_client_has_left_is_cut_and_counted",
    ),
    "a leaving socket begins another event": (
        "socketio_gate.py",
        "        if connection.leaving:\n",
        "        if False:\n",
        DRAIN + "test_an_event_under_way_is_acknowledged_before_its_socket_is_told[websocket]",
    ),
    "a leaving WebSocket begins another message": (
        "websocket.py",
        " or connection.leaving:",
        ":",
        DRAIN + "test_plain_websockets_and_streams_end_too",
    ),
    "new sockets get in": (
        "handshake.py",
        "        if self.manager.draining is not None:\n",
        "        if False:\n",
        DRAIN + "test_a_new_websocket_is_refused",
    ),
    "clients that wait for a token get in": (
        "socketio_tokens.py",
        "        self.handshaker.check_open()\n",
        "",
        DRAIN + "test_a_client_that_waits_for_its_token_ends_too_and_no_other_gets_in",
    ),
    "who waits for a token is left": (
        "draining.py",
        "            phases.add(Phase.LOADING)  # some wait for a token\n",
        "            pass\n",
        DRAIN + "test_a_handshake_that_takes_too_long_is_503",
    ),
    "a handshake that a drain ends is refused for good": (
        "handshake.py",
        '            if error.reason == "shutdown":\n',
        "            if False:\n",
        DRAIN + "test_a_handshake_that_takes_too_long_is_503",
    ),
    "a handshake under way is not let in": (
        "draining.py",
        "        self._loading_until = math.inf\n",
        "        self._loading_until = 0.0\n",
        DRAIN + "test_a_handshake_under_way_is_let_in_and_told_or_refused_for_now",
    ),
    "requests under way are not waited for": (
        "draining.py",
        "        await self._until(self._cut_at, self._quiet)\n",
        "        self._store_at = 0.0\n",
        DRAIN + "test_a_request_under_way_is_answered_and_what_it_wrote_is_stored",
    ),
    "a body on its way counts as idle": (
        "serving.py",
        "    return stream.reading() and stream._read_regex is not None\n",
        "    return stream.reading()\n",
        "tests/integration/test_seams.py::test_tornado_still_shows_which_requests_are_under_way",
    ),
    "connections go on for ever": (
        "serving.py",
        "no_keep_alive = True",
        "no_keep_alive = False",
        DRAIN + "test_a_kept_alive_connection_serves_no_new_socket_and_one_last_request",
    ),
    "connections are accepted": (
        "serving.py",
        "        self._server.stop()\n",
        "",
        DRAIN + "test_a_request_under_way_is_answered_and_what_it_wrote_is_stored",
    ),
    "all sockets are told at once": (
        "draining.py",
        "                await asyncio.sleep(max(0.0, due - self._now()))\n",
        "                await asyncio.sleep(0)\n",
        BOUNDS + "test_sockets_are_told_a_few_at_a_time",
    ),
    "a hanging handler hangs the drain": (
        "draining.py",
        "while not check() and self._now() < when:",
        "while not check() and self._now() < when + 5:",
        BOUNDS + "test_what_does_not_end_is_cut_and_counted",
    ),
    "who waits for a cancelled drain waits for ever": (
        "draining.py",
        "        told.set_exception(",
        "        asyncio.get_running_loop().create_future().set_exception(",
        BOUNDS + "test_who_waits_for_a_drain_that_is_cancelled_is_told",
    ),
    "a manager does not notice a fork": (
        "lifecycle.py",
        '            self._home, self._owner = None, "forked"\n',
        "            pass\n",
        FORKS + "test_a_child_that_goes_on_with_its_parents_loop_is_told",
    ),
    "a store does not notice a fork": (
        "stores/redis_pipe.py",
        '            self._loop, self._task, self._queue = "forked", None, []\n',
        "            pass\n",
        FORKS + "test_what_was_used_before_the_fork_is_a_clear_error_in_each_child[client]",
    ),
    "children share a name on the channel": (
        "channel.py",
        "        self._nonce = secrets.token_hex(8)  # not before",
        '        self._nonce = "a"  # not before',
        FORKS + "test_what_was_made_before_the_fork_works_in_each_child[fork-nothing]",
    ),
    "children answer in one name": (
        "questions.py",
        "        self._who = secrets.token_hex(8)  # of two",
        "        # of two",
        FORKS + "test_what_was_made_before_the_fork_works_in_each_child[fork-nothing]",
    ),
    "a manager runs in two loops": (
        "lifecycle.py",
        "        if self._owner is not None and self._owner is not loop:\n",
        "        if False:\n",
        LOOPS + "test_a_manager_in_use_is_refused_to_another_loop[memory]",
    ),
    "a closed store keeps its loop": (
        "stores/redis.py",
        "self._pipe.renew(self._client.connection_pool)",
        "pass",
        LOOPS + "test_loops_one_after_the_other_work_if_it_was_closed_in_between",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_check_is_noticed(name: str) -> None:
    """The test that is named for a check fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

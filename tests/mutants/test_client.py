"""What the tests with the JavaScript client and the browser would notice."""

from __future__ import annotations

import pytest

from tests.support.chromium import find_chromium
from tests.support.mutants import Mutant
from tests.support.node_client import require_node

NODE = "tests/client/test_node_client.py::"
BROWSER = "tests/client/test_browser.py::"

MUTANTS = {
    "a farewell, and the transport stays open": (
        Mutant(
            "ending.py",
            "        connection, host = self._connection, self._host\n",
            "        connection, host = self._connection, self._host\n"
            "        for packet in host.farewell(connection, self._reason, self._final):\n"
            "            host.eio.sockets[connection.eio_sid].queue.put_nowait(packet)\n"
            "        return\n",
        ),
        f"{NODE}test_expiry_closes_the_transport_and_the_client_comes_back[websocket]",
    ),
    "the farewell and CLOSE in one payload": (
        Mutant("ending.py", "if socket.upgraded or await patience.wait(", "if True or ("),
        f"{NODE}test_expiry_closes_the_transport_and_the_client_comes_back[polling]",
    ),
    "a logout that lets the client come back": (
        Mutant("connections.py", 'FINAL = frozenset({"logged_out", ', "FINAL = frozenset({"),
        f"{NODE}test_a_logout_closes_the_clients_of_both_processes_for_good[websocket]",
    ),
    "a replaced credential is an unknown one": (
        Mutant("record.py", "verdict = Verdict.SUPERSEDED", "verdict = Verdict.UNKNOWN"),
        f"{NODE}test_a_client_whose_new_cookie_is_late_keeps_trying[websocket]",
    ),
    "a cookie that scripts can read": (
        Mutant("credentials.py", 'f"; HttpOnly; SameSite=', 'f"; SameSite='),
        f"{BROWSER}test_the_cookie_is_hidden_from_scripts_and_says_what_it_should",
    ),
    "every page may open a socket": (
        Mutant("origins.py", 'origin = request.headers.get("Origin")', "return True"),
        f"{BROWSER}test_a_page_of_another_site_gets_no_socket[websocket]",
    ),
}


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.browser
@pytest.mark.parametrize("name", MUTANTS)
def test_the_clients_notice(name: str) -> None:
    """With this change, the named test fails."""
    mutant, test = MUTANTS[name]
    require_node()
    if BROWSER in test and find_chromium() is None:
        pytest.skip("no Chromium: apt install chromium")
    assert mutant.kills(test)

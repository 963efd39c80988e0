"""Break a page's look for its session, or its last headers, in one place each."""

from __future__ import annotations

import pytest

from tests.support.mutants import Mutant

BEGUN = "tests/integration/test_http_begun.py::"
HEADERS = "tests/unit/test_last_headers.py::"

#: What is broken: (file, snippet, what it becomes, the test that fails).
TABLE = {
    "nothing is asked before prepare()": (
        "early.py",
        "if not self._session_early or self.close_on_end:",
        "if True:",
        BEGUN + "test_a_page_asks_once_and_before_prepare[get]",
    ),
    "a prepare() of the handler's own is no matter": (
        "web.py",
        "cls._session_early = cls.prepare is SessionMixin.prepare",
        "cls._session_early = True",
        BEGUN + "test_prepare_sees_what_the_handler_did_before_it",
    ),
    "the store is asked for what is forged": (
        "early.py",
        "not any(map(settings.get, _CHECKS))",
        "True",
        BEGUN + "test_a_forged_post_is_refused_before_the_store_is_asked[xsrf_cookies]",
    ),
    "any credentials are asked early": (
        "early.py",
        "is not settings or not manager.reads_headers:",
        "is not settings:",
        BEGUN + "test_credentials_may_be_in_the_body",
    ),
    "sessions are made when their pages go on": (
        "stores/redis.py",
        "        then(record)\n        return record",
        "        asyncio.get_running_loop().call_soon(then, record)\n        return record",
        BEGUN + "test_sessions_whose_answers_come_together_are_made_together",
    ),
    "any credential is worth its session": (
        "early.py",
        "if manager.policy.judge(record, credential) is Verdict.LIVE:",
        "if True:",
        BEGUN + "test_a_replaced_cookie_is_as_worthless_as_in_prepare",
    ),
    "an old key signs for ever": (
        "early.py",
        "credential.renew or ",
        "",
        BEGUN + "test_a_cookie_signed_with_an_older_key_is_signed_anew",
    ),
    "what a page loads is not entered": (
        "early.py",
        " or credential.id in manager.connections.known",
        "",
        "tests/integration/test_socket_interval.py::"
        "test_what_a_page_here_loads_is_seen_at_once[websocket]",
    ),
    "a resolve() of somebody's own is no matter": (
        "early.py",
        "return kind.resolve is SessionManager.resolve and kind.fetch is SessionManager.fetch",
        "return True",
        BEGUN + "test_a_manager_that_finds_sessions_in_its_own_way_is_asked[resolve]",
    ),
    "a fetch() of somebody's own is no matter": (
        "early.py",
        " and kind.fetch is SessionManager.fetch",
        "",
        BEGUN + "test_a_manager_that_finds_sessions_in_its_own_way_is_asked[fetch]",
    ),
    "a closed manager gives out what it has found": (
        "early.py",
        " and self.manager._home is not None:",
        ":",
        BEGUN + "test_a_manager_that_was_closed_meanwhile_shows_nothing",
    ),
    "what a page could not load is not looked into": (
        "early.py",
        "except Exception:  # noqa",
        "except ValueError:  # noqa",
        "tests/integration/test_http_bad_input.py::"
        "test_corrupt_bookkeeping_is_a_fresh_session[garbage]",
    ),
    "the last headers are not quite the last": (
        "response.py",
        "        self._session_finishing = True\n",
        "        self._session_finishing = True\n        self._session_seal()\n"
        "        self._session_seal = lambda: None\n",
        HEADERS + "test_nothing_takes_vary_away[InEtag-Accept,Cookie-get]",
    ),
    "a page that finishes may wait for a save": (
        "response.py",
        "        self._session_finishing = True\n",
        "",
        HEADERS + "test_a_change_as_a_page_finishes_is_too_late[False]",
    ),
    "all pages of a visitor depend on the cookie": (
        "web.py",
        "        if self._session_used:\n",
        "        if True:\n",
        HEADERS + "test_what_has_looked_at_the_session_depends_on_the_cookie[nothing-]",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_a_missing_rule_is_noticed(name: str) -> None:
    """The test that is named for a rule fails without it."""
    module, old, new, test = TABLE[name]
    assert Mutant(module, old, new).kills(test)

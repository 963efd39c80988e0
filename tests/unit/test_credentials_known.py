"""What a signed cookie remembers of the headers that it has verified."""

from __future__ import annotations

from tests.unit.test_credentials import SECRET, request, signer, value_of
from tornado_shared_session.record import Credential


def test_a_header_that_was_verified_names_the_same_again() -> None:
    """Without another look; one that names nobody is looked at each time, and not kept."""
    cookie = signer()
    credential = Credential.generate()
    pair = value_of(cookie, credential).split(";")[0]
    for _ in range(2):
        assert cookie.read(request(pair)) == [credential]
        assert cookie.read(request("a=1; " + pair)) == [credential]
        assert cookie.read(request(pair[:-1] + "x")) == []
    assert len(cookie._read) == 2


def test_what_is_remembered_of_headers_is_bounded() -> None:
    """By their number and their length; and two headers are not taken for one (F11)."""
    cookie = signer()
    credential = Credential.generate()
    pair = value_of(cookie, credential).split(";")[0]
    for n in range(1500):
        assert cookie.read(request(f"n={n}; {pair}")) == [credential]
    assert len(cookie._read) == 1024
    cookie.bind(SECRET, None)
    assert cookie._read == {}
    assert cookie.read(request(f"n={'x' * 5000}; {pair}")) == [credential]
    assert cookie.read(request("a=1", pair)) == [credential]
    assert cookie._read == {}

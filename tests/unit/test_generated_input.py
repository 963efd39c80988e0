"""100,000 inputs that nobody meant: cookies, tokens, records, notices, frames.

Derandomized, so that a failure is found again by running the test again.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import create_signed_value

from tests.support.generated import damage, line
from tests.support.web import COOKIE, SECRET, ProbeStore
from tornado_shared_session import (
    BearerToken,
    MsgpackSerializer,
    SerializationError,
    SessionManager,
    SessionServer,
)
from tornado_shared_session.connections import Phase
from tornado_shared_session.notices import Notice, decode
from tornado_shared_session.payload import is_packet, is_payload
from tornado_shared_session.record import CorruptRecord, Credential, Meta, NewerFormat, is_id
from tornado_shared_session.transport import SocketConnection

#: Examples, each a list of inputs: 5 kinds of 200 lists of 100.
LISTS, INPUTS = 200, 100
many = settings(
    max_examples=LISTS,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

VALID = "A" * 22 + "." + "B" * 43
SIGNED = create_signed_value(SECRET, COOKIE, VALID).decode()
META = Meta("A" * 22, b"d" * 32, 1.0, "ann", ((b"o" * 32, 2.0),)).encode()
SERIALIZER = MsgpackSerializer()
VALUE = SERIALIZER.encode({"a": [1, {2, 3}, (b"x",)]})
STORE = ProbeStore()
COOKIES = SessionManager(STORE, secret=SECRET)
BEARER = BearerToken()
TOKENS = SessionManager(STORE, secret=SECRET, credentials=BEARER)
TOKEN = BEARER.sign(Credential("A" * 22, "B" * 43))
NOTICES = [Notice(reason, ("A" * 22, "B" * 22)).encode() for reason in ("", "rotated")]
LINE = RequestStartLine("GET", "/", "HTTP/1.1")


def variants(*originals: Any) -> Any:
    """Return lists of `INPUTS` inputs: a seed in, damaged originals and noise out.

    Hypothesis draws the seed; drawing each byte would take it minutes.
    """
    return st.integers(0, 2**32).map(lambda seed: Batch(seed, originals))


class Batch(list[Any]):
    """Inputs that a seed makes; a failure shows the seed alone."""

    def __init__(self, seed: int, originals: tuple[Any, ...]) -> None:
        random = Random(seed)
        super().__init__(damage(random, random.choice(originals)) for _ in range(INPUTS))
        self.seed = seed

    def __repr__(self) -> str:
        return f"<{len(self)} inputs of seed {self.seed}>"


def request(**headers: str) -> HTTPServerRequest:
    """Return a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPServerRequest(start_line=LINE, headers=HTTPHeaders({"Host": "x", **named}))


@many
@given(variants(f"{COOKIE}={SIGNED}", f"{COOKIE}={SIGNED}; {COOKIE}=2|1:0", f'{COOKIE}="{SIGNED}"'))
def test_generated_cookies_are_no_credentials(cookies: list[str]) -> None:
    """Nothing raised, and only what we signed is a question to the store (S2)."""
    read = COOKIES.credentials.read
    for cookie in cookies:
        for credential in read(request(Cookie=line(cookie))):
            assert str(credential) == VALID


@many
@given(variants(f"Bearer {TOKEN}", f"Bearer {SIGNED}", "Bearer " + VALID))
def test_generated_tokens_are_no_credentials(tokens: list[str]) -> None:
    """Neither in the header nor in `getToken` (S2)."""
    for token in tokens:
        for credential in BEARER.read(request(Authorization=line(token))):
            assert str(credential) == VALID
        shown = BEARER.verify(token.removeprefix("Bearer "))
        assert shown is None or str(shown) == VALID


@many
@given(variants(META, msgpack.packb([99, "newer"]), VALUE))
def test_generated_records_are_read_or_refused(records: list[bytes]) -> None:
    """A record is read, corrupt, or of a newer format; a value is read or refused (S44)."""
    for record in records:
        try:
            assert isinstance(Meta.decode(record), Meta)
        except (CorruptRecord, NewerFormat):
            pass
        try:
            SERIALIZER.encode(SERIALIZER.decode(record))
        except SerializationError:
            pass


@many
@given(variants(*NOTICES))
def test_generated_notices_name_ids_or_nothing(notices: list[bytes]) -> None:
    """Nothing raised, and nothing that cannot be an id is looked up (C5)."""
    for notice in notices:
        decoded = decode(notice)
        assert decoded is None or all(is_id(id) for id in decoded.ids)


FRAMES = (
    '42["get","note"]',
    '42/chat,7["set","note",{"a":[1,2]}]',
    '452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    '40{"token":"x"}',
    '42["getToken",{"token":"x"}]',
    "431[1]",
    "41",
    "2probe",
)


@many
@given(variants(*FRAMES))
def test_generated_frames_are_handled_or_end_the_connection(frames: list[str]) -> None:
    """Nothing raised; at most one report for each connection, and its end (W24)."""
    asyncio.run(feed(frames))


async def feed(frames: list[str]) -> None:
    """Send each to a connection of its own, as text, as a POST and with an attachment."""
    for frame in frames:
        if is_payload(frame.encode()):
            assert all(is_packet(one) or one[0] == "b" for one in frame.split("\x1e"))
        if not is_packet(frame) or frame[0] != "4":
            continue
        reports.clear()
        connection = Fed(SERVER, "", frozenset())
        connection.eio_sid, connection.phase = "eio", Phase.OPEN
        SERVER._by_eio["eio"] = connection
        for data in (frame[1:], b"attached", b"attached"):
            await SERVER._handle_eio_message("eio", data)
        SERVER._binary_packet.clear()
        assert len(reports) <= 2  # dropped, and so closed


class Fed(SocketConnection):
    """A connection without a transport."""

    def _close(self, reason: str, *, final: bool) -> None:
        pass


class Deaf(SessionServer):
    """A server whose handlers do nothing: the reading is what is tested."""

    async def _handle_event(self, eio_sid: str, namespace: str, id: Any, data: Any) -> None:
        assert data[0].__class__ in (str, int)

    async def _handle_ack(self, eio_sid: str, namespace: str, id: Any, data: Any) -> None:
        assert isinstance(data, list)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        assert namespace is None or isinstance(namespace, str)


reports: list[Any] = []
SERVER = Deaf(SessionManager(STORE, secret=SECRET, on_event=reports.append))


def test_the_originals_are_fine() -> None:
    """What is damaged above is good before."""
    assert TOKENS.credentials is BEARER
    assert [str(one) for one in COOKIES.credentials.read(request(Cookie=f"{COOKIE}={SIGNED}"))]
    assert str(BEARER.verify(TOKEN)) == VALID
    assert Meta.decode(META).user_id == "ann"
    assert all(map(decode, NOTICES))
    assert all(map(is_packet, FRAMES))

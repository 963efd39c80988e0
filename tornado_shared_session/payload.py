"""What a client's request and packets may look like, seen before Engine.IO does.

It takes what it cannot read for an error of the server: a traceback in
the log, and 200 to the client.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from .handshake import Refused

_MOST = 16  # packets in one POST; Engine.IO's own limit
_UPGRADE = "5"
_SHORT = 16  # characters of a packet that is no message: "2probe"


def is_packet(text: str) -> bool:
    """Whether a text frame is CLOSE, PING, PONG, UPGRADE, NOOP, or a Socket.IO message.

    Those begin with a digit. Anything else would be read as JSON here
    and refused there; deeply nested, it would exhaust the stack.
    """
    if text[:1] == "4":
        return text[1:2].isdigit()
    return text[:1] in {"1", "2", "3", "5", "6"} and len(text) <= _SHORT


def is_payload(body: bytes) -> bool:
    """Whether the body of a POST is up to 16 packets, and each of them is one.

    UPGRADE is none there: it belongs on the WebSocket. Engine.IO would
    answer each with a NOOP, which has no bytes that a limit could count.
    """
    try:
        parts = body.decode().split("\x1e")
    except UnicodeDecodeError:
        return False
    return len(parts) <= _MOST and all(
        _is_base64(p) if p[:1] == "b" else is_packet(p) and p[0] != _UPGRADE for p in parts
    )


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text[1:])
    except (binascii.Error, ValueError):
        return False
    return True


def read_query(query: Mapping[str, list[bytes]]) -> dict[str, str]:
    """Return what a request says to Engine.IO, from its query as Tornado has parsed it.

    Of several values Engine.IO reads the first and Tornado the last, so
    there has to be one.
    """
    for name in ("sid", "transport", "EIO"):
        if len(query.get(name, ())) > 1:
            raise Refused(400, f"the parameter {name} is repeated")
    return {name: values[0].decode(errors="replace") for name, values in query.items()}

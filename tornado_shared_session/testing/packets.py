"""Socket.IO packets inside Engine.IO packets, both ways; no I/O.

Engine.IO protocol 4 and Socket.IO protocol 5, as much as a test client
needs. https://socket.io/docs/v4/socket-io-protocol/
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SEPARATOR = "\x1e"

#: Engine.IO packet types.
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
#: Socket.IO packet types; the binary ones are EVENT and ACK with attachments.
CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = "0123456"

_HEAD = re.compile(r"(\d)(?:(\d+)-)?(?:(/[^,]*),)?(\d+)?", re.ASCII)
_NUMBERED = (EVENT, ACK, BINARY_EVENT, BINARY_ACK)


@dataclass
class Packet:
    """One Socket.IO packet."""

    kind: str
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0
    #: The binary frames received so far for this packet.
    parts: list[bytes] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all of its binary frames are there."""
        return len(self.parts) >= self.attachments


def encode(packet: Packet) -> list[str | bytes]:
    """Return the Engine.IO packets that carry `packet`, text first."""
    parts: list[bytes] = []
    data = _take_out(packet.data, parts)
    kind = packet.kind
    if parts:
        kind = BINARY_EVENT if kind == EVENT else BINARY_ACK
    text = MESSAGE + kind + (f"{len(parts)}-" if parts else "")
    if packet.namespace != "/":
        text += packet.namespace + ","
    if packet.id is not None:
        text += str(packet.id)
    if packet.data is not None:
        text += json.dumps(data, separators=(",", ":"))
    return [text, *parts]


def decode(text: str) -> Packet:
    """Read the text of an Engine.IO message (without its leading "4").

    Raises:
        ValueError: this is not a Socket.IO packet.
    """
    head = _HEAD.match(text)
    if head is None:
        raise ValueError(f"not a Socket.IO packet: {text[:80]!r}")
    kind, attachments, namespace, number = head.groups()
    rest = text[head.end() :]
    if number is not None and kind not in _NUMBERED:
        rest, number = number + rest, None
    data = json.loads(rest) if rest else None
    identifier = None if number is None else int(number)
    return Packet(kind, namespace or "/", data, identifier, int(attachments or 0))


def put_back(data: Any, parts: Sequence[bytes]) -> Any:
    """Replace the placeholders in `data` by the binary frames."""
    if isinstance(data, list):
        return [put_back(item, parts) for item in data]
    if isinstance(data, dict):
        if data.get("_placeholder"):
            return parts[data["num"]]
        return {key: put_back(value, parts) for key, value in data.items()}
    return data


def _take_out(data: Any, parts: list[bytes]) -> Any:
    if isinstance(data, bytes):
        parts.append(data)
        return {"_placeholder": True, "num": len(parts) - 1}
    if isinstance(data, list | tuple):
        return [_take_out(item, parts) for item in data]
    if isinstance(data, dict):
        return {key: _take_out(value, parts) for key, value in data.items()}
    return data


def to_payload(packets: Sequence[str | bytes]) -> bytes:
    """Join Engine.IO packets into the body of a polling request."""
    texts = (
        "b" + base64.b64encode(packet).decode() if isinstance(packet, bytes) else packet
        for packet in packets
    )
    return SEPARATOR.join(texts).encode()


def from_payload(body: bytes) -> list[str | bytes]:
    """Split the body of a polling response into Engine.IO packets."""
    return [
        base64.b64decode(text[1:]) if text.startswith("b") else text
        for text in body.decode().split(SEPARATOR)
        if text
    ]

"""Frames of a WebSocket, as many as there are in one piece.

Tornado sends each frame by itself, and each costs a task and a call of
the kernel, which are more than all the rest of it. Frames are as in RFC
6455, section 5.2: those of a server are not masked, and these are not
compressed.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketHandler

_TEXT, _BINARY = 0x81, 0x82  # whole messages
_CLOSE = b"\x88\x00"  # without a code


def send(
    handler: WebSocketHandler, messages: Sequence[str | bytes], *, last: bool = False
) -> asyncio.Future[None] | None:
    """Write messages at once; return what is done once they are sent, None if it was closed.

    Args:
        last: a close frame goes with them, so that `handler.close()` after
            this only waits for the client's.
    """
    line = handler.ws_connection
    if line is None or line.stream is None or line.is_closing():
        return None
    frames = b"".join([_frame(message) for message in messages])
    try:
        # If it fails, Tornado takes note of that itself.
        written = line.stream.write(frames + _CLOSE if last else frames)
    except StreamClosedError:
        return None
    if last:
        line.server_terminated = True  # what Tornado notes when it has sent its own
    return written


def _frame(message: str | bytes) -> bytes:
    kind, data = (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)
    size = len(data)
    if size < 126:
        return bytes((kind, size)) + data
    if size < 65536:
        return struct.pack("!BBH", kind, 126, size) + data
    return struct.pack("!BBQ", kind, 127, size) + data


def look(written: asyncio.Future[None]) -> None:
    """Take note of a failed `write_message`, or asyncio complains: the close says it all."""
    if not written.cancelled():
        written.exception()

"""Several frames in one piece, as Tornado's own client reads them."""

from __future__ import annotations

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from tests.support.sites import until
from tornado_shared_session import websocket_line


class Talker(WebSocketHandler):
    """Sends what it is told to, when a message comes."""

    messages: list[str | bytes]
    last = True
    answers: list[bool]

    def on_message(self, message: str | bytes) -> None:
        """Say it all."""
        sent = websocket_line.send(self, self.messages, last=self.last)
        self.answers.append(sent is not None)
        if self.last:
            self.close()


async def said(handler: type[WebSocketHandler]) -> list[str | bytes | None]:
    """Send it a message; return what comes until the end, which is None."""
    seen: list[str | bytes | None] = []
    listener, port = bind_unused_port()
    server = HTTPServer(Application([("/", handler)]))
    server.add_socket(listener)
    line = await websocket_connect(f"ws://127.0.0.1:{port}/", on_message_callback=seen.append)
    try:
        await line.write_message("go")
        await until(lambda: seen and seen[-1] is None)
    finally:
        line.close()
        server.stop()
        await server.close_all_connections()
    return seen


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_frames_of_every_length_arrive_in_order_and_then_the_close(size: int) -> None:
    """With 7, 16 and 64 bits for the length (RFC 6455, section 5.2)."""
    messages = ["a", "ä" * (size // 2) + "x" * (size % 2), b"\xff" * size, "b"]
    handler: type[Talker] = type("Handler", (Talker,), {"messages": messages, "answers": []})
    assert await said(handler) == [*messages, None]
    assert handler.answers == [True]


async def test_nothing_is_written_to_a_websocket_that_closes() -> None:
    """And the caller is told so."""

    class Closed(Talker):
        messages: list[str | bytes] = ["late"]  # the test looks at it
        answers: list[bool] = []  # the test looks at it

        def on_message(self, message: str | bytes) -> None:
            assert self.ws_connection is not None
            self.ws_connection.close()
            self.answers.append(websocket_line.send(self, self.messages) is not None)
            self.close()
            self.answers.append(websocket_line.send(self, self.messages) is not None)

    assert await said(Closed) == [None]
    assert Closed.answers == [False, False]

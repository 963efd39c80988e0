"""What Tornado's HTTP server is in the middle of: requests, and how to end them.

`HTTPServer.close_all_connections()` cuts the responses that are under
way. Here they are seen, so that they can be waited for. The only file
that reaches into HTTPServer; `tests/integration/test_seams.py` fails
when what it needs goes. It knows nothing of sessions.
"""

from __future__ import annotations

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream


class Serving:
    """One HTTP server on its way out."""

    def __init__(self, server: HTTPServer) -> None:
        self._server = server

    def stop(self) -> None:
        """Accept no connection any more; twice is harmless."""
        self._server.stop()

    def last_requests(self) -> None:
        """Let each connection serve one request more; its response says `Connection: close`."""
        self._server.conn_params.no_keep_alive = True

    def busy(self) -> list[IOStream]:
        """Return the connections with a request under way, be it that its body still comes."""
        return [stream for stream in self._streams() if not _waits_for_a_head(stream)]

    async def close(self) -> None:
        """Close every connection, whatever it is in the middle of."""
        # All of them in this turn of the loop: Tornado closes one after the
        # other, and between two of them a request could begin, to be cut.
        for stream in self._streams():
            stream.close()
        await self._server.close_all_connections()

    def _streams(self) -> list[IOStream]:
        return [one.stream for one in self._server._connections if not one.stream.closed()]


def _waits_for_a_head(stream: IOStream) -> bool:
    """Whether a connection is between two requests.

    Nobody reads from it while a request is handled, and what is read of
    a body is not searched for the end of a head.
    """
    return stream.reading() and stream._read_regex is not None

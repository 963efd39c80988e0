"""Tools for testing applications that use shared sessions.

Nothing here needs pytest. A fake clock and a Tornado test case serve
tests without a network; a private Redis server, a throw-away web server
and raw HTTP and Socket.IO clients serve those with one.
"""

from .case import SessionTestCase
from .client import (
    ConnectionLost,
    ConnectRefused,
    Event,
    HandshakeRefused,
    SocketIOTestClient,
)
from .clock import FakeClock
from .cookies import CookieJar
from .engine import Transport
from .http import HTTPTestClient
from .redis_server import RedisServer
from .server import RunningServer, serve

__all__ = [
    "ConnectRefused",
    "ConnectionLost",
    "CookieJar",
    "Event",
    "FakeClock",
    "HTTPTestClient",
    "HandshakeRefused",
    "RedisServer",
    "RunningServer",
    "SessionTestCase",
    "SocketIOTestClient",
    "Transport",
    "serve",
]

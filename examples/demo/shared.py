"""What the parts of one process share: its settings, the sessions, the Socket.IO server.

The launcher (`__main__.py`) says everything by environment: it must be
the same in each process.
"""

import os

import socketio
import tornado.web

from tornado_shared_session import (
    MemoryStore,
    RedisStore,
    SessionManager,
    SessionMixin,
    SessionServer,
)

PORT = int(os.environ["DEMO_PORT"])
PORTS = [int(port) for port in os.environ["DEMO_PORTS"].split(",")]
IDLE = float(os.environ["DEMO_IDLE"])
REDIS_URL = os.environ.get("REDIS_URL")

# Which process answered.
WHO = {"port": PORT, "pid": os.getpid()}

# The page of one port may call the other one; nobody else may.
ORIGINS = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost") for port in PORTS]

sessions = SessionManager(
    RedisStore(REDIS_URL, prefix="tss-demo:") if REDIS_URL else MemoryStore(),
    idle_timeout=IDLE,
    touch_interval=0,  # the page shows the deadline, so each request moves it
    reload_interval=min(15, IDLE / 3),
    max_sessions_per_user=6,
)
sio = SessionServer(
    sessions,
    cors_allowed_origins=ORIGINS,
    # Carries what one process emits to the sockets of the other one.
    client_manager=socketio.AsyncRedisManager(REDIS_URL, channel="tss-demo") if REDIS_URL else None,
)


class BaseHandler(SessionMixin, tornado.web.RequestHandler):
    def set_default_headers(self) -> None:
        # For the page of the other port. Whether a POST is let in at all
        # is decided by Tornado's cross_origin_protection, from the same list.
        origin = self.request.headers.get("Origin")
        if origin in ORIGINS:
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")
        self.set_header("Vary", "Origin")
        self.set_header("Cache-Control", "no-store")

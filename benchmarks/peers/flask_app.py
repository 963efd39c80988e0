"""Flask under gunicorn, bare and with Flask-Session in Redis.

``python -m benchmarks.peers.flask_app FUNCTION REDIS_URL``. One worker,
for there is one core, of the threaded kind, which keeps connections
alive. Flask-Session writes each session it has loaded, changed or not:
that is how it extends its life (SESSION_REFRESH_EACH_REQUEST).
"""

from __future__ import annotations

import gc
import os
import secrets
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis
from flask import Flask, Response, make_response
from flask import session as flask_session
from flask_session import Session
from gunicorn.app.base import BaseApplication

from ..content import COOKIE_SECRET, IDLE_TIMEOUT, SEED_COUNT, YOUNG, seed

THREADS = 4  # "generally in the 2-4 x $(NUM_CORES) range", says gunicorn of this setting


def bare(redis_url: str) -> Flask:
    """Return the framework alone: the counter is a number in the process."""
    app = Flask(__name__)
    lock = threading.Lock()
    counter = SEED_COUNT

    def read() -> str:
        return str(counter)

    def write() -> str:
        nonlocal counter
        with lock:
            counter += 1
            return str(counter)

    def begin(size: str) -> Response:
        nonlocal counter
        counter = SEED_COUNT
        response = make_response("")
        response.set_cookie("session", secrets.token_urlsafe(48))
        return response

    _route(app, read, write, begin)
    return app


def session(redis_url: str) -> Flask:
    """Return it with Flask-Session: signed, msgpack."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=COOKIE_SECRET,
        SESSION_TYPE="redis",
        SESSION_REDIS=redis.Redis.from_url(redis_url),
        SESSION_SERIALIZATION_FORMAT="msgpack",
        SESSION_USE_SIGNER=True,
        PERMANENT_SESSION_LIFETIME=timedelta(seconds=IDLE_TIMEOUT),
    )
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        Session(app)  # the signer is deprecated, and everybody else here signs

    def read() -> str:
        return str(flask_session.get("count", 0))

    def write() -> str:
        flask_session["count"] = flask_session.get("count", 0) + 1
        return str(flask_session["count"])

    def begin(size: str) -> str:
        flask_session.update(seed(size))
        return ""

    _route(app, read, write, begin)
    return app


def _plain() -> str:
    return str(SEED_COUNT)


def _route(app: Flask, read: Any, write: Any, begin: Any) -> None:
    app.get("/read")(read)
    app.post("/write")(write)
    app.get("/plain")(_plain)
    app.post("/seed/<size>")(begin)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is not here when it is checked
    """gunicorn with one worker, on a free port, until standard input closes."""

    def __init__(self, make: Callable[[str], Flask], redis_url: str) -> None:
        self._make = make
        self._redis_url = redis_url
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": "127.0.0.1:0",
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "keepalive": 30,
            "backlog": 512,
            "loglevel": "warning",
            "control_socket_disable": True,
            "post_worker_init": self._ready,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._make(self._redis_url)

    @staticmethod
    def _ready(worker: Any) -> None:
        print(worker.sockets[0].getsockname()[1], flush=True)


def _stop_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main(function: str, redis_url: str) -> None:
    """Run a peer."""
    gc.set_threshold(YOUNG)
    threading.Thread(target=_stop_with_input, daemon=True).start()
    make = {"bare": bare, "session": session}[function]
    Server(make, redis_url).run()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One session, shared by Tornado's handlers and a python-socketio server.

The public names are those below; `docs/quickstart.md` shows them at
work.
"""

from .cors import CORSMixin
from .credentials import Credentials, SignedCookie
from .draining import drain
from .errors import (
    ConfigurationError,
    SerializationError,
    SessionConflict,
    SessionEnded,
    SessionError,
    StoreError,
)
from .events import SessionEvent
from .manager import SessionManager
from .serializers import MsgpackSerializer, Serializer
from .session import Session
from .socketio import SessionServer, SessionServerMixin, get_tornado_handler
from .socketio_authenticated import authenticated
from .stores.base import Store
from .stores.memory import MemoryStore
from .stores.redis import RedisStore
from .tokens import BearerToken
from .web import SessionMixin
from .websocket import SessionWebSocketMixin

__all__ = [
    "BearerToken",
    "CORSMixin",
    "ConfigurationError",
    "Credentials",
    "MemoryStore",
    "MsgpackSerializer",
    "RedisStore",
    "SerializationError",
    "Serializer",
    "Session",
    "SessionConflict",
    "SessionEnded",
    "SessionError",
    "SessionEvent",
    "SessionManager",
    "SessionMixin",
    "SessionServer",
    "SessionServerMixin",
    "SessionWebSocketMixin",
    "SignedCookie",
    "Store",
    "StoreError",
    "authenticated",
    "drain",
    "get_tornado_handler",
]

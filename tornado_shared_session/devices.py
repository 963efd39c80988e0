"""What is said of the sessions of one user: each a line of a "your devices" page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .record import Record


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One line of a "your devices" page.

    Attributes:
        id: for `SessionManager.destroy`.
        created_at, expires_at: aware, UTC.
        last_seen: its last activity, aware, UTC; to within `touch_interval`,
            and in its last `idle_timeout` before `absolute_timeout` not
            later than the beginning of that.
        sockets: how many are open, in all processes that answered; of
            Socket.IO, those that are connected to a namespace.
        address, user_agent: of the request that logged in, or replaced
            the credential since; "" if unknown. The client wrote the
            latter: escape it, and believe neither.
    """

    id: str
    created_at: datetime
    expires_at: datetime
    last_seen: datetime
    sockets: int
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """What `destroy_user` did.

    Attributes:
        sessions: how many records it deleted.
        sockets: how many open sockets were closed for it.
        processes: how many processes said that theirs are closed, within
            a second. Those that did not notice by themselves, as always.
        of_processes: how many should have: those with `SessionServer`,
            `SessionWebSocketMixin` or `close_on_end`. 0 of 0: there was
            nobody to ask, or nothing to tell.
    """

    sessions: int
    sockets: int
    processes: int
    of_processes: int


def device(record: Record, sockets: int, idle_timeout: float) -> SessionInfo:
    """Say of a record what there is to say.

    Args:
        sockets: how many are open.
        idle_timeout: seconds.
    """
    meta, now = record.meta, datetime.now(UTC)
    created = datetime.fromtimestamp(meta.created_at, UTC)
    expires = now + timedelta(seconds=record.ttl)
    # Activity moves the deadline to idle_timeout from then, so it tells.
    seen = min(max(created, expires - timedelta(seconds=idle_timeout)), now)
    return SessionInfo(meta.id, created, expires, seen, sockets, meta.address, meta.user_agent)

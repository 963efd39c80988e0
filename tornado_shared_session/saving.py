"""What becomes of a commit, whoever waited for the store."""

from __future__ import annotations

from .connections import Connections
from .errors import SessionEnded
from .record import Delta
from .session import Session
from .stores.base import Committed


def stored(
    connections: Connections,
    session: Session,
    delta: Delta,
    deleted: set[str],
    committed: Committed,
) -> None:
    """The store has done it: let the session know, and what knows the record here."""
    connections.committed(delta, committed)
    session._commit_changes(delta.set, deleted)
    session._committed(committed.version, committed.ttl, changed=delta.changes_values)


def failed(connections: Connections, session: Session, delta: Delta, error: BaseException) -> None:
    """The store has not, or nobody knows."""
    connections.committed(delta, None)
    if isinstance(error, SessionEnded):
        session._end(error.reason)

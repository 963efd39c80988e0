"""A connection's session between its handshake and its end.

What every kind of connection does alike: read its session anew before
something it sent is handled, and count what it sent as activity.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from .connections import Connection, Phase
from .errors import SessionEnded, StoreError
from .events import logger
from .manager import SessionManager
from .policy import Policy
from .record import Delta, Peek
from .session import Session

#: Seconds for the notice that says why a record is gone.
NOTICE_GRACE = 0.1
_RENEWED = 50  # sessions that are renewed in one turn of the loop


async def reload(manager: SessionManager, connection: Connection) -> Session | None:
    """Read a connection's session anew; None, and it will close, if that has ended.

    Raises:
        StoreError: it could not be read.
    """
    id, generation = connection.id, connection.generation
    record = await manager.fetch(id)
    if connection.phase is not Phase.OPEN or connection.id is not id:
        return None
    if record is not None and record.generation == connection.generation:
        connection.verified(record.ttl, record.provisional)
        session = Session(manager, record, carrier=connection.carrier)
        connection.session = session
        return session
    rotation = connection.rotation
    if (
        rotation is not None
        and record is not None
        and (rotation.locked() or connection.generation != generation)
    ):
        # An event of this very connection replaces its credential, or has
        # done so meanwhile.
        async with rotation:
            pass
        return await reload(manager, connection)
    end_one = manager.connections.end_one
    if record is not None:
        end_one(connection, "rotated")
    else:
        # The notice that says why may be on its way, and decides whether
        # the client should come back.
        later = asyncio.get_running_loop().call_later
        later(NOTICE_GRACE, _end_of, manager, connection, id)
    return None


def _end_of(manager: SessionManager, connection: Connection, id: str) -> None:
    """End a connection whose session is gone, unless it has come to another meanwhile."""
    if connection.id is id:
        manager.connections.end_one(connection, "expired")


async def keep_alive(
    manager: SessionManager, connection: Connection, session: Session | None
) -> None:
    """Count something it sent as activity: move the deadline, once per touch_interval.

    Args:
        session: as it was read for this and perhaps saved; None: not read.
    """
    seen = connection.session if session is None else session
    record = None if seen is None else seen._record
    if record is None or connection.phase is not Phase.OPEN:
        return
    if session is not None:  # the handler may have moved it by saving
        # The wall clock may have been set meanwhile.
        most = time.monotonic() - connection.seen_at
        spent = min(max(time.time() - session._loaded_at, 0.0), most)
        connection.verified(record.ttl - spent, record.provisional)
    try:
        await _move(manager, connection, record.meta.created_at)
    except StoreError as error:
        manager.report("store_failed", connection.id, f"not touched: {error}")
    except SessionEnded:
        pass  # the notice, or what it sends next, closes the connection


async def _move(manager: SessionManager, connection: Connection, created_at: float) -> None:
    policy, id = manager.policy, connection.id
    if connection.provisional:
        # A socket does not make its record a normal one, but a request
        # may have done so since.
        if time.monotonic() - connection.seen_at < policy.touch_interval:
            return
        (peek,) = await manager.store.peek([id])
        if peek is None or connection.id is not id:
            return
        connection.verified(peek.ttl, peek.provisional)
    left = connection.deadline - time.monotonic()
    if connection.provisional or not policy.touch_due(left, created_at):
        return
    delta = Delta(id, connection.generation, policy.idle_timeout, confirm=False)
    committed = await manager.store.commit(delta)
    manager.connections.committed(delta, committed)
    if committed.ttl is not None and connection.id is id:
        connection.verified(committed.ttl, False)


def renewed_at(policy: Policy) -> float:
    """Return the seconds to live at which an open connection keeps a session alive.

    Less than 0: only a provisional one, which it keeps alive as it is.
    """
    return policy.idle_timeout - policy.touch_interval if policy.sockets_keep_alive else -1.0


async def renew(manager: SessionManager, some: Sequence[tuple[str, Peek]]) -> None:
    """Keep alive sessions of open connections, a few in each turn of the loop."""
    for start in range(0, len(some), _RENEWED):
        await asyncio.gather(*(_renew(manager, *one) for one in some[start : start + _RENEWED]))


async def _renew(manager: SessionManager, id: str, peek: Peek) -> None:
    policy = manager.policy
    ttl = policy.provisional_timeout if peek.provisional else policy.idle_timeout
    if id in manager.connections:
        try:
            await manager.store.commit(Delta(id, peek.generation, ttl, confirm=False))
        except (SessionEnded, StoreError) as error:
            logger.debug("session %s was not renewed: %s", id, error)
        except Exception:  # the others are
            logger.exception("session %s could not be renewed", id)

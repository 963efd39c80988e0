"""A new secret for a session: `regenerate()` and `login()`.

The id stays and the generation goes up, in one write of one key; what
came in with the old generation is cut off. The new credential must
reach the client, so there has to be a response to carry it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from .errors import SessionEnded, SessionError
from .policy import Policy
from .record import Credential, Meta
from .session import Backend, Carrier, Session
from .stored import State


class Storing(Backend, Protocol):
    """What stores a session: a rotation and a transaction need it of the manager."""

    async def create(
        self, session: Session, values: Mapping[bytes, bytes], *, user_id: str | None = None
    ) -> None: ...
    async def commit(
        self,
        session: Session,
        changes: Mapping[bytes, bytes],
        deleted: set[str],
        ttl: float,
        *,
        version: int | None = None,
        clear: bool = False,
        meta: Meta | None = None,
    ) -> None: ...


class Rotator(Storing, Protocol):
    """What a rotation needs of the manager, beyond that."""

    policy: Policy

    async def index(self, user_id: str, id: str) -> None: ...
    async def unindex(self, user_id: str, ids: list[str]) -> None: ...
    async def limit(self, user_id: str, id: str) -> bool: ...


def issuing(session: Session, what: str) -> Carrier:
    """Return the carrier of a session that needs a new credential.

    Raises:
        SessionError: there is no response left to carry it.
    """
    carrier = session._carrier
    if carrier is None or not carrier.can_issue():
        raise SessionError(
            f"{what} needs a response whose head has not left, to carry the credential to the"
            " client: do it in an HTTP handler, before flush() or finish()"
        )
    return carrier


def seen_from(carrier: Carrier, meta: Meta) -> Meta:
    """Note where a login came from; of visitors nothing is kept."""
    client = getattr(carrier, "client", None)
    return meta if client is None or meta.user_id is None else meta.seen_from(*client)


def lock(session: Session) -> asyncio.Lock | None:
    """Return what is held while a session's own socket connection changes its credential.

    None: the way to the client is a response.
    """
    return getattr(session._carrier, "rotation", None)


async def rotate(manager: Rotator, session: Session, user_id: str | None, login: bool) -> None:
    """Replace the secret; with `login`, store who it is too.

    Unsaved changes go with it. Another user's data does not: the data
    is cleared when `user_id` is not the stored one.
    """
    session._check_writable()
    carrier = issuing(session, "login()" if login else "regenerate()")
    before = session.user_id
    clear = login and before is not None and before != user_id
    changes, deleted = ({}, set()) if clear else session._take_changes()
    try:
        # Index first: a crash here leaves an entry without a record, never
        # a session that destroy_user() cannot find.
        if user_id is not None:
            await manager.index(user_id, session.id)
        if session._state is State.NEW:
            await manager.create(session, changes, user_id=user_id)
        else:
            await _replace_secret(manager, session, carrier, changes, deleted, user_id, clear)
    except BaseException:
        session._put_back(changes, deleted)
        raise
    manager.report("login" if login else "regenerated", session.id)
    if clear and before is not None:
        await manager.unindex(before, [session.id])
    if user_id is not None and not await manager.limit(user_id, session.id):
        # By logins that were faster: the new credential is worth nothing.
        session._end("replaced")
        carrier.revoked()
        raise SessionEnded("replaced")


async def _replace_secret(
    manager: Rotator,
    session: Session,
    carrier: Carrier,
    changes: Mapping[bytes, bytes],
    deleted: set[str],
    user_id: str | None,
    clear: bool,
) -> None:
    record, policy = session._record, manager.policy
    assert record is not None
    credential = Credential.generate(session.id)
    meta = record.meta.rotated(credential.digest, time.time(), policy.rotation_grace)
    if user_id is not None:
        meta = meta.of_user(user_id)
    meta = seen_from(carrier, meta)
    await manager.commit(session, changes, deleted, policy.idle_timeout, clear=clear, meta=meta)
    if clear:
        session._show({})
    record.meta = meta
    record.generation += 1
    carrier.issued(credential, meta.user_id)

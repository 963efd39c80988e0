"""Sessions in Redis: the contract of `stores/base.py` in commands.

The scripts and the stored layout are in `redis_scripts.py`, the wire in
`redis_pipe.py`, the channel in `redis_notices.py`, the client in `redis_connect.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import redis.asyncio
from redis.exceptions import ResponseError

from ..errors import ConfigurationError, SessionConflict, SessionEnded, StoreError
from ..policy import Duration, seconds
from ..record import CorruptRecord, Delta, Meta, Peek, Record
from .base import Committed, Deleted, ForeignRecord, OnGap, OnMessage, Store
from .redis_connect import connect
from .redis_notices import listen
from .redis_pipe import Pipe
from .redis_requests import Command, Read, pack, pack_keys, raise_error
from .redis_scripts import (
    COMMIT,
    CONFLICT,
    CREATE,
    DELETE,
    GONE,
    INDEX_ADD,
    PEEK,
    ROTATED,
    Script,
    read_peeks,
)

_ID = "A" * 22  # as long as every id
_PEEKED_AT_ONCE = 500  # keys one script looks at; a few hundred microseconds of Redis


class RedisStore(Store):
    """A store in one Redis (or Valkey) server, 6.2 or newer.

    Args:
        url_or_client: ``redis://``, ``rediss://`` or ``unix://``; or a
            `redis.asyncio.Redis` of yours, which stays yours to close.
        prefix: begins every key and the channel; two applications on
            one database need two.
        timeout: seconds or a `timedelta` within which the server answers, connecting
            included. A request waits at most this long; twice if what was asked
            before it is late as well, and as long again if it also saves.

    Raises:
        ConfigurationError: no URL of Redis, or a client that decodes replies.
    """

    def __init__(
        self,
        url_or_client: str | redis.asyncio.Redis,
        *,
        prefix: str = "tss:",
        timeout: Duration = 0.9,
    ) -> None:
        timeout = seconds("timeout", timeout)
        if isinstance(url_or_client, str):
            self._connect: Any = partial(connect, url_or_client, timeout)
            self._client = self._connect()
        elif isinstance(url_or_client, redis.asyncio.Redis):
            self._connect, self._client = None, url_or_client
        else:
            raise ConfigurationError(
                "RedisStore takes a redis:// URL or a redis.asyncio.Redis client, not a"
                f" {type(url_or_client).__module__}.{type(url_or_client).__qualname__}"
            )
        pool = self._client.connection_pool
        if pool.connection_kwargs.get("decode_responses"):
            raise ConfigurationError(
                "the Redis client has decode_responses=True, which breaks stored bytes;"
                " give RedisStore a client with decode_responses=False, or a URL without it"
            )
        if not isinstance(prefix, str) or not prefix:
            raise ConfigurationError("RedisStore(prefix=...) must be a non-empty string")
        self._key = prefix + "s:"
        self._user_key = prefix + "u:"
        self._channel = f"{prefix}notices:{pool.connection_kwargs.get('db') or 0}"
        self._timeout = timeout
        self._pipe = Pipe(pool, timeout, shared=self._connect is None)
        # A load is the same bytes each time, but for the id.
        self._load = pack(*self._load_of(_ID)).split(_ID.encode())

    def __repr__(self) -> str:
        return f"<RedisStore {self._key}>"

    def _load_of(self, id: str) -> tuple[tuple[str, str], tuple[str, str]]:
        key = self._key + id
        return ("HGETALL", key), ("PTTL", key)

    async def load(self, id: str) -> Record | None:
        record: Record | None = await self._ask_for(id, partial(self._record, id))
        return record

    def begin(
        self, id: str, then: Callable[[Record | None], None]
    ) -> asyncio.Future[Record | None] | None:
        if getattr(self.load, "__func__", None) is not RedisStore.load:
            return None  # somebody's own, and this must not go around it
        return self._ask_for(id, partial(self._begun, id, then))

    def _ask_for(self, id: str, read: Read) -> asyncio.Future[Any]:
        name = id.encode()
        data = name.join(self._load) if len(name) == len(_ID) else pack(*self._load_of(id))
        return self._pipe.ask_packed(data, 2, repeatable=True, read=read)

    def _begun(
        self, id: str, then: Callable[[Record | None], None], replies: list[Any]
    ) -> Record | None:
        record = self._record(id, replies)
        then(record)
        return record

    def _record(self, id: str, replies: list[Any]) -> Record | None:
        """Make a record of what Redis replied to a load."""
        fields, ttl = replies
        if type(fields) is list and len(fields) % 2 == 0:  # RESP2
            pairs = iter(fields)
            fields = dict(zip(pairs, pairs))  # noqa: B905  # even, and a keyword takes a dict
        if type(fields) is not dict or type(ttl) is not int:
            if isinstance(fields, ResponseError) and str(fields).startswith("WRONGTYPE"):
                raise CorruptRecord
            raise_error(fields)
            raise_error(ttl)
            raise self._misfit()
        if not fields or ttl == -2:
            return None
        try:
            meta = Meta.decode(fields.pop(b"\xffm"))
            generation, version = int(fields.pop(b"\xffg")), int(fields.pop(b"\xffv"))
        except (KeyError, ValueError):
            raise CorruptRecord from None
        if meta.id != id:
            self._pipe.distrust()
            raise ForeignRecord("the session store answered with another session")
        absolute = fields.pop(b"\xffa", b"")
        fields.pop(b"\xffu", None)
        provisional = fields.pop(b"\xffp", None) is not None
        # No time to live (-1: somebody ran PERSIST): it is due, until its absolute deadline.
        if ttl == -1 and absolute.isdigit() and int(absolute) <= time.time() * 1000:
            return None
        left = ttl / 1000 if ttl > 0 else 0.0
        return Record(meta, generation, version, left, fields, provisional)

    async def create(self, record: Record, absolute: float) -> bool:
        meta = record.meta
        pairs = [part for pair in record.values.items() for part in pair]
        created = await self._run(
            CREATE,
            1,
            self._key + meta.id,
            meta.encode(),
            _milliseconds(record.ttl),
            _milliseconds(absolute),
            meta.user_id or "",
            "1" if record.provisional else "",
            *pairs,
        )
        return bool(created)

    async def commit(self, delta: Delta) -> Committed:
        meta = delta.meta
        pairs = [part for pair in delta.set.items() for part in pair]
        flags = "c" * delta.clear + "p" * delta.confirm + "v" * delta.changes_values
        committed: Committed = await self._pipe.run(
            COMMIT,
            1,
            self._key + delta.id,
            delta.generation,
            "" if delta.version is None else delta.version,
            _milliseconds(delta.ttl) if delta.ttl else 0,
            flags,
            b"" if meta is None else meta.encode(),
            "" if meta is None else meta.user_id or "",
            7 + len(pairs),
            *pairs,
            *delta.delete,
            read=self._committed,
        )
        return committed

    def _committed(self, replies: list[Any]) -> Committed:
        """Make of what Redis replied to a commit what it means."""
        (reply,) = replies
        if type(reply) is not list or not reply or type(reply[0]) is not int:
            raise_error(reply)
            raise self._misfit()
        version = reply[0]
        if version == GONE:
            raise SessionEnded("expired")
        if version == ROTATED:
            raise SessionEnded("rotated")
        if version == CONFLICT:
            raise SessionConflict("the session was changed meanwhile")
        return Committed(version, reply[1] / 1000 if len(reply) > 1 else None)

    async def delete(
        self, id: str, *, generation: int | None = None, user_id: str | None = None
    ) -> Deleted | None:
        if user_id == "":
            return None  # nobody's; the script would take it for "whoever's"
        reply = await self._run(
            DELETE,
            1,
            self._key + id,
            "" if generation is None else generation,
            user_id or "",
        )
        if reply == GONE:
            return None
        if reply == ROTATED:
            raise SessionEnded("rotated")
        if type(reply) is not bytes:
            raise self._misfit()
        return Deleted(reply.decode(errors="replace") or None)

    async def peek(self, ids: Sequence[str]) -> list[Peek | None]:
        found: list[Peek | None] = []
        for start in range(0, len(ids), _PEEKED_AT_ONCE):
            some = ids[start : start + _PEEKED_AT_ONCE]
            keys = [self._key + id for id in some]
            data = pack_keys(("EVALSHA", PEEK.sha, len(keys)), keys)
            again: tuple[Script, Command] = (PEEK, (len(keys), *keys))
            (reply,) = await self._pipe.ask_packed(data, 1, repeatable=True, in_full=again)
            peeks = read_peeks(raise_error(reply), len(some))
            if peeks is None:
                raise self._misfit()
            found += peeks
        return found

    async def index_add(self, user_id: str, id: str, lifetime: float) -> None:
        latest = await self._ask("HGET", self._key + id, b"\xffa")  # see INDEX_ADD
        if not isinstance(latest, bytes | None):
            raise self._misfit()
        kept = _milliseconds(lifetime)
        await self._run(INDEX_ADD, 1, self._user_key + user_id, id, kept, latest or 0)

    async def index_remove(self, user_id: str, ids: Sequence[str]) -> None:
        if ids:
            await self._ask("ZREM", self._user_key + user_id, *ids)

    async def index_list(self, user_id: str) -> list[str]:
        reply = await self._ask("ZRANGE", self._user_key + user_id, 0, -1)
        if type(reply) is not list or {*map(type, reply)} - {bytes}:
            raise self._misfit()
        return [id.decode(errors="replace") for id in reply]

    async def publish(self, message: bytes) -> None:
        await self._ask("PUBLISH", self._channel, message)

    async def listen(self, on_message: OnMessage, on_gap: OnGap) -> None:
        await listen(self._client, self._channel, self._timeout, on_message, on_gap)

    async def subscribers(self) -> int:
        (reply,) = await self._pipe.ask("PUBSUB", "NUMSUB", self._channel, repeatable=True)
        answer = raise_error(reply)
        counts = list(answer.values()) if type(answer) is dict else answer  # RESP3, RESP2
        if type(counts) is not list or not counts or type(counts[-1]) is not int:
            raise self._misfit()
        return int(counts[-1])

    async def open(self) -> None:
        self._pipe.open()

    async def close(self) -> None:
        await self._pipe.close()
        if self._connect is not None:
            used, self._client = self._client, self._connect()
            self._pipe.renew(self._client.connection_pool)  # for the next event loop, perhaps
            await used.aclose()

    def _misfit(self) -> StoreError:
        """Trust no connection any more: what one said is no answer to the question."""
        self._pipe.distrust()
        return ForeignRecord("the session store gave a reply that fits no question")

    async def _run(self, script: Script, *arguments: Any) -> Any:
        (reply,) = await self._pipe.run(script, *arguments)
        return raise_error(reply)

    async def _ask(self, *command: Any) -> Any:
        (reply,) = await self._pipe.ask(*command)
        return raise_error(reply)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)

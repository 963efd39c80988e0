"""The Lua that runs inside Redis: each script is one atomic step on one key.

(`PEEK` reads many keys; it changes none.) A session is a HASH. Its
bookkeeping stands in fields that begin with the byte 0xFF, which no
UTF-8 text contains, so that every other field is simply one of the
user's keys:

======  =============================================================
field   content
======  =============================================================
FF m    `Meta.encode()`: format number, id, digest of the secret, ...
FF g    generation, decimal
FF v    version, decimal
FF a    absolute deadline, milliseconds since the epoch, server's clock
FF u    user id; absent when nobody is logged in
FF p    "1" on a provisional record, else absent
======  =============================================================

The idle deadline is the key's own time to live. Oldest server: 6.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from ..record import Peek

#: Commit answers, in place of a version.
GONE, ROTATED, CONFLICT = -1, -2, -3


class Script:
    """A script's source and the SHA-1 by which Redis knows it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode()).hexdigest()  # noqa: S324  # Redis names it so


_NOW = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

# Lua's stack holds about 8,000 values, so long lists go in slices.
_SLICES = """
local function slices(command, key, first, last)
  for i = first, last, 1000 do
    redis.call(command, key, unpack(ARGV, i, math.min(i + 999, last)))
  end
end
"""

#: ARGV: meta, ttl ms, absolute ms, user id or '', provisional, key, value, ...
CREATE = Script(
    _NOW
    + _SLICES
    + r"""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], '\255m', ARGV[1], '\255g', 1, '\255v', 1,
  '\255a', string.format('%.0f', now() + ARGV[3]))
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], '\255u', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], '\255p', '1') end
slices('HSET', KEYS[1], 6, #ARGV)
redis.call('PEXPIRE', KEYS[1], math.min(ARGV[2], ARGV[3]))
return 1
"""
)

#: ARGV: generation, version or '', ttl ms or 0, flags, meta or '', user id or '',
#: index of the last value to set, key, value, ..., key to delete, ...
#: Flags: c clear, p confirm, v count the version up.
COMMIT = Script(
    _NOW
    + _SLICES
    + rf"""
local key = KEYS[1]
local b = redis.call('HMGET', key, '\255g', '\255v', '\255a', '\255p')
if not b[1] or not b[2] then return {{{GONE}}} end
if b[1] ~= ARGV[1] then return {{{ROTATED}}} end
if ARGV[2] ~= '' and b[2] ~= ARGV[2] then return {{{CONFLICT}}} end
local function flag(name) return string.find(ARGV[4], name, 1, true) end
local last, version = tonumber(ARGV[7]), tonumber(b[2])
if flag('v') then version = version + 1 end
if flag('c') then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.byte(field) ~= 255 then redis.call('HDEL', key, field) end
  end
end
if last > 7 then
  -- What most commits set, and the version, are one command, for each takes a microsecond.
  redis.call('HSET', key, '\255v', version, unpack(ARGV, 8, math.min(1007, last)))
  slices('HSET', key, 1008, last)
end
slices('HDEL', key, last + 1, #ARGV)
-- A script's first write is refused by a Redis that is full, unless it is to delete.
if last < 8 and flag('v') then redis.call('HSET', key, '\255v', version) end
if ARGV[5] ~= '' then
  redis.call('HSET', key, '\255m', ARGV[5], '\255g', b[1] + 1)
  if ARGV[6] ~= '' then redis.call('HSET', key, '\255u', ARGV[6])
  else redis.call('HDEL', key, '\255u') end
end
if b[4] and flag('p') then redis.call('HDEL', key, '\255p') end
local want = tonumber(ARGV[3])
if want == 0 then return {{version}} end
local left = redis.call('PTTL', key)
if tonumber(b[3]) then want = math.min(want, b[3] - now()) end
if want > left or left < 0 then
  redis.call('PEXPIRE', key, want)
  left = want
end
return {{version, left}}
"""
)

#: ARGV: generation or '', user id or ''. Answers the user id, or '' for nobody's.
DELETE = Script(
    rf"""
local b = redis.call('HMGET', KEYS[1], '\255g', '\255u')
if not b[1] then return {GONE} end
if ARGV[2] ~= '' and b[2] ~= ARGV[2] then return {GONE} end
if ARGV[1] ~= '' and b[1] ~= ARGV[1] then return {ROTATED} end
redis.call('DEL', KEYS[1])
return b[2] or ''
"""
)

#: Answers, for each key, 25 bytes: its generation, time to live in seconds (-1: there is
#: no such session), whether it is provisional, its version. Four values of each, as
#: replies of their own, would take the reader twice the time. Numbers of 16 digits or
#: more are none of ours. In halves, for a 32-bit server shifts no further. A key that has
#: lost its time to live, by a PERSIST, still has its absolute deadline.
PEEK = Script(
    _NOW
    + r"""
local function number(text)
  return text and #text < 16 and string.match(text, '^%d+$') and tonumber(text)
end
local half = 4294967296
local answer = {}
for i, key in ipairs(KEYS) do
  -- pcall: a key of another type must not spoil the others' answers.
  local b = redis.pcall('HMGET', key, '\255g', '\255p', '\255v')
  local generation = not b.err and number(b[1])
  local left = generation and redis.call('PTTL', key) or -2
  if left == -1 then
    local absolute = number(redis.call('HGET', key, '\255a'))
    if absolute and absolute <= now() then left = -2 end
  end
  left = left == -2 and -1 or math.max(left, 0) / 1000
  generation = generation or 0
  local version = number(b[3]) or 0
  answer[i] = struct.pack('<I4I4dBI4I4',
    generation % half, math.floor(generation / half), left, b[2] and 1 or 0,
    version % half, math.floor(version / half))
end
return table.concat(answer)
"""
)
_PEEKED = Struct("<qd?q")  # what PEEK answers for one key
_PEEK: Callable[[tuple[Any, ...]], Peek] = partial(tuple.__new__, Peek)  # `_make`, in half the time


def read_peeks(answer: object, count: int) -> list[Peek | None] | None:
    """Return what `PEEK` answered for so many keys; None if that cannot be its answer."""
    if not isinstance(answer, bytes) or len(answer) != _PEEKED.size * count:
        return None
    peeks = map(_PEEK, _PEEKED.iter_unpack(answer))
    return [None if peek[1] < 0 else peek for peek in peeks]


#: ARGV: id, lifetime ms, FF a of the session or 0: it stands in another key, and never
#: changes. The score is when an entry may be forgotten, and so it is their order: what is
#: entered later gets a higher one, though its lifetime be shorter, the millisecond the
#: same, or the clock of a server that took over behind.
INDEX_ADD = Script(
    _NOW
    + r"""
local time = now()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time)
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] or 0
local score = math.max(time + ARGV[2], newest + 1, tonumber(ARGV[3]) or 0)
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
if redis.call('PTTL', KEYS[1]) < score - time then
  redis.call('PEXPIRE', KEYS[1], score - time)
end
return 1
"""
)

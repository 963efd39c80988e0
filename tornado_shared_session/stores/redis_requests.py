"""What is asked of Redis, packed, and what an error that it answers means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

from hiredis import pack_command
from redis.exceptions import ResponseError

from ..errors import StoreError
from .redis_scripts import Script

Command = tuple[str | bytes | int, ...]
Read = Callable[[list[Any]], Any]

#: A replica says these to what only a primary may do.
_DEMOTED = frozenset({"ReadOnlyError", "READONLY", "MasterDownError", "MASTERDOWN"})
_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]+)")


class Request:
    """Commands whose replies belong together, and who waits for them.

    Attributes:
        data: the commands, packed in the caller's turn: what cannot be
            packed, such as a lone surrogate, must not fail others.
        count: how many they are.
        repeatable: they change nothing, so they may be sent again, once.
        in_full: a script that Redis may not know yet, and its arguments.
        read: makes of the replies what `future` gets, or raises.
    """

    __slots__ = ("count", "data", "future", "in_full", "read", "repeatable")

    def __init__(
        self,
        data: bytes,
        count: int,
        future: asyncio.Future[Any],
        repeatable: bool,
        in_full: tuple[Script, Command] | None,
        read: Read | None,
    ) -> None:
        self.data = data
        self.count = count
        self.future = future
        self.repeatable = repeatable
        self.in_full = in_full
        self.read = read

    def answer(self, replies: list[Any]) -> None:
        """These are its replies: let who waits know."""
        if self.read is None:
            self.future.set_result(replies)
            return
        try:
            result = self.read(replies)
        except Exception as error:
            # Its traceback holds the frames below, and they hold the future:
            # a circle, with all that the catcher has in it.
            raise_later(self.future, error.with_traceback(None))
        else:
            self.future.set_result(result)

    def spell_out(self) -> None:
        """Carry the script itself from here on, for Redis does not know it by its SHA-1."""
        assert self.in_full is not None
        script, arguments = self.in_full
        self.data = pack(("EVAL", script.source, *arguments))


def raise_error(reply: Any) -> Any:
    """Return a reply; raise StoreError if it is an error, with its code only."""
    if isinstance(reply, ResponseError):
        raise StoreError(f"the session store refused a command ({_code(reply)})") from reply
    return reply


def pack(*commands: Command) -> bytes:
    """Return commands as they travel.

    Raises:
        UnicodeEncodeError: a part cannot be.
    """
    # hiredis takes bytes too, but its stub does not say so.
    if len(commands) == 1:
        data: bytes = pack_command(commands[0])  # type: ignore[arg-type]  # bytes too
        return data
    return b"".join([pack_command(command) for command in commands])  # type: ignore[arg-type]  # bytes too


def pack_keys(command: Command, keys: list[str]) -> bytes:
    """Return a command with many keys as it travels.

    In a tenth of the time if all have one length, and are ASCII, as keys of sessions are.
    """
    text = "".join(keys)
    if len(set(map(len, keys))) != 1 or not text.isascii():
        return pack((*command, *keys))
    _, head = pack(command).split(b"\r\n", 1)
    each = f"${len(keys[0])}\r\n"
    body = each + f"\r\n{each}".join(keys) + "\r\n"
    return b"*%d\r\n%b%b" % (len(command) + len(keys), head, body.encode())


def demoted(reply: Any) -> bool:
    """Tell whether a reply is what a replica says to what only a primary may do."""
    return isinstance(reply, ResponseError) and _code(reply) in _DEMOTED


def _code(error: ResponseError) -> str:
    """Return the first word of what Redis said, or the name of redis-py's class for it."""
    # redis-py takes the code off the errors that it has a class for;
    # Redis before 7 hides that of an error inside a script.
    inside = _IN_SCRIPT.search(str(error))
    if inside is not None:
        return inside[1]
    return str(error).split(" ")[0] if type(error) is ResponseError else type(error).__name__


def fail(batch: Iterable[Request], message: str, cause: BaseException | None) -> None:
    """Tell those who still wait that nothing is known."""
    for request in batch:
        if not request.future.done():
            error = StoreError(message)
            error.__cause__ = cause
            raise_later(request.future, error)


def raise_later(future: asyncio.Future[Any], error: Exception) -> None:
    """Have who awaits it hear of an error; nobody may, if it was for a page refused meanwhile."""
    future.set_exception(error)
    future.exception()  # or asyncio logs that nobody did

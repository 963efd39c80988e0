"""The sessions from a shell: `python -m tornado_shared_session --help`.

It works on the store of a running application and serves nothing. What
is shown is bookkeeping: neither values nor anything that logs in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from .devices import Revoked, SessionInfo
from .errors import ConfigurationError, SessionError
from .manager import SessionManager
from .record import is_id, is_text
from .stores.base import Store
from .stores.redis import RedisStore
from .users import NewerRecord

DONE, NOTHING_THERE, WRONG_USE, FAILED = 0, 1, 2, 3

_LONGEST = 100 * 365 * 86400.0  # stands for "not given", so that no deadline tells anything
_MARK = "\0"  # which no argument of a program can contain
_STATUSES = """\
exit status: 0 done, 1 no such session, 2 wrong use, 3 the store failed"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    # An id may begin with "-", which argparse would take for an option; `_text` takes the mark off.
    args = _parser().parse_args(
        [_MARK + arg if arg.startswith("-") and is_id(arg) else arg for arg in argv]
    )
    try:
        return asyncio.run(_run(args))
    except ConfigurationError as error:
        return _complain(str(error), WRONG_USE)
    except NewerRecord as error:
        return _complain(f"{error}; use that release of this program, too", FAILED)
    except SessionError as error:
        hint = "look at --redis or --sql, and whether the server runs"
        return _complain(f"{error}; {hint}. What was done so far stays done", FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", FAILED)


def _complain(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tornado_shared_session",
        description="Look at sessions, and end them.",
        epilog=_STATUSES,
    )
    common = argparse.ArgumentParser(add_help=False)
    where = common.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--redis", type=_text, metavar="URL", help="such as redis://localhost:6379/0"
    )
    where.add_argument(
        "--sql", type=_text, metavar="URL", help="such as postgresql+asyncpg://user@host/name"
    )
    common.add_argument("--prefix", type=_text, help="as the application gives it to its store")
    common.add_argument(
        "--idle-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="that of the application; without it nobody can tell when a session was last seen",
    )
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, run: Command, what: str, value: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what, parents=[common])
        added.add_argument("value", metavar=value, type=_text)
        added.set_defaults(run=run)
        return added

    command("show", _show, "show a session", "ID")
    command("list-user", _list_user, "list a user's sessions, oldest first", "USER")
    end = command("end", _end, "end a session; its sockets close", "ID")
    end.add_argument("--user", type=_text, help="end it only if it is this user's")
    end_user = command("end-user", _end_user, "end all sessions of a user", "USER")
    end_user.add_argument(
        "--keep", action="append", default=[], type=_text, metavar="ID", help="but this one"
    )
    return parser


def _text(text: str) -> str:
    """Take an argument as it was given: the type of each that is no number."""
    if not is_text(text):
        raise argparse.ArgumentTypeError("not UTF-8, as whatever names a session or a user is")
    return text.removeprefix(_MARK)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value <= _LONGEST:
            return value
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a number of seconds, above 0 and up to 100 years"
    )


def _store(args: argparse.Namespace) -> Store:
    prefix = {} if args.prefix is None else {"prefix": args.prefix}
    if args.redis is not None:
        return RedisStore(args.redis, **prefix)
    try:
        from .stores.sql import SQLStore
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    return SQLStore(args.sql, **prefix)


async def _run(args: argparse.Namespace) -> int:
    idle = args.idle_timeout or _LONGEST
    manager = SessionManager(
        _store(args), idle_timeout=idle, absolute_timeout=_LONGEST, touch_interval=0
    )
    async with manager:
        run: Command = args.run
        return await run(manager, args)


Command = Callable[[SessionManager, argparse.Namespace], Coroutine[Any, Any, int]]


async def _show(manager: SessionManager, args: argparse.Namespace) -> int:
    record = await manager.fetch(args.value) if is_id(args.value) else None
    if record is None:
        return _complain("there is no such session; list-user lists those of a user", NOTHING_THERE)
    (info,) = await manager.describe(record)
    lines = [
        ("id", info.id),
        ("user", record.meta.user_id or "-"),
        *_times(info, args),
        ("sockets", str(info.sockets)),
        ("address", info.address or "-"),
        ("user agent", info.user_agent or "-"),
        ("values", f"{len(record.values)} ({sum(map(len, record.values.values()))} bytes)"),
        ("generation", str(record.generation)),
    ]
    for name, value in lines:
        print(f"{name:12}{_plain(value)}")
    return DONE


async def _list_user(manager: SessionManager, args: argparse.Namespace) -> int:
    infos = await manager.list_user(args.value)
    if not infos:
        return _complain("this user has no session", NOTHING_THERE)
    times = [name for name, _ in _times(infos[0], args)]
    print("\t".join(["id", *times, "sockets", "address", "user agent"]))
    for info in infos:
        when = [value for _, value in _times(info, args)]
        line = [info.id, *when, str(info.sockets), info.address or "-", info.user_agent or "-"]
        print("\t".join(map(_plain, line)))
    return DONE


async def _end(manager: SessionManager, args: argparse.Namespace) -> int:
    if await manager.destroy(args.value, args.user):
        print("ended")
        return DONE
    return _complain(
        "there is no such session" + (" of this user" if args.user else ""), NOTHING_THERE
    )


async def _end_user(manager: SessionManager, args: argparse.Namespace) -> int:
    if wrong := [id for id in args.keep if not is_id(id)]:
        return _complain(f"--keep: not a session's id: {_plain(wrong[0])[:40]}", WRONG_USE)
    revoked: Revoked = await manager.destroy_user(args.value, keep=args.keep)
    print(f"{revoked.sessions} sessions ended, {revoked.sockets} sockets closed,", end=" ")
    print(f"{revoked.processes} of {revoked.of_processes} processes have said so")
    if args.sql is not None:
        print("other processes notice at their next reload: SQL carries no notices")
    return DONE if revoked.sessions else NOTHING_THERE


def _times(info: SessionInfo, args: argparse.Namespace) -> list[tuple[str, str]]:
    seen = [("last seen", _when(info.last_seen))] if args.idle_timeout is not None else []
    return [("created", _when(info.created_at)), *seen, ("expires", _when(info.expires_at))]


def _when(time: datetime) -> str:
    return (time + timedelta(seconds=0.5)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(text: str) -> str:
    """Make it harmless for a terminal: whoever wrote it into the store may be anybody."""
    return "".join(char if char.isprintable() else "?" for char in text)

"""What an error of a database means for a session: no I/O.

Messages must not carry addresses, passwords, statements or values, and
SQLAlchemy's do: so its errors go no further than this file, and what is
chained is the driver's own.
"""

from __future__ import annotations

import enum
import re

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import StoreError


class Failure(enum.Enum):
    """What became of a statement that failed."""

    UNDONE = "undone"  # rolled back by the database: it may be sent again
    LOST = "lost"  # the connection broke: it may have been applied
    MISSING = "missing"  # the table, or a column of it, is not there
    REFUSED = "refused"


#: Deadlock, lock wait and a row changed meanwhile, MySQL's and PostgreSQL's.
_UNDONE = {1213, 1205, 1020, "40P01", "55P03", "40001"}
_MISSING = {1146, 1054, "42P01", "42703"}
_EXISTS = {1050, 1061, "42P07", "42710", "23505"}
_SQLITE_BUSY, _SQLITE_LOCKED = 5, 6
_NO_SUCH = re.compile(r"no such (table|column)")


def classify(error: Exception) -> Failure:
    """Tell what an error of SQLAlchemy or of a driver means."""
    if not isinstance(error, DBAPIError):
        return Failure.REFUSED
    code = _code(error)
    if code in _UNDONE or _is_sqlite_busy(error):
        return Failure.UNDONE
    if error.connection_invalidated:
        return Failure.LOST
    if code in _MISSING or _NO_SUCH.search(str(error.orig)):
        return Failure.MISSING
    return Failure.REFUSED


def already_exists(error: DBAPIError) -> bool:
    """Tell whether a CREATE failed because somebody else was faster."""
    return _code(error) in _EXISTS or "already exists" in str(error.orig)


def explain(error: Exception) -> StoreError:
    """Return what our caller may see of an error."""
    cause: BaseException = error
    if isinstance(error, DBAPIError):
        cause = error.orig or error
        if error.connection_invalidated:
            message = "the session database hung up"
        elif code := _code(error):
            message = f"the session database refused ({code})"
        else:
            message = f"the session database refused ({type(error).__name__})"
    elif isinstance(error, PoolTimeout):
        message = "the session database is busy: every connection is in use"
    elif isinstance(error, OSError):
        message = "the session database cannot be reached"
    else:
        message = f"the session database cannot be used ({type(error).__name__})"
    explained = StoreError(message)
    explained.__cause__ = cause
    return explained


def _code(error: DBAPIError) -> int | str | None:
    """Return MySQL's number, PostgreSQL's SQLSTATE or SQLite's name of an error."""
    orig = error.orig
    first = orig.args[0] if orig is not None and orig.args else None
    if isinstance(first, int):  # PyMySQL 1.2 adds an SQLSTATE, which says less
        return first
    for name in ("sqlstate", "sqlite_errorname"):
        if isinstance(code := getattr(orig, name, None), str):
            return code
    return None


def _is_sqlite_busy(error: DBAPIError) -> bool:
    number = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(number, int) and number & 0xFF in (_SQLITE_BUSY, _SQLITE_LOCKED)

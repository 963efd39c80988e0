"""The tables of the SQL store, and how each database spells them.

No I/O. A session is one row, its values one packed column:

==========  ===============================================================
column      content
==========  ===============================================================
id          the session's id, compared byte by byte
meta        `Meta.encode()`: format number, id, digest of the secret, ...
payload     the values: msgpack, a map of UTF-8 key to encoded value
generation  counts the credentials, from 1
version     counts the commits, from 1
deadline    when it expires: milliseconds since the epoch, the database's clock
latest      the absolute deadline, likewise
provisional 1 on a provisional record, else 0
==========  ===============================================================

One row rather than one per key: a load is one row by its primary key, a
commit one UPDATE of that row, and no other row is ever locked. Who is
logged in where stands in a second table: SHA-256 of the user id (any
text of any length, compared exactly), session id, deadline.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, SmallInteger, String, func
from sqlalchemy import Table as SQLTable
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.sql.elements import BindParameter, ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..errors import ConfigurationError
from ..record import CorruptRecord

#: Databases by SQLAlchemy's name, and the driver that the extra installs.
DRIVERS = {
    "mysql": "mysql+aiomysql",
    "mariadb": "mariadb+aiomysql",
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}

_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_ID_LENGTH = 22


class _HexBytes(TypeDecorator[bytes]):
    """Bytes for MySQL and MariaDB, sent as hexadecimal digits.

    Their pure Python drivers write values into the text of a statement,
    and escape bytes with backslashes even if the server's sql_mode says
    NO_BACKSLASH_ESCAPES. Digits need no escaping.
    """

    impl = mysql.LONGBLOB
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        return lambda value: None if value is None else value.hex()

    def bind_expression(self, bindparam: BindParameter[bytes]) -> ColumnElement[bytes]:
        return func.unhex(bindparam, type_=self)


class _HexDigest(_HexBytes):
    impl = mysql.BINARY  # type: ignore[assignment]  # of a fixed length, which an index needs
    cache_ok = True


@dataclass(frozen=True)
class Schema:
    """The two tables for one database, under one prefix.

    Attributes:
        sessions: one row per session.
        users: one row per session of a user who is logged in.
    """

    sessions: SQLTable
    users: SQLTable

    def ddl(self) -> list[ExecutableDDLElement]:
        """Return the statements that create what is missing of them."""
        tables = [self.sessions, self.users]
        indexes = [CreateIndex(index) for table in tables for index in table.indexes]
        return [*map(CreateTable, tables), *indexes]

    def text(self, dialect: Dialect) -> str:
        """Return the same as text, to read and to run by hand."""
        statements = (str(element.compile(dialect=dialect)).strip() for element in self.ddl())
        return "\n\n".join(f"{statement};" for statement in statements).replace("\t", "    ")


def schema(prefix: str, backend: str) -> Schema:
    """Describe the tables for a database.

    Args:
        prefix: begins both names.
        backend: a key of `DRIVERS`.

    Raises:
        ConfigurationError: the prefix cannot begin the name of a table.
    """
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            "SQLStore(prefix=...) must be 1 to 32 lower-case letters, digits and underscores,"
            " and not begin with a digit"
        )
    id_type: TypeEngine[str] = String(_ID_LENGTH)
    bytes_type: TypeEngine[bytes] = LargeBinary()
    digest_type: TypeEngine[bytes] = LargeBinary(32)
    if backend in ("mysql", "mariadb"):
        # Their default collations take "a" and "A" for the same id.
        id_type = mysql.VARCHAR(_ID_LENGTH, charset="ascii", collation="ascii_bin")
        bytes_type, digest_type = _HexBytes(), _HexDigest(32)
    elif backend == "postgresql":
        id_type = postgresql.VARCHAR(_ID_LENGTH, collation="C")
    metadata = MetaData()
    sessions = SQLTable(
        f"{prefix}sessions",
        metadata,
        Column("id", id_type, primary_key=True),
        Column("meta", bytes_type, nullable=False),
        Column("payload", bytes_type, nullable=False),
        Column("generation", BigInteger, nullable=False, autoincrement=False),
        Column("version", BigInteger, nullable=False),
        Column("deadline", BigInteger, nullable=False),
        Column("latest", BigInteger, nullable=False),
        Column("provisional", SmallInteger, nullable=False),
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    users = SQLTable(
        f"{prefix}users",
        metadata,
        Column("user", digest_type, primary_key=True),
        Column("id", id_type, primary_key=True),
        Column("deadline", BigInteger, nullable=False),
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    for table in (sessions, users):
        Index(f"{table.name}_deadline", table.c.deadline)  # for the purge
    return Schema(sessions, users)


def user_digest(user_id: str) -> bytes:
    """Return what stands for a user in the index."""
    return hashlib.sha256(user_id.encode()).digest()


def pack(values: dict[bytes, bytes]) -> bytes:
    """Return the values of a record as one column."""
    packed: bytes = msgpack.packb(values)
    return packed


def unpack(payload: bytes) -> dict[bytes, bytes]:
    """Read the column again.

    Raises:
        CorruptRecord: it is nothing that `pack` has made.
    """
    try:
        values = msgpack.unpackb(payload)
        if type(values) is not dict:
            raise CorruptRecord
        for key, value in values.items():
            if type(key) is not bytes or type(value) is not bytes:
                raise CorruptRecord
    except CorruptRecord:
        raise
    except Exception as error:  # any bytes may stand in the database
        raise CorruptRecord from error
    return values


def padded(ids: Sequence[Any]) -> list[Any]:
    """Fill a list up to a power of two, so that few different statements arise."""
    return [*ids, *[ids[-1]] * ((1 << (len(ids) - 1).bit_length()) - len(ids))]


def milliseconds(seconds: float) -> int:
    """Return a duration as the tables have it."""
    return round(seconds * 1000)

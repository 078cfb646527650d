"""Where a database on a server is, and how to connect to it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from ...errors import BadConfiguration
from .adapting import adapt

SCHEMA = "watchbell"
FORM = "postgresql://user:password@host:5432/database"
_HOW = f"write {FORM}, and %40 for @, %2F for /, %3F for ?, %25 for % within the user or the password"
_LONGEST_NAME = 63
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "watchbell",
}
"""So that a connection whose other end is gone without a word is noticed within seconds."""


@dataclass(frozen=True, slots=True)
class Address:
    """A schema in a database on a server. `listen` is where notifications are listened for, if not at the same place."""

    conninfo: str = field(repr=False)  # it may hold a password
    where: str
    schema: str = SCHEMA
    listen: str | None = field(default=None, repr=False)

    @property
    def lock_key(self) -> int:
        """The number of the lock that every writer takes: of this schema; a lock holds within its database anyway."""
        return (0x7762 << 32) | zlib.crc32(self.schema.encode())

    @property
    def channel(self) -> str:
        """The channel on which nodes tell each other that something was written."""
        return f"{self.schema}_wake"

    @property
    def place(self) -> str:
        """SQL that tells which ledger in which database a connection leads to; a copy of it is another one."""
        this = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        return f"(SELECT value FROM {self.schema}.meta WHERE key = 'database_id') || '/' || {this}"

    def connect(self, conninfo: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection that is in no transaction. Raises psycopg.Error."""
        conn = psycopg.connect(conninfo or self.conninfo, autocommit=True, prepare_threshold=None)
        adapt(conn)
        return conn


def parse_url(url: str) -> Address:
    """Read a database URL. BadConfiguration says how it is written.

    Beside what PostgreSQL knows itself (sslmode and so on) two parameters are watchbell's: `schema`, and `listen`, a URL
    of the server itself where the first one leads to a pooler.
    """
    place, _, query = url.partition("?")
    ours, others = {"schema": SCHEMA, "listen": ""}, []
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key in ours:
            ours[key] = unquote(value)
        elif part:
            others.append(part)
    what = "The database URL cannot be read"
    try:  # psycopg's own texts quote the URL, password and all
        _read(place)
        what = "What follows ? in the database URL cannot be read" + _unknown(others)
        plain = f"{place}?{'&'.join(others)}" if others else place
        known = _read(plain)
        conninfo = make_conninfo(plain, **{k: v for k, v in _PATIENCE.items() if k not in known})
        what = "The listen= in the database URL cannot be read; it is the URL of the server itself"
        listen = make_conninfo(ours["listen"], **_PATIENCE) if _read(ours["listen"]) else None
    except (ValueError, psycopg.Error):
        raise BadConfiguration(f"{what}; {_HOW}.") from None
    schema = ours["schema"]
    if (
        not schema.isidentifier()
        or not schema.isascii()
        or schema != schema.lower()
        or len(schema) > _LONGEST_NAME - 5
    ):
        raise BadConfiguration(
            f"The schema {schema!r} in the database URL is no plain name: write lower-case letters, digits and _."
        )
    if schema.startswith("pg_") or schema in ("public", "information_schema"):
        raise BadConfiguration(
            f"watchbell's tables get a schema of their own; {schema!r} in the database URL is not for it."
        )
    return Address(conninfo, _shown(known, schema), schema, listen)


def _read(url: str) -> dict[str, Any]:
    """The parts of a URL. ValueError or psycopg.Error where it has none, or where a piece of a password stands for the host
    or the port: whatever is said about those would show it."""
    known = conninfo_to_dict(url)
    ports = str(known.get("port") or "").split(",")
    if "@" in str(known.get("host") or "") or not all(port.isdecimal() for port in ports if port):
        raise ValueError("no host and port")
    return known


def _unknown(others: list[str]) -> str:
    """Which parameter PostgreSQL does not know, in words."""
    known = {one.keyword.decode() for one in Conninfo.get_defaults()} | {"ssl"}
    strange = [key for key in (part.partition("=")[0] for part in others) if key not in known]
    return f" ({strange[0]} is no parameter)" if strange and strange[0].isidentifier() else ""


def _shown(known: dict[str, Any], schema: str) -> str:
    """The place in words, without its password."""
    host, asked = known.get("host") or "localhost", []
    if host.startswith("/"):  # the folder of a socket
        host, asked = "", [f"host={host}"]
    port = f":{known['port']}" if known.get("port") else ""
    user = f"{known['user']}@" if known.get("user") else ""
    name = known.get("dbname") or known.get("user") or ""
    asked += [] if schema == SCHEMA else [f"schema={schema}"]
    return f"postgresql://{user}{host}{port}/{name}{'?' if asked else ''}{'&'.join(asked)}"


def end_of(conn: psycopg.Connection[tuple[Any, ...]]) -> int:
    """The number of the server's process that answers now. Who is connected to the server itself was told that number; a
    pooler makes one up."""
    found = conn.execute("SELECT pg_backend_pid()").fetchone()
    assert found is not None
    return int(found[0])

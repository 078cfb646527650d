"""URLs of PostgreSQL, in one form whatever they were written as, with everything in them that it takes to connect."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict


def parts_of(conninfo: str) -> dict[str, str]:
    """What a URL, or `host=… dbname=…`, says."""
    return {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}


def url_of(parts: Mapping[str, object]) -> str:
    """`postgresql://user:password@host:port/dbname?…`; a socket's folder and whatever else go behind the `?`."""
    rest = {name: str(value) for name, value in parts.items() if value not in (None, "")}
    who = quote(rest.pop("user", ""), safe="")
    if "password" in rest:
        who += ":" + quote(rest.pop("password"), safe="")
    host = ""
    if not rest.get("host", "").startswith("/"):
        host = rest.pop("host", "")
        host = f"[{host}]" if ":" in host else host
        if "port" in rest:
            host += ":" + rest.pop("port")
    database = quote(rest.pop("dbname", ""), safe="")
    behind = "?" + urlencode(rest, quote_via=quote) if rest else ""
    return f"postgresql://{who}{'@' if who else ''}{host}/{database}{behind}"


def with_database(url: str, database: str) -> str:
    return url_of({**parts_of(url), "dbname": database})


def whole(conninfo: str, connection: psycopg.Connection) -> str:
    """The URL of a connection that was made with it: also what the environment or a password file has added."""
    info = connection.info
    told = {"user": info.user, "host": info.host, "port": info.port, "dbname": info.dbname}
    return url_of({**parts_of(conninfo), **told, "password": info.password})

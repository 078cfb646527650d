"""How values cross to the server and back, so that they are what SQLite takes and gives: a whole number is a BIGINT
as in every column, and truths and sums are whole numbers."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.types.numeric import Int8Dumper


class _WholeDumper(Int8Dumper):
    """A BIGINT also within a statement's text, whatever its size and sign."""

    def quote(self, obj: Any) -> Buffer:
        return b"'" + bytes(self.dump(obj) or b"") + b"'::bigint"


class _TruthDumper(Dumper):
    """True is 1, as in every column that holds one."""

    oid = 20

    def dump(self, obj: Any) -> Buffer | None:
        return b"1" if obj else b"0"

    def quote(self, obj: Any) -> Buffer:
        return b"'1'::bigint" if obj else b"'0'::bigint"


class _NumericLoader(Loader):
    """A sum of whole numbers is one."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


def adapt(conn: psycopg.Connection[Any]) -> None:
    """Set a connection up for that."""
    conn.adapters.register_dumper(
        int, Int8Dumper
    )  # a SMALLINT, else, if it is small: and so would be its sum
    conn.adapters.register_dumper(bool, _TruthDumper)
    conn.adapters.register_loader("numeric", _NumericLoader)


def quoting(conn: psycopg.Connection[Any]) -> psycopg.ClientCursor[Any]:
    """A cursor that writes parameters into the text of a statement, each with the type that it has beside it."""
    cursor = psycopg.ClientCursor(conn)
    cursor.adapters.register_dumper(int, _WholeDumper)
    return cursor

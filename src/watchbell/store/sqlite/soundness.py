"""Whether a database is sound: a quick look with a limit at every start, and the whole check on demand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from ...clock import SystemClock
from ...errors import StoreCorrupt
from . import SqliteStore
from .errors import translated

AT_START_US = 250_000
_LOOK_EVERY = 20_000
_MOST = 20


def look(store: SqliteStore, limit_us: int | None = AT_START_US) -> bool:
    """Check the structure of the database, as far as that goes within the limit (None: to its end); False if the limit
    was reached. StoreCorrupt names what is damaged."""
    return store.in_memory or store.apart(lambda conn: _check(conn, "quick_check", store.where, limit_us))


def check_whole(store: SqliteStore) -> None:
    """Check the structure and every index against its table, however long that takes. StoreCorrupt."""
    if not store.in_memory:
        store.apart(lambda conn: _check(conn, "integrity_check", store.where, None))


def check_copy(path: Path) -> None:
    """Check the whole of a file that nobody uses, which is only read. StoreCorrupt."""
    try:
        conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            _check(conn, "integrity_check", str(path), None)
        finally:
            conn.close()
    except apsw.Error as error:
        raise translated(error, str(path)) from error


def _check(conn: apsw.Connection, pragma: str, where: str, limit_us: int | None) -> bool:
    if limit_us is not None:
        conn.set_progress_handler(_over(limit_us), _LOOK_EVERY)
    try:
        found = [str(row[0]) for row in conn.execute(f"PRAGMA {pragma}({_MOST})")]
    except apsw.InterruptError:
        return False
    finally:
        conn.set_progress_handler(None)
    if found != ["ok"]:
        raise StoreCorrupt(
            f"{where} is damaged: {'; '.join(found[:3])}. Nothing is read from it or written to it: `watchbell restore FILE` "
            "puts a backup in its place and keeps the damaged file."
        )
    return True


def _over(limit_us: int) -> Callable[[], bool]:
    clock = SystemClock()
    until = clock.mono_ns() + limit_us * 1000
    return lambda: clock.mono_ns() > until

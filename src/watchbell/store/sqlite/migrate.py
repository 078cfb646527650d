"""Bring a database's schema up to what this code knows; refuse one that is newer or is not ours.

Migrations are the numbered files beside this one, applied in order, each in one transaction with the new number, so a
crash leaves either the old schema or the new one. A released file is never edited.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import apsw

from ...errors import SchemaTooNew, StoreCorrupt
from ..schema_files import in_order
from . import APPLICATION_ID, SqliteStore
from .copying import copy_to


def migrations() -> list[tuple[int, str, str]]:
    """(number, file name, SQL) of every migration, in order."""
    return in_order("watchbell.store.sqlite")


def newest() -> int:
    """The number of the newest schema this code knows."""
    return migrations()[-1][0]


def current(store: SqliteStore) -> int:
    """The number of the database's schema; 0 for an empty one."""
    return int(store.exclusive(lambda conn: conn.pragma("user_version")))


def check(store: SqliteStore) -> int:
    """The database's schema number, after refusing what is not ours or is newer than this code."""

    def look(conn: apsw.Connection) -> tuple[int, int, int]:
        ours = conn.pragma("application_id")
        version = conn.pragma("user_version")
        tables = len(conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall())
        return int(ours), int(version), int(tables)

    ours, version, tables = store.exclusive(look)
    if tables and ours != APPLICATION_ID:
        raise StoreCorrupt(
            f"{store.where} is a SQLite database, but not one of watchbell's: give watchbell a file of its own."
        )
    if version > newest():
        raise SchemaTooNew(
            f"{store.where} has schema {version}, written by a newer watchbell; this one knows up to {newest()}. "
            "Install the newer version, or restore the backup that was made before the upgrade."
        )
    return version


def kept_copy(path: Path, version: int) -> Path:
    """Where the copy of a database lies that was made before it left schema `version`."""
    return path.with_name(f"{path.name}.schema-{version}.backup")


def _keep_copy(store: SqliteStore, path: Path, version: int) -> None:
    """A copy of the database as it is, before anything of its schema is changed: the way back."""
    copy_to(store, kept_copy(path, version), schema=version)


def migrate(store: SqliteStore, now: int, *, keep_copy: bool = True) -> list[str]:
    """Apply what is missing; returns the names of the files that were applied. A copy of what was there is kept beside it."""
    version = check(store)
    if version == newest():
        return []
    if keep_copy and version > 0 and store.path is not None:
        _keep_copy(store, store.path, version)

    def apply(conn: apsw.Connection) -> list[str]:
        applied = []
        conn.execute("BEGIN IMMEDIATE")
        try:
            at = conn.pragma("user_version")
            for number, name, sql in migrations():
                if number <= at:
                    continue
                for _ in conn.execute(sql):
                    pass
                conn.execute(f"PRAGMA user_version = {number}")
                applied.append(name)
            if at == 0:
                conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                conn.execute("INSERT INTO meta VALUES ('database_id', ?)", (secrets.token_hex(6),))
                conn.execute("INSERT INTO meta VALUES ('created_at', ?)", (str(now),))
                conn.execute("UPDATE workspace SET created_at = ?", (now,))
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise
        return applied

    return store.exclusive(apply)

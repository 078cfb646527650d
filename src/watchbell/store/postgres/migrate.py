"""Bring a schema up to what this code knows; refuse one that is newer or is not ours.

Migrations are the numbered files beside this one, applied in order, all in one transaction with the new number and under
the lock that every writer takes, so that a crash leaves either the old schema or the new one. A released file is never
edited.
"""

from __future__ import annotations

import secrets
from typing import Any

import psycopg

from ...errors import SchemaTooNew, StoreCorrupt
from ..schema_files import in_order
from .store import PostgresStore

Connection = psycopg.Connection[tuple[Any, ...]]


def migrations() -> list[tuple[int, str, str]]:
    """(number, file name, SQL) of every migration, in order."""
    return in_order("watchbell.store.postgres")


def newest() -> int:
    """The number of the newest schema this code knows."""
    return migrations()[-1][0]


def check(store: PostgresStore) -> int:
    """The number of the database's schema, 0 where there is none, after refusing what is not ours or is newer than this
    code."""
    return store.exclusive(lambda conn: _check(store, conn))


def _check(store: PostgresStore, conn: Connection) -> int:
    schema = store.address.schema
    tables = conn.execute(
        "SELECT count(*), count(*) FILTER (WHERE tablename = 'meta') FROM pg_tables WHERE schemaname = %s",
        (schema,),
    ).fetchone() or (0, 0)
    if not tables[0]:
        return 0
    version = None
    if tables[1]:
        found = conn.execute(f"SELECT value FROM {schema}.meta WHERE key = 'schema'").fetchone()
        version = None if found is None else int(found[0])
    if version is None:
        raise StoreCorrupt(
            f"The schema {schema} in {store.where} holds tables that are not watchbell's: name another one with "
            "?schema=… in the database URL."
        )
    if version > newest():
        raise SchemaTooNew(
            f"{store.where} has schema {version}, written by a newer watchbell; this one knows up to {newest()}. "
            "Install the newer version, or restore the backup that was made before the upgrade."
        )
    return version


def migrate(store: PostgresStore, now: int) -> list[str]:
    """Apply what is missing; returns the names of the files that were applied."""
    if check(store) == newest():
        return []
    return store.exclusive(lambda conn: _apply(store, conn, now))


def _apply(store: PostgresStore, conn: Connection, now: int) -> list[str]:
    schema = store.address.schema
    applied = []
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (store.address.lock_key,))
        at = _check(store, conn)
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        conn.execute(f"SET LOCAL search_path TO {schema}, pg_catalog, pg_temp")
        for number, name, text in migrations():
            if number <= at:
                continue
            conn.execute(text)
            applied.append(name)
        if at == 0:
            conn.execute("INSERT INTO meta VALUES ('database_id', %s)", (secrets.token_hex(6),))
            conn.execute("INSERT INTO meta VALUES ('created_at', %s)", (str(now),))
            conn.execute("UPDATE workspace SET created_at = %s", (now,))
        conn.execute(
            "INSERT INTO meta VALUES ('schema', %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (str(newest()),),
        )
    return applied

"""A database for each test, under a name that no other test has had, with watchbell's schema in it and nothing else.

Made anew, a database costs 150 ms: PostgreSQL copies some 300 files and syncs them, and syncs again when it is dropped.
So a database that a test gives back is cleaned and given to another one, which costs a tenth of that:

- Whoever is still connected is thrown out, and the database gets its next name. What a test has left running knows only
  the old name, and cannot come back into what is by now another test's database.
- Its rows are deleted in one statement (so that the order of foreign keys does not matter), the rows that the schema
  itself brings are put back, and the sequences begin where they began.
- If the catalog is not what it was, because the test has made or altered a table, or the database has grown large, it is
  dropped, and the next one is made anew.

Databases of a process that was killed are dropped by the next one that comes: each process keeps one connection for as
long as it lives, and the names of its databases begin with the `application_name` of that.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator

import psycopg
from psycopg.sql import SQL, Identifier

from tests.postgres.urls import with_database

PREFIX = "watchbell_test_"
ROOM = 32 * 2**20  # bytes that a database may have grown by and still be cleaned
GONE_WITHIN = 10.0  # seconds

Connection = psycopg.Connection[tuple[object, ...]]

LEFT = """
    SELECT datname FROM pg_database WHERE starts_with(datname, %(prefix)s) AND NOT EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE starts_with(a.application_name, %(prefix)s) AND starts_with(pg_database.datname, a.application_name || '_'))
"""
TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.oid >= 16384 ORDER BY c.oid
"""
SEQUENCES = """
    SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value), last_value IS NOT NULL
    FROM pg_sequences ORDER BY 1
"""
CATALOG = """
    SELECT md5(coalesce(string_agg(line, E'\n' ORDER BY line), '')) FROM (
        SELECT concat_ws(' ', 'class', oid, relname, relnamespace, relowner, relacl, reloptions, relfilenode) AS line
            FROM pg_class WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, attnotnull, attisdropped)
            FROM pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT concat_ws(' ', 'default', oid, pg_get_expr(adbin, adrelid)) FROM pg_attrdef
        UNION ALL SELECT concat_ws(' ', 'constraint', oid, conname, convalidated) FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'type', oid, typname) FROM pg_type WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'function', oid, proname, md5(prosrc)) FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'trigger', oid, tgname, tgenabled) FROM pg_trigger
        UNION ALL SELECT concat_ws(' ', 'schema', oid, nspname, nspacl) FROM pg_namespace
        UNION ALL SELECT concat_ws(' ', 'extension', oid, extname) FROM pg_extension
        UNION ALL SELECT concat_ws(' ', 'object', oid) FROM pg_largeobject_metadata
        UNION ALL SELECT concat_ws(' ', 'setting', setdatabase, setrole, setconfig) FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS lines
"""


class Databases:
    """The databases of one process of tests on one server."""

    def __init__(
        self, server: str, prepare: Callable[[str], None] = lambda _url: None, room: int = ROOM
    ) -> None:
        self.server = server
        self._room = room
        self._name = PREFIX + secrets.token_hex(4)
        self._link: Connection = psycopg.connect(server, autocommit=True, application_name=self._name)
        self._number = 0
        self._clean: list[str] = []  # databases that nobody has yet seen under their name
        self._prepare = prepare
        self._template = f"{self._name}_template"
        self._first: _State | None = None  # of the template, once there is one
        self._sweep()

    def url(self, database: str) -> str:
        return with_database(self.server, database)

    @contextlib.contextmanager
    def lend(self, *, empty: bool = False) -> Iterator[str]:
        """The URL of a database of the caller's own; `empty` without watchbell's schema. It is gone afterwards."""
        if empty:
            name = self._next_name()
            self._create(name, "template0")
        elif self._clean:
            name = self._clean.pop()
        else:
            name = self._next_name()
            self._first = self._first or self._make_template()
            self._create(name, self._template)
        try:
            yield self.url(name)
        finally:
            if empty or not self._cleaned(name):
                self._drop(name)

    def close(self) -> None:
        try:
            for name in (*self._clean, self._template):
                self._drop(name)
        finally:
            self._link.close()

    # --- making and cleaning ----------------------------------------------------------------------------------------

    def _next_name(self) -> str:
        self._number += 1
        return f"{self._name}_{self._number}"

    def _make_template(self) -> _State:
        self._drop(self._template)  # of an attempt that has failed
        self._create(self._template, "template0")
        self._prepare(self.url(self._template))
        self._settle(self._template)
        with self._inside(self._template) as link:
            return _State.of(link)

    def _create(self, name: str, template: str) -> None:
        self._link.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
        )

    def _drop(self, name: str) -> None:
        self._link.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    def _cleaned(self, name: str) -> bool:
        """Whether it waits, clean, under its next name; else it is to be dropped, or has been."""
        if self._first is None or not self._settle(name):
            return False
        clean = self._next_name()
        try:
            self._link.execute(
                SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(name), Identifier(clean))
            )
        except psycopg.Error:  # somebody has come back in the meantime, or the test has dropped it
            return False
        try:
            with self._inside(clean) as link:
                reusable = self._first.restored(link, self._room)
        except psycopg.Error:  # a trigger that forbids it, say
            reusable = False
        if reusable:
            self._clean.append(clean)
        else:
            self._drop(clean)
        return True

    def _settle(self, name: str) -> bool:
        """Throw out whoever is connected; whether they are gone."""
        deadline = time.monotonic() + GONE_WITHIN
        while time.monotonic() < deadline:
            there = self._link.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            ).fetchall()
            if not there:
                return True
            time.sleep(0.002)
        return False

    def _sweep(self) -> None:
        """Drop what processes have left that are no more."""
        for (name,) in self._link.execute(LEFT, {"prefix": PREFIX}).fetchall():
            with contextlib.suppress(psycopg.Error):  # another one sweeps as well, or it is not ours to drop
                self._drop(str(name))

    @contextlib.contextmanager
    def _inside(self, name: str) -> Iterator[Connection]:
        with psycopg.connect(self.url(name)) as link:
            yield link


class _State:
    """What a database held when it was new: its catalog, the rows of its schema, its sequences."""

    def __init__(self) -> None:
        self.catalog: object = ""
        self.size = 0
        self.empty_all = ""
        self.rows: dict[str, bytes] = {}  # as COPY writes them, of the tables that have some
        self.sequences: list[tuple[object, ...]] = []

    @classmethod
    def of(cls, link: Connection) -> _State:
        state = cls()
        state.catalog, state.size = _measure(link)
        tables = [str(name) for (name,) in link.execute(TABLES).fetchall()]
        deletes = [f"d{number} AS (DELETE FROM {table})" for number, table in enumerate(tables)]
        state.empty_all = f"WITH {', '.join(deletes)} SELECT" if tables else ""
        for table in tables:
            with link.cursor().copy(f"COPY {table} TO STDOUT") as out:
                if rows := b"".join(bytes(part) for part in out):
                    state.rows[table] = rows
        state.sequences = link.execute(SEQUENCES).fetchall()
        return state

    def restored(self, link: Connection, room: int) -> bool:
        """Put the rows back as they were; False if that is not possible, or dearer than a new database."""
        catalog, size = _measure(link)
        if catalog != self.catalog or size > self.size + room:
            return False
        if self.empty_all:
            link.execute(self.empty_all)
        for table, rows in self.rows.items():
            with link.cursor().copy(f"COPY {table} FROM STDIN") as into:
                into.write(rows)
        for first, now in zip(self.sequences, link.execute(SEQUENCES).fetchall(), strict=True):
            if first != now:
                link.execute("SELECT setval(%s::regclass, %s, %s)", first)
        return True


def _measure(link: Connection) -> tuple[object, int]:
    row = link.execute(f"SELECT ({CATALOG}), pg_database_size(current_database())").fetchone()
    assert row is not None
    return row[0], int(str(row[1]))

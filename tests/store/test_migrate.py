"""Migrations: forward only, whole or not at all; a newer schema is refused with a sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from watchbell.errors import SchemaTooNew
from watchbell.store.sqlite import migrate
from watchbell.store.sqlite.open import open_store

pytestmark = pytest.mark.sqlite

Known = list[tuple[int, str, str]]


def version(path: Path) -> tuple[int, list[str]]:
    conn = apsw.Connection(str(path))
    tables = [
        row[0] for row in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")
    ]
    found = int(conn.pragma("user_version"))
    conn.close()
    return found, tables


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "w.db"


def with_another(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    real = migrate.migrations()
    number = real[-1][0] + 1
    monkeypatch.setattr(migrate, "migrations", lambda: [*real, (number, f"{number:04}_more.sql", sql)])


def test_a_fresh_database_gets_every_migration_once_and_an_identity(file: Path) -> None:
    open_store(str(file), 7).close()
    found, tables = version(file)
    assert found == migrate.newest()
    assert {"occurrence", "cursor", "span", "gate"} <= set(tables)
    store = open_store(str(file), 8)
    assert migrate.migrate(store, 9) == []
    assert migrate.current(store) == found
    meta: dict[str, str] = dict(store.read(lambda tx: tx.rows("SELECT key, value FROM meta")))
    assert (meta["created_at"], len(meta["database_id"])) == ("7", 12)
    store.close()


def test_numbers_have_no_hole_and_no_double() -> None:
    numbers = [number for number, _, _ in migrate.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_S3_10_a_newer_schema_is_refused_and_says_what_to_do(file: Path) -> None:
    open_store(str(file), 0).close()
    conn = apsw.Connection(str(file))
    conn.pragma("user_version", 99)
    conn.close()
    with pytest.raises(
        SchemaTooNew, match=r"has schema 99, written by a newer watchbell; this one knows up to \d+\. Install"
    ):
        open_store(str(file), 0)
    assert version(file)[0] == 99


def test_S3_10_an_older_schema_is_brought_up_and_keeps_what_it_has(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(file), 0)
    store.write(lambda tx: tx.run("INSERT INTO meta VALUES ('mark', 'here')"))
    store.close()
    with_another(monkeypatch, "CREATE TABLE more (n INTEGER); INSERT INTO more SELECT count(*) FROM meta;")
    store = open_store(str(file), 0)
    assert store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'mark'")) == "here"
    assert migrate.current(store) == migrate.newest()
    store.close()


def test_a_migration_that_fails_half_way_leaves_the_old_schema(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(str(file), 0).close()
    before = version(file)
    with_another(monkeypatch, "CREATE TABLE more (n INTEGER); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(Exception, match="no such table: nowhere"):
        open_store(str(file), 0)
    assert version(file) == before


@pytest.mark.parametrize("fresh", [True, False])
def test_a_crash_during_a_migration_leaves_the_old_schema(
    file: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    """The process is gone before the commit: what is on the disk is what it was."""
    if not fresh:
        open_store(str(file), 0).close()
    before = version(file)
    with_another(monkeypatch, "CREATE TABLE more (n INTEGER);")

    class Killed(BaseException):
        pass

    def killed(size: int) -> str:
        raise Killed

    monkeypatch.setattr("watchbell.store.sqlite.migrate.secrets.token_hex", killed)
    if not fresh:
        monkeypatch.setattr(migrate, "migrations", _raising_after(migrate.migrations(), Killed))
    with pytest.raises(Killed):
        open_store(str(file), 0)
    assert version(file) == before
    monkeypatch.undo()
    store = open_store(str(file), 0)
    assert migrate.current(store) == migrate.newest()
    store.close()


def _raising_after(known: Known, error: type[BaseException]) -> Callable[[], Known]:
    """Migrations whose last one has been carried out when the process dies."""

    class Dying(list[tuple[int, str, str]]):
        def __iter__(self) -> Iterator[tuple[int, str, str]]:
            yield from list.__iter__(self)
            raise error

    calls: list[int] = []

    def migrations() -> Known:
        calls.append(1)
        return known if len(calls) < 3 else Dying(known)

    return migrations


def test_processes_that_open_a_fresh_database_at_once_migrate_it_once(file: Path) -> None:
    """Each thread has a store, and so connections, of its own."""
    errors: list[BaseException] = []
    ready = threading.Barrier(6)

    def use() -> None:
        try:
            ready.wait(30)
            open_store(str(file), 0).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    store = open_store(str(file), 0)
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM meta WHERE key = 'database_id'")) == 1
    store.close()

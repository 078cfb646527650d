"""The two schemas say the same: every table, column and index of one is in the other (store/*/migrations)."""

from __future__ import annotations

import pytest

from watchbell.store.open import open_store

Names = dict[str, set[str]]
ALONE = {"postgresql": {"incarnation"}, "sqlite": {"sqlite_sequence"}}
"""Tables of one of them only: a file has one life."""


def of_sqlite() -> tuple[Names, set[str]]:
    store = open_store("sqlite://", 0)
    tables = store.read(lambda tx: tx.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"))
    columns = {
        name: {row[1] for row in store.read(lambda tx, name=name: tx.rows(f"PRAGMA table_info({name})"))}  # type: ignore[misc]
        for (name,) in tables
    }
    indexes = store.read(
        lambda tx: tx.rows("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql <> ''")
    )
    store.close()
    return columns, {row[0] for row in indexes}


def of_postgres(url: str) -> tuple[Names, set[str]]:
    store = open_store(url, 0)
    asked = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'watchbell'"
    columns: Names = {}
    for table, column in store.read(lambda tx: tx.rows(asked)):
        columns.setdefault(table, set()).add(column)
    of_keys = "SELECT conname FROM pg_constraint"  # an index that SQLite makes of a key has no name of ours
    named = (
        f"SELECT indexname FROM pg_indexes WHERE schemaname = 'watchbell' AND indexname NOT IN ({of_keys})"
    )
    indexes = store.read(lambda tx: tx.rows(named))
    store.close()
    return columns, {row[0] for row in indexes}


@pytest.mark.parametrize("what", ["columns", "indexes"])
def test_the_schemas_have_the_same_tables_columns_and_indexes(empty_postgres_url: str, what: str) -> None:
    (ours, our_indexes), (theirs, their_indexes) = of_sqlite(), of_postgres(empty_postgres_url)
    if what == "indexes":
        assert our_indexes == their_indexes
        return
    for name in ALONE["sqlite"]:
        ours.pop(name, None)
    for name in ALONE["postgresql"]:
        theirs.pop(name)
    assert ours == theirs

"""A transaction takes and gives the same on both databases, whatever is written in it (store/tx.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from tests import databases
from watchbell.core.text import storable
from watchbell.errors import StoreError
from watchbell.store.base import Store
from watchbell.store.tx import Tx, never_again

TABLE = "CREATE TABLE t (id BIGINT PRIMARY KEY, whole BIGINT, real DOUBLE PRECISION, words TEXT, raw {raw})"
INSERT = "INSERT INTO t (id, whole, real, words, raw) VALUES (?, ?, ?, ?, ?)"


def made() -> Store:
    """A store with a table that has a column of every kind."""
    store = databases.opened(0)
    raw = "BLOB" if databases.dialect() == "sqlite" else "BYTEA"
    store.write(lambda tx: tx.run(TABLE.format(raw=raw)))
    return store


@pytest.fixture
def store() -> Iterator[Store]:
    found = made()
    yield found
    found.close()


def all_of(store: Store) -> list[tuple[Any, ...]]:
    return store.read(lambda tx: tx.rows("SELECT id, whole, real, words, raw FROM t ORDER BY id"))


WHOLE = st.one_of(st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1))
REAL = st.one_of(st.none(), st.floats(allow_nan=False).map(lambda number: number + 0.0))
TEXT = st.one_of(st.none(), st.text())
RAW = st.one_of(st.none(), st.binary(max_size=40))


@databases.holds_for(
    st.lists(st.tuples(WHOLE, REAL, TEXT, RAW), min_size=1, max_size=12), sqlite=100, postgresql=8
)
def test_what_is_written_comes_back_by_whichever_way_it_was_written(values: list[tuple[Any, ...]]) -> None:
    rows = [(whole, real, storable(text), raw) for whole, real, text, raw in values]
    store = made()
    size = len(rows)

    def write(tx: Tx) -> None:
        assert [tx.run(INSERT, (number, *row)) for number, row in enumerate(rows)] == [1] * size
        assert tx.many(INSERT, [(100 + number, *row) for number, row in enumerate(rows)]) == size
        given = [(200 + number, *row) for number, row in enumerate(rows)]
        assert tx.many_returning(f"{INSERT} RETURNING id", given) == [(200 + n,) for n in range(size)]
        for number, row in enumerate(rows):
            tx.later(INSERT, (300 + number, *row))
        assert tx.value("SELECT count(*) FROM t WHERE id >= ? AND words IS NOT NULL", (300,)) <= size

    store.write(write)
    expected = [(None if row[0] is None else int(row[0]), *row[1:]) for row in rows]
    assert [row[1:] for row in all_of(store)] == expected * 4
    store.close()


def test_percent_signs_question_marks_and_quotes_in_a_statement_are_what_they_are(store: Store) -> None:
    def write(tx: Tx) -> None:
        tx.run("INSERT INTO t (id, words) VALUES (?, '100 % sure? it''s ?')", (1,))
        tx.many("INSERT INTO t (id, words) VALUES (?, '50 %')", [(number,) for number in range(2, 12)])

    store.write(write)
    ask = "SELECT words FROM t WHERE words LIKE '%sure?%' AND id % 2 = ?"
    assert store.read(lambda tx: tx.rows(ask, (1,))) == [("100 % sure? it's ?",)]
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM t WHERE words = '50 %'")) == 10


def test_sums_truths_and_small_numbers_are_whole_numbers_of_any_size(store: Store) -> None:
    store.write(lambda tx: tx.many("INSERT INTO t (id, whole) VALUES (?, ?)", [(1, 1 << 62), (2, 32_767)]))
    row = store.read(
        lambda tx: tx.row(
            "SELECT sum(whole), max(whole), ? + ?, ? * ? FROM t", (32_767, 1, 1_000_000, 1_000_000)
        )
    )
    assert row == ((1 << 62) + 32_767, 1 << 62, 32_768, 10**12)
    assert [type(value) for value in row or ()] == [int] * 4
    assert store.read(
        lambda tx: tx.row("SELECT max(1, ?), min(1, ?), instr('watchbell', 'bell')", (3, 0))
    ) == (3, 0, 6)


def test_text_is_compared_byte_by_byte(store: Store) -> None:
    words = ["Z", "a", "ä", "é", "B", "_", "zz", "a b"]
    store.write(lambda tx: tx.many("INSERT INTO job (id, workspace, name, lane, hash, created_at, changed_at) "
                                   "VALUES (?, 1, ?, 'thread', 'x', 0, 0)", list(enumerate(words))))  # fmt: skip
    found = store.read(lambda tx: tx.rows("SELECT name FROM job ORDER BY name"))
    assert [row[0] for row in found] == sorted(words, key=str.encode)


def test_counts_are_of_the_rows_that_were_changed(store: Store) -> None:
    def write(tx: Tx) -> list[int]:
        return [
            tx.many("INSERT INTO t (id) VALUES (?)", [(number,) for number in range(20)]),
            tx.many("INSERT INTO t (id) VALUES (?) ON CONFLICT DO NOTHING", [(19,), (20,)]),
            tx.run("UPDATE t SET whole = 1 WHERE id > ?", (17,)),
            tx.many("DELETE FROM t WHERE id = ?", [(1,), (2,), (2,)]),
            tx.many("DELETE FROM t WHERE id = ?", []),
            tx.run("DELETE FROM t WHERE id = 99"),
        ]

    assert store.write(write) == [20, 1, 3, 2, 0, 0]


def test_a_statement_that_writes_and_answers_is_durable(store: Store) -> None:
    assert store.write(lambda tx: tx.value("INSERT INTO t (id) VALUES (5) RETURNING id")) == 5
    assert store.write(lambda tx: tx.rows("UPDATE t SET whole = 7 RETURNING whole")) == [(7,)]
    assert all_of(store)[0][:2] == (5, 7)


# --- attempts ---------------------------------------------------------------------------------------------------------


def test_an_attempt_that_gives_nothing_back_leaves_nothing(store: Store) -> None:
    def write(tx: Tx) -> tuple[Any, Any]:
        tx.run("INSERT INTO t (id) VALUES (1)")
        refused = tx.attempt(lambda: None if tx.run("INSERT INTO t (id) VALUES (2)") else 0)
        taken = tx.attempt(lambda: tx.run("INSERT INTO t (id) VALUES (3)"))
        return refused, taken

    assert store.write(write) == (None, 1)
    assert [row[0] for row in all_of(store)] == [1, 3]


@pytest.mark.parametrize("way", ["run", "rows", "many", "few", "many_returning"])
def test_after_an_attempt_that_fails_in_the_database_the_transaction_goes_on(store: Store, way: str) -> None:
    twice = [(1,)] * 20
    fails = {
        "run": lambda tx: [tx.run("INSERT INTO t (id) VALUES (?)", row) for row in twice],
        "rows": lambda tx: tx.rows("SELECT nothing FROM nowhere"),
        "many": lambda tx: tx.many("INSERT INTO t (id) VALUES (?)", twice),
        "few": lambda tx: tx.many("INSERT INTO t (id) VALUES (?)", twice[:2]),
        "many_returning": lambda tx: tx.many_returning("INSERT INTO t (id) VALUES (?) RETURNING id", twice),
    }

    def write(tx: Tx) -> None:
        tx.run("INSERT INTO t (id) VALUES (7)")
        with pytest.raises(tx.driver_errors) as caught:
            tx.attempt(lambda: fails[way](tx))
        assert tx.is_of_the_database(caught.value)
        tx.run("INSERT INTO t (id) VALUES (8)")

    store.write(write)
    assert [row[0] for row in all_of(store)] == [7, 8]


def test_what_is_written_later_is_written_in_its_order_and_seen_by_what_follows(store: Store) -> None:
    def write(tx: Tx) -> int:
        tx.later("INSERT INTO t (id, whole) VALUES (?, ?)", (1, 1))
        tx.later("UPDATE t SET whole = whole + ? WHERE id = ?", (1, 1))
        seen = tx.value("SELECT whole FROM t WHERE id = 1")
        tx.later("UPDATE t SET whole = whole + ?, words = '5 %' WHERE id = ?", (1, 1))
        return int(seen)

    assert store.write(write) == 2
    assert [row[:4] for row in all_of(store)] == [(1, 3, None, "5 %")]


def test_an_error_of_what_was_written_later_is_that_of_the_transaction(store: Store) -> None:
    store.write(lambda tx: tx.run("INSERT INTO t (id) VALUES (1)"))

    def twice(tx: Tx) -> None:
        tx.later("INSERT INTO t (id) VALUES (2)")
        tx.later("INSERT INTO t (id) VALUES (1)")

    with pytest.raises(StoreError):
        store.write(twice)
    assert [row[0] for row in all_of(store)] == [1]


def test_an_attempt_undoes_what_was_written_later_within_it_and_nothing_before(store: Store) -> None:
    def write(tx: Tx) -> None:
        def later(number: int, answer: bool | None) -> bool | None:
            tx.later("INSERT INTO t (id) VALUES (?)", (number,))
            return answer

        later(1, None)
        assert tx.attempt(lambda: later(2, None)) is None
        assert tx.attempt(lambda: later(3, True))

        def breaks() -> bool:
            later(4, None)
            return bool(later(3, True))

        with pytest.raises(tx.driver_errors):
            tx.attempt(breaks)
        later(5, None)

    store.write(write)
    assert [row[0] for row in all_of(store)] == [1, 3, 5]


def test_what_an_undone_attempt_wanted_done_after_the_commit_is_not(store: Store) -> None:
    called: list[str] = []

    def write(tx: Tx) -> None:
        def later(word: str, answer: bool | None) -> bool | None:
            tx.after_commit(lambda: called.append(word))
            return answer

        later("before", None)
        tx.attempt(lambda: later("undone", None))
        tx.attempt(lambda: later("done", True))
        with pytest.raises(ZeroDivisionError):
            tx.attempt(lambda: later("raised", bool(1 // 0)))

    store.write(write)
    assert called == ["before", "done"]


def test_attempts_lie_in_each_other(store: Store) -> None:
    def write(tx: Tx) -> None:
        def outer() -> int | None:
            tx.run("INSERT INTO t (id) VALUES (1)")
            tx.attempt(inner)
            return tx.run("INSERT INTO t (id) VALUES (3)")

        def inner() -> None:
            tx.run("INSERT INTO t (id) VALUES (2)")

        tx.attempt(outer)

    store.write(write)
    assert [row[0] for row in all_of(store)] == [1, 3]


def test_an_error_in_a_piece_is_the_callers_and_nothing_of_it_stays(store: Store) -> None:
    def write(tx: Tx) -> None:
        tx.run("INSERT INTO t (id) VALUES (1)")
        tx.run("INSERT INTO t (id) VALUES (1)")

    with pytest.raises(StoreError, match="refused a statement"):
        store.write(write)
    assert all_of(store) == []


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["job", "occurrence"])
def test_an_id_that_was_given_out_is_not_given_to_another_row(store: Store, table: str) -> None:
    columns = {
        "job": "(id, workspace, name, lane, hash, created_at, changed_at) VALUES (?, 1, ?, 'thread', 'x', 0, 0)",
        "occurrence": "(id, job, lane, origin, due_at, start_at, state, planned_at) VALUES (?, ?, 't', 'manual', 0, 0, 'x', 0)",
    }[table]

    def insert(tx: Tx) -> int:
        made = tx.next_id(table)
        tx.run(f"INSERT INTO {table} {columns}", (made, str(made) if table == "job" else made))
        return made

    def remove(tx: Tx) -> None:
        never_again(tx, table)
        tx.run(f"DELETE FROM {table}")

    given = [store.write(insert) for _ in range(3)]
    store.write(remove)
    later = store.write(insert)
    assert given == sorted({*given})
    assert later > given[-1]
    assert store.write(lambda tx: tx.next_id(table)) == later + 1

"""One statement, two dialects: what is translated, what is sent as a stream, and what is written a second time."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.postgres.databases import Databases
from watchbell.store.postgres import batches, dialect
from watchbell.store.postgres.batches import BATCHED, array
from watchbell.store.postgres.dialect import copied, translated


def test_the_examples_on_the_page_of_differences_hold() -> None:
    for module, least in ((dialect, 2), (batches, 1)):
        found = doctest.testmod(module)
        assert found.attempted >= least
        assert found.failed == 0


PLAIN = st.text("ab =(),%?", max_size=20)
QUOTED = st.text("ab?%'", max_size=10)


@given(st.lists(st.tuples(PLAIN, QUOTED), max_size=6), PLAIN)
def test_marks_are_parameters_outside_of_quotes_and_text_within(
    parts: list[tuple[str, str]], end: str
) -> None:
    quoted = ["'" + text.replace("'", "''") + "'" for _, text in parts]
    sql = "".join(plain + text for (plain, _), text in zip(parts, quoted, strict=True)) + end
    said = translated(sql)
    marks = sum(plain.count("?") for plain, _ in parts) + end.count("?")
    assert len(re.findall(r"(?<!%)(?:%%)*%s", said)) == marks
    filled = said.replace("%%", "\0").replace("%s", "?").replace("\0", "%")
    assert filled == sql


def test_what_is_said_otherwise() -> None:
    assert translated("SELECT a FROM t INDEXED BY t_a WHERE a = ?") == "SELECT a FROM t WHERE a = %s"
    assert (
        translated("SELECT 1 FROM json_each(s.tags) t WHERE t.value = ?")
        == "SELECT 1 FROM json_array_elements_text(s.tags::json) t (value) WHERE t.value = %s"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (a) VALUES (?) ON CONFLICT DO NOTHING",
        "INSERT INTO t (a) VALUES (?) RETURNING a",
        "INSERT INTO t (a) VALUES (max(?, 1))",
        "INSERT INTO t (a) VALUES (? + 1)",
        "INSERT INTO t (a) SELECT ?",
        "UPDATE t SET a = ?",
        "DELETE FROM t WHERE a = ?",
    ],
)
def test_only_a_plain_insert_is_sent_as_a_stream(sql: str) -> None:
    assert copied(sql) is None


def test_a_statement_that_is_carried_out_for_many_at_once_takes_as_many_parameters_as_its_twin() -> None:
    assert len(BATCHED) >= 5
    for one, batch in BATCHED.items():
        marks = translated(one).count("%s")
        again = [] if batch.again is None else [batch.again]
        assert batch.text.count("%s") == marks + len(again), one
        expected = [f"{{{n}, {n}, {n}}}" for n in [*range(marks), *again]]
        assert batch.columns([tuple(range(marks))] * 3) == expected


@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))
    | st.lists(st.none() | st.binary(max_size=20))
    | st.lists(
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_array_arrives_as_it_was_sent(connection: psycopg.Connection[Any], column: list[Any]) -> None:
    kind = next((type(value) for value in column if value is not None), int)
    name = {int: "bigint[]", bytes: "bytea[]", str: "text[]"}[kind]
    found = connection.execute(f"SELECT %s::{name}", (array(column),)).fetchone()
    assert found == (column,)


@pytest.fixture(scope="module")
def connection(postgres: Databases) -> Iterator[psycopg.Connection[Any]]:
    with postgres.lend(empty=True) as url, psycopg.connect(url) as found:
        yield found


@pytest.mark.parametrize("sql", sorted(BATCHED), ids=range(len(BATCHED)))
def test_the_server_understands_both_texts(postgres_url: str, sql: str) -> None:
    from watchbell.store.open import open_store

    store = open_store(postgres_url, 0)
    marks = translated(sql).count("%s")
    rows = [(None,) * marks] * 3
    store.write(lambda tx: tx.many_returning(sql, rows) if asks(sql) else tx.many(sql, rows))
    store.write(lambda tx: tx.rows(sql, rows[0]) if asks(sql) else tx.run(sql, rows[0]))
    store.close()


def asks(sql: str) -> bool:
    return sql.startswith("SELECT") or "RETURNING" in sql

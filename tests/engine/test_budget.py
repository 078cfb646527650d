"""What a run costs (PROTOCOL §10): one ledger insert, one cursor update, one ledger update, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests import databases
from tests.engine.story import Story
from tests.engine.test_declare import Statements
from watchbell import Watchbell, cron
from watchbell.store.base import of_sqlite

Begin = Callable[..., Story]
WORDS = {apsw.SQLITE_INSERT: "insert", apsw.SQLITE_UPDATE: "update", apsw.SQLITE_DELETE: "delete"}

WATCHED = """
    DO $$
    DECLARE name text;
    BEGIN
        CREATE TABLE written (what text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
            INSERT INTO written VALUES (lower(TG_OP) || '' '' || TG_TABLE_NAME); RETURN NULL; END';
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'watchbell' AND tablename <> 'written' LOOP
            EXECUTE format('CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION note()', name);
        END LOOP;
    END $$
"""
INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'occurrence'",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'occurrence' AND indexname <> 'occurrence_pkey'",
}
UNWATCHED = "DROP FUNCTION note() CASCADE; DROP TABLE written"


class Writes(Counter[str]):
    """Every row that is written, by kind and table."""

    def __init__(self, begun: Story) -> None:
        super().__init__()
        self._store = begun.bell._open()

    def __enter__(self) -> Writes:  # noqa: PYI034  a Counter is all it is
        if (store := of_sqlite(self._store)) is not None:
            store._writer._conn.set_update_hook(self._note)
        else:
            self._store.write(lambda tx: tx.run(WATCHED))
        return self

    def __exit__(self, *exc: object) -> None:
        if (store := of_sqlite(self._store)) is not None:
            store._writer._conn.set_update_hook(None)
        else:
            self.update(
                dict(self._store.read(lambda tx: tx.rows("SELECT what, count(*) FROM written GROUP BY what")))
            )
            self._store.write(lambda tx: tx.run(UNWATCHED))

    def _note(self, kind: int, database: str, table: str, row: int) -> None:
        self[f"{WORDS[kind]} {table}"] += 1


def many(number: int, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job(**options)
        def work() -> None: ...

        for place in range(number):
            bell.add_schedule(f"schedule {place}", work, cron("0 * * * *", tz="UTC"))

    return declare


@pytest.mark.parametrize("number", [1, 200])
def test_a_run_that_succeeds_first_time_costs_three_row_writes(story: Begin, number: int) -> None:
    begun = story(many(number), slots={"thread": 1000})
    begun.until("00:59")
    with Writes(begun) as written:
        begun.until("01:00")
    begun.node.step()
    heartbeat = written.pop("update node", 0)
    assert heartbeat <= 2
    assert dict(written) == {
        "insert occurrence": number,
        "update cursor": number,
        "update occurrence": number,
    }
    assert begun.states() == ["succeeded"] * number


def test_a_limit_costs_a_gate_write_a_batch_and_not_a_run(story: Begin) -> None:
    begun = story(many(100, limits={"db": 1000}), slots={"thread": 1000})
    begun.until("00:59")
    with Writes(begun) as written:
        begun.until("01:00")
    assert written["insert occurrence"] == written["update cursor"] == written["update occurrence"] == 100
    assert written["update gate"] <= 4


def test_statements_of_a_batch_do_not_grow_with_its_size(tmp_path: Path) -> None:
    asked = []
    for number in (10, 400):
        with Statements() as statements:
            begun = Story(many(number), file=tmp_path / f"{number}.db", slots={"thread": 1000})
            begun.until("00:59")
            statements.clear()
            begun.until("01:00")
        asked.append(Counter(sql.split()[0] for sql in set(statements)))
        assert begun.states() == ["succeeded"] * number
        begun.audit()
        begun.bell.stop()
    assert asked[0] == asked[1]


def test_nothing_due_writes_nothing_but_the_lease(story: Begin) -> None:
    begun = story(many(50))
    begun.until("00:30")
    with Writes(begun) as written:
        begun.live("2026-11-21T00:40:00Z", by="5s")
    assert set(written) == {"update node"}


def test_no_index_holds_what_has_ended_but_the_identity_and_the_pages(story: Begin) -> None:
    begun = story(many(1))
    indexes = dict(begun.rows(INDEXES[databases.dialect()]))
    whole = [name for name, sql in indexes.items() if "WHERE" not in sql]
    assert whole == []
    ended = [name for name, sql in indexes.items() if "state" not in sql.partition("WHERE")[2]]
    assert sorted(ended) == ["occurrence_by_hand", "occurrence_identity"]

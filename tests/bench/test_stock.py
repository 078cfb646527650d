"""The databases that the bench measures on: what is written by SQL is what the engine would have written."""

from __future__ import annotations

from pathlib import Path

from bench.application import url_of
from bench.ledger import Ledger
from bench.stock import each, fill, now_us, prepare
from watchbell.services.audit import audit
from watchbell.store.planning import plan_schedule
from watchbell.store.schedules.catalog import Catalog
from watchbell.store.sqlite.open import open_store

HOUR = 3_600_000_000


def test_stored_schedules_are_planned_like_any_other_and_audited(tmp_path: Path) -> None:
    database = tmp_path / "bench.db"
    prepare(database)
    due = now_us() + HOUR
    fill(database, [each(7200, due, 3), each(7200, due + 1, 2)])
    store = open_store(url_of(database), now_us())
    try:
        assert store.read(
            lambda tx: tx.rows("SELECT next_due, count(*) FROM cursor GROUP BY 1 ORDER BY 1")
        ) == [
            (due, 3),
            (due + 1, 2),
        ]
        for schedule in range(1, 6):
            store.write(lambda tx, schedule=schedule: plan_schedule(tx, Catalog(), schedule, due + HOUR))
        counts = store.read(
            lambda tx: tx.rows("SELECT due_at, count(*) FROM occurrence GROUP BY 1 ORDER BY 1")
        )
        assert counts == [(due, 3), (due + 1, 2)]
        found = audit(store, now=due + HOUR).to_json()
        assert (found["unaccounted"], found["invented"]) == (0, 0)
    finally:
        store.close()


def test_the_ledger_is_settled_when_nothing_is_due_any_more_and_nothing_is_live(tmp_path: Path) -> None:
    database = tmp_path / "bench.db"
    prepare(database)
    with Ledger(database) as ledger:
        assert ledger.settled()
        due = now_us() + HOUR
        fill(database, [each(3600, due, 1)])
        assert not ledger.settled()
        assert ledger.behind_us(due + 5) == 5
        assert ledger.succeeded() == 0

"""The databases that the bench measures on: what is written by SQL is what the engine would have written."""

from __future__ import annotations

from bench.application import LONG
from bench.database import Database
from bench.ledger import Ledger
from bench.stock import each, enqueue, fill, now_us, prepare
from watchbell.services.audit import audit
from watchbell.store.open import open_store
from watchbell.store.planning import plan_schedule
from watchbell.store.schedules.catalog import Catalog

HOUR = 3_600_000_000


def test_stored_schedules_are_planned_like_any_other_and_audited(database: Database) -> None:
    prepare(database.url)
    due = now_us() + HOUR
    fill(database.url, [each(7200, due, 3), each(7200, due + 1, 2)])
    store = open_store(database.url, now_us())
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


def test_the_ledger_is_settled_when_nothing_is_due_any_more_and_nothing_is_live(database: Database) -> None:
    prepare(database.url)
    with Ledger(database) as ledger:
        assert ledger.settled()
        due = now_us() + HOUR
        fill(database.url, [each(3600, due, 1)])
        assert not ledger.settled()
        assert ledger.behind_us(due + 5) == 5
        assert ledger.succeeded() == 0
        assert ledger.await_run(due, 1.0) is not None  # nothing is due before it
        assert ledger.await_run(due + 1, 0.0) is None


def test_runs_that_were_asked_for_are_live_until_they_have_ended(database: Database) -> None:
    prepare(database.url)
    with Ledger(database) as ledger:
        due = now_us() + HOUR
        enqueue(database.url, 3, due, LONG)
        assert not ledger.settled()
        assert ledger.await_run(due + 1, 1.0) is not None  # they are of no schedule
        store = open_store(database.url, now_us())
        try:
            claimed = "UPDATE occurrence SET state = 'claimed', node = 7 WHERE id IN (SELECT id FROM occurrence LIMIT 2)"
            store.write(lambda tx: tx.run(claimed))
            assert ledger.held() == {7: 2}
            ended = "UPDATE occurrence SET state = 'succeeded', origin = 'scheduled', began_at = due_at + 4"
            store.write(lambda tx: tx.run(ended))
        finally:
            store.close()
        assert ledger.settled()
        assert ledger.held() == {}
        assert ledger.lateness_us(due, due + 1) == [4, 4, 4]
        assert (ledger.ran(due, due + 1), ledger.ran(due + 1, due + HOUR)) == (3, 0)
        assert (ledger.begun_since(due), ledger.begun_since(due + 5)) == (due + 4, None)

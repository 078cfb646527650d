"""However long the ledger is, what the engine asks it at every turn goes through an index (PROTOCOL §9): with a condition
on it, or one that holds live rows only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import databases
from tests.engine.story import MIDNIGHT, Story
from tests.engine.test_declare import Statements
from watchbell import Watchbell, every, retry
from watchbell.core.instants import DAY, MINUTE, parse_instant
from watchbell.store.base import Store
from watchbell.store.tx import Tx
from watchbell.testing import Lasting

T0 = parse_instant(MIDNIGHT)
LONG = ("occurrence", "cursor", "schedule", "schedule_version")
WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
LIVE_ONLY = (
    "occurrence_waiting",
    "occurrence_starting",
    "occurrence_queued",
    "occurrence_asked",
    "occurrence_held",
    "occurrence_live",
    "occurrence_revoked",
)
COUNTED = (  # by the watcher, now and then, on a snapshot that keeps nobody waiting
    "SELECT count(*) FROM schedule WHERE standing = 'on' AND ended_at IS NULL",
    "SELECT count(*), min(next_due) FROM cursor WHERE next_due IS NOT NULL",
)


def shop(bell: Watchbell) -> None:
    """A bit of everything that an engine does at every turn."""

    @bell.job(limits={"db": 1}, retry=retry(2, delay="1m", jitter=False))
    def gated(fails: bool = False) -> Lasting:
        return Lasting("90s", error=ValueError("no") if fails else None)

    @bell.job(rates={"api": "1/2m"})
    def rated() -> None: ...

    @bell.job
    def long() -> Lasting:
        return Lasting("1h")

    for number in range(3):
        bell.add_schedule(
            f"gated {number}", gated, every("5m"), overlap="queue_all", args={"fails": number == 1}
        )
    for overlap in ("skip", "queue_one", "replace", "allow"):
        bell.add_schedule(overlap, long, every("7m"), overlap=overlap)
    bell.add_schedule("rated", rated, every("1m"), overlap="queue_all", priority=3)
    bell.add_schedule("spread", rated, every("3m"), spread="50s")


def grow(tx: Tx, rows: int) -> None:
    """A ledger of so many runs that have ended, and so many schedules that are not due."""
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    columns = "id, job, schedule, version, origin, due_at, start_at, state, lane, planned_at, node, epoch, began_at, ended_at"
    tx.run(
        f"{numbers} INSERT INTO occurrence ({columns}) SELECT 1000000 + i, 1, 1000 + i % 1000, 1, 'scheduled', ? + i, "
        "? + i, 'succeeded', 'thread', ? + i, 1, 1, ? + i, ? + i FROM n",
        (rows, *[T0 - DAY] * 5),
    )
    tx.run(
        f"{numbers} INSERT INTO schedule (id, workspace, name, job, version, created_at) "
        "SELECT 1000 + i, 1, 'other ' || i, 1, 1, ? FROM n",
        (rows, T0),
    )
    tx.run(
        f"{numbers} INSERT INTO schedule_version (schedule, version, effective_from, job, trigger, hash, actor, created_at) "
        "SELECT 1000 + i, 1, ?, 1, '{}', 'x', 'a', ? FROM n",
        (rows, T0, T0),
    )
    tx.run(
        f"{numbers} INSERT INTO cursor (schedule, next_due, planned_until, version) SELECT 1000 + i, ? + i, ?, 1 FROM n",
        (rows, T0 + DAY, T0),
    )


def live(begun: Story) -> None:
    """Half an hour in which runs wait, are held, fail, are tried again, are asked for, and are asked to end."""
    for minute in range(1, 31):
        begun.node.run_until(T0 + minute * MINUTE)
        if minute % 10 == 0:
            asked = begun.bell.run_now("long")
            begun.node.step()
            begun.bell._run_cancel(asked.run)


# --- what a plan says -------------------------------------------------------------------------------------------------


def scans_of_sqlite(tx: Tx, sql: str, params: Any) -> list[str]:
    """The lines of its plan that go through a whole long table, or a whole index of one."""
    lines = [str(row[3]) for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}", params)]
    aliases = {words[0]: words[-1] for table in LONG for words in names(sql, table)}
    return [
        line
        for line in lines
        if line.startswith("SCAN") and aliases.get(line.split()[1]) in LONG and not line.endswith(LIVE_ONLY)
    ]


def names(sql: str, table: str) -> list[tuple[str, str]]:
    """(what it is called, the table) wherever a statement reads from a table."""
    words = sql.replace("(", " ").replace(")", " ").replace(",", " ").split()
    found = []
    for at, word in enumerate(words):
        if word == table and at and words[at - 1] in ("FROM", "JOIN", "UPDATE", "INTO"):
            alias = words[at + 1] if at + 1 < len(words) else ""
            found += [(table, table)] if alias.isupper() or not alias.isidentifier() else [(alias, table)]
    return found


def scans_of_postgres(tx: Tx, sql: str, params: Any) -> list[str]:
    """The same of PostgreSQL."""
    cursor = tx._conn.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)  # type: ignore[attr-defined]
    (plan,) = cursor.fetchone()
    return [
        f"{node['Node Type']} of {node['Relation Name']} {node.get('Index Name', '')}"
        for node in nodes((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        if node.get("Relation Name") in LONG
        and node["Node Type"] != "ModifyTable"
        and not ("Index Cond" in node or "Recheck Cond" in node or node.get("Index Name") in LIVE_ONLY)
    ]


def nodes(plan: dict[str, Any], bounded: bool = False) -> list[dict[str, Any]]:
    """Every step of a plan that may go through all of something: what a LIMIT of one ends is none."""
    bounded = bounded or (plan["Node Type"] == "Limit" and plan["Plan Rows"] <= 1 and "Index" in first(plan))
    below = [node for part in plan.get("Plans", ()) for node in nodes(part, bounded)]
    return below if bounded else [plan, *below]


def first(plan: dict[str, Any]) -> str:
    return str(plan["Plans"][0]["Node Type"])


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.release)])
def test_what_is_asked_at_every_turn_has_an_index_however_long_the_ledger(rows: int) -> None:
    with Statements() as asked:
        begun = Story(shop, slots={"thread": 3})
        store: Store = begun.bell._open()
        store.write(lambda tx: grow(tx, rows))
        if databases.dialect() == "postgresql":
            store.write(lambda tx: tx.run("ANALYZE"))
        asked.told.clear()
        live(begun)
        told = {sql: params for sql, params in asked.told.items() if sql.startswith(WORDS)}
    scans = scans_of_sqlite if databases.dialect() == "sqlite" else scans_of_postgres
    found = {}
    for sql, params in told.items():
        lines = store.write(lambda tx, sql=sql, params=params: scans(tx, sql, params))  # type: ignore[misc]
        if lines and not sql.startswith(COUNTED):
            found[sql] = lines

    assert found == {}
    assert len([sql for sql in told if any(table in sql for table in LONG)]) > 30
    begun.bell.stop()

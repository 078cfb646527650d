"""Roll-ups: the totals of days whose rows retention has removed, written in the transaction that removes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ...core.audit.recount import chain_period, rule_of, transitions_of
from ...core.retention import added, day_of, ending_key
from ...errors import WatchbellError
from ..tx import Row, Tx

Counts = dict[int, dict[str, int]]


def add(tx: Tx, schedule: int, counts: Mapping[int, Mapping[str, int]]) -> None:
    """Add to the days of a schedule."""
    _add(tx, "rollup", "schedule", schedule, counts)


def add_by_hand(tx: Tx, job: int, counts: Mapping[int, Mapping[str, int]]) -> None:
    """Add to the days of a job's runs by hand."""
    _add(tx, "rollup_by_hand", "job", job, counts)


def _add(tx: Tx, table: str, owner: str, number: int, counts: Mapping[int, Mapping[str, int]]) -> None:
    for day, more in sorted(counts.items()):
        if not more:
            continue
        before = tx.value(f"SELECT counts FROM {table} WHERE {owner} = ? AND day = ?", (number, day))
        text = json.dumps(added(json.loads(before) if before else {}, more), sort_keys=True)
        tx.run(
            f"INSERT INTO {table} ({owner}, day, counts) VALUES (?, ?, ?) "
            f"ON CONFLICT ({owner}, day) DO UPDATE SET counts = excluded.counts",
            (number, day, text),
        )


def tally(rows: Iterable[tuple[int, str, str | None, int]]) -> Counts:
    """(due_at, state, reason, count) as counts by day."""
    found: Counts = {}
    for due_at, state, reason, count in rows:
        day = found.setdefault(day_of(due_at), {})
        key = ending_key(state, reason)
        day[key] = day.get(key, 0) + count
    return found


def key_of(tx: Tx, schedule: int, row: Row) -> tuple[int, str, str | None, int]:
    """A row (due_at, state, reason, origin) for `tally`: what a person has asked for where no rule made it due is
    counted apart."""
    due_at, state, reason, origin = row
    if origin == "backfill" and not is_implied(tx, schedule, due_at):
        return due_at, "asked_for", None, 1
    return due_at, state, reason, 1


def is_implied(tx: Tx, schedule: int, at: int) -> bool:
    """Whether a version in force at the instant makes the schedule due then, by the audit's own reckoning."""
    row = tx.row(
        "SELECT trigger, zones FROM schedule_version WHERE schedule = ? AND effective_from < ? AND "
        "(effective_to IS NULL OR effective_to >= ?) ORDER BY version DESC LIMIT 1",
        (schedule, at, at),
    )
    if row is None:
        return False
    try:
        if chain_period(row[0]) is not None:
            return True
        return rule_of(row[0], rules_with(tx, row[0], row[1])).count(at - 1, at) > 0
    except WatchbellError:
        return True


def rules_with(tx: Tx, trigger: str, pairs: str) -> str | None:
    """The stored rules of the zone that a trigger depends on; None where none were stored with it."""
    stored = {}
    for name, digest in json.loads(pairs):
        text = tx.value("SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?", (name, digest))
        if text:
            stored[name] = str(text)
    return transitions_of(trigger, stored) if stored else None

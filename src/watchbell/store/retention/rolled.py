"""What the audit reads of closed days: roll-ups, and the rows and spans that are not rolled up yet."""

from __future__ import annotations

import json

from ...core.audit.evidence import Version, Window
from ...core.audit.rolled import Closed
from ...core.retention import day_of, implied_in
from ..tx import Tx
from . import rollups


def read_closed(tx: Tx, window: Window, from_at: int | None, to_at: int | None) -> Closed | None:
    """The closed days of a window's schedule that lie wholly in what is audited; None without any."""
    row = tx.row("SELECT closed_until, name FROM schedule WHERE id = ?", (window.schedule,))
    if row is None or not row[0] or not window.versions:
        return None
    after, upto = min(version.from_at for version in window.versions), int(row[0])
    if from_at is not None and from_at > after:
        after = (day_of(from_at - 1) + 1) * 86_400_000_000 - 1
    if to_at is not None and to_at < upto:
        upto = day_of(to_at + 1) * 86_400_000_000 - 1
    if upto <= after:
        return None
    found = _rolled(tx, window.schedule)
    for due_at, count in _left(tx, window.schedule, int(row[0])):
        found[day_of(due_at)] = found.get(day_of(due_at), 0) + count
    return Closed(row[1], after, upto, _in_order(window), window.pauses, found)


def _in_order(window: Window) -> list[Version]:
    return sorted(window.versions, key=lambda version: version.from_at)


def _rolled(tx: Tx, schedule: int) -> dict[int, int]:
    rows = tx.rows("SELECT day, counts FROM rollup WHERE schedule = ?", (schedule,))
    return {day: implied_in(json.loads(counts)) for day, counts in rows}


def _left(tx: Tx, schedule: int, closed: int) -> list[tuple[int, int]]:
    """(due_at, count) of what is left of closed days, as far as a rule made it due."""
    found: list[tuple[int, int]] = []
    for due_at, state, origin in tx.rows(
        "SELECT due_at, state, origin FROM occurrence WHERE schedule = ? AND origin IN ('scheduled', 'backfill') "
        "AND due_at <= ?",
        (schedule, closed),
    ):
        if state != "superseded" and (origin != "backfill" or rollups.is_implied(tx, schedule, due_at)):
            found.append((due_at, 1))
    return found + [
        (row[0], row[1])
        for row in tx.rows(
            "SELECT to_at, count FROM span WHERE schedule = ? AND to_at <= ?", (schedule, closed)
        )
    ]

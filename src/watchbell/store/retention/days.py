"""Retention of occurrences: days are closed, and then their rows become totals, a few at a time.

A day of a schedule is closed by one write, once everything in it has ended: `closed_until` rises to its last instant,
and a span that goes on behind it is cut there. From then on the audit counts the day as *totals + what is left of rows
and spans*, so that every batch which turns rows into totals leaves the sum as it was, wherever a crash may fall.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ...core.audit.recount import chain_period, rule_of
from ...core.retention import day_of, end_of, target
from ...core.states import LIVE, TERMINAL, sql_list
from ...errors import WatchbellError
from ..planning import LIVE_ROWS
from ..tx import Row, Tx, never_again
from . import rollups
from .gone import note_gone

_OURS = "schedule = ? AND origin IN ('scheduled', 'backfill')"
_ENDED = f"state IN ({sql_list(TERMINAL)})"
BESIDE = ("attempt", "run_log", "run_progress", "effect", "log_size")
"""What is kept of a run beside its row, by its number."""


@dataclass(slots=True)
class Removed:
    """What one step has removed or closed; `spans` counts whole ones."""

    days: int = 0
    rows: int = 0
    spans: int = 0

    def __bool__(self) -> bool:
        return bool(self.days or self.rows or self.spans)


def keep_of(options: str, name: str, default: int) -> int:
    """How long a job keeps what `name` says, from its options as they are stored."""
    own = json.loads(options).get(name) if name in options else None
    return default if own is None else int(own)


def schedules_after(tx: Tx, after: int, limit: int) -> list[tuple[int, str]]:
    """The next schedules by number, ended ones included, with the options of their jobs."""
    rows = tx.rows(
        "SELECT s.id, j.options FROM schedule s JOIN job j ON j.id = s.job WHERE s.id > ? ORDER BY s.id LIMIT ?",
        (after, limit),
    )
    return [(row[0], row[1]) for row in rows]


def content_from(tx: Tx, schedule: int) -> int | None:
    """The first instant at which a schedule still has a row, or may have one in a span; None without any."""
    row = tx.value(f"SELECT min(due_at) FROM occurrence WHERE {_OURS}", (schedule,))
    span = tx.value("SELECT min(from_at) + 1 FROM span WHERE schedule = ?", (schedule,))
    return min((int(at) for at in (row, span) if at is not None), default=None)


def has_old(tx: Tx, schedule: int, upto: int) -> bool:
    """Whether anything of a schedule is old enough to go."""
    found = content_from(tx, schedule)
    return found is not None and found <= upto


def step(tx: Tx, schedule: int, upto: int, limit: int) -> Removed:
    """Remove at most `limit` rows of closed days, or close the next day that is whole and at most `upto`. Nothing is
    removed: nothing more can be done now."""
    closed = int(tx.value("SELECT closed_until FROM schedule WHERE id = ?", (schedule,)) or 0)
    removed = _remove(tx, schedule, closed, limit)
    if not removed and (first := content_from(tx, schedule)) is not None and end_of(day_of(first)) <= upto:
        end = end_of(day_of(first))
        if end > closed and _may_close(tx, schedule, end) and _cut_spans(tx, schedule, end):
            tx.run(
                "UPDATE schedule SET closed_until = ? WHERE id = ? AND closed_until < ?", (end, schedule, end)
            )
            removed = _remove(tx, schedule, end, limit)
            removed.days = 1
    return removed


def _may_close(tx: Tx, schedule: int, end: int) -> bool:
    """Everything up to `end` is in the ledger and has ended."""
    until = tx.value("SELECT planned_until FROM cursor WHERE schedule = ?", (schedule,))
    if until is not None and until < end:
        return False
    if tx.value(
        f"SELECT 1 FROM occurrence WHERE schedule = ? AND {LIVE_ROWS} AND due_at <= ? LIMIT 1",
        (schedule, end),
    ):
        return False
    held = "SELECT 1 FROM span WHERE schedule = ? AND from_at < ? AND ending = 'held' LIMIT 1"
    return tx.value(held, (schedule, end)) is None


def _cut_spans(tx: Tx, schedule: int, end: int) -> bool:
    """Cut the spans that go on behind `end`; False where one of them cannot be cut, and is left whole."""
    for span, from_at, to_at, count, ending, reason, version in tx.rows(
        "SELECT id, from_at, to_at, count, ending, reason, version FROM span WHERE schedule = ? AND from_at < ? AND "
        "to_at > ?",
        (schedule, end, end),
    ):
        part = _part(tx, schedule, version, (from_at, end, to_at, count))
        if part is None:
            return False
        rollups.add(tx, schedule, rollups.tally([(end, ending, reason, part)]) if part else {})
        tx.run("UPDATE span SET from_at = ?, count = count - ? WHERE id = ?", (end, part, span))
    return True


def _part(tx: Tx, schedule: int, version: int, span: tuple[int, int, int, int]) -> int | None:
    """How many of a span's occurrences are due up to the cut; None where its rule does not bear out its count."""
    from_at, cut, to_at, count = span
    row = tx.row(
        "SELECT trigger, zones, policies FROM schedule_version WHERE schedule = ? AND version = ?",
        (schedule, version),
    )
    if row is None or "blackouts" in json.loads(row[2]):
        return None
    try:
        if chain_period(row[0]) is not None:
            return None
        rule = rule_of(row[0], rollups.rules_with(tx, row[0], row[1]))
        inside = [
            due
            for (due,) in tx.rows(
                f"SELECT due_at FROM occurrence WHERE {_OURS} AND due_at > ? AND due_at <= ?",
                (schedule, from_at, to_at),
            )
            if rule.count(due - 1, due)
        ]
        if rule.count(from_at, to_at) - len(inside) != count:
            return None
        return rule.count(from_at, cut) - sum(1 for due in inside if due <= cut)
    except WatchbellError:
        return None


def _remove(tx: Tx, schedule: int, closed: int, limit: int) -> Removed:
    """Turn rows and spans of closed days into totals."""
    rows = tx.rows(
        f"SELECT id, due_at, state, reason, origin FROM occurrence WHERE {_OURS} AND due_at <= ? AND {_ENDED} "
        "ORDER BY due_at LIMIT ?",
        (schedule, closed, limit),
    )
    spans = tx.rows(
        "SELECT id, to_at, ending, reason, count FROM span WHERE schedule = ? AND to_at <= ? AND ending <> 'held' LIMIT ?",
        (schedule, closed, max(0, limit - len(rows))),
    )
    if not rows and not spans:
        return Removed()
    told = [rollups.key_of(tx, schedule, row[1:]) for row in rows]
    told += [row for span in spans if (row := _told(span)) is not None]
    rollups.add(tx, schedule, rollups.tally(told))
    if rows:
        note_gone(tx, schedule, max(row[0] for row in rows))
    forget_runs(tx, [row[0] for row in rows])
    tx.many("DELETE FROM span WHERE id = ?", [(span[0],) for span in spans])
    return Removed(0, len(rows), len(spans))


def _told(span: Row) -> tuple[int, str, str | None, int] | None:
    """A whole span for the totals. It lies within one day: what went on behind the day was cut when that was closed."""
    return (span[1], span[2], span[3], span[4]) if span[4] else None


def forget_runs(tx: Tx, runs: list[int]) -> None:
    """Remove runs that have ended, with everything that is kept beside them."""
    if runs:
        never_again(tx, "occurrence")
    for start in range(0, len(runs), 500):
        some = ", ".join(map(str, runs[start : start + 500]))
        tx.run(
            "UPDATE log_total SET bytes = bytes - (SELECT coalesce(sum(z.bytes), 0) FROM log_size z "
            f"WHERE z.job = log_total.job AND z.run IN ({some})) "
            f"WHERE job IN (SELECT job FROM log_size WHERE run IN ({some}))"
        )
        for table in BESIDE:
            tx.run(f"DELETE FROM {table} WHERE run IN ({some})")
        gone = tx.run(f"DELETE FROM occurrence WHERE id IN ({some}) AND {_ENDED}")
        assert gone == len(runs[start : start + 500]), "a run that goes on was to be removed"


# --- runs by hand -----------------------------------------------------------------------------------------------------


def jobs_after(tx: Tx, after: int, limit: int) -> list[tuple[int, str]]:
    """The next jobs by number, ended ones included, with their options."""
    return [
        (row[0], row[1])
        for row in tx.rows("SELECT id, options FROM job WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    ]


def step_by_hand(tx: Tx, job: int, upto: int, after: int, limit: int) -> tuple[Removed, int | None]:
    """Turn a job's old runs by hand into totals, looking at `limit` rows behind the run `after`; where to go on, None at
    the end. What its schedule's rows may still point at stays as long as they do."""
    rows = tx.rows(
        "SELECT id, due_at, state, reason, ended_at, schedule, planned_at FROM occurrence WHERE job = ? AND "
        "origin IN ('manual', 'dependency') AND id > ? ORDER BY id LIMIT ?",
        (job, after, limit),
    )
    edges: dict[int, int] = {}
    old = []
    for row in rows:
        if row[6] > upto:  # written later than that, as is everything behind it
            rows = []
            break
        if row[2] in LIVE or row[4] is None or max(row[1], row[4]) > upto:
            continue
        if row[5] is not None:
            if row[5] not in edges:
                edges[row[5]] = _needed_from(tx, row[5])
            if row[4] >= edges[row[5]]:
                continue
        old.append(row)
    rollups.add_by_hand(tx, job, rollups.tally([(row[1], row[2], row[3], 1) for row in old]))
    for schedule, run in {row[5]: row[0] for row in old if row[5] is not None}.items():
        note_gone(tx, schedule, run)  # they come in the order of their numbers
    forget_runs(tx, [row[0] for row in old])
    return Removed(0, len(old)), rows[-1][0] if len(rows) == limit else None


def has_old_by_hand(tx: Tx, job: int, after: int, upto: int) -> bool:
    """Whether the first of a job's runs by hand behind the run `after` was written so long ago."""
    at = tx.value(
        "SELECT planned_at FROM occurrence WHERE job = ? AND origin IN ('manual', 'dependency') AND id > ? "
        "ORDER BY id LIMIT 1",
        (job, after),
    )
    return at is not None and at <= upto


def _needed_from(tx: Tx, schedule: int) -> int:
    """Runs by hand that ended before this bear out nothing that is still there: no overlap, and no link of a chain."""
    first = content_from(tx, schedule)
    if first is None:
        return 1 << 62
    texts = [
        row[0] for row in tx.rows("SELECT trigger FROM schedule_version WHERE schedule = ?", (schedule,))
    ]
    return first - max((_period(text) for text in texts), default=0)


def _period(text: str) -> int:
    try:
        return chain_period(text) or 0
    except WatchbellError:
        return 0


def target_of(now: int, options: str, keep_us: int) -> int:
    """Up to where a job's days are old enough to go."""
    return target(now, keep_of(options, "keep_us", keep_us))

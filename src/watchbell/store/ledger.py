"""The ledger as it is read: runs and other occurrences, spans, attempts, logs; newest first, page by page.

A page is found by keys, never by counting rows off: the whole ledger is read in the order in which it was written (its
primary key), one schedule in the order of its instants (its identity index). Spans are a second stream beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.states import LIVE, State, sql_list
from .tx import Row, Tx

_COLUMNS = (
    "o.id, o.schedule, s.name, o.job, j.name, o.lane, o.origin, o.due_at, o.start_at, o.state, o.reason, o.attempt, "
    "o.planned_at, o.claimed_at, o.began_at, o.ended_at, o.node, o.version, o.priority, o.catchup, o.held_by, "
    "o.into_id, o.cause_id, o.key, o.args, o.revoke, o.exit_code, o.error, o.note, o.resolved, o.ready_at, "
    "o.stands_for, o.history"
)
_FROM = "FROM occurrence o JOIN job j ON j.id = o.job LEFT JOIN schedule s ON s.id = o.schedule"
_LIVE = f"o.state IN ({sql_list(LIVE)})"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger."""

    id: int
    schedule: int | None
    schedule_name: str | None
    job: int
    job_name: str
    lane: str
    origin: str
    due_at: int
    start_at: int
    state: str
    reason: str | None
    attempt: int
    planned_at: int
    claimed_at: int | None
    began_at: int | None
    ended_at: int | None
    node: int | None
    version: int | None
    priority: int
    catchup: bool
    held_by: str | None
    into_id: int | None
    cause_id: int | None
    key: str | None
    args: str | None
    revoke: str | None
    exit_code: int | None
    error: str | None
    note: str | None
    resolved: str | None
    ready_at: int | None
    stands_for: str | None
    history: str | None = None


@dataclass(frozen=True, slots=True)
class SpanEntry:
    """Many occurrences that became the same thing, kept as one row: those after `from_at` up to and with `to_at`."""

    id: int
    schedule: int
    schedule_name: str
    from_at: int
    to_at: int
    count: int
    ending: str
    reason: str | None
    into_id: int | None
    planned_at: int


@dataclass(frozen=True, slots=True)
class Details:
    """What a page about one run shows beside its row."""

    result: str | None
    traceback: str | None
    peak_memory: int | None
    cpu_us: int | None
    pid: int | None
    node_name: str | None
    attempts: tuple[Row, ...]
    progress: tuple[float, float | None, str | None, int] | None
    log_lines: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows. `before` is where the page before ended: the key of its last row, and of its last span."""

    schedule: int | None = None
    job: int | None = None
    states: frozenset[State] = frozenset()
    since: int | None = None
    before: tuple[int, int] | None = None
    spans_before: tuple[int, int] | None = None


def entries(tx: Tx, wanted: Wanted, limit: int) -> list[Entry]:
    """At most `limit` rows: of one schedule by (due_at, id), else by id, descending."""
    if wanted.schedule is not None:
        return _of_schedule(tx, wanted, limit)
    terms, params = _terms(wanted)
    if wanted.before is not None:
        terms.append("o.id < ?")
        params.append(wanted.before[1])
    return _select(tx, terms, params, "o.id DESC", limit)


def _of_schedule(tx: Tx, wanted: Wanted, limit: int) -> list[Entry]:
    """The identity index holds what fell due, another one what was asked for by hand: two short reads, merged."""
    found: list[Entry] = []
    for origins in ("('scheduled', 'backfill')", "('manual', 'dependency')"):
        terms, params = _terms(wanted)
        terms = ["o.schedule = ?", f"o.origin IN {origins}", *terms]
        params = [wanted.schedule, *params]
        if "manual" in origins:  # its index is by job; a schedule has had few
            terms.append("o.job IN (SELECT job FROM schedule_version WHERE schedule = ?)")
            params.append(wanted.schedule)
        if wanted.before is not None:
            terms.append("(o.due_at, o.id) < (?, ?)")
            params += wanted.before
        found += _select(tx, terms, params, "o.due_at DESC, o.id DESC", limit)
    return sorted(found, key=lambda entry: (entry.due_at, entry.id), reverse=True)[:limit]


def _terms(wanted: Wanted) -> tuple[list[str], list[Any]]:
    terms: list[str] = []
    params: list[Any] = []
    if wanted.job is not None:
        terms.append("o.job = ?")
        params.append(wanted.job)
    if wanted.states:
        terms.append(f"o.state IN ({sql_list(wanted.states)})")
        if wanted.states <= LIVE:  # says again what follows from it, so that the index of live rows is used
            terms.append(_LIVE)
    if wanted.since is not None:
        terms.append("o.due_at >= ?")
        params.append(wanted.since)
    return terms, params


def _select(tx: Tx, terms: list[str], params: list[Any], order: str, limit: int) -> list[Entry]:
    where = f"WHERE {' AND '.join(terms)} " if terms else ""
    rows = tx.rows(f"SELECT {_COLUMNS} {_FROM} {where}ORDER BY {order} LIMIT ?", (*params, limit))
    return [_entry(row) for row in rows]


def _entry(row: Row) -> Entry:
    values = list(row)
    values[19] = bool(values[19])
    return Entry(*values)


def entry(tx: Tx, run: int) -> Entry | None:
    """One row."""
    row = tx.row(f"SELECT {_COLUMNS} {_FROM} WHERE o.id = ?", (run,))
    return None if row is None else _entry(row)


def state_of(tx: Tx, run: int) -> str | None:
    """Where a run stands; None if there is no such run."""
    found = tx.value("SELECT state FROM occurrence WHERE id = ?", (run,))
    return None if found is None else str(found)


def details(tx: Tx, run: int) -> Details:
    """What is known of a run beside its row; the run must exist."""
    row: Any = tx.row(
        "SELECT o.result, o.traceback, o.peak_memory, o.cpu_us, o.pid, n.name FROM occurrence o "
        "LEFT JOIN node n ON n.id = o.node WHERE o.id = ?",
        (run,),
    )
    attempts = tx.rows(
        "SELECT number, claimed_at, began_at, ended_at, ending, reason, error, traceback, exit_code, peak_memory, "
        "cpu_us, note FROM attempt WHERE run = ? ORDER BY number",
        (run,),
    )
    progress: Any = tx.row("SELECT done, of, message, at FROM run_progress WHERE run = ?", (run,))
    lines = tx.value("SELECT count(*) FROM run_log WHERE run = ?", (run,))
    values = [*row, tuple(attempts), progress, int(lines)]
    return Details(*values)


def spans(tx: Tx, wanted: Wanted, limit: int) -> list[SpanEntry]:
    """At most `limit` spans: of one schedule by (to_at, id), else by id, descending."""
    terms, params = ["p.count > 0"], []  # of one whose every instant was reopened nothing is left to tell
    if wanted.schedule is not None:
        terms.append("p.schedule = ?")
        params.append(wanted.schedule)
    if wanted.job is not None:
        terms.append("s.job = ?")
        params.append(wanted.job)
    if wanted.states:
        terms.append(f"p.ending IN ({sql_list(wanted.states)})")
    if wanted.since is not None:
        terms.append("p.to_at >= ?")
        params.append(wanted.since)
    order = "p.id DESC" if wanted.schedule is None else "p.to_at DESC, p.id DESC"
    if wanted.spans_before is not None and wanted.schedule is None:
        terms.append("p.id < ?")
        params.append(wanted.spans_before[1])
    elif wanted.spans_before is not None:
        terms.append("(p.to_at, p.id) < (?, ?)")
        params += wanted.spans_before
    rows = tx.rows(
        "SELECT p.id, p.schedule, s.name, p.from_at, p.to_at, p.count, p.ending, p.reason, p.into_id, p.planned_at "
        f"FROM span p JOIN schedule s ON s.id = p.schedule WHERE {' AND '.join(terms)} ORDER BY {order} LIMIT ?",
        (*params, limit),
    )
    return [SpanEntry(*row) for row in rows]


def log_lines(tx: Tx, run: int, after: int, limit: int) -> list[tuple[int, int, str, str, str]]:
    """(seq, at, stream, level, text) of a run's log behind line `after`, oldest first."""
    rows = tx.rows(
        "SELECT seq, at, stream, level, text FROM run_log WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run, after, limit),
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def first_written_since(tx: Tx, at: int) -> int:
    """The lowest id of a row that was written at or after `at`: ids grow with time, so a few probes find it."""
    low, high = 1, 1 + int(tx.value("SELECT coalesce(max(id), 0) FROM occurrence"))
    while low < high:
        middle = (low + high) // 2
        row = tx.row("SELECT id, planned_at FROM occurrence WHERE id >= ? ORDER BY id LIMIT 1", (middle,))
        if row is None or row[1] >= at:
            high = middle
        else:
            low = int(row[0]) + 1
    return low

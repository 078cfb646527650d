"""Schedules and the whole house as they are read: lists page by page, and the figures of the status.

Nothing here may cost more as the ledger grows: counts come from partial indexes of live rows, from the schedules'
own table, or from a bounded piece of the newest rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.lanes import BY_THEMSELVES
from ..core.states import LIVE, State, sql_list
from .ledger import first_written_since
from .tx import Row, Tx

STANDINGS = ("on", "paused", "disabled", "set_aside")

_ENGINES = (
    "labels NOT LIKE '%exec:%' AND engine_epoch > 0"  # a `watchbell exec` has a node's row and is no engine
)

_COLUMNS = (
    "s.id, s.name, s.job, j.name, j.lane, j.command, s.version, s.tags, s.about, s.app, s.source, s.source_key, "
    "s.standing, s.set_aside, s.undeclared_at, s.created_at, c.next_due, c.planned_until, v.trigger, v.policies, "
    "v.args, v.effective_from, j.options, s.revision"
)
_FROM = (
    "FROM schedule s JOIN job j ON j.id = s.job JOIN schedule_version v ON v.schedule = s.id AND "
    "v.version = s.version LEFT JOIN cursor c ON c.schedule = s.id"
)


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule, its version in force, its job and its cursor. JSON columns are text."""

    id: int
    name: str
    job: int
    job_name: str
    lane: str
    command: str | None
    version: int
    tags: str
    about: str
    app: str | None
    source: str | None
    source_key: str | None
    standing: str
    set_aside: str | None
    undeclared_at: int | None
    created_at: int
    next_due: int | None
    planned_until: int | None
    trigger: str
    policies: str
    args: str
    effective_from: int
    options: str
    revision: int


@dataclass(frozen=True, slots=True)
class Sought:
    """Which schedules. `after` is the name with which the page before ended."""

    standing: str | None = None
    tag: str | None = None
    job: str | None = None
    source: str | None = None
    text: str | None = None
    after: str | None = None


def schedules(tx: Tx, sought: Sought, limit: int) -> list[ScheduleRow]:
    """At most `limit` schedules that have not ended, by name."""
    terms, params = ["s.workspace = 1", "s.ended_at IS NULL"], []
    for value, term in (
        (sought.standing, "s.standing = ?"),
        (sought.tag, "EXISTS (SELECT 1 FROM json_each(s.tags) t WHERE t.value = ?)"),
        (sought.job, "j.name = ?"),
        (sought.source, "s.source = ?"),
        (sought.text, "instr(lower(s.name), lower(?)) > 0"),
        (sought.after, "s.name > ?"),
    ):
        if value is not None:
            terms.append(term)
            params.append(value)
    rows = tx.rows(
        f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(terms)} ORDER BY s.name LIMIT ?", (*params, limit)
    )
    return [ScheduleRow(*row) for row in rows]


def schedule_by_name(tx: Tx, name: str) -> ScheduleRow | None:
    """The schedule of that name, unless it has ended."""
    row = tx.row(
        f"SELECT {_COLUMNS} {_FROM} WHERE s.workspace = 1 AND s.name = ? AND s.ended_at IS NULL", (name,)
    )
    return None if row is None else ScheduleRow(*row)


def schedule_by_id(tx: Tx, schedule: int) -> ScheduleRow:
    """The schedule of that number; it must be there."""
    row = tx.row(f"SELECT {_COLUMNS} {_FROM} WHERE s.id = ?", (schedule,))
    assert row is not None
    return ScheduleRow(*row)


def ended_id(tx: Tx, name: str) -> int | None:
    """The newest schedule that had this name and has ended; its ledger is still there."""
    found = tx.value("SELECT max(id) FROM schedule WHERE workspace = 1 AND name = ?", (name,))
    return None if found is None else int(found)


def names_of(tx: Tx, ids: list[int]) -> dict[int, str]:
    """The names of schedules."""
    rows = tx.many_returning("SELECT id, name FROM schedule WHERE id = ?", [(one,) for one in ids])
    return {row[0]: row[1] for row in rows}


def alike(tx: Tx, name: str) -> list[str]:
    """Names of schedules and jobs that somebody who wrote `name` may have meant."""
    rows = tx.rows(
        "SELECT name FROM schedule WHERE workspace = 1 AND ended_at IS NULL "
        "UNION SELECT name FROM job WHERE workspace = 1 AND ended_at IS NULL LIMIT 5000"
    )
    return [row[0] for row in rows]


def last_of(tx: Tx, schedule: int, job: int) -> Row | None:
    """(id, state, reason, due_at, ended_at, origin) of the newest occurrence that fell due; where none ever did, of the
    newest run by hand."""
    found = tx.row(
        "SELECT id, state, reason, due_at, ended_at, origin FROM occurrence WHERE schedule = ? AND "
        "origin IN ('scheduled', 'backfill') ORDER BY due_at DESC LIMIT 1",
        (schedule,),
    )
    run = newest_by_hand(tx, schedule, job) if found is None else None
    if run is None:
        return found
    return tx.row("SELECT id, state, reason, due_at, ended_at, origin FROM occurrence WHERE id = ?", (run,))


def newest_by_hand(tx: Tx, schedule: int, job: int) -> int | None:
    """The newest run of the schedule that was asked for, looked for among the newest thousand of its job."""
    found = tx.value(
        "SELECT id FROM (SELECT id, schedule FROM occurrence WHERE job = ? AND "
        "origin IN ('manual', 'dependency') ORDER BY id DESC LIMIT 1000) newest WHERE schedule = ? LIMIT 1",
        (job, schedule),
    )
    return None if found is None else int(found)


def came_due(tx: Tx, schedule: int) -> bool:
    """Whether it has ever come due by itself: the ledger has a row or a span of it."""
    return bool(
        tx.value(
            "SELECT EXISTS (SELECT 1 FROM span WHERE schedule = ?) OR EXISTS (SELECT 1 FROM occurrence WHERE "
            "schedule = ? AND origin IN ('scheduled', 'backfill'))",
            (schedule, schedule),
        )
    )


def runs_by_hand(tx: Tx, from_at: int | None, to_at: int | None, schedule: int | None) -> int:
    """How many runs were asked for, of one schedule or of all, in (from_at, to_at]. Reads the index of those only."""
    terms, params = ["origin IN ('manual', 'dependency')"], []
    for value, term in ((from_at, "due_at > ?"), (to_at, "due_at <= ?"), (schedule, "schedule = ?")):
        if value is not None:
            terms.append(term)
            params.append(value)
    if schedule is not None:
        terms.append("job IN (SELECT job FROM schedule_version WHERE schedule = ?)")
        params.append(schedule)
    return int(tx.value(f"SELECT count(*) FROM occurrence WHERE {' AND '.join(terms)}", params))


def open_pauses(tx: Tx, schedule: int) -> list[Row]:
    """(kind, from_at, actor, note) of every reason for which a schedule stands still."""
    return tx.rows(
        "SELECT kind, from_at, actor, note FROM pause WHERE schedule = ? AND until_at IS NULL ORDER BY from_at",
        (schedule,),
    )


def job_parameters(tx: Tx, job: int) -> str | None:
    """The JSON schema of a job's arguments; None for a command, which takes any."""
    lane, found = tx.row("SELECT lane, parameters FROM job WHERE id = ?", (job,)) or ("command", None)
    return parameters_of(lane, found)


def parameters_of(lane: str, found: str | None) -> str | None:
    """The same, from what the job's row says."""
    if found is None and lane not in BY_THEMSELVES:  # a function without parameters has no schema
        return '{"properties": {}, "additionalProperties": false}'
    return None if found is None else str(found)


# --- the figures of the status ------------------------------------------------------------------------------


def standings(tx: Tx) -> list[Row]:
    """(standing, count, undeclared, tagged `website`) over all schedules that have not ended: one pass."""
    return tx.rows(
        "SELECT standing, count(*), count(undeclared_at), count(*) FILTER (WHERE instr(tags, '\"website\"') > 0) FROM schedule "
        "WHERE ended_at IS NULL GROUP BY standing"
    )


def set_aside(tx: Tx, limit: int) -> list[tuple[str, str]]:
    """(name, reason) of the first schedules, by name, that are set aside."""
    rows = tx.rows(
        "SELECT name, coalesce(set_aside, '') FROM schedule WHERE standing = 'set_aside' AND ended_at IS NULL "
        "ORDER BY name LIMIT ?",
        (limit,),
    )
    return [(row[0], row[1]) for row in rows]


def reasons_set_aside(tx: Tx, ids: list[int]) -> dict[int, str]:
    """Why, of those among these schedules that are set aside."""
    rows = tx.many_returning(
        "SELECT id, coalesce(set_aside, '') FROM schedule WHERE id = ? AND standing = 'set_aside'",
        [(one,) for one in ids],
    )
    return {row[0]: row[1] for row in rows}


def with_next_due(tx: Tx) -> int:
    """How many schedules have an instant to come."""
    return int(tx.value("SELECT count(*) FROM cursor WHERE next_due IS NOT NULL"))


def next_due(tx: Tx, after: int) -> tuple[int, int] | None:
    """(schedule, instant) of what falls due next behind `after`."""
    row = tx.row(
        "SELECT schedule, next_due FROM cursor WHERE next_due > ? ORDER BY next_due LIMIT 1", (after,)
    )
    return None if row is None else (row[0], row[1])


def past_due(tx: Tx, before: int, limit: int) -> tuple[int, list[tuple[int, int]]]:
    """How many schedules have an instant behind them that nobody has planned, and the first of them."""
    count = int(tx.value("SELECT count(*) FROM cursor WHERE next_due < ?", (before,)))
    rows = tx.rows(
        "SELECT schedule, next_due FROM cursor WHERE next_due < ? ORDER BY next_due LIMIT ?", (before, limit)
    )
    return count, [(row[0], row[1]) for row in rows]


def unbegun(tx: Tx, before: int, limit: int) -> list[Row]:
    """(id, schedule, job name, start_at, state, held_by, lane) of queued and held rows that were to start before
    `before`."""
    return tx.rows(
        "SELECT o.id, o.schedule, j.name, o.start_at, o.state, o.held_by, o.lane FROM occurrence o "
        f"JOIN job j ON j.id = o.job WHERE o.state IN ({sql_list(LIVE)}) AND o.state IN ('queued', 'held') "
        "AND o.start_at < ? ORDER BY o.start_at LIMIT ?",
        (before, limit),
    )


def live(tx: Tx) -> dict[str, int]:
    """How many rows are in each live state."""
    rows = tx.rows(f"SELECT state, count(*) FROM occurrence WHERE state IN ({sql_list(LIVE)}) GROUP BY state")
    found = {row[0]: row[1] for row in rows}
    return {state.value: found.get(state.value, 0) for state in State if state in LIVE}


def endings(tx: Tx, since: int, most: int) -> tuple[int, dict[str, int]]:
    """How the rows written since then have ended, over at most `most` of the newest; (since when, state → count)."""
    newest = int(tx.value("SELECT coalesce(max(id), 0) FROM occurrence"))
    first = max(first_written_since(tx, since), newest - most + 1)
    rows = tx.rows("SELECT state, count(*) FROM occurrence WHERE id >= ? GROUP BY state", (first,))
    counted = {row[0]: row[1] for row in rows if State(row[0]) not in LIVE}
    if first <= 1 or first > newest:
        return since, counted
    written: Any = tx.value("SELECT planned_at FROM occurrence WHERE id >= ? ORDER BY id LIMIT 1", (first,))
    return max(since, int(written)) if newest - first + 1 >= most else since, counted


def span_endings(tx: Tx, since: int) -> dict[str, int]:
    """How many occurrences the spans that reach past `since` stand for, by ending."""
    rows = tx.rows(
        "SELECT ending, sum(count) FROM span WHERE planned_at >= ? AND ending <> 'held' GROUP BY ending",
        (since,),
    )
    return {row[0]: int(row[1]) for row in rows}


def nodes_known(tx: Tx) -> list[Row]:
    """(id, name, host, pid, boot id, version, state, started_at, heartbeat_at, lease_until, epoch, slots, labels,
    skew, process) of the engines and stand-bys that have not ended, newest first."""
    return tx.rows(
        "SELECT id, name, host, pid, boot_id, version, state, started_at, heartbeat_at, lease_until, engine_epoch, "
        "slots, labels, skew_us, process "
        f"FROM node WHERE (state IN ('up', 'draining') AND {_ENGINES}) OR state = 'standby' ORDER BY id DESC LIMIT 100"
    )


def last_node(tx: Tx) -> Row | None:
    """(name, pid, state, started_at, heartbeat_at, stopped_at) of the newest engine."""
    return tx.row(
        f"SELECT name, pid, state, started_at, heartbeat_at, stopped_at FROM node WHERE {_ENGINES} "
        "ORDER BY id DESC LIMIT 1"
    )


def engine_epoch(tx: Tx) -> int:
    """The epoch of the engine that may act."""
    return int(tx.value("SELECT value FROM meta WHERE key = 'engine_epoch'"))


def source_errors(tx: Tx) -> int:
    """The longest streak of failed readings of a source."""
    return int(tx.value("SELECT coalesce(max(errors), 0) FROM source"))


# --- jobs made for one schedule -----------------------------------------------------------------------------


def job_named(tx: Tx, name: str) -> Row | None:
    """(id, lane, app, ended_at) of the job of exactly that name, ended or not."""
    return tx.row("SELECT id, lane, app, ended_at FROM job WHERE workspace = 1 AND name = ?", (name,))


def uses_of_job(tx: Tx, job: int) -> tuple[int, int | None]:
    """How many schedules that have not ended use a job, and the id of a run of an ended one that is still live."""
    kept = int(tx.value("SELECT count(*) FROM schedule WHERE job = ? AND ended_at IS NULL", (job,)))
    live_run = tx.value(
        "SELECT o.id FROM schedule s JOIN occurrence o ON o.schedule = s.id WHERE s.job = ? "
        f"AND o.state IN ({sql_list(LIVE)}) LIMIT 1",
        (job,),
    )
    return kept, None if live_run is None else int(live_run)


def others_of_job(tx: Tx, job: int, schedule: int) -> bool:
    """Whether a schedule that has not ended uses a job, beside this one."""
    sql = "SELECT 1 FROM schedule WHERE job = ? AND ended_at IS NULL AND id <> ? LIMIT 1"
    return tx.value(sql, (job, schedule)) is not None


def end_job(tx: Tx, job: int, now: int) -> None:
    """A job that nobody can ask for any more; its ledger stays."""
    tx.later("UPDATE job SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (now, job))

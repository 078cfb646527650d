"""Backfill: what never ran is reopened, oldest first; an instant of a span, or one before the schedule was there, gets a
row of its own. A reopened row keeps its number and its history, and gets the next epoch.

Backfilled rows come behind everything fresh: held behind whatever of their schedule is live, one after the other, they
pass gates and rates like any other, and take their slots from the share of a backlog.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..core.audit.recount import Rule, chain_period, rule_of, transitions_of
from ..core.audit.recount_blackout import Blacked, Lit, dark_of
from ..core.definition import Definition
from ..core.instants import SECOND, to_text
from ..core.policies import Overlap
from ..core.states import LIVE, NEVER_RAN, State, check, sql_list
from ..errors import Conflict
from . import gates
from .journal import record
from .schedules.catalog import Catalog
from .schedules.pauses import Doer
from .tx import Row, Tx

_OURS = "schedule = ? AND origin IN ('scheduled', 'backfill')"
_STILL = ("paused", "disabled")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instant that never ran. With a `run` it is reopened; else it gets a row, taken out of `span` where it lies in
    one. `was` is what became of it."""

    due_at: int
    version: int
    was: str
    run: int | None = None
    span: int | None = None
    state: str = ""


@dataclass(slots=True)
class Candidates:
    """What can be reopened in a stretch of time: the first of them, oldest first, and how many of each kind in all.
    `ran` and `live` are left as they are."""

    first: list[Candidate] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    ran: int = 0
    live: int = 0

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


def find(tx: Tx, schedule: int, from_at: int, to_at: int, limit: int) -> Candidates:
    """What never ran in [from_at, to_at]. Spans count by their rule; of all, at most `limit` are named."""
    found = Candidates()
    taken: set[int] = set()
    named: list[Candidate] = []
    links = chained(tx, schedule)
    for run, due_at, state, reason, version in tx.rows(
        f"SELECT id, due_at, state, reason, version FROM occurrence WHERE {_OURS} AND due_at BETWEEN ? AND ? ORDER BY due_at",
        (schedule, from_at, to_at),
    ):
        taken.add(due_at)
        if version in links:
            continue
        if State(state) in NEVER_RAN:
            was = _was(state, reason)
            found.counts[was] = found.counts.get(was, 0) + 1
            named.append(Candidate(due_at, version, was, run=run, state=state))
        elif State(state) in LIVE:
            found.live += 1
        else:
            found.ran += 1
    named += _in_spans(tx, schedule, (from_at, to_at, limit), taken, found)
    named += _before_creation(tx, schedule, (from_at, to_at, limit), taken, found)
    found.first = sorted(named, key=lambda one: one.due_at)[:limit]
    return found


def chained(tx: Tx, schedule: int) -> set[int]:
    """The versions of a schedule in which the next occurrence counts from the end of the one before. Those ends have to
    stay: nothing of such a version is reopened, even if it never ran."""
    versions = tx.rows("SELECT version, trigger FROM schedule_version WHERE schedule = ?", (schedule,))
    return {version for version, trigger in versions if chain_period(trigger) is not None}


def _was(state: str, reason: str | None) -> str:
    return state if reason is None else f"{state}: {reason}"


def _in_spans(
    tx: Tx, schedule: int, stretch: tuple[int, int, int], taken: set[int], found: Candidates
) -> Iterator[Candidate]:
    from_at, to_at, limit = stretch
    for span, after, upto, ending, reason, version in tx.rows(
        "SELECT id, from_at, to_at, ending, reason, version FROM span WHERE schedule = ? AND from_at < ? AND to_at >= ? "
        f"AND count > 0 AND ending IN ({sql_list(NEVER_RAN)}) ORDER BY from_at",
        (schedule, to_at, from_at),
    ):
        rule, was = _rule_of_span(tx, schedule, version, reason), _was(ending, reason)
        first, last = max(after, from_at - 1), min(upto, to_at)
        inside = sum(1 for at in taken if first < at <= last and rule.count(at - 1, at))
        found.counts[was] = found.counts.get(was, 0) + rule.count(first, last) - inside
        yield from _new(rule, (first, last, limit), taken, version, (was, span))


def _before_creation(
    tx: Tx, schedule: int, stretch: tuple[int, int, int], taken: set[int], found: Candidates
) -> Iterator[Candidate]:
    """Instants at which the schedule was not there yet, by its first rule."""
    from_at, to_at, limit = stretch
    version, born = tx.row(  # type: ignore[misc]
        "SELECT version, effective_from FROM schedule_version WHERE schedule = ? ORDER BY effective_from, version LIMIT 1",
        (schedule,),
    )
    last = min(to_at, born)
    if from_at > last:
        return
    rule, was = rule_of_version(tx, schedule, version), "before it was created"
    inside = sum(1 for at in taken if at <= last)
    if count := rule.count(from_at - 1, last) - inside:
        found.counts[was] = count
        yield from _new(rule, (from_at - 1, last, limit), taken, version, (was, None))


def _new(
    rule: Rule, stretch: tuple[int, int, int], taken: set[int], version: int, of: tuple[str, int | None]
) -> Iterator[Candidate]:
    after, upto, left = stretch
    for at in rule.between(after, upto):
        if left <= 0:
            return
        if at not in taken:
            left -= 1
            yield Candidate(at, version, of[0], span=of[1])


def rule_of_version(tx: Tx, schedule: int, version: int) -> Rule:
    """What a version implies, by the rules that were stored with it."""
    return _rule_of_span(tx, schedule, version, _STILL[0])


def _rule_of_span(tx: Tx, schedule: int, version: int, reason: str | None) -> Rule:
    """What a span stands for, by the rules that were stored with its version."""
    text, pairs, policies = tx.row(  # type: ignore[misc]
        "SELECT trigger, zones, policies FROM schedule_version WHERE schedule = ? AND version = ?",
        (schedule, version),
    )
    stored = {
        name: str(
            tx.value("SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?", (name, digest))
        )
        for name, digest in json.loads(pairs)
    }
    rule = rule_of(text, transitions_of(text, stored) if stored else None)
    dark = dark_of(json.loads(policies), stored)
    if dark is None or reason in _STILL:
        return rule
    return Blacked(rule, dark) if reason == "blackout" else Lit(rule, dark)


def reopen(tx: Tx, schedule: int, chosen: Sequence[Candidate], doer: Doer, why: str) -> list[int]:
    """Reopen these; the numbers of their runs, in order. Conflict where one of them has changed meanwhile."""
    catalog = Catalog()
    runs = []
    for one in chosen:
        found, broken = catalog.definitions(tx, [(schedule, one.version)])
        if broken:
            raise Conflict(f"{to_text(one.due_at)} cannot be run again: {broken[schedule, one.version]}.")
        definition = found[schedule, one.version]
        state, held_by = _entry(tx, definition)
        told = f"{one.was}; reopened by {doer.actor} at {to_text(doer.now // SECOND * SECOND)}{f' ({why})' if why else ''}"
        runs.append(_put(tx, definition, one, (state, held_by), (told, doer.now)))
    if runs:
        name = str(tx.value("SELECT name FROM schedule WHERE id = ?", (schedule,)))
        span = f"{to_text(chosen[0].due_at)} to {to_text(chosen[-1].due_at)}"
        record(
            tx,
            doer.now,
            doer.actor,
            "schedule.backfilled",
            name,
            f"{len(runs)} occurrences, {span}. {why}".strip(),
        )
    return runs


def _entry(tx: Tx, definition: Definition) -> tuple[State, str | None]:
    """How far in a backfilled row is let: queued where nothing of its schedule is live, else held."""
    if definition.policies.overlap is not Overlap.ALLOW and tx.value(
        f"SELECT 1 FROM occurrence WHERE schedule = ? AND state IN ({sql_list(LIVE)}) AND state <> 'waiting' LIMIT 1",
        (definition.schedule,),
    ):
        return State.HELD, "overlap"
    keys = definition.job.gates
    blocked = next((key for key, free in gates.room(tx, keys).items() if free <= 0), None)
    if blocked is not None:
        return State.HELD, blocked
    gates.change(tx, dict.fromkeys(keys, 1))
    return State.QUEUED, None


def _put(
    tx: Tx, definition: Definition, one: Candidate, entry: tuple[State, str | None], told: tuple[str, int]
) -> int:
    """Write one down: the row that is there, or a new one."""
    if one.run is not None:
        return _reopen_row(tx, definition, one, entry, told)
    if one.span is not None and not tx.run(
        "UPDATE span SET count = count - 1 WHERE id = ? AND count > 0", (one.span,)
    ):
        raise Conflict(
            f"The span of {to_text(one.due_at)} has changed meanwhile; nothing was reopened, ask again."
        )
    (state, held_by), (history, now) = entry, told
    run = tx.next_id("occurrence")
    tx.run(
        "INSERT INTO occurrence (id, workspace, schedule, version, job, origin, due_at, start_at, state, lane, priority, "
        "gates, held_by, catchup, epoch, planned_at, history) "
        "VALUES (?, ?, ?, ?, ?, 'backfill', ?, ?, ?, ?, ?, ?, ?, 1, 1, ?, ?)",
        (
            *(
                run,
                definition.workspace,
                definition.schedule,
                one.version,
                definition.job.id,
                one.due_at,
                now,
            ),
            *(
                state.value,
                definition.job.lane,
                definition.priority,
                _keys(definition),
                held_by,
                now,
                history,
            ),
        ),
    )
    return run


def _reopen_row(
    tx: Tx, definition: Definition, one: Candidate, entry: tuple[State, str | None], told: tuple[str, int]
) -> int:
    (state, held_by), (history, now) = entry, told
    before = State(one.state)
    check(before, State.QUEUED)
    if state is State.HELD:
        check(State.QUEUED, state)
    assert one.run is not None
    done = tx.run(
        "UPDATE occurrence SET state = ?, origin = 'backfill', reason = NULL, into_id = NULL, held_by = ?, "
        "ready_at = NULL, gates = ?, lane = ?, job = ?, priority = ?, catchup = 1, epoch = epoch + 1, attempt = 0, "
        "start_at = ?, ended_at = NULL, note = NULL, revoke = NULL, "
        "history = CASE WHEN history IS NULL THEN ? ELSE history || '; then ' || ? END WHERE id = ? AND state = ?",
        (
            *(state.value, held_by, _keys(definition), definition.job.lane, definition.job.id),
            *(definition.priority, now, history, history, one.run, before.value),
        ),
    )
    if done != 1:
        raise Conflict(f"run_{one.run} has changed meanwhile; nothing was reopened, ask again.")
    return one.run


def _keys(definition: Definition) -> str | None:
    return json.dumps(definition.job.gates) if definition.job.gates else None


def row_of(tx: Tx, run: int) -> Row | None:
    """(state, schedule, version, due_at, job, args, origin, reason) of a run."""
    return tx.row(
        "SELECT state, schedule, version, due_at, job, args, origin, reason FROM occurrence WHERE id = ?",
        (run,),
    )

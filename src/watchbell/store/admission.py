"""The way in, for rows that were planned before they may begin: at their start, behind gates, under rates.

A waiting row of a schedule is let in at its start as the overlap policy says then; what is claimed passes its gates and
counts for its rates in the same write. Whatever is in the way holds the row: a gate until it has room, a rate until a
start is free. A row that is between two attempts keeps its state, and waits a little longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ..core.plan import Capacity, NewRow, Starting, let_in
from ..core.policies import CatchUpOrder
from ..core.rates import PREFIX, schedule_of
from ..core.states import TERMINAL, Reason, State, check
from . import gates, plan_writes, rates
from .business_keys import expire_keys
from .planning import BATCH, Planner, due_of, live_rows
from .schedules.standing import follow_chain
from .tx import Row, Tx

COLUMNS = (
    "id, workspace, schedule, version, job, lane, due_at, start_at, state, epoch, attempt, args, gates, key, ready_at, "
    "claimed_at, revoke, origin, priority, catchup"
)
TIMED = "state IN ('waiting', 'retrying')"


class Step(Enum):
    """How far a row has come that was to be claimed."""

    IN = "in"
    HELD = "held"
    LATER = "later"


@dataclass(slots=True)
class Begun:
    """Waiting rows that were let in: those to be claimed, and whether there may be more of them. `wished`: something that
    runs was asked to end."""

    claimed: list[Row] = field(default_factory=list)
    full_batch: bool = False
    wished: bool = False


_STARTING = "state = 'waiting' AND schedule IS NOT NULL"
_WAITS = (
    "SELECT lane.name, "
    "EXISTS (SELECT 1 FROM occurrence WHERE state = 'queued' AND lane = lane.name AND catchup = 0), "
    "EXISTS (SELECT 1 FROM occurrence WHERE state = 'queued' AND lane = lane.name AND catchup = 1), "
    f"EXISTS (SELECT 1 FROM occurrence WHERE {TIMED} AND lane = lane.name), "
    f"EXISTS (SELECT 1 FROM occurrence WHERE {_STARTING} AND lane = lane.name), "
    "EXISTS (SELECT 1 FROM occurrence WHERE state = 'held') FROM lane"
)
"""Mostly nothing waits: what is due was claimed as it was planned. One look at small indexes says where to look."""


class Waits(NamedTuple):
    """What there may be to claim in a lane."""

    fresh: bool = True
    backlog: bool = True
    timed: bool = True
    starting: bool = True
    held: bool = True


def what_waits(tx: Tx, lanes: Iterable[str]) -> dict[str, Waits]:
    """Where in these lanes there is anything to be claimed."""
    names = list(lanes)
    if not names:
        return {}
    values = ", ".join(["(?)"] * len(names))
    rows = tx.rows(f"WITH lane (name) AS (VALUES {values}) {_WAITS}", names)
    return {row[0]: Waits(*(bool(value) for value in row[1:])) for row in rows}


class Timed(NamedTuple):
    """Rows of a lane and a priority that wait for their time: `next_at` is when the first one is ready that is not yet."""

    lane: str
    priority: int
    next_at: int | None


def timed(tx: Tx, lanes: Sequence[str], now: int) -> list[Timed]:
    """The priorities that waiting and retrying rows of these lanes have: one look into the index for each."""
    if not lanes:
        return []
    least = f"(SELECT min(priority) FROM occurrence WHERE {TIMED} AND lane"
    values = ", ".join(["(?)"] * len(lanes))
    rows = tx.rows(
        f"WITH RECURSIVE lane (name) AS (VALUES {values}), found (lane, priority) AS ("
        f"SELECT lane.name, {least} = lane.name) FROM lane UNION ALL "
        f"SELECT f.lane, {least} = f.lane AND priority > f.priority) FROM found f WHERE f.priority IS NOT NULL) "
        f"SELECT f.lane, f.priority, (SELECT min(ready_at) FROM occurrence WHERE {TIMED} AND lane = f.lane "
        "AND priority = f.priority AND ready_at > ?) FROM found f WHERE f.priority IS NOT NULL ORDER BY 1, 2",
        (*lanes, now),
    )
    return [Timed(*row) for row in rows]


def starting(tx: Tx, known: Iterable[Timed], upto: int) -> list[Row]:
    """The waiting rows of schedules whose start has come by `upto`, at most a batch; of these lanes and priorities."""
    rows: list[Row] = []
    for lane, priority, _ in known:
        rows += tx.rows(
            f"SELECT {COLUMNS} FROM occurrence WHERE {_STARTING} AND lane = ? AND priority = ? AND ready_at <= ? "
            "ORDER BY ready_at LIMIT ?",
            (lane, priority, upto, BATCH - len(rows)),
        )
    return rows


def begin_waiting(tx: Tx, planner: Planner, capacity: Capacity, rows: Sequence[Row], now: int) -> Begun:
    """Let in waiting rows of schedules whose start has come (or comes in a moment, where nothing is in the way)."""
    definitions, _ = planner.catalog.definitions(tx, {(row[2], row[3]) for row in rows})
    live = live_rows(tx, sorted({row[2] for row in rows}))
    batch = []
    for row in rows:
        definition = definitions[row[2], row[3]]
        due = due_of(definition, (row[2], row[6], row[6]), live.get(row[2], ()), planner, (), now)
        batch.append(Starting(row[0], due, row[6], row[7], bool(row[19])))
    keys = {key for item in batch for key in item.due.gates}
    if keys:
        capacity.gates = gates.room(tx, keys)
    plan = let_in(batch, capacity, now)
    gates.change(tx, {key: by for key, by in plan.gates.items() if by})
    by_id = {row[0]: row for row in rows}
    begun = Begun(full_batch=len(plan.rows) == BATCH, wished=bool(plan.cancels))
    for new in plan.rows:
        if new.state is State.CLAIMED:
            begun.claimed.append(by_id[new.id])
        else:
            _write(tx, new, now)
    plan_writes.write_ends(tx, plan, now)
    for new in plan.rows:
        if new.state in TERMINAL:
            follow_chain(tx, new.due.schedule, now)
    return begun


def _write(tx: Tx, new: NewRow, now: int) -> None:
    """How far a waiting row was let in."""
    state = check(State.WAITING, new.state)
    tx.run(
        "UPDATE occurrence SET state = ?, reason = ?, into_id = ?, held_by = ?, ready_at = NULL, ended_at = ? "
        "WHERE id = ? AND state = 'waiting'",
        (
            state.value,
            None if new.reason is None else new.reason.value,
            new.into,
            new.held_by,
            now if state in TERMINAL else None,
            new.id,
        ),
    )


def put_away(tx: Tx, row: Row, now: int, ending: State, reason: Reason, note: str | None) -> None:
    """A row that nobody is to run any more ends here, and is in nobody's way."""
    run, schedule, before = row[0], row[2], State(row[8])
    after = check(before, ending)
    tx.run(
        "UPDATE occurrence SET state = ?, reason = ?, note = ?, ended_at = ?, ready_at = NULL, held_by = NULL "
        "WHERE id = ? AND state = ?",
        (after.value, reason.value, note, now, run, before.value),
    )
    if row[12] and before in (State.QUEUED, State.RETRYING):
        passed = gates.keys_of(row[12])
        gates.change(tx, dict.fromkeys(passed, -1))
        gates.let_in(tx, passed)
    expire_keys(tx, [run], now)
    if schedule is not None:
        follow_chain(tx, schedule, now)
        gates.admit_held(tx, schedule)


class Door:
    """Where rows pass that are about to be claimed, in one claim step. `doubt_us` is how far the wall clock is ahead of
    the time that is believed; rates count by the wall clock, as whoever begins does."""

    def __init__(self, tx: Tx, planner: Planner, now: int, doubt_us: int = 0) -> None:
        self._tx = tx
        self._catalog = planner.catalog
        self._now = now
        self._book = rates.Book(tx, now + doubt_us)
        self._waiting: list[str] | None = None
        self.counted: dict[int, tuple[tuple[str, ...], int]] = {}
        """(rates, begin by) of each run whose start was counted."""

    def pulled(self, lane: str, catchup: int, wanted: int, skip: str) -> list[Row]:
        """The first of those that are held by rates with a start to spare."""
        if self._waiting is None:
            self._waiting = rates.waiting_keys(self._tx)
        rows: list[Row] = []
        for key in self._waiting:
            room = self._book.room(key)
            many = wanted if room is None else min(wanted, room)
            if many > 0:
                rows += self._tx.rows(
                    f"SELECT {COLUMNS} FROM occurrence WHERE state = 'held' AND held_by = ? AND lane = ? "
                    f"AND catchup = ?{skip} ORDER BY priority, due_at{self._order(key)}, id LIMIT ?",
                    (f"{PREFIX}{key}", lane, catchup, many),
                )
        return rows

    def _order(self, key: str) -> str:
        """A backlog is let in by its schedule's own order."""
        if schedule_of(key) is None:
            return ""
        sql = "SELECT schedule, version FROM occurrence WHERE state = 'held' AND held_by = ? LIMIT 1"
        row = self._tx.row(sql, (f"{PREFIX}{key}",))
        known = {} if row is None else self._catalog.definitions(self._tx, [(row[0], row[1])])[0]
        newest = any(one.policies.catchup_order is CatchUpOrder.NEWEST for one in known.values())
        return " DESC" if newest else ""

    def lets(self, row: Row) -> Step:
        """Let a row pass that is to be claimed now, or hold it by what is in its way."""
        state = State(row[8])
        keys = self._rates(row)
        if state is State.WAITING and row[14] > self._now and (keys or row[12]):
            return Step.LATER
        rate = self._book.blocked(keys)
        if rate is not None:
            self._hold(row, state, f"{PREFIX}{rate}")
            return Step.HELD
        if row[12] and state in (State.WAITING, State.HELD):
            passed = gates.keys_of(row[12])
            full = next((key for key, n in gates.room(self._tx, passed).items() if n <= 0), None)
            if full is not None:
                self._hold(row, state, full)
                return Step.HELD
            gates.change(self._tx, dict.fromkeys(passed, 1))
        if keys:
            begin_by = self._book.take(keys, row[0], row[9] + 1)
            if begin_by is not None:
                self.counted[row[0]] = (keys, begin_by)
        return Step.IN

    def close(self) -> None:
        """Write down the starts that were counted."""
        self._book.write()

    def _rates(self, row: Row) -> tuple[str, ...]:
        keys = tuple(key for key, _ in self._catalog.job(self._tx, row[4]).rates)
        if row[19] and row[2] is not None:
            known, _ = self._catalog.definitions(self._tx, [(row[2], row[3])])
            definition = known.get((row[2], row[3]))
            if definition is not None:
                keys += tuple(key for key, _ in definition.catchup_rates)
        return keys

    def _hold(self, row: Row, state: State, by: str) -> None:
        run = row[0]
        if state is State.RETRYING:
            at = self._book.push(by.removeprefix(PREFIX))
            self._tx.run("UPDATE occurrence SET ready_at = ? WHERE id = ? AND state = 'retrying'", (at, run))
            return
        if state is not State.HELD:
            check(state, State.HELD)
        self._tx.run(
            "UPDATE occurrence SET state = 'held', held_by = ?, ready_at = NULL WHERE id = ? AND state = ?",
            (by, run, state.value),
        )
        if row[12] and state is State.QUEUED:
            passed = gates.keys_of(row[12])
            gates.change(self._tx, dict.fromkeys(passed, -1))
            gates.let_in(self._tx, passed)

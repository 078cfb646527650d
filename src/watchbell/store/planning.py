"""PLAN: read the cursors that have come due, ask the core once, write its answer: one transaction.

A plan is a compare-and-set on each cursor; a schedule whose cursor has changed since has none of its rows written.
Where a slot and every gate are free the row is inserted as claimed, so that the start is not late by a second commit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ..core.claim import Claim
from ..core.definition import Definition
from ..core.instants import EARLIEST, LATEST
from ..core.plan import CROWD, UNNUMBERED, Capacity, Due, Plan, Standing, decide, leave_a_crowd, outage_reason
from ..core.policies import CatchUp, CatchUpOrder, Policies
from ..core.states import LIVE, Reason, State, sql_list
from . import gates, plan_writes
from .alerts import Happening, observe
from .clocks.trust import hold_back
from .misses import happenings
from .schedules.catalog import Catalog
from .tokens import Tokens
from .tx import Row, Tx

BATCH = 1000
NOTHING: Mapping[int, int] = {}
LIVE_ROWS = f"state IN ({sql_list(LIVE)})"
"""SQLite uses a partial index only where the query repeats its condition: a live row's, to the letter."""
LIVE_OF = (
    f"SELECT schedule, id, state, due_at, gates, origin FROM occurrence WHERE schedule = ? AND {LIVE_ROWS}"
)
_CURSORS = (
    "SELECT schedule, next_due, planned_until, version, "
    f"(SELECT 1 FROM occurrence WHERE schedule = cursor.schedule AND {LIVE_ROWS} LIMIT 1) "
    "FROM cursor WHERE next_due <= ? ORDER BY next_due LIMIT ?"
)
"""What is due, and whether anything of it is live."""
MOVE = (
    "UPDATE cursor SET next_due = ?, planned_until = max(planned_until, ?) "
    "WHERE schedule = ? AND planned_until = ? AND version = ?"
)


@dataclass(frozen=True, slots=True)
class Planner:
    """Who plans, and what it may claim. Without a node nothing is claimed: rows are queued for whoever runs. `upto` is
    where to stop before now, and `why` what kept the rows from being planned before. For `patience_us` a crowd that finds
    no slot is left unplanned, if nothing else can stand behind it: `lanes` are those that jobs have."""

    catalog: Catalog
    node: int | None = None
    tokens: Tokens | None = None
    knows: Callable[[int], bool] = lambda _job: True
    gap_edge_us: int = 2_000_000
    upto: int | None = None
    why: Reason | None = None
    still: bool = False
    patience_us: int = 0
    lanes: Callable[[], frozenset[str]] = frozenset


@dataclass(slots=True)
class Planned:
    """What a plan has written. `queued` may be claimed at once, by whoever has room; `later` waits for its start. What was
    left for a moment is to be planned by `put_off` at the latest."""

    claims: list[Claim] = field(default_factory=list)
    rows: int = 0
    spans: int = 0
    moved: int = 0
    queued: int = 0
    later: int = 0
    put_off: int | None = None
    cancels: list[int] = field(default_factory=list)
    happened: list[Happening] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    full_batch: bool = False
    alerts: int = 0


def plan_due(
    tx: Tx, planner: Planner, capacity: Capacity, now: int, ahead_us: int, barred: Mapping[int, int] = NOTHING
) -> Planned:
    """Plan what has come due, at most one batch of schedules; none of those that are barred beyond its instant."""
    rows, full_batch = _due(tx, planner, capacity, now, now + ahead_us)
    if barred:
        rows = [row for row in rows if row[1] <= barred.get(row[0], row[1])]
    if not rows:
        return Planned()
    cursors = [(row[0], row[1], row[2], row[3]) for row in rows]
    alive = [row[0] for row in rows if row[4] is not None]
    before = copy.deepcopy(capacity)
    try:
        planned = tx.attempt(lambda: _plan(tx, planner, capacity, cursors, now, alive))
        assert planned is not None
    except Exception as error:
        if tx.is_of_the_database(error):
            raise
        planned = _one_by_one(tx, planner, before, cursors, now)
    # What comes due in a moment and finds no slot stays where it is: to look again at once would find the same.
    moved = planned.moved > 0 or bool(planned.broken)
    planned.full_batch = full_batch and planned.put_off is None and moved
    return planned


def _due(tx: Tx, planner: Planner, capacity: Capacity, now: int, upto: int) -> tuple[list[Row], bool]:
    """The cursors to be planned, and whether there may be more: of a crowd that may be left for a moment as many as find a
    slot, and a few to see that it is one."""
    free = sum(capacity.slots.get(lane, 0) for lane in planner.lanes())
    few = min(BATCH, free + CROWD) if planner.patience_us else BATCH
    found = tx.rows(_CURSORS, (upto, few))
    if few < BATCH // 2 and len(found) == few and found[0][1] <= now - planner.patience_us:
        few, found = BATCH, tx.rows(_CURSORS, (upto, BATCH))  # they are left no longer
    return found, len(found) == few


def _one_by_one(
    tx: Tx, planner: Planner, capacity: Capacity, cursors: Sequence[tuple[int, int, int, int]], now: int
) -> Planned:
    """Something in the batch cannot be planned: find it, and plan all the others."""
    whole = Planned()
    for cursor in cursors:
        try:
            part = tx.attempt(partial(_plan, tx, planner, capacity, [cursor], now, [cursor[0]]))
            assert part is not None
        except Exception as error:
            if tx.is_of_the_database(error):
                raise
            whole.broken.append((cursor[0], f"it cannot be planned: {type(error).__name__}: {error}"))
            continue
        whole.claims += part.claims
        whole.rows += part.rows
        whole.spans += part.spans
        whole.moved += part.moved
        whole.queued += part.queued
        whole.later += part.later
        whole.cancels += part.cancels
        whole.happened += part.happened
        whole.broken += part.broken
        whole.alerts += part.alerts
    return whole


def plan_schedule(
    tx: Tx, catalog: Catalog, schedule: int, now: int, upto: int | None = None, why: Reason | None = None
) -> Planned:
    """Plan one schedule up to `upto` (else now), claiming nothing: what an edit, a pause or a delete does first, so that
    what was due before it is in the ledger under the version that implied it. `why` says what kept it from being planned
    before, where that is known."""
    hold_back(tx, catalog, schedule, now if upto is None else upto, now)
    cursor = tx.row(
        "SELECT schedule, next_due, planned_until, version FROM cursor WHERE schedule = ? AND next_due IS NOT NULL",
        (schedule,),
    )
    if cursor is None:
        return Planned()
    planner = Planner(catalog, upto=now if upto is None else upto, why=why)
    return _plan(tx, planner, Capacity({}, 0), [cursor], now, [schedule])


def plan_held(tx: Tx, catalog: Catalog, cursor: tuple[int, int, int, int], upto: int, now: int) -> Planned:
    """Plan what was held in (planned until, upto] of a cursor as it stood then; the cursor itself stands still."""
    return _plan(tx, Planner(catalog, upto=upto, still=True), Capacity({}, 0), [cursor], now, [cursor[0]])


def next_due(tx: Tx) -> int | None:
    """The earliest instant at which a cursor comes due."""
    found = tx.value("SELECT min(next_due) FROM cursor WHERE next_due IS NOT NULL")
    return None if found is None else int(found)


def _plan(
    tx: Tx,
    planner: Planner,
    capacity: Capacity,
    cursors: Sequence[tuple[int, int, int, int]],
    now: int,
    alive: Sequence[int],
) -> Planned:
    """Plan these cursors; `alive` are the schedules of which something may be live."""
    definitions, broken = planner.catalog.definitions(tx, [(row[0], row[3]) for row in cursors])
    nowhere = [row[0] for row in cursors if not EARLIEST <= row[1] <= LATEST]
    readable = [row for row in cursors if (row[0], row[3]) in definitions and row[0] not in nowhere]
    live = live_rows(tx, alive)
    outages = _outages(tx, min((row[2] for row in readable), default=now), now, planner.gap_edge_us)
    batch = [
        due_of(
            definitions[schedule, version],
            (schedule, at, until),
            live.get(schedule, ()),
            planner,
            outages,
            now,
        )
        for schedule, at, until, version in readable
    ]
    batch, put_off = leave_a_crowd(batch, capacity, now, planner.patience_us, planner.lanes())
    keys = {key for due in batch for key in due.gates}
    if keys:
        capacity.gates = gates.room(tx, keys)
    plan = decide(batch, capacity, now, UNNUMBERED)
    if plan.rows:
        plan.renumber(tx.take_ids("occurrence", len(plan.rows)))
    result = _write(tx, plan, planner, definitions, now)
    result.put_off = put_off
    result.broken = [(schedule, text) for (schedule, _), text in broken.items()]
    result.broken += [(schedule, "it is due outside of the calendar") for schedule in nowhere]
    result.broken += [(due.schedule, f"its rule cannot be evaluated: {text}") for due, text in plan.broken]
    return result


def due_of(
    definition: Definition,
    cursor: tuple[int, int, int],
    live: tuple[Standing, ...],
    planner: Planner,
    outages: Sequence[tuple[str, int, int]],
    now: int,
) -> Due:
    """A cursor (schedule, next due, planned until) as the core is asked about it. Starts under a rate are counted where
    rows are claimed, and not where they are planned."""
    schedule, at, until = cursor
    job = definition.job
    return Due(
        schedule=schedule,
        workspace=definition.workspace,
        version=definition.version,
        job=job.id,
        lane=job.lane,
        next_due=at,
        planned_until=until,
        trigger=definition.rule,
        policies=_policies(definition, planner),
        priority=definition.priority,
        gates=job.gates if job.options.limits or job.options.concurrency else (),
        live=live,
        why=planner.why or (outage_reason(outages, at - 1, now) if outages else None),
        may_claim=planner.node is not None and planner.knows(job.id) and not job.rates,
        chain_us=definition.chain_us,
        upto=planner.upto,
        spread=definition.spread,
    )


def _policies(definition: Definition, planner: Planner) -> Policies:
    """The policies in force. What may have run before a restore is not run again, however it would catch up."""
    if planner.why is Reason.RESTORED and not definition.rerun:
        return replace(
            definition.policies,
            catchup=CatchUp.NONE,
            catchup_order=CatchUpOrder.OLDEST,
            catchup_rate=None,
        )
    return definition.policies


def live_rows(tx: Tx, schedules: Sequence[int]) -> dict[int, tuple[Standing, ...]]:
    """The live rows of each schedule, oldest first."""
    found: dict[int, tuple[Standing, ...]] = {}
    rows = tx.many_returning(LIVE_OF, [(schedule,) for schedule in schedules])
    for schedule, run, state, due_at, keys, origin in rows:
        again = origin == "backfill"
        standing = Standing(
            run,
            State(state),
            due_at,
            tuple(gates.keys_of(keys)) if keys else (),
            by_hand=again or origin == "manual",
            behind=again and state == State.HELD,
        )
        found[schedule] = (*found.get(schedule, ()), standing)
    return {
        schedule: tuple(sorted(rows, key=lambda row: (row.due_at, row.id)))
        for schedule, rows in found.items()
    }


def _outages(tx: Tx, since: int, now: int, edge: int) -> list[tuple[str, int, int]]:
    if since > now - edge:
        return []
    rows = tx.rows(
        "SELECT kind, from_at, to_at FROM outage WHERE to_at >= ? ORDER BY id LIMIT 1000", (since,)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _write(
    tx: Tx, plan: Plan, planner: Planner, definitions: dict[tuple[int, int], Definition], now: int
) -> Planned:
    result = Planned(rows=len(plan.rows), spans=len(plan.spans), moved=len(plan.moves))
    moved = (
        len(plan.moves)
        if planner.still
        else tx.many(
            MOVE,
            [
                (m.next_due, m.planned_until, m.due.schedule, m.due.planned_until, m.due.version)
                for m in plan.moves
            ],
        )
    )
    assert moved == len(plan.moves), "a cursor changed inside the transaction that read it"
    gates.change(tx, {key: by for key, by in plan.gates.items() if by})
    claimed = [row for row in plan.rows if row.state is State.CLAIMED]
    tokens = planner.tokens.draw(len(claimed)) if planner.tokens is not None else []
    granted = {row.id: token for row, token in zip(claimed, tokens, strict=True)}
    values = []
    for row in plan.rows:
        token = granted.get(row.id)
        values.append(
            plan_writes.row_values(row, planner.node if token else None, token[1] if token else None, now)
        )
        if token is not None:
            definition = definitions[row.due.schedule, row.due.version]
            result.claims.append(plan_writes.new_claim(row, definition, token[0], now))
    tx.many(plan_writes.INSERT, values)
    result.queued = sum(1 for row in plan.rows if row.state in (State.QUEUED, State.HELD))
    result.later = sum(1 for row in plan.rows if row.state is State.WAITING)
    plan_writes.write_spans(tx, plan, now)
    result.cancels = plan_writes.write_ends(tx, plan, now)
    result.happened = happenings(plan, definitions)
    if result.happened:
        result.alerts = observe(tx, result.happened, now)
    return result

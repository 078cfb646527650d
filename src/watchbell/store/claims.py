"""CLAIM: take rows that are ready, up to the free slots; give back what has not begun.

One guarded write per row, durable before user code begins. Only this makes delivery at most once: leases merely decide
who cleans up (PROTOCOL §4).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..core.claim import Claim
from ..core.plan import Capacity
from ..core.policies import OnLost
from ..core.states import Reason, State, check
from . import rates
from .admission import COLUMNS as COLUMNS  # noqa: PLC0414  those who read rows take them from here
from .admission import TIMED, Door, Step, Waits, begin_waiting, priorities, put_away, starting, what_waits
from .alerts import Happening, observe
from .planning import BATCH, LIVE_ROWS, Planner
from .tx import Row, Tx

_ASKED_FOR = ("manual", "backfill")
"""Whoever asks for a run by name wants it however late it is: no start deadline counts."""
ATTEMPT_LINES = 1_000_000
"""The lines of attempt n are numbered from n times this."""


@dataclass(slots=True)
class Claimed:
    """What a claim step has taken."""

    claims: list[Claim] = field(default_factory=list)
    full_batch: bool = False
    alerts: int = 0


def claim_ready(
    tx: Tx,
    planner: Planner,
    capacity: Capacity,
    now: int,
    ahead_us: int,
    unknown: Iterable[int] = (),
    doubt_us: int = 0,
) -> Claimed:
    """Let in what waits for its start, then claim rows that are due (or come due within `ahead_us`) and whose job this
    node knows: in each lane by priority and due time, fresh rows before those of a backlog, so that a restart delays
    nothing new. `now` is the time that is believed, `doubt_us` by how much the wall clock is ahead of it."""
    assert planner.node is not None and planner.tokens is not None
    waits = what_waits(tx, capacity.slots)
    if not any(any(found) for found in waits.values()):
        return Claimed()
    strange = ", ".join(str(job) for job in sorted(unknown))
    step = _ClaimStep(tx, planner, capacity, now, f" AND job NOT IN ({strange})" if strange else "", doubt_us)
    step.look_at(waits)
    rows = step.let_in(ahead_us)
    for lane, free in capacity.slots.items():
        if free > 0:
            rows += step.choose(lane, min(free, BATCH), ahead_us)
    if rows:
        step.result.claims = _grant(tx, planner, rows, now, step.door)
    step.door.close()
    if step.missed:
        step.result.alerts = observe(tx, step.missed, now)
    return step.result


class _ClaimStep:
    """One step of claiming: what was put away on the way, and who has passed the door."""

    def __init__(
        self, tx: Tx, planner: Planner, capacity: Capacity, now: int, skip: str, doubt_us: int
    ) -> None:
        self.tx, self.planner, self.capacity, self.now = tx, planner, capacity, now
        self.skip = skip
        self.door = Door(tx, planner, now, doubt_us)
        self.result = Claimed()
        self.missed: list[Happening] = []
        self.waits: dict[str, Waits] = {}
        self.priorities: dict[str, list[int]] = {}

    def look_at(self, waits: dict[str, Waits]) -> None:
        """Look only where something waits."""
        self.waits = waits
        self.priorities = {
            lane: priorities(self.tx, lane) if found.timed else [] for lane, found in waits.items()
        }

    def let_in(self, ahead_us: int) -> list[Row]:
        """Let in the waiting rows of schedules whose start has come; those of them that are to be claimed."""
        found = starting(self.tx, self.priorities, self.now + ahead_us)
        if found:
            self.waits = {lane: Waits() for lane in self.waits}  # what is let in may free or queue others
        rows = self._fit(found) if found else []
        if not rows:
            return []
        begun = begin_waiting(self.tx, self.planner, self.capacity, rows, self.now)
        self.result.full_batch |= begun.full_batch
        return begun.claimed

    def choose(self, lane: str, wanted: int, ahead_us: int) -> list[Row]:
        """The rows of a lane to be claimed now."""
        capacity = self.capacity
        fresh = self._pass(wanted, lambda limit: self._fresh(lane, ahead_us, limit))
        capacity.slots[lane] -= len(fresh)
        late = min(wanted - len(fresh), capacity.for_backlog(lane))
        if late <= 0:
            return fresh
        backlog = self._pass(late, lambda limit: self._backlog(lane, limit))
        capacity.slots[lane] -= len(backlog)
        capacity.spend(lane, len(backlog))
        return fresh + backlog

    def _pass(self, wanted: int, find: Callable[[int], list[Row]]) -> list[Row]:
        """Let rows pass until enough are in. Where some are held at the door, more are looked at, a batch at most."""
        found = find(wanted)
        self.result.full_batch |= len(found) == BATCH
        fit = self._fit(found[:wanted])
        said = [self.door.lets(row) for row in fit]
        rows = [row for row, step in zip(fit, said, strict=True) if step is Step.IN]
        if Step.HELD in said:
            known = {row[0] for row in rows}
            for row in self._fit([row for row in find(BATCH) if row[0] not in known]):
                if len(rows) == wanted:
                    break
                if self.door.lets(row) is Step.IN:
                    rows.append(row)
            self.result.full_batch = True
        return rows

    def _fresh(self, lane: str, ahead_us: int, limit: int) -> list[Row]:
        waits = self.waits[lane]
        found = _queued(self.tx, lane, 0, limit, self.skip) if waits.fresh else []
        others = self._timed(lane, ahead_us, limit)
        others += self.door.pulled(lane, 0, limit, self.skip) if waits.held else []
        return sorted(found + others, key=_order) if others else found

    def _timed(self, lane: str, ahead_us: int, limit: int) -> list[Row]:
        """The first rows by hand that wait for their time, and retrying ones, whose time has come. A retry keeps its wait
        to the full; a first attempt may be claimed a little ahead, as it begins at its instant all the same."""
        rows: list[Row] = []
        for priority in self.priorities[lane]:
            if len(rows) < limit:
                rows += self.tx.rows(
                    f"SELECT {COLUMNS} FROM occurrence WHERE {TIMED} AND lane = ? AND priority = ? AND ready_at <= ? "
                    "AND (state = 'waiting' AND schedule IS NULL OR state = 'retrying' AND ready_at <= ?)"
                    f"{self.skip} ORDER BY ready_at LIMIT ?",
                    (lane, priority, self.now + ahead_us, self.now, limit - len(rows)),
                )
        return rows

    def _backlog(self, lane: str, limit: int) -> list[Row]:
        waits = self.waits[lane]
        found = _queued(self.tx, lane, 1, limit, self.skip) if waits.backlog else []
        others = self.door.pulled(lane, 1, limit, self.skip) if waits.held else []
        return sorted(found + others, key=lambda row: int(row[18])) if others else found

    def _fit(self, rows: list[Row]) -> list[Row]:
        """Those that can still be run; the others end here."""
        tx, planner, now = self.tx, self.planner, self.now
        rows, strange = _readable(tx, planner, rows)
        for row in strange:
            ending = State.FAILED if row[8] == State.RETRYING else State.SKIPPED
            put_away(
                tx, row, now, ending, Reason.SET_ASIDE, "The version of its schedule cannot be read any more."
            )
        rows, late = _in_time(tx, planner, rows, now)
        for row in late:
            put_away(tx, row, now, State.MISSED, Reason.START_DEADLINE, None)
        self.missed += [_missed(tx, planner, row) for row in late]
        self.result.full_batch |= bool(strange or late)
        return rows


def next_ready(tx: Tx, lanes: Iterable[str], now: int) -> int | None:
    """When the next waiting or retrying row of these lanes may be claimed. Those that could be now and are not wait for
    a slot: the end of a run will wake their node."""
    timed = tx.value(f"SELECT 1 FROM occurrence WHERE {TIMED} LIMIT 1") is not None
    found = [
        at
        for lane in (lanes if timed else ())
        for priority in priorities(tx, lane)
        if (at := tx.value(f"SELECT min(ready_at) FROM occurrence WHERE {TIMED} AND lane = ? AND priority = ? "
                           "AND ready_at > ?", (lane, priority, now))) is not None
    ]  # fmt: skip
    room = rates.next_room(tx, now)
    return min(found if room is None else [*found, room], default=None)


def _order(row: Row) -> tuple[int, int, int]:
    return (row[18], row[6], row[0])


def _queued(tx: Tx, lane: str, catchup: int, wanted: int, skip: str) -> list[Row]:
    return tx.rows(
        f"SELECT {COLUMNS} FROM occurrence WHERE state = 'queued' AND lane = ? AND catchup = ?{skip} "
        "ORDER BY priority, due_at, id LIMIT ?",
        (lane, catchup, wanted),
    )


def _readable(tx: Tx, planner: Planner, rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows whose version of their schedule can be read, and those whose cannot."""
    pairs = {(row[2], row[3]) for row in rows if row[2] is not None}
    _, broken = planner.catalog.definitions(tx, pairs)
    if not broken:
        return rows, []
    fit = [row for row in rows if (row[2], row[3]) not in broken]
    return fit, [row for row in rows if (row[2], row[3]) in broken]


def _in_time(tx: Tx, planner: Planner, rows: Sequence[Row], now: int) -> tuple[list[Row], list[Row]]:
    """The rows that may still begin, and those whose first start would come after their start deadline."""
    pairs = [
        (row[2], row[3]) for row in rows if row[2] is not None and row[10] == 0 and row[17] not in _ASKED_FOR
    ]
    known, _ = planner.catalog.definitions(tx, pairs)
    in_time: list[Row] = []
    late: list[Row] = []
    for row in rows:
        definition = known.get((row[2], row[3])) if row[10] == 0 and row[17] not in _ASKED_FOR else None
        deadline = None if definition is None else definition.policies.start_deadline_us
        (late if deadline is not None and now > row[7] + deadline else in_time).append(row)
    return in_time, late


def _missed(tx: Tx, planner: Planner, row: Row) -> Happening:
    known, _ = planner.catalog.definitions(tx, [(row[2], row[3])])
    definition = known[row[2], row[3]]
    tags = (*definition.tags, *definition.job.tags)
    return Happening(
        "missed", row[1], definition.name, tags, row[0], row[6], detail="it did not start in time"
    )


GRANT = (
    "UPDATE occurrence SET state = 'claimed', node = ?, epoch = ?, token_hash = ?, claimed_at = ?, attempt = ?, "
    "ready_at = NULL, held_by = NULL, began_at = NULL WHERE id = ? AND state = ? AND epoch = ?"
)


def _grant(tx: Tx, planner: Planner, rows: Sequence[Row], now: int, door: Door) -> list[Claim]:
    assert planner.tokens is not None
    tokens = planner.tokens.draw(len(rows))
    granted = tx.many(
        GRANT,
        [
            (planner.node, row[9] + 1, token[1], now, row[10] + 1, row[0], row[8], row[9])
            for row, token in zip(rows, tokens, strict=True)
        ],
    )
    assert granted == len(rows), "a row changed inside the transaction that read it"
    claims = []
    for row, token in zip(rows, tokens, strict=True):
        check(State(row[8]), State.CLAIMED)
        claim = claim_of(tx, planner, row)
        claim.epoch, claim.attempt, claim.token, claim.claimed_at = row[9] + 1, row[10] + 1, token[0], now
        claim.revoked = None  # a wish that an earlier claim was handed back with is heard anew by this one
        claim.rates, claim.begin_by = door.counted.get(row[0], ((), None))
        claims.append(claim)
    return claims


def claim_of(tx: Tx, planner: Planner, row: Row) -> Claim:
    """The claim that a row (COLUMNS) stands for, with the policies that hold for it."""
    job = planner.catalog.job(tx, row[4])
    claim = Claim(
        run=row[0],
        epoch=row[9],
        token="",
        workspace=row[1],
        schedule=row[2],
        version=row[3],
        job=row[4],
        lane=row[5],
        due_at=row[6],
        start_at=row[7],
        claimed_at=row[15] or 0,
        attempt=row[10],
        args=row[11],
        gates=tuple(json.loads(row[12])) if row[12] else (),
        retry=job.options.retry,
        timeout_us=job.options.timeout_us,
        kill_grace_us=job.options.kill_grace_us,
        key=row[13],
        rerun=job.options.on_lost is OnLost.RERUN,
        revoked=row[16],
        by_hand=row[17] in ("manual", "dependency"),
        catchup=bool(row[19]),
    )
    if row[2] is not None:
        known, _ = planner.catalog.definitions(tx, [(row[2], row[3])])
        if (definition := known.get((row[2], row[3]))) is not None:
            claim.retry, claim.timeout_us = definition.retry, definition.timeout_us
            claim.chain_us = definition.chain_us
            claim.args = row[11] if row[11] is not None else definition.args
            if (
                row[17] == "scheduled"
            ):  # what a person has asked for runs whatever the condition says, and is not counted
                claim.condition = definition.policies.condition
                claim.pause_after = definition.policies.pause_after_failures
    return claim


def hand_back(tx: Tx, node: int, claims: Sequence[Claim]) -> list[int]:
    """As their owner give back claims by which nothing has begun nor will; a run begun before waits for its attempt again."""
    check(State.CLAIMED, State.QUEUED)
    check(State.CLAIMED, State.RETRYING)
    rows = tx.many_returning(
        "UPDATE occurrence SET state = CASE WHEN attempt > 1 THEN 'retrying' ELSE 'queued' END, "
        "ready_at = CASE WHEN attempt > 1 THEN claimed_at END, node = NULL, token_hash = NULL, claimed_at = NULL, "
        "attempt = attempt - 1 WHERE id = ? AND epoch = ? AND node = ? AND state = 'claimed' RETURNING id",
        [(claim.run, claim.epoch, node) for claim in claims],
    )
    given = {row[0] for row in rows}
    rates.give_back(
        tx, [(key, claim.run, claim.epoch) for claim in claims if claim.run in given for key in claim.rates]
    )
    return [row[0] for row in rows]


def owned_by_others(tx: Tx, planner: Planner) -> list[tuple[int, Claim, bool]]:
    """(node, claim, begun for certain) of every claimed or running row that this node does not hold."""
    return _held(tx, planner, "node IS DISTINCT FROM ? ORDER BY id", (planner.node,))


def held_by_ended(tx: Tx, planner: Planner, limit: int) -> list[tuple[int, Claim, bool]]:
    """The same of nodes that have stopped or were declared dead: the next ones by id."""
    ended = "node IN (SELECT id FROM node WHERE state IN ('dead', 'stopped')) ORDER BY id LIMIT ?"
    return _held(tx, planner, ended, (limit,))


def processes(tx: Tx, node: int) -> list[tuple[int, int, int]]:
    """(run, process, its start) of everything that other nodes than this one run in processes of its own."""
    rows = tx.rows(
        "SELECT id, pid, pid_started FROM occurrence "
        f"WHERE {LIVE_ROWS} AND state = 'running' AND pid IS NOT NULL AND node IS DISTINCT FROM ?",
        (node,),
    )
    return [(row[0], row[1], row[2] or 0) for row in rows]


def _held(tx: Tx, planner: Planner, whose: str, params: Sequence[object]) -> list[tuple[int, Claim, bool]]:
    rows = tx.rows(
        f"SELECT {COLUMNS}, node FROM occurrence INDEXED BY occurrence_live "
        f"WHERE {LIVE_ROWS} AND state IN ('claimed', 'running') AND {whose}",
        params,
    )
    return [
        (
            row[-1],
            claim_of(tx, planner, row),
            row[8] == State.RUNNING or _has_spoken(tx, row[0], row[9], row[15]),
        )
        for row in rows
    ]


def _has_spoken(tx: Tx, run: int, epoch: int, claimed_at: int | None) -> bool:
    """Whether anything is kept that only user code can have said in this attempt: a line, progress, an effect."""
    return any(
        tx.value(sql, params) is not None
        for sql, params in (
            ("SELECT 1 FROM run_log WHERE run = ? AND seq >= ? LIMIT 1", (run, epoch * ATTEMPT_LINES)),
            ("SELECT 1 FROM run_progress WHERE run = ? AND at >= ?", (run, claimed_at or 0)),
            ("SELECT 1 FROM effect WHERE run = ? AND at >= ? LIMIT 1", (run, claimed_at or 0)),
        )
    )


def owned(tx: Tx, node: int) -> list[tuple[int, int, str]]:
    """(run, epoch, state) of everything the ledger says this node holds."""
    rows = tx.rows(
        "SELECT id, epoch, state FROM occurrence "
        f"WHERE {LIVE_ROWS} AND state IN ('claimed', 'running') AND node = ?",
        (node,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def revoked(tx: Tx, node: int) -> list[tuple[int, int, str]]:
    """(run, epoch, by whom) of this node's claims that somebody has asked to end."""
    rows = tx.rows(
        "SELECT id, epoch, revoke FROM occurrence WHERE revoke IS NOT NULL AND state IN ('claimed', 'running') "
        "AND node = ?",
        (node,),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def mark_running(tx: Tx, node: int, begun: Sequence[tuple[int, int, int, int | None, int | None]]) -> None:
    """Write down that these have begun for certain: (run, epoch, began_at, pid, pid_started)."""
    check(State.CLAIMED, State.RUNNING)
    tx.many(
        "UPDATE occurrence SET state = 'running', began_at = ?, pid = ?, pid_started = ? "
        "WHERE id = ? AND epoch = ? AND node = ? AND state = 'claimed'",
        [(began, pid, started, run, epoch, node) for run, epoch, began, pid, started in begun],
    )

"""A step of claiming: which rows are ready, in which order they are taken, and who passes the door.

One guarded write per row, durable before user code begins, is made of it by `grant` (store/claims.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..core.claim import Claim
from ..core.plan import Capacity
from ..core.states import Reason, State
from . import gates, rates
from .admission import (
    COLUMNS,
    TIMED,
    Door,
    Step,
    Timed,
    Waits,
    begin_waiting,
    put_away,
    starting,
    timed,
    what_waits,
)
from .alerts import Happening, observe
from .claims import grant
from .planning import BATCH, Planner
from .tx import Row, Tx

_log = logging.getLogger("watchbell.engine")
_ASKED_FOR = ("manual", "backfill")
"""Whoever asks for a run by name wants it however late it is: no start deadline counts."""
ASKED_SHARE = 10
"""One of so many free slots of a lane is for what was asked for by hand, before what comes due by itself."""


@dataclass(slots=True)
class Claimed:
    """What a claim step has taken. `next_at` is when the next row that waits for its time, or for a rate, may be claimed;
    one that could be now and is not waits for a slot, and the end of a run will wake its node. `wished`: somebody has
    asked one of these to end before."""

    claims: list[Claim] = field(default_factory=list)
    full_batch: bool = False
    alerts: int = 0
    next_at: int | None = None
    wished: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """When rows are claimed: `now` is the time that is believed, `ahead_us` how long before its instant a row may be,
    `doubt_us` by how much the wall clock is ahead of what is believed."""

    now: int
    ahead_us: int = 0
    doubt_us: int = 0


def claim_asked(
    tx: Tx, planner: Planner, capacity: Capacity, moment: Moment, unknown: Iterable[int] = ()
) -> Claimed:
    """Claim what people have asked for, before anything is planned that has come due by itself: a share of the slots is
    theirs, however much is due."""
    step = _ClaimStep(tx, planner, capacity, moment, unknown)
    rows: list[Row] = []
    for lane, free in capacity.slots.items():
        if share := free // ASKED_SHARE:
            rows += step.asked(lane, share)
    return step.granted(rows)


def claim_ready(
    tx: Tx, planner: Planner, capacity: Capacity, moment: Moment, unknown: Iterable[int] = ()
) -> Claimed:
    """Let in what waits for its start, then claim rows that are due (or come due in a moment) and whose job this node
    knows: in each lane by priority and due time, fresh rows before those of a backlog, so that a restart delays nothing
    new."""
    step = _ClaimStep(tx, planner, capacity, moment, unknown)
    if not step.look():
        return Claimed()
    rows = step.let_in()
    for lane, free in capacity.slots.items():
        if free > 0:
            rows += step.choose(lane, min(free, BATCH))
    return step.granted(rows)


class _ClaimStep:
    """One step of claiming: what was put away on the way, and who has passed the door."""

    def __init__(
        self, tx: Tx, planner: Planner, capacity: Capacity, moment: Moment, unknown: Iterable[int]
    ) -> None:
        assert planner.node is not None and planner.tokens is not None
        strange = ", ".join(str(job) for job in sorted(unknown))
        self.tx, self.planner, self.capacity, self.now = tx, planner, capacity, moment.now
        self.wall = moment.now + moment.doubt_us
        self.ready = moment.now + moment.ahead_us
        self.skip = f" AND job NOT IN ({strange})" if strange else ""
        self.door = Door(tx, planner, moment.now, moment.doubt_us)
        self.result = Claimed()
        self.missed: list[Happening] = []
        self.waits: dict[str, Waits] = {}
        self.timed: list[Timed] = []

    def look(self) -> bool:
        """See where something waits; False where nothing does."""
        self.waits = what_waits(self.tx, self.capacity.slots)
        if not any(any(found) for found in self.waits.values()):
            return False
        self.timed = timed(self.tx, [lane for lane, found in self.waits.items() if found.timed], self.wall)
        found = [one.next_at for one in self.timed if one.next_at is not None]
        if any(one.held for one in self.waits.values()):
            room = rates.next_room(self.tx, self.wall)
            found += [] if room is None else [room]
        self.result.next_at = min(found, default=None)
        return True

    def granted(self, rows: list[Row]) -> Claimed:
        """Claim what has passed, and write down what was counted on the way."""
        if rows:
            self.result.claims = grant(self.tx, self.planner, rows, self.now, self.door)
            self.result.wished |= any(row[16] is not None for row in rows)
        self.door.close()
        if self.missed:
            self.result.alerts = observe(self.tx, self.missed, self.now)
        return self.result

    def let_in(self) -> list[Row]:
        """Let in the waiting rows of schedules whose start has come; those of them that are to be claimed."""
        lanes = [lane for lane, found in self.waits.items() if found.starting]
        found = starting(self.tx, [one for one in self.timed if one.lane in lanes], self.ready)
        if found:
            self.waits = {lane: Waits() for lane in self.waits}  # what is let in may free or queue others
        rows = self._fit(found) if found else []
        if not rows:
            return []
        begun = begin_waiting(self.tx, self.planner, self.capacity, rows, self.now)
        self.result.full_batch |= begun.full_batch
        self.result.wished |= begun.wished
        return begun.claimed

    def asked(self, lane: str, share: int) -> list[Row]:
        """The first rows of a lane that were asked for by hand."""
        rows = self._pass(share, lambda limit: _asked(self.tx, lane, limit, self.skip))
        self.capacity.slots[lane] -= len(rows)
        return rows

    def choose(self, lane: str, wanted: int) -> list[Row]:
        """The rows of a lane to be claimed now."""
        capacity = self.capacity
        fresh = self._pass(wanted, lambda limit: self._fresh(lane, limit))
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
        self.result.full_batch |= len(found) >= wanted
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

    def _fresh(self, lane: str, limit: int) -> list[Row]:
        waits = self.waits[lane]
        found = _queued(self.tx, lane, 0, limit, self.skip) if waits.fresh else []
        others = self._timed(lane, limit)
        others += self.door.pulled(lane, 0, limit, self.skip) if waits.held else []
        return sorted(found + others, key=_order) if others else found

    def _timed(self, lane: str, limit: int) -> list[Row]:
        """The first rows by hand that wait for their time, and retrying ones, whose time has come. A retry keeps its wait
        to the full; a first attempt may be claimed a little ahead, as it begins at its instant all the same."""
        rows: list[Row] = []
        for one in self.timed:
            if one.lane == lane and len(rows) < limit:
                rows += self.tx.rows(
                    f"SELECT {COLUMNS} FROM occurrence WHERE {TIMED} AND lane = ? AND priority = ? AND ready_at <= ? "
                    "AND (state = 'waiting' AND schedule IS NULL OR state = 'retrying' AND ready_at <= ?)"
                    f"{self.skip} ORDER BY ready_at LIMIT ?",
                    (lane, one.priority, self.ready, self.now, limit - len(rows)),
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
            self._set_aside(row, "The version of its schedule cannot be read any more.")
        for row in [row for row in rows if gates.read(row[12]) is None]:
            rows.remove(row)
            strange.append(row)
            self._set_aside(row, "The limits that it has to pass (its gates) cannot be read.")
        rows, late = _in_time(tx, planner, rows, now)
        for row in late:
            put_away(tx, row, now, State.MISSED, Reason.START_DEADLINE, None)
        self.missed += [_missed(tx, planner, row) for row in late]
        self.result.full_batch |= bool(strange or late)
        return rows

    def _set_aside(self, row: Row, note: str) -> None:
        """A row that nobody can make sense of ends, and is in nobody's way."""
        ending = State.FAILED if row[8] == State.RETRYING else State.SKIPPED
        put_away(self.tx, row, self.now, ending, Reason.SET_ASIDE, note)
        _log.error("occurrence.set_aside: run_%d: %s", row[0], note)


def _order(row: Row) -> tuple[int, int, int]:
    return (row[18], row[6], row[0])


def _queued(tx: Tx, lane: str, catchup: int, wanted: int, skip: str) -> list[Row]:
    return tx.rows(
        f"SELECT {COLUMNS} FROM occurrence WHERE state = 'queued' AND lane = ? AND catchup = ?{skip} "
        "ORDER BY priority, due_at, id LIMIT ?",
        (lane, catchup, wanted),
    )


def _asked(tx: Tx, lane: str, wanted: int, skip: str) -> list[Row]:
    return tx.rows(
        f"SELECT {COLUMNS} FROM occurrence WHERE state = 'queued' AND origin = 'manual' AND lane = ?{skip} "
        "ORDER BY priority, due_at LIMIT ?",
        (lane, wanted),
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

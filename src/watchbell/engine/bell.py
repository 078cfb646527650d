"""The bell: one loop that settles what has ended, plans and claims what is due, and begins what was claimed.

`step()` is all there is of it; the thread around it waits until the next instant at which there is something to do, or
until somebody wakes it. A step that fails is logged, waits a little longer each time, and never stops the loop.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..core.claim import Claim
from ..core.outcome import Outcome
from ..core.plan import Capacity
from ..errors import EngineReplaced, StoreError
from ..executors.base import Report
from ..store import alerts, claims, planning, settling
from ..store.planning import Planned, Planner
from ..store.schedules import put as schedules
from ..store.settling import Ended, Settled
from ..store.tokens import Tokens
from ..store.tx import Tx
from .clockkeeper import ClockKeeper
from .house import House, write_progress
from .lease_end import as_it_is
from .notes import Notes
from .starter import Starter
from .telling import Teller

LOOK_US = 250_000
MOMENT_US = 3_000
SETTLE_BATCH = 2000
AHEAD_LEAST_US, AHEAD_MOST_US = 2_000, 50_000
T = TypeVar("T")
_log = logging.getLogger("watchbell.engine")


class Bell:
    """The loop of one node."""

    def __init__(self, house: House, notes: Notes) -> None:
        self._house = house
        self._notes = notes
        self._reports: deque[Report] = deque()
        self._unwritten: list[Ended] = []
        self._returned: list[Claim] = []
        self._starter = Starter(house)
        self._teller = Teller(house)
        self._planner = Planner(house.catalog, house.node, Tokens(house.randomness), self._knows)
        self._clocks = ClockKeeper(house)
        self._commits: deque[int] = deque(maxlen=100)
        self._next: int | None = 0
        self._looked = 0
        self._seen = -1
        self._unknown: set[int] = set()
        self._admitted = 0
        self._under_way = False
        self.draining = False
        self.halted = False
        """Nothing is planned and claimed; what has ended is written, and what was claimed begins."""
        self.look_always = False
        self.trusted: Callable[[], bool] = lambda: True

    def report(self, reports: Sequence[Report]) -> None:
        """What executors call, from any thread, when attempts have ended."""
        self._reports.extend(reports)
        self._house.wake()

    def poke(self) -> None:
        """Something may have come due: look at the database in the next step."""
        self._next = 0

    def step(self) -> int | None:
        """Do everything that is to be done now; returns the instant of the next thing to do."""
        moved, unsafe = self._look_at_clock()
        if moved:
            self._next = 0
        if unsafe:
            self.hand_back(self._house.desk.withdraw_ready())
        self._settle()
        if not self.draining:
            if not self.halted:
                self._plan_and_claim()
            self._begin()
        return self._next_instant()

    def _look_at_clock(self) -> tuple[bool, bool]:
        try:
            return self._clocks.look()
        except EngineReplaced:
            if not self.draining:
                raise
            return (
                False,
                False,
            )  # it may write down nothing more of the clock; what has ended is the truth all the same

    @property
    def reported(self) -> bool:
        """Whether ends have come in that are not written yet."""
        return bool(self._reports or self._unwritten)

    @property
    def idle(self) -> bool:
        """Whether nothing is held and nothing waits to be written."""
        return not (len(self._house.desk) or self._reports or self._unwritten)

    def unwritten(self) -> list[Ended]:
        """Ends that are not written, for the spool."""
        while self._reports:
            self._unwritten += self._collect()
        return self._unwritten

    def hand_back(self, claims_to_return: Sequence[Claim]) -> None:
        """Give back claims whose user code has not begun. What cannot be written now is given back later."""
        self._returned += claims_to_return
        if self._returned:
            house, returned = self._house, list(self._returned)
            house.store.write(lambda tx: claims.hand_back(tx, house.node, returned))
            house.desk.clear(returned)
            self._returned.clear()
            if house.store.shared:  # others begin at once what was handed back
                house.store.poke()

    # --- settle ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        while self._reports or self._unwritten or self._returned:
            batch, self._unwritten = self._unwritten[:SETTLE_BATCH], self._unwritten[SETTLE_BATCH:]
            batch = batch or self._collect()
            if batch:
                self._write_ends(batch)
            self.hand_back(())
            self._next = 0

    def _collect(self) -> list[Ended]:
        batch: list[Ended] = []
        silent = self._notes.silent
        find, close, reports = self._house.desk.find, self._notes.close, self._reports
        while reports and len(batch) < SETTLE_BATCH:
            report = reports.popleft()
            claim = find(report.run, report.epoch)
            if claim is None:
                continue
            if report.outcome is None:
                self._returned.append(claim)
                continue
            outcome = as_it_is(report.outcome)
            batch.append(Ended(claim, outcome, () if silent else close(report.run, report.epoch)))
        return batch

    def _write_ends(self, batch: list[Ended]) -> None:
        house = self._house
        now = house.clock.wall_us()
        progress = self._notes.take_progress() if not self._notes.silent else []

        def write(tx: Tx) -> Settled:
            if progress:
                write_progress(tx, progress)
            return settling.settle(tx, house.node, batch, now, house.draw, self._describe)

        try:
            settled = self._timed(write)
        except StoreError:
            self._notes.put_back((), (), progress)
            self._unwritten = batch + self._unwritten
            raise
        except Exception as error:
            self._write_one_by_one(batch, error)
            return
        house.desk.clear([item.claim for item in batch])
        self._admitted += settled.admitted
        if settled.alerts:
            house.alerted()
        self._teller.ended(settled)

    def _write_one_by_one(self, batch: list[Ended], error: Exception) -> None:
        """Something in the batch cannot be written down: find it, keep of it what can be, and write all the others."""
        if len(batch) > 1:
            for item in batch:
                self._write_ends([item])
            return
        item = batch[0]
        text = f"What this run said of its end could not be written down: {type(error).__name__}: {error}"
        plain = Outcome(item.outcome.ending, item.outcome.began_at, item.outcome.ended_at, error=text)
        if item.outcome.error == text:
            _log.critical("engine.unwritable: run_%d: %s", item.claim.run, text)
            self._house.desk.clear([item.claim])
            return
        self._write_ends([Ended(item.claim, plain, (), item.node)])

    def _describe(self, claim: Claim) -> tuple[str, tuple[str, ...]]:
        """Whom an alert is about; asked inside the settlement's transaction."""
        tx, catalog = self._inside, self._house.catalog
        job = catalog.job(tx, claim.job)
        if claim.schedule is not None and claim.version is not None:
            known, _ = catalog.definitions(tx, [(claim.schedule, claim.version)])
            for definition in known.values():
                return definition.name, (*definition.tags, *job.tags)
        return job.name, job.tags

    _inside: Tx

    # --- plan and claim -------------------------------------------------------------------------------------------

    def _plan_and_claim(self) -> None:
        house = self._house
        version = house.store.data_version()
        now = house.clock.wall_us()
        ahead = self._ahead()
        if (
            not self.look_always
            and version == self._seen
            and (self._next is None or self._next > now + ahead)
        ):
            return
        self._seen = version
        while not (self.draining or self.halted) and self._one_batch(ahead):
            self._begin()
            self._let_some_end()
            self._settle()

    def _let_some_end(self) -> None:
        """With more to plan and few slots free, give what was just begun a moment to end: a row that is claimed as it
        is planned costs one write less than one that has to be queued first."""
        house = self._house
        if not self._reports and sum(self._capacity().slots.values()) < planning.BATCH // 2:
            house.rest(MOMENT_US)

    def _one_batch(self, ahead: int) -> bool:
        """One transaction of planning and claiming; True if there is more to plan at once."""
        house = self._house
        capacity = self._capacity()

        def write(tx: Tx) -> tuple[Planned, claims.Claimed, int | None, list[tuple[int, int, str]]]:
            house.fence(tx)
            # Read here, where nobody else writes: what others have written before is not later than this.
            now = self._looked = house.clock.wall_us()
            if house.catalog.refresh(tx):
                self._learn(tx)
            planned = self._clocks.plan(tx, self._planner, capacity, now, ahead)
            for schedule, text in planned.broken:
                self._set_aside(tx, schedule, text, now)
            believed = now - house.doubt_us
            claimed = claims.claim_ready(
                tx, self._planner, capacity, believed, ahead, self._unknown, house.doubt_us
            )
            first = _earliest(self._clocks.next_at(tx), claims.next_ready(tx, house.slots.lanes, now))
            return planned, claimed, first, claims.revoked(tx, house.node)

        planned, claimed, self._next, revoked = self._timed(write)
        house.desk.take(planned.claims)
        house.desk.take(claimed.claims)
        if newest := (claimed.claims or planned.claims)[-1:]:
            house.granted(newest[0])
        if planned.alerts or claimed.alerts:
            house.alerted()
        self._teller.planned(planned)
        self._revoke(revoked)
        self._leave_to_others(planned.queued + self._admitted - len(claimed.claims))
        room = any(capacity.slots.values())
        return planned.full_batch or (claimed.full_batch and room)

    def _leave_to_others(self, left: int) -> None:
        """Rows were queued, and this node has taken none of them, or not all: another one may."""
        self._admitted = 0
        if left > 0 and self._house.store.shared:
            self._house.store.poke()

    def _learn(self, tx: Tx) -> None:
        """Jobs, rules or limits have changed: which jobs this process cannot carry out."""
        # A command can be carried out anywhere, and there may be as many of them as schedules.
        self._unknown = set()
        own = set(self._house.labels)
        for (job_id,) in tx.rows(
            "SELECT id FROM job WHERE lane NOT IN ('command', 'http') OR options LIKE '%\"on\":%'"
        ):
            job = self._house.catalog.job(tx, job_id)
            if (
                job.trouble is not None
                or not own.issuperset(job.options.on)
                or not self._house.handlers.knows(job)
            ):
                self._unknown.add(job_id)

    def _knows(self, job: int) -> bool:
        return job not in self._unknown

    def _set_aside(self, tx: Tx, schedule: int, text: str, now: int) -> None:
        doer = schedules.Doer(f"node {self._house.node}", now, self._house.zone)
        schedules.stand_still(tx, self._house.catalog, schedule, "set_aside", doer, text)
        name = str(tx.value("SELECT name FROM schedule WHERE id = ?", (schedule,)))
        _log.error("schedule.set_aside: %s: %s; every other schedule goes on", name, text)
        alerts.observe(
            tx, [alerts.Happening("missed", 1, name, due_at=now, detail=f"set aside: {text}")], now
        )
        self._house.hooks.tell("schedule.set_aside", {"schedule": name, "error": text})

    def _capacity(self) -> Capacity:
        house = self._house
        busy = house.desk.busy()
        free = {}
        for lane, slots in house.slots.lanes.items():
            executor = house.executors.get(lane)
            lost = executor.lost_slots() if executor is not None else 0
            free[lane] = max(0, slots - busy.get(lane, 0) - lost)
        if not self.trusted():
            free = {}
        late = house.desk.late()
        backlog = {lane: max(0, house.slots.for_backlog(lane) - late.get(lane, 0)) for lane in free}
        return Capacity(free, sum(backlog.values()), backlog=backlog)

    # --- begin, revoke --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.trusted():
            unfit, strange = self._starter.begin(self.trusted)
            self._unwritten += unfit
            self._returned += strange
            if unfit or strange:
                self._settle()

    def _revoke(self, revoked: Sequence[tuple[int, int, str]]) -> None:
        ended = self._starter.revoke(revoked) if revoked else []
        if ended:
            self._unwritten += ended
            self._settle()

    # --- time -----------------------------------------------------------------------------------------------------

    def _ahead(self) -> int:
        """How long before its instant an occurrence is claimed: twice the slow end of what a commit takes."""
        if not self._commits:
            return AHEAD_LEAST_US * 5
        slow = sorted(self._commits)[-1 - len(self._commits) // 100]
        return max(AHEAD_LEAST_US, min(AHEAD_MOST_US, 2 * slow))

    def _timed(self, work: Callable[[Tx], T]) -> T:
        house = self._house
        before = house.clock.mono_ns()

        def inside(tx: Tx) -> T:
            if (
                self._under_way
            ):  # the one before was undone, or the first try of this one: so is what it has read
                house.catalog.forget()
            self._inside, self._under_way = tx, True
            return work(tx)

        result = house.store.write(inside)
        self._under_way = False
        self._commits.append((house.clock.mono_ns() - before) // 1000)
        return result

    def _next_instant(self) -> int | None:
        """The next instant to look at: a little before the next due one, or that one itself where looking ahead has
        been tried already and something was in its way."""
        planned = None if self.halted else self._next
        if planned is not None and planned - self._ahead() > self._looked:
            planned -= self._ahead()
        return _earliest(planned, self._house.desk.next_start())


def _earliest(*instants: int | None) -> int | None:
    known = [at for at in instants if at is not None]
    return min(known) if known else None

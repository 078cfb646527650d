"""The bell: one loop that settles what has ended, plans and claims what is due, and begins what was claimed.

A turn is one transaction: whatever has ended is written, and its slots are filled again, in one commit. `step()` is all
there is of the loop; the thread around it waits until the next instant at which there is something to do, or until
somebody wakes it. A step that fails is logged, waits a little longer each time, and never stops the loop.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

from ..core.claim import Claim
from ..core.plan import Capacity
from ..errors import EngineReplaced, StoreError
from ..executors.base import Report
from ..store import alerts, claims
from ..store.claiming import Claimed, Moment, claim_asked, claim_ready
from ..store.glance import Glance
from ..store.planning import Planned, Planner
from ..store.schedules import put as schedules
from ..store.settling import Ended, Settled
from ..store.tokens import Tokens
from ..store.tx import Tx
from .clockkeeper import ClockKeeper
from .ends import Ends, Taken
from .garbage import seldom
from .house import House
from .notes import Notes
from .recovery import subject_of
from .starter import Starter
from .telling import Teller

LOOK_US = 250_000
PATIENCE_US = 500_000
"""For so long a crowd that finds no slot is left unplanned."""
LEAST_PART = 100
"""A turn takes half of the slots of a lane, so that the others are busy meanwhile; where they are few, all of them."""
TURNS = 20
AHEAD_LEAST_US, AHEAD_MOST_US = 2_000, 50_000
T = TypeVar("T")
_log = logging.getLogger("watchbell.engine")


@dataclass(slots=True)
class _Turn:
    """What one transaction has written."""

    settled: Settled | None = None
    asked: Claimed = field(default_factory=Claimed)
    planned: Planned = field(default_factory=Planned)
    claimed: Claimed = field(default_factory=Claimed)
    next_at: int | None = None
    revoked: Sequence[tuple[int, int, str]] = ()


class Bell:
    """The loop of one node."""

    def __init__(self, house: House, notes: Notes) -> None:
        self._house = house
        self._starter = Starter(house)
        self._teller = Teller(house)
        self._ends = Ends(house, notes, self._teller, self._timed)
        self._lanes: frozenset[str] = frozenset()
        self._planner = Planner(
            *(house.catalog, house.node, Tokens(house.randomness), self._knows),
            patience_us=PATIENCE_US,
            lanes=lambda: self._lanes,
        )
        self._clocks = ClockKeeper(house)
        self._commits: deque[int] = deque(maxlen=100)
        self._next: int | None = 0
        self._looked = 0
        self._seen = -1
        self._unknown: set[int] = set()
        self._admitted = 0
        self._under_way = False
        self._apart = False
        """A turn has failed: what has ended is written by itself, until one succeeds."""
        self.draining = False
        self.halted = False
        """Nothing is planned and claimed; what has ended is written, and what was claimed begins."""
        self.look_always = False
        self.trusted: Callable[[], bool] = lambda: True

    def report(self, reports: Sequence[Report]) -> None:
        """What executors call, from any thread, when attempts have ended."""
        self._ends.report(reports)

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
        if self.draining or self.halted or self._apart:
            self._settle()
        if not self.draining:
            if not self.halted:
                self._turn_while_there_is_more()
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
        return self._ends.waiting

    @property
    def idle(self) -> bool:
        """Whether nothing is held and nothing waits to be written."""
        return not (len(self._house.desk) or self._ends.waiting)

    def unwritten(self) -> list[Ended]:
        """Ends that are not written, for the spool."""
        return self._ends.unwritten()

    def hand_back(self, claims_to_return: Sequence[Claim]) -> None:
        """Give back claims whose user code has not begun. What cannot be written now is given back later."""
        self._ends.hand_back(claims_to_return)

    def _settle(self) -> None:
        """Write what has ended, in transactions of its own."""
        if self._ends.any:
            self._next = 0
            self._admitted += self._ends.write_all(self._describe)

    def _describe(self, claim: Claim) -> tuple[str, tuple[str, ...]]:
        """Whom an alert is about; asked inside the settlement's transaction."""
        return subject_of(self._inside, self._house.catalog, claim)

    _inside: Tx

    # --- a turn: settle, plan and claim -------------------------------------------------------------------------------

    def _turn_while_there_is_more(self) -> None:
        look, ahead = self.look_always, self._ahead()
        for _ in range(TURNS):
            if self.draining or self.halted:
                return
            version = self._house.store.data_version()
            taken = self._ends.take()
            try:
                self.hand_back(())
            except Exception:
                self._ends.put_back(taken)
                raise
            if not (taken.ended or look or version != self._seen or self._is_due(ahead)):
                return
            self._seen, look = version, False
            with seldom():
                if self._turn(taken, ahead):
                    self._next = 0
                self._begin()

    def _is_due(self, ahead: int) -> bool:
        """Whether something is due, or comes due in a moment and was not looked at ahead of its instant yet."""
        at, now = self._next, self._house.clock.wall_us()
        return at is not None and (at <= now or self._looked < at - ahead <= now)

    def _turn(self, taken: Taken, ahead: int) -> bool:
        """One transaction; True if there is more to do at once."""
        capacity = self._capacity(taken.ended)
        try:
            # A copy for each try: what one that was taken back has spent is there for the next.
            done = self._timed(lambda tx: self._write(tx, taken, deepcopy(capacity), ahead))
        except StoreError:
            self._ends.put_back(taken)
            self._apart = True
            raise
        except Exception:
            if not taken.ended:
                raise
            # Whichever part of it has failed: what has ended is the truth, and is written without the others.
            self._admitted += self._ends.write(taken, self._describe)
            return True
        self._apart = False
        return self._done(taken, done)

    def _write(self, tx: Tx, taken: Taken, capacity: Capacity, ahead: int) -> _Turn:
        house, done = self._house, _Turn()
        seen = house.glance(tx)
        # Read here, where nobody else writes: what others have written before is not later than this.
        now = self._looked = house.clock.wall_us()
        if house.catalog.renew(seen.catalog):
            self._learn(tx)
        if taken.ended:
            describe = self._describe if seen.alerts else None
            done.settled = self._ends.settle(tx, taken, describe, seen.overlapped)
            if done.settled.moved:
                seen = house.glance(tx)
        waits = seen.waits or (done.settled is not None and done.settled.leaves)
        moment = Moment(now - house.doubt_us, ahead, house.doubt_us)
        if waits and seen.is_due(now + ahead):
            done.asked = claim_asked(tx, self._planner, capacity, moment, self._unknown)
        done.planned = planned = self._clocks.plan(tx, self._planner, capacity, now, ahead, seen)
        for schedule, text in planned.broken:
            self._set_aside(tx, schedule, text, now)
        # What a change of a schedule has planned first is counted nowhere.
        changed = planned.broken or (seen.change is not None and seen.change <= now + ahead)
        if waits or changed or planned.queued or planned.later:
            done.claimed = claim_ready(tx, self._planner, capacity, moment, self._unknown)
        done.next_at = self._next_of(tx, done, now + ahead, seen)
        if seen.revoked or planned.cancels or done.asked.wished or done.claimed.wished:
            done.revoked = claims.revoked(tx, house.node)
        return done

    def _next_of(self, tx: Tx, done: _Turn, looked: int, seen: Glance) -> int | None:
        """When there is something to do next. What was left for a moment is looked at again as soon as a slot is free."""
        put_off = done.planned.put_off
        if seen.is_due(looked) or (done.settled is not None and done.settled.moved):
            planned = self._clocks.next_at(tx, None if put_off is None else looked)
        else:
            planned = self._clocks.next_seen(tx, seen)
        return _earliest(planned, put_off, done.claimed.next_at)

    def _done(self, taken: Taken, done: _Turn) -> bool:
        """It is durable: the desk has it, and whoever listens is told."""
        house, planned = self._house, done.planned
        self._next = done.next_at
        if done.settled is not None:
            self._admitted += done.settled.admitted
            self._ends.written(taken, done.settled)
        granted = [*done.asked.claims, *planned.claims, *done.claimed.claims]
        house.desk.take(granted)
        if granted:
            house.granted(granted[-1])
        if done.asked.alerts or planned.alerts or done.claimed.alerts:
            house.alerted()
        self._teller.planned(planned)
        self._revoke(done.revoked)
        self._leave_to_others(planned.queued + self._admitted - len(done.claimed.claims))
        if planned.full_batch:
            return True
        more = done.claimed.full_batch or (planned.put_off is not None and planned.rows > 0)
        return more and any(self._free().values())

    def _leave_to_others(self, left: int) -> None:
        """Rows were queued, and this node has taken none of them, or not all: another one may."""
        self._admitted = 0
        if left > 0 and self._house.store.shared:
            self._house.store.poke()

    def _learn(self, tx: Tx) -> None:
        """Jobs, rules or limits have changed: which jobs this process cannot carry out."""
        # A command can be carried out anywhere, and there may be as many of them as schedules.
        self._unknown = set()
        self._lanes = frozenset(
            row[0] for row in tx.rows("SELECT DISTINCT lane FROM job WHERE ended_at IS NULL")
        )
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
        if not schedules.stand_still(tx, self._house.catalog, schedule, "set_aside", doer, text):
            return
        name = str(tx.value("SELECT name FROM schedule WHERE id = ?", (schedule,)))
        _log.error("schedule.set_aside: %s: %s; every other schedule goes on", name, text)
        alerts.observe(
            tx, [alerts.Happening("missed", 1, name, due_at=now, detail=f"set aside: {text}")], now
        )
        self._house.hooks.tell("schedule.set_aside", {"schedule": name, "error": text})

    def _free(self, ended: Sequence[Ended] = ()) -> dict[str, int]:
        """The free slots of each lane, once these have ended; none where nothing may begin."""
        house = self._house
        busy = house.desk.busy()
        for item in ended:
            busy[item.claim.lane] -= 1
        free = {}
        for lane, slots in house.slots.lanes.items():
            executor = house.executors.get(lane)
            lost = executor.lost_slots() if executor is not None else 0
            free[lane] = max(0, slots - busy.get(lane, 0) - lost)
        return free if self.trusted() else dict.fromkeys(free, 0)

    def _capacity(self, ended: Sequence[Ended] = ()) -> Capacity:
        """What one turn may take."""
        house = self._house
        free = {
            lane: min(count, max(LEAST_PART, house.slots.lanes[lane] // 2))
            for lane, count in self._free(ended).items()
        }
        late = house.desk.late()
        for item in ended:
            if item.claim.catchup:
                late[item.claim.lane] -= 1
        backlog = {lane: max(0, house.slots.for_backlog(lane) - late.get(lane, 0)) for lane in free}
        return Capacity(free, sum(backlog.values()), backlog=backlog)

    # --- begin, revoke --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.trusted():
            unfit, strange = self._starter.begin(self.trusted)
            if unfit or strange:
                self._ends.add(unfit, strange)
                self._settle()

    def _revoke(self, revoked: Sequence[tuple[int, int, str]]) -> None:
        ended = self._starter.revoke(revoked) if revoked else []
        if ended:
            self._ends.add(ended, ())
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

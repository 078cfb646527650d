"""PLAN as one decision: the schedules that have come due × now → everything that must be written.

The whole batch is decided in one call, folding over a running tally of each schedule and each gate, so that the tenth
occurrence sees the first (PROTOCOL §3). Instants later than now are never missed, skipped or coalesced: one that comes
due within the claim-ahead is planned only if it can be claimed in the same write, and is left for its instant otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .blackout import Thinned, window_around
from .catchup import CaughtUp, Gap, blacked_out, catch_up
from .overlap import admit
from .planned import Capacity, CursorMove, Due, End, NewRow, NewSpan, Plan, Standing, Starting, Tally
from .policies import CatchUpOrder, Overlap
from .rates import catchup_hold
from .states import TERMINAL, Reason, State

if TYPE_CHECKING:
    from .triggers import Trigger

__all__ = [
    "CROWD",
    "UNNUMBERED",
    "Capacity",
    "Due",
    "NewRow",
    "Plan",
    "Standing",
    "Starting",
    "decide",
    "leave_a_crowd",
    "let_in",
    "outage_reason",
]

ROWS_BEFORE_SPAN = 3
"""Up to so many occurrences that do not run get a row each; more become one span."""
CROWD = 100
"""Fewer than this are planned at once, whether there is a slot for them or not."""
UNNUMBERED = 1 << 62
"""Where the ids of new rows begin that have no number of the ledger yet: above all that have one."""


def decide(batch: Sequence[Due], capacity: Capacity, now: int, first_id: int) -> Plan:
    """Decide the whole batch. `first_id` is the id of the first row to be inserted; the others follow it."""
    fold = _Fold(capacity, now, first_id)
    for due in sorted(batch, key=_order):
        try:
            fold.take(due)
        except Exception as error:
            fold.plan.broken.append((due, f"{type(error).__name__}: {error}"))
    return fold.plan


def leave_a_crowd(
    batch: Sequence[Due], capacity: Capacity, now: int, patience_us: int, lanes: frozenset[str]
) -> tuple[list[Due], int | None]:
    """Leave out of a batch what has just come due and finds no slot, if it is a crowd: a row that is claimed as it is
    planned costs two writes less than one that has to be queued first. None is left for longer than `patience_us`; returns
    the instant by which the first of them must be planned. None is left either while another of the `lanes` has a slot:
    what is due there may stand behind the crowd, and would wait with it."""
    free = dict(capacity.slots)
    kept: list[Due] = []
    left: list[Due] = []
    for due in sorted(batch, key=_order):
        waits = due.may_claim and not due.live and due.why is None and due.next_due > now - patience_us
        if waits and due.next_due <= now:
            free[due.lane] = free.get(due.lane, 0) - 1
            if free[due.lane] < 0:
                left.append(due)
                continue
        kept.append(due)
    if len(left) < CROWD or any(free.get(lane, 0) > 0 for lane in lanes.difference(due.lane for due in left)):
        return list(batch), None
    return kept, min(due.next_due for due in left) + patience_us


def let_in(batch: Sequence[Starting], capacity: Capacity, now: int) -> Plan:
    """Decide how far waiting rows are let in whose start has come: the same way in as for one that is planned then.
    `rows` of the answer are those of the batch; one whose start lies ahead and that cannot be claimed is left out."""
    fold = _Fold(capacity, now, UNNUMBERED)
    tallies: dict[int, Tally] = {}
    for item in sorted(batch, key=lambda item: (item.due.priority, item.start_at, item.id)):
        due = item.due
        fold.start(item, tallies.setdefault(due.schedule, Tally(due)))
    return fold.plan


def _order(due: Due) -> tuple[int, int, int]:
    return (due.priority, due.next_due, due.schedule)


def outage_reason(outages: Sequence[tuple[str, int, int]], after: int, upto: int) -> Reason | None:
    """Why nothing was planned in (after, upto]: the recorded outage that covers most of it, if there is one."""
    kinds: Mapping[str, Reason] = {
        "downtime": Reason.DOWNTIME,
        "suspend": Reason.SUSPEND,
        "clock_jump": Reason.CLOCK_JUMP,
        "store_full": Reason.STORE_FULL,
        "restored": Reason.RESTORED,
    }
    best, length = None, 0
    for kind, start, end in outages:
        common = min(end, upto) - max(start, after)
        if kind in kinds and common > length:
            best, length = kinds[kind], common
    return best


class _Fold:
    """The running tally of one batch."""

    def __init__(self, capacity: Capacity, now: int, first_id: int) -> None:
        self.plan = Plan()
        self._capacity = capacity
        self._now = now
        self._first = self._next = first_id

    def take(self, due: Due) -> None:
        """Decide one schedule, whole or not at all: the trigger is asked before anything is written down."""
        now = self._now if due.upto is None else due.upto
        trigger, after = due.trigger, due.planned_until
        dark = isinstance(trigger, Thinned)
        if due.next_due > now and due.upto is None:
            following = None if due.chain_us is not None else trigger.next_after(due.next_due)
            if self._ahead(due):
                self.plan.moves.append(CursorMove(due, due.next_due, following))
            return
        if due.next_due > now and not dark:
            return
        if due.chain_us is not None:
            if self._link_in_the_dark(due, now):
                return
            caught, following = CaughtUp((due.next_due,)), None
        elif not (
            dark or due.upto or due.live or due.spread or due.policies.start_deadline_us
        ) and self._only_one(due):
            return
        else:
            caught = catch_up(trigger, due.policies, after, now, due.why, due.spread)
            following = trigger.next_after(now)
        named = [(at, trigger.stands_for(at)) for at in caught.runs]
        gaps = (*caught.gaps, *blacked_out(trigger, after, now)) if dark else caught.gaps
        filled = [(gap, _instants(trigger, gap)) for gap in gaps if gap.count > 0]
        tally = Tally(due)
        by_due: dict[int, int] = {}
        late = due.why is not None or any(gap.reason is not Reason.BLACKOUT for gap, _ in filled)
        newest_first = due.policies.catchup_order is CatchUpOrder.NEWEST
        for at, names in reversed(named) if newest_first else named:
            by_due[at] = self._arrive(due, tally, at, names, late or at < caught.runs[-1])
        for gap, instants in filled:
            into = None if gap.into is None else by_due[gap.into]
            if instants is None:
                self.plan.spans.append(NewSpan(due, gap, into))
            else:
                rows = (NewRow(self._id(), due, at, gap.ending, gap.reason, into) for at in instants)
                self.plan.rows.extend(rows)
        if due.chain_us is not None and self.plan.rows[-1].state in TERMINAL:
            following = now + due.chain_us  # a link that does not run is followed all the same
        self.plan.moves.append(CursorMove(due, now, following))

    def _link_in_the_dark(self, due: Due, now: int) -> bool:
        """A schedule that counts from the end of its run goes on from the end of a blackout into which it has come."""
        window = window_around(due.policies.blackouts, due.next_due)
        if window is None or due.chain_us is None:
            return False
        self._add(NewRow(self._id(), due, due.next_due, State.SKIPPED, Reason.BLACKOUT))
        self.plan.moves.append(CursorMove(due, now, max(window[1], now) + due.chain_us))
        return True

    def _only_one(self, due: Due) -> bool:
        """The common case, in few steps: one occurrence is due and nothing of its schedule is in its way."""
        following = due.trigger.next_after(due.next_due)
        if following is not None and following <= self._now:
            return False
        names = due.trigger.stands_for(due.next_due)
        late = due.why is not None
        state, held_by = State.QUEUED, self._blocking(due.gates) if due.gates else None
        if held_by is not None:
            state = State.HELD
        else:
            if due.gates:
                self._pass(due.gates)
            if due.may_claim and self._slot(due.lane, late):
                state = State.CLAIMED
        self._add(NewRow(self._id(), due, due.next_due, state, None, None, held_by, late, names))
        self.plan.moves.append(CursorMove(due, self._now, following))
        return True

    def _ahead(self, due: Due) -> bool:
        """Claim the one instant that comes due within the claim-ahead, if nothing is in its way."""
        if due.policies.blackouts and _dark_before(due):
            return False
        if due.spread is not None and due.spread.start_at(due.next_due) > due.next_due:
            return False
        names = due.trigger.stands_for(due.next_due)
        if due.live or not due.may_claim or self._blocking(due.gates) or not self._slot(due.lane, False):
            return False
        self._pass(due.gates)
        self.plan.rows.append(NewRow(self._id(), due, due.next_due, State.CLAIMED, stands_for=names))
        return True

    def _arrive(self, due: Due, tally: Tally, at: int, names: tuple[str, ...], late: bool) -> int:
        """Write down one occurrence that may run: it is let in now, or waits for its start. Returns the id of the row
        that stands for it."""
        start = None if due.spread is None else due.spread.start_at(at)
        row = NewRow(self._id(), due, at, State.WAITING, None, None, None, late, names, start)
        if start is not None and start > self._now:
            self._add(row)
            return row.id
        return self._admit(row, tally)

    def start(self, item: Starting, tally: Tally) -> None:
        """Let in a waiting row at its start; a little before it only where it can be claimed at once."""
        due = item.due
        row = NewRow(item.id, due, item.due_at, State.WAITING, catchup=item.catchup, start_at=item.start_at)
        if item.start_at <= self._now:
            self._admit(row, tally)
        elif (
            not (tally.active or tally.unstarted or self._blocking(due.gates))
            and not (item.catchup and due.policies.paced)
            and due.may_claim
            and self._slot(due.lane, item.catchup)
        ):
            self._pass(due.gates)
            self._add(row._replace(state=State.CLAIMED))
            tally.active += 1
            tally.active_ids.append(row.id)

    def _admit(self, row: NewRow, tally: Tally) -> int:
        """Let one occurrence in as the overlap policy says; returns the id of the row that stands for it."""
        due, new = row.due, row.id
        if due.policies.overlap is Overlap.REPLACE:
            self._end_between_attempts(tally)
        answer = admit(due.policies, active=tally.active, unstarted=len(tally.unstarted))
        older = tally.unstarted[-1] if tally.unstarted else None
        if answer.into_older and older is not None:
            self._add(_stopped(row, State.COALESCED, None, older.id))
            return older.id
        if answer.state is State.SKIPPED:
            self._add(_stopped(row, State.SKIPPED, answer.reason, tally.blocker()))
            return new
        if answer.older is not None and older is not None:
            self._end(due, older, answer.older, answer.older_reason, new)
            tally.unstarted.pop()
        if answer.cancel_active:
            self.plan.cancels.extend((run, new) for run in tally.active_ids)
        self._enter(row._replace(state=answer.state), tally)
        return new

    def _end_between_attempts(self, tally: Tally) -> None:
        """What waits for its next attempt has no work that must end first: it is cancelled here and now."""
        for row in tally.between_attempts():
            self._give_back(row.gates)
            self.plan.ends.append(
                End(row.id, tally.schedule, row.state, State.CANCELLED, Reason.BY_REQUEST, None)
            )
            tally.forget(row.id)

    def _enter(self, row: NewRow, tally: Tally) -> None:
        """Let an admitted occurrence as far in as gates and slots allow: held, queued or claimed."""
        due, state = row.due, row.state
        if state is State.HELD:
            held_by: str | None = "overlap"
        elif row.catchup and due.policies.paced:
            held_by = catchup_hold(due.schedule)
        else:
            held_by = self._blocking(due.gates)
        if held_by is not None:
            state = State.HELD
        else:
            self._pass(due.gates)
            if due.may_claim and self._slot(due.lane, row.catchup):
                state = State.CLAIMED
        self._add(row._replace(state=state, held_by=held_by))
        if state is State.CLAIMED:
            tally.active += 1
            tally.active_ids.append(row.id)
        else:
            tally.unstarted.append(Standing(row.id, state, row.due_at, due.gates))

    def _end(self, due: Due, row: Standing, state: State, reason: Reason | None, into: int | None) -> None:
        """An unstarted row gives way. One of this very batch is rewritten; the gates it had passed are free again."""
        if row.state is State.QUEUED:
            self._give_back(row.gates)
        place = row.id - self._first
        if place >= 0:
            new = self.plan.rows[place]
            self.plan.rows[place] = _stopped(new, state, reason, into)
            return
        self.plan.ends.append(End(row.id, due.schedule, row.state, state, reason, into))

    def _add(self, row: NewRow) -> None:
        self.plan.rows.append(row)

    def _id(self) -> int:
        self._next += 1
        return self._next - 1

    def _slot(self, lane: str, late: bool) -> bool:
        capacity = self._capacity
        if capacity.slots.get(lane, 0) <= 0 or (late and capacity.for_backlog(lane) <= 0):
            return False
        capacity.slots[lane] -= 1
        if late:
            capacity.spend(lane, 1)
        return True

    def _blocking(self, gates: tuple[str, ...]) -> str | None:
        for key in gates:
            if self._capacity.gates.get(key, 0) <= 0:
                return key
        return None

    def _pass(self, gates: tuple[str, ...]) -> None:
        for key in gates:
            self._capacity.gates[key] -= 1
            self.plan.gates[key] = self.plan.gates.get(key, 0) + 1

    def _give_back(self, gates: tuple[str, ...]) -> None:
        for key in gates:
            self._capacity.gates[key] = self._capacity.gates.get(key, 0) + 1
            self.plan.gates[key] = self.plan.gates.get(key, 0) - 1


def _stopped(row: NewRow, state: State, reason: Reason | None, into: int | None) -> NewRow:
    """An occurrence that goes no further than the door."""
    return NewRow(row.id, row.due, row.due_at, state, reason, into, start_at=row.start_at)


def _dark_before(due: Due) -> bool:
    """Whether something is to be accounted for as blacked out before the next due instant, or that one itself."""
    rule = due.trigger
    if isinstance(rule, Thinned):
        return rule.dark_count(due.planned_until, due.next_due) > 0
    return window_around(due.policies.blackouts, due.next_due) is not None


def _instants(trigger: Trigger, gap: Gap) -> list[int] | None:
    """The instants of a short gap; None for one that is long enough to be a span."""
    if gap.count > ROWS_BEFORE_SPAN:
        return None
    if isinstance(trigger, Thinned) and gap.reason is Reason.BLACKOUT:
        return trigger.dark_in(gap.after, gap.upto, gap.count)
    found: list[int] = []
    at = gap.after
    for _ in range(gap.count):
        following = trigger.next_after(at)
        assert following is not None and following <= gap.upto
        found.append(at := following)
    return found

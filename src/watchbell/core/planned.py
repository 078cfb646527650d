"""What planning reads and what it says must be written, as values; and the tally of what is live of one schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from .catchup import Gap
from .policies import Policies
from .states import UNSTARTED, Reason, State

if TYPE_CHECKING:
    from .spread import Spread
    from .triggers import Trigger


@dataclass(frozen=True, slots=True)
class Standing:
    """A live row of a schedule: one that a new occurrence may have to make room for, or give way to."""

    id: int
    state: State
    due_at: int
    gates: tuple[str, ...] = ()
    by_hand: bool = False
    behind: bool = False
    """A backfilled one that is held: it comes behind everything fresh, and is in nobody's way until it is let in."""


class Due(NamedTuple):
    """A schedule whose cursor has come due, as it was read. With `upto` it is planned up to there and claims nothing,
    whether or not anything is due by then."""

    schedule: int
    workspace: int
    version: int
    job: int
    lane: str
    next_due: int
    planned_until: int
    trigger: Trigger
    policies: Policies
    priority: int = 0
    gates: tuple[str, ...] = ()
    live: tuple[Standing, ...] = ()
    why: Reason | None = None
    may_claim: bool = True
    chain_us: int | None = None
    upto: int | None = None
    spread: Spread | None = None


@dataclass(slots=True)
class Capacity:
    """What may still be claimed: free slots by lane, and how many of them catch-up may take in all and (`backlog`) in
    each lane; room behind each gate."""

    slots: dict[str, int]
    catchup: int
    gates: dict[str, int] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)

    def for_backlog(self, lane: str) -> int:
        """How many more of a backlog may be claimed in a lane."""
        return min(self.catchup, self.slots.get(lane, 0), self.backlog.get(lane, self.catchup))

    def spend(self, lane: str, late: int) -> None:
        """So many of the backlog were claimed."""
        self.catchup -= late
        if lane in self.backlog:
            self.backlog[lane] -= late


class NewRow(NamedTuple):
    """A ledger row to insert, or how far a waiting one is let in. `claimed` ones are claims of the planning node.
    `start_at` is None where it starts when it is due."""

    id: int
    due: Due
    due_at: int
    state: State
    reason: Reason | None = None
    into: int | None = None
    held_by: str | None = None
    catchup: bool = False
    stands_for: tuple[str, ...] = ()
    start_at: int | None = None


class Starting(NamedTuple):
    """A waiting row whose start has come, or comes within the claim-ahead, with its schedule as `due`."""

    id: int
    due: Due
    due_at: int
    start_at: int
    catchup: bool = False


@dataclass(frozen=True, slots=True)
class NewSpan:
    """A span to insert: many occurrences that do not run, in one row."""

    due: Due
    gap: Gap
    into: int | None


@dataclass(frozen=True, slots=True)
class End:
    """A row that gives way: from `before` to `state`."""

    id: int
    schedule: int
    before: State
    state: State
    reason: Reason | None
    into: int | None


class CursorMove(NamedTuple):
    """The compare-and-set on a cursor."""

    due: Due
    planned_until: int
    next_due: int | None


@dataclass(slots=True)
class Plan:
    """Everything that must be written, in one transaction."""

    rows: list[NewRow] = field(default_factory=list)
    spans: list[NewSpan] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    cancels: list[tuple[int, int]] = field(default_factory=list)
    moves: list[CursorMove] = field(default_factory=list)
    gates: dict[str, int] = field(default_factory=dict)
    broken: list[tuple[Due, str]] = field(default_factory=list)

    def renumber(self, ids: Sequence[int]) -> None:
        """Give the new rows these ids, in their order, instead of those that the decision has given them; whatever points
        at one goes on pointing at it."""
        new = {row.id: given for row, given in zip(self.rows, ids, strict=True)}

        def moved(run: int | None) -> int | None:
            return None if run is None else new.get(run, run)

        self.rows = [NewRow(new[row.id], *row[1:5], moved(row.into), *row[6:]) for row in self.rows]
        self.spans = [replace(span, into=moved(span.into)) for span in self.spans]
        self.ends = [replace(end, id=new.get(end.id, end.id), into=moved(end.into)) for end in self.ends]
        self.cancels = [(new.get(run, run), new.get(by, by)) for run, by in self.cancels]


class Tally:
    """What is live of one schedule, counting what the batch has added. A run by hand that has not begun counts as
    active: it will run, and no occurrence may stand for it or take its place. What waits for its start is in nobody's
    way until then."""

    __slots__ = ("_due", "active", "active_ids", "unstarted")

    def __init__(self, due: Due) -> None:
        self._due = due
        rows = [row for row in due.live if row.state is not State.WAITING and not row.behind]
        self.unstarted = [row for row in rows if row.state in UNSTARTED and not row.by_hand]
        self.active_ids = [row.id for row in rows if row.state not in UNSTARTED or row.by_hand]
        self.active = len(self.active_ids)

    @property
    def schedule(self) -> int:
        return self._due.schedule

    def blocker(self) -> int | None:
        """The row that is in the way: the evidence of a skip."""
        if self.active_ids:
            return self.active_ids[-1]
        return self.unstarted[-1].id if self.unstarted else None

    def between_attempts(self) -> list[Standing]:
        """The rows that wait for their next attempt."""
        return [row for row in self._due.live if row.state is State.RETRYING and row.id in self.active_ids]

    def forget(self, run: int) -> None:
        """One of the active ones has ended."""
        self.active_ids.remove(run)
        self.active -= 1

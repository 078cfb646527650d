"""What the ledger says, as values: the stored facts that the audit judges.

Facts only, as they were read in one snapshot; what they should be is worked out in `audit`, `contradicted` and `stuck`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

UNACCOUNTED = "unaccounted"
INVENTED = "invented"
STUCK = "stuck"
CONTRADICTED = "contradicted"
KINDS = (UNACCOUNTED, INVENTED, STUCK, CONTRADICTED)


class LedgerRow(NamedTuple):
    """A row of origin scheduled or backfill."""

    id: int
    due_at: int
    state: str
    reason: str | None
    origin: str
    into_id: int | None
    planned_at: int
    version: int | None
    epoch: int
    claimed_at: int | None
    began_at: int | None
    ended_at: int | None
    start_at: int | None = None


class Other(NamedTuple):
    """A row that another one points at: the blocker of a skip, what stands for a coalesced one."""

    id: int
    schedule: int | None
    state: str
    origin: str
    planned_at: int
    epoch: int
    claimed_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class SpanRow:
    """Many occurrences that did not run, those in (from_at, to_at]."""

    id: int
    from_at: int
    to_at: int
    count: int
    ending: str
    reason: str | None
    into_id: int | None
    planned_at: int
    version: int


class LiveRow(NamedTuple):
    """A row that has not ended, of any origin; `alone` says that a row held behind its schedule has nothing before it."""

    id: int
    schedule: int | None
    job: int
    state: str
    due_at: int
    start_at: int
    ready_at: int | None
    planned_at: int
    claimed_at: int | None
    node: int | None
    version: int | None
    held_by: str | None
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a schedule: what it implied in (from_at, to_at]. `to_at` None: it is in force."""

    number: int
    from_at: int
    to_at: int | None
    trigger: str
    transitions: str | None = None
    policies: Mapping[str, Any] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    """The stored rules of every zone that its blackouts name."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which a schedule stood still: paused, disabled or set_aside; `until_at` None: it lasts."""

    kind: str
    from_at: int
    until_at: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """One schedule over (after, upto]: everything stored about it there.

    Whole spans only: none crosses the window's ends, unless it is cut by the span of time that was asked for. `last`
    says that the window reaches the present: its rows go on behind `upto`. `before`, `by_hand` and `by_hand_live` are
    for a fixed delay: the row before the window, the ends of its runs by hand, and whether one of those is live.
    `retained` is the id from which on retention has removed no row, where it has removed any.
    """

    schedule: int
    name: str
    after: int
    upto: int
    last: bool
    planned_until: int | None
    versions: Sequence[Version]
    pauses: Sequence[Pause] = ()
    rows: Sequence[LedgerRow] = ()
    spans: Sequence[SpanRow] = ()
    others: Mapping[int, Other] = field(default_factory=dict)
    before: LedgerRow | None = None
    by_hand: Sequence[int] = ()
    by_hand_live: bool = False
    retained: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One incarnation of an engine, or a `watchbell exec`, which holds its one run and acts for nobody else."""

    id: int
    name: str
    state: str
    started_at: int
    heartbeat_at: int
    lease_until: int
    stopped_at: int | None = None
    handlers: frozenset[str] = frozenset()
    slots: Mapping[str, int] = field(default_factory=dict)
    acts: bool = True
    labels: frozenset[str] = frozenset()

    def is_up(self, now: int) -> bool:
        """Whether it acts, as far as anybody can know: not ended, and its lease still runs."""
        return self.state in ("up", "draining") and self.lease_until >= now


@dataclass(frozen=True, slots=True)
class Present:
    """What holds for every schedule: the time, who is up, and when nobody was. `outages` are (kind, from, to);
    `doubtful` says that the clock is not believed now, so that nothing is planned, and why."""

    now: int
    nodes: Mapping[int, Node] = field(default_factory=dict)
    outages: Sequence[tuple[str, int, int]] = ()
    doubtful: str | None = None

    @property
    def engines(self) -> list[Node]:
        """The incarnations that plan and claim."""
        return [node for node in self.nodes.values() if node.acts]

    @property
    def up_since(self) -> int | None:
        """Since when an engine has been up; None if there is none."""
        up = [node.started_at for node in self.engines if node.is_up(self.now)]
        return min(up) if up else None

    def lacking(self, on: Sequence[str]) -> str | None:
        """That no node that is up has the labels that a job asks for, in words; None if one has them all."""
        up = [node.labels for node in self.engines if node.is_up(self.now)]
        if not on or any(labels.issuperset(on) for labels in up):
            return None
        known = frozenset[str]().union(*up)
        missing = [label for label in on if label not in known] or list(on)
        word = "the label" if len(missing) == 1 else "all of the labels"
        return f"no node has {word} {', '.join(missing)}"

    def shaken_within(self, span_us: int) -> bool:
        """Whether the machine slept, or its clock was set, until a moment ago: leases and deadlines then look past, and
        their engine has not had the time to see to them."""
        return any(
            kind != "downtime" and self.now - span_us <= end <= self.now for kind, _, end in self.outages
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `count` instants from `due_at` to `last_at`, or a row. `sentence` says it to a person."""

    kind: str
    schedule: str | None
    due_at: int | None
    sentence: str
    count: int = 1
    last_at: int | None = None
    run: int | None = None

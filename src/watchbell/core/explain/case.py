"""One schedule at one instant: what is stored about it, as an explanation needs it. Facts only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..audit.evidence import Present, SpanRow
from ..blackout import Blackout, thinned
from ..instants import Instant
from ..wallclock import ZoneRules
from .words import RunFacts

if TYPE_CHECKING:
    from ..spread import Spread
    from ..triggers import Trigger


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A version of the schedule with its rule, computed with the zone rules that were stored with it; `broken` says why
    the rule cannot be evaluated (then `trigger` is a manual one)."""

    number: int
    from_at: Instant
    to_at: Instant | None
    trigger: Trigger
    overlap: str = "skip"
    catchup: str = "latest"
    chained: bool = False
    rules: ZoneRules | None = None
    broken: str | None = None
    blackouts: Sequence[Blackout] = ()
    condition: str | None = None
    spread: Spread | None = None

    @property
    def rule(self) -> Trigger:
        """When it comes due: its trigger, less its blackouts."""
        return self.trigger if self.chained else thinned(self.trigger, self.blackouts)


@dataclass(frozen=True, slots=True)
class KnownPause:
    """A time in which the schedule stood still, by whom and why."""

    kind: str
    from_at: Instant
    until_at: Instant | None
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What is stored about one schedule and one instant.

    `row` is the ledger row at that instant, else `span` covers it. `other` is what the row or span points at: the one
    that stands for it (followed to the last), or the blocker. `live` are the schedule's live rows. `handler` says
    whether a node that is up knows the job (None: it needs no handler), `lacking` which labels none has that it asks for.
    `running` says whether an engine runs, where more is known than the leases (None: what they say).
    """

    name: str
    tz: str
    job: str
    at: Instant
    present: Present
    created_at: Instant
    ended_at: Instant | None
    closed_until: Instant
    set_aside: str | None
    next_due: Instant | None
    planned_until: Instant | None
    versions: Sequence[KnownVersion]
    pauses: Sequence[KnownPause] = ()
    row: RunFacts | None = None
    span: SpanRow | None = None
    other: RunFacts | None = None
    live: Sequence[RunFacts] = ()
    handler: bool | None = None
    lacking: str | None = None
    running: bool | None = None

    @property
    def up(self) -> bool:
        """Whether an engine is there that acts; one that has died holds its lease for a while yet."""
        return self.present.up_since is not None and self.running is not False

    @property
    def now(self) -> Instant:
        """The present instant."""
        return self.present.now

    @property
    def version(self) -> KnownVersion | None:
        """The version in force at the instant."""
        found = [v for v in self.versions if v.from_at < self.at and (v.to_at is None or self.at <= v.to_at)]
        return found[-1] if found else None

    @property
    def pause(self) -> KnownPause | None:
        """What made the schedule stand still at the instant; set aside comes first."""
        found = [
            p for p in self.pauses if p.from_at < self.at and (p.until_at is None or self.at <= p.until_at)
        ]
        return min(found, key=lambda p: ("set_aside", "disabled", "paused").index(p.kind)) if found else None

    @property
    def outage(self) -> tuple[str, Instant, Instant] | None:
        """The recorded outage in which the instant lies; the longest one."""
        found = [each for each in self.present.outages if each[1] <= self.at <= each[2]]
        return max(found, key=lambda each: each[2] - each[1]) if found else None

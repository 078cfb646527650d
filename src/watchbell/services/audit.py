"""The audit: everything that was due is accounted for, or it is said what is not (SEMANTICS §1, PROTOCOL §7).

Reads a page, judges it, forgets it: memory stays the same however long the ledger is, and the engine is never held up
for longer than one page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..core.audit import audit_window
from ..core.audit.evidence import CONTRADICTED, INVENTED, KINDS, STUCK, UNACCOUNTED, Finding, Present, Window
from ..core.audit.rolled import Closed, judge_closed
from ..core.audit.stuck import stuck
from ..core.instants import to_text
from ..errors import WatchbellError
from ..store import evidence, listing
from ..store.base import Store
from ..store.evidence import Ask, Place
from ..store.retention.rolled import read_closed
from ..store.schedules.put import find_schedule
from ..store.tx import Tx
from .moments import many

FINDINGS_PER_KIND = 100
_OF_WINDOWS = ("pending", "paused", "occurrences", "rows", "spans")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A schedule of which nothing can be said: its rule cannot be evaluated since `since`."""

    schedule: str
    since: int
    why: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found. The first four figures are 0 where everything is accounted for.

    `pending` instants fell due while no engine was up; the next one accounts for them. `paused` ones are accounted for
    by a pause that still lasts. `occurrences` is how many were implied up to now, `rows` and `spans` how many were
    read; `by_hand` runs were asked for and fell due by no rule, so that there is nothing to audit. `closed_days` are those of which
    retention has left the totals. `findings` holds at most 100 of each kind; the figures count all. `gates` are (key, active as stored, active
    as counted) of those that differ.
    """

    at: int
    unaccounted: int = 0
    invented: int = 0
    stuck: int = 0
    contradicted: int = 0
    pending: int = 0
    paused: int = 0
    doubtful: str | None = None
    schedules: int = 0
    occurrences: int = 0
    rows: int = 0
    spans: int = 0
    by_hand: int = 0
    closed_days: int = 0
    unknown: tuple[Unknown, ...] = ()
    gates: tuple[tuple[str, int, int], ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything is accounted for and nothing is unknown."""
        figures = self.unaccounted + self.invented + self.stuck + self.contradicted
        return figures == 0 and not self.unknown and not self.gates

    @property
    def sentence(self) -> str:
        """What was due, and where it is: in the ledger, pending, or in a pause that lasts."""
        held = max(0, self.occurrences - self.pending - self.paused - self.unaccounted)
        were = "was" if self.occurrences == 1 else "were"
        due = f"{many(self.occurrences, 'occurrence')} of {many(self.schedules, 'schedule')} {were} due"
        kept = [many(self.rows, "row"), many(self.spans, "span")]
        if self.closed_days:
            kept.append(f"the totals of {many(self.closed_days, 'closed day')}")
        where = f"({', '.join(kept[:-1])} and {kept[-1]})"
        parts = [f"{due}: {held:,} {_are(held)} in the ledger {where}"]
        if self.pending:
            parts.append(
                f"{self.pending:,} {_are(self.pending)} pending, because "
                f"{self.doubtful or 'no engine ran then; the next one accounts for ' + _it(self.pending)}"
            )
        if self.paused:
            parts.append(f"{self.paused:,} fell into a pause that lasts")
        if self.unaccounted:
            parts.append(f"{self.unaccounted:,} {_are(self.unaccounted)} unaccounted for")
        text = f"{', '.join(parts)}."
        if self.by_hand:
            text += f" {many(self.by_hand, 'run')} by hand {_are(self.by_hand)} not audited: no rule made {_it(self.by_hand)} due."
        return text

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "ok": self.ok,
            "sentence": self.sentence,
            "at": to_text(self.at),
            **{kind: getattr(self, kind) for kind in KINDS},
            **{
                name: getattr(self, name)
                for name in (
                    "pending",
                    "paused",
                    "schedules",
                    "occurrences",
                    "rows",
                    "spans",
                    "by_hand",
                    "closed_days",
                )
            },
            "unknown": [
                {"schedule": item.schedule, "since": to_text(item.since), "why": item.why}
                for item in self.unknown
            ],
            "gates": [{"key": key, "active": stored, "counted": real} for key, stored, real in self.gates],
            "items": [_finding_json(finding) for finding in self.findings],
        }


@dataclass(slots=True)
class _Tally:
    """The figures as they grow."""

    figures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_OF_WINDOWS, "closed_days"), 0))
    findings: dict[str, list[Finding]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    unknown: dict[str, Unknown] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        self.figures[finding.kind] += finding.count
        if len(self.findings[finding.kind]) < FINDINGS_PER_KIND:
            self.findings[finding.kind].append(finding)


def audit(
    store: Store,
    *,
    now: int,
    from_at: int | None = None,
    to_at: int | None = None,
    schedule: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AuditReport:
    """Recompute what fell due in (from_at, to_at], of one schedule or of all, and compare it with the ledger.

    `progress` is called with (schedules done, schedules in all). NotFound if there is no such schedule.
    """
    only = None if schedule is None else store.read(lambda tx: find_schedule(tx, schedule))
    ask = Ask(now, from_at, to_at, only)
    present = store.read(lambda tx: evidence.read_present(tx, now))
    total = 1 if only is not None else store.read(evidence.count_schedules)
    tally, done = _Tally(), 0
    judged: set[int] = set()
    place: Place | None = Place()
    zones: dict[tuple[str, str], str] = {}
    while place is not None:
        here = place
        page = store.read(lambda tx: evidence.read_page(tx, ask, here, zones))  # noqa: B023  carried out at once
        for window in page.windows:
            _judge(window, present, tally)
        if first := _first_windows(page.windows, judged):
            _judge_closed(store, ask, first, tally)
        for name, since, why in page.set_aside:
            tally.unknown[name] = Unknown(name, since, why)
        done += page.schedules
        if progress is not None:
            progress(min(done, total), total)
        place = page.next
    # Read again: an engine may have come up, and claimed, while the pages were read.
    _stuck(store, store.read(lambda tx: evidence.read_present(tx, now)), only, tally)
    return AuditReport(
        at=now,
        unaccounted=tally.figures[UNACCOUNTED],
        invented=tally.figures[INVENTED],
        stuck=tally.figures[STUCK],
        contradicted=tally.figures[CONTRADICTED],
        doubtful=present.doubtful,
        schedules=done,
        by_hand=store.read(
            lambda tx: listing.runs_by_hand(tx, from_at, now if to_at is None else to_at, only)
        ),
        unknown=tuple(tally.unknown.values()),
        gates=() if only is not None else tuple(store.read(evidence.wrong_gates)),
        findings=tuple(finding for kind in KINDS for finding in tally.findings[kind]),
        **tally.sums,
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _it(count: int) -> str:
    return "it" if count == 1 else "them"


def _judge(window: Window, present: Present, tally: _Tally) -> None:
    try:
        verdict = audit_window(window, present)
    except WatchbellError as error:
        if window.name not in tally.unknown:
            tally.unknown[window.name] = Unknown(window.name, window.after, str(error))
        return
    for name in _OF_WINDOWS:
        tally.sums[name] += getattr(verdict, name)
    for finding in verdict.findings:
        tally.add(finding)


def _first_windows(windows: Iterable[Window], judged: set[int]) -> list[Window]:
    """One window of each schedule: closed days are judged once for all of them."""
    first = []
    for window in windows:
        if window.schedule not in judged:
            judged.add(window.schedule)
            first.append(window)
    return first


def _judge_closed(store: Store, ask: Ask, windows: Iterable[Window], tally: _Tally) -> None:
    """What retention has removed, by its totals."""

    def read(tx: Tx) -> list[Closed]:
        found = (read_closed(tx, window, ask.from_at, ask.to_at) for window in windows)
        return [closed for closed in found if closed is not None]

    for closed in store.read(read):
        try:
            verdict = judge_closed(closed)
        except WatchbellError as error:
            tally.unknown.setdefault(closed.name, Unknown(closed.name, closed.after, str(error)))
            continue
        tally.sums["occurrences"] += verdict.occurrences
        tally.sums["closed_days"] += verdict.days
        for finding in verdict.findings:
            tally.add(finding)


def _stuck(store: Store, present: Present, only: int | None, tally: _Tally) -> None:
    after = 0
    full = store.read(lambda tx: evidence.full_lanes(tx, present))
    while True:
        here = after
        page = store.read(lambda tx: evidence.read_live(tx, here, schedule=only))  # noqa: B023  carried out at once
        for facts in page:
            row = facts.row
            why = stuck(row, facts.job, present, facts.deadline_us, facts.alone_since, full)
            if why is not None:
                subject = facts.schedule or (facts.job.name if facts.job is not None else f"job {row.job}")
                text = f"{subject}: run_{row.id}, due at {to_text(row.due_at)}, {why}."
                tally.add(Finding(STUCK, facts.schedule, row.due_at, text, run=row.id))
        if len(page) < evidence.ROWS_PER_PAGE:
            return
        after = page[-1].row.id


def _finding_json(finding: Finding) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": finding.kind, "schedule": finding.schedule, "count": finding.count}
    if finding.due_at is not None:
        data["due_at"] = to_text(finding.due_at)
    if finding.last_at is not None and finding.last_at != finding.due_at:
        data["last_at"] = to_text(finding.last_at)
    if finding.run is not None:
        data["run"] = f"run_{finding.run}"
    return data | {"sentence": finding.sentence}

"""The audit of one schedule: what its versions and pauses imply × what the ledger holds → what is wrong (PROTOCOL §7).

The left side comes from `recount`, which shares no code with the planner. A window of time is cut into stretches in
which one thing holds (a version, a span, a pause); in a stretch that has to be accounted for row by row, the implied
instants and the rows are merged; where a span or an open pause accounts for them, they are counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ..instants import SECOND, to_text
from .chain import judge_chain
from .contradicted import row_contradiction, scene_of, span_contradiction
from .evidence import (
    CONTRADICTED,
    INVENTED,
    UNACCOUNTED,
    Finding,
    LedgerRow,
    Present,
    SpanRow,
    Version,
    Window,
)
from .recount import Rule, chain_period, rule_of
from .recount_blackout import Blacked, Lit, dark_of

FRESH_US = 5 * SECOND
"""An instant this young that is beyond the planner's reach is in flight: not yet a matter for the audit."""
OVERDUE_US = 60 * SECOND
"""With an engine up for so long, an instant this old must have been planned."""

_STILL = ("paused", "disabled")
_BLACKOUT = "blackout"
_ROWS, _COVERED, _PENDING, _OVERDUE, _FLIGHT = "rows", "covered", "pending", "overdue", "flight"


@dataclass(slots=True)
class Verdict:
    """What was found in a window. `occurrences` counts what is implied up to now; `paused` those of an open pause."""

    occurrences: int = 0
    rows: int = 0
    spans: int = 0
    pending: int = 0
    paused: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """(after, upto] with one version (None: nothing is implied), and how its instants are accounted for."""

    after: int
    upto: int
    version: Version | None
    how: str
    span: SpanRow | None = None
    blackout: SpanRow | None = None
    """The span of what fell into a blackout; the other one, beside it, stands for what did not."""


def audit_window(window: Window, present: Present) -> Verdict:
    """Judge one schedule over one window of time. Raises BadTrigger where a rule cannot be evaluated."""
    return _Audit(window, present).judge()


class _Audit:
    def __init__(self, window: Window, present: Present) -> None:
        self.window, self.present = window, present
        self.verdict = Verdict(spans=len(window.spans))
        self._in_span: dict[int, int | None] = {}
        horizon = window.planned_until
        if horizon is None:
            horizon = max((v.to_at for v in window.versions if v.to_at is not None), default=window.upto)
        self._horizon = horizon
        self._end = max(window.upto, horizon) if window.last else window.upto

    def judge(self) -> Verdict:
        """Everything in the window."""
        window = self.window
        counted = [row for row in window.rows if row.state != "superseded"]
        self.verdict.rows = len(window.rows)
        place = 0
        dues = [row.due_at for row in counted]
        for stretch in _stretches(window, self._end, self._cuts()):
            end = bisect_right(dues, stretch.upto, place)
            self._stretch(stretch, counted[place:end])
            place = end
        self._beyond(counted[place:])
        self._chains(counted)
        self._dispositions(counted)
        self._spans()
        return self.verdict

    def _cuts(self) -> list[tuple[int, str]]:
        """How an instant without a row is seen, by (up to here, how): the first that reaches it holds."""
        now, up = self.present.now, self.present.up_since
        wanted = [(self._horizon, _ROWS)]
        if up is None or self.present.doubtful:
            wanted.append((now, _PENDING))
        else:
            if up <= now - OVERDUE_US:
                wanted.append((now - OVERDUE_US, _OVERDUE))
            wanted.append((max(now - FRESH_US, min(up, now)), _PENDING))
        wanted.append((self._end, _FLIGHT))
        cuts: list[tuple[int, str]] = []
        for edge, how in wanted:
            if not cuts or edge > cuts[-1][0]:
                cuts.append((edge, how))
        return cuts

    def _stretch(self, stretch: _Stretch, rows: Sequence[LedgerRow]) -> None:
        version = stretch.version
        if version is None:
            for row in rows:
                self._invented(row)
            return
        if chain_period(version.trigger) is not None:
            if stretch.span is not None:
                self._in_span[stretch.span.id] = None
            return
        rule = rule_of(version.trigger, version.transitions)
        dark = dark_of(version.policies, version.zones)
        span = stretch.span  # what is held for a clock in doubt is told apart when it is let go
        if dark is None or (span is not None and (span.reason in _STILL or span.ending == "held")):
            self._part(stretch, rule, rows)
            return
        inside = [row for row in rows if dark.around(row.due_at) is not None]
        outside = [row for row in rows if dark.around(row.due_at) is None]
        self._part(stretch, Lit(rule, dark), outside)
        # What falls into a blackout is accounted for after its end: until then nobody owes a row for it.
        how = _COVERED if stretch.how in (_PENDING, _OVERDUE) else stretch.how
        self._part(replace(stretch, span=stretch.blackout, how=how), Blacked(rule, dark), inside)

    def _part(self, stretch: _Stretch, rule: Rule, rows: Sequence[LedgerRow]) -> None:
        """What a rule implies in a stretch, against the rows and the span that account for it."""
        how = stretch.how if stretch.span is None else _COVERED
        if how == _ROWS:
            self._merge(stretch, rule, rows)
            return
        taken = sum(1 for row in rows if self._is_implied(rule, row))
        left = rule.count(stretch.after, stretch.upto) - taken
        if stretch.span is not None:
            before = self._in_span.get(stretch.span.id, 0)
            self._in_span[stretch.span.id] = None if before is None else before + left
        elif how == _COVERED:
            self.verdict.paused += left
        elif how == _PENDING:
            self.verdict.pending += left
        elif how == _OVERDUE and left > 0:
            first = next(rule.between(stretch.after, stretch.upto))
            self._unaccounted(first, stretch.upto, left)
        if how != _FLIGHT:
            self.verdict.occurrences += left
        self.verdict.occurrences += taken

    def _is_implied(self, rule: Rule, row: LedgerRow) -> bool:
        if rule.count(row.due_at - 1, row.due_at):
            return True
        self._invented(row)
        return False

    def _merge(self, stretch: _Stretch, rule: Rule, rows: Sequence[LedgerRow]) -> None:
        """Implied instants against rows, both in order."""
        instants = rule.between(stretch.after, stretch.upto)
        expected = next(instants, None)
        found = 0
        first = last = missing = 0
        for row in rows:
            due = row.due_at
            while expected is not None and expected < due:
                first, last, missing = first if missing else expected, expected, missing + 1
                expected = next(instants, None)
            if missing:
                self._unaccounted(first, last, missing)
                found, missing = found + missing, 0
            if expected == due:
                found += 1
                expected = next(instants, None)
            else:
                self._invented(row)
        while expected is not None:
            first, last, missing = first if missing else expected, expected, missing + 1
            expected = next(instants, None)
        if missing:
            self._unaccounted(first, last, missing)
        self.verdict.occurrences += found + missing

    def _beyond(self, rows: Sequence[LedgerRow]) -> None:
        """Rows of the future: nothing has to be there yet, but what is there has to be implied."""
        starts = [version.from_at for version in self.window.versions]
        for row in rows:
            version = _version_at(self.window, starts, row.due_at)
            if version is None:
                self._invented(row)
            elif chain_period(version.trigger) is None:
                self._is_implied(rule_of(version.trigger, version.transitions), row)

    def _chains(self, rows: Sequence[LedgerRow]) -> None:
        for version in self.window.versions:
            period = chain_period(version.trigger)
            if period is None:
                continue
            judged = judge_chain(self.window, version, period, rows)
            self.verdict.occurrences += judged.links
            for row in judged.invented:
                self._invented(row)
            for at in judged.missing:
                self._unaccounted(at, at, 1)
            if judged.expected is not None:
                self._expected(judged.expected)

    def _expected(self, at: int) -> None:
        """The one next instant of a chain."""
        if at > min(self.present.now, self._end) and at > self._horizon:
            return
        how = next(how for edge, how in self._cuts() if at <= edge)
        self.verdict.occurrences += how != _FLIGHT
        self.verdict.pending += how == _PENDING
        if how in (_ROWS, _OVERDUE):
            self._unaccounted(at, at, 1)

    def _dispositions(self, rows: Sequence[LedgerRow]) -> None:
        scene = scene_of(self.window, self.present)
        for row in rows:
            said = row_contradiction(row, scene)
            if said is not None:
                text = f"{self.window.name}: run_{row.id}, due at {to_text(row.due_at)}, {said}."
                self._add(Finding(CONTRADICTED, self.window.name, row.due_at, text, run=row.id))

    def _spans(self) -> None:
        last: dict[bool, SpanRow] = {}
        for span in self.window.spans:
            before = last.get(span.reason == _BLACKOUT)
            said = span_contradiction(span, self.window, self.present)
            implied = self._in_span.get(span.id, 0)
            whole = span.from_at >= self.window.after and span.to_at <= self._end
            if before is not None and span.from_at < before.to_at:
                said = "overlaps the span before it, so that instants would be accounted for twice"
            elif said is None and whole and implied is not None and implied != span.count:
                said = f"says that it stands for {span.count}, but {implied} are implied there"
            if said is not None:
                place = f"{to_text(span.from_at)} to {to_text(span.to_at)}"
                text = f"{self.window.name}: the span {span.ending} from {place} {said}."
                self._add(Finding(CONTRADICTED, self.window.name, span.to_at, text))
            last[span.reason == _BLACKOUT] = span

    def _unaccounted(self, first: int, last: int, count: int) -> None:
        name = self.window.name
        text = f"{name}: was due at {to_text(first)} and the ledger holds neither a row nor a span for it."
        if count > 1:
            text = f"{name}: was due {count} times from {to_text(first)} to {to_text(last)} and the ledger holds none."
        self._add(Finding(UNACCOUNTED, name, first, text, count, last))

    def _invented(self, row: LedgerRow) -> None:
        if row.origin == "backfill":  # a person may ask for any instant
            return
        name = self.window.name
        text = f"{name}: run_{row.id} claims to have been due at {to_text(row.due_at)}, which no version implied."
        self._add(Finding(INVENTED, name, row.due_at, text, run=row.id))

    def _add(self, finding: Finding) -> None:
        self.verdict.findings.append(finding)


def _holds(from_at: int, to_at: int | None, at: int) -> bool:
    return from_at < at and (to_at is None or at <= to_at)


def _version_at(window: Window, starts: Sequence[int], at: int) -> Version | None:
    place = bisect_left(starts, at) - 1
    found = window.versions[place] if place >= 0 else None
    return found if found is not None and _holds(found.from_at, found.to_at, at) else None


def _stretches(window: Window, end: int, cuts: Sequence[tuple[int, str]]) -> Iterator[_Stretch]:
    """The window cut wherever something changes, in order and without holes up to `end`."""
    edges = {window.after, end, *(edge for edge, _ in cuts)}
    for v in window.versions:
        edges.update((v.from_at, end if v.to_at is None else v.to_at))
    for p in window.pauses:
        edges.update((p.from_at, end if p.until_at is None else p.until_at))
    for s in window.spans:
        edges.update((s.from_at, s.to_at))
    inside = sorted(edge for edge in edges if window.after <= edge <= end)
    starts = [v.from_at for v in window.versions]
    spans = _Shelf([s for s in window.spans if s.reason != _BLACKOUT])
    blackouts = _Shelf([s for s in window.spans if s.reason == _BLACKOUT])
    for after, upto in pairwise(inside):
        span, blackout = spans.around(after, upto), blackouts.around(after, upto)
        still = {p.kind for p in window.pauses if _holds(p.from_at, p.until_at, upto)}
        lasting = any(p.until_at is None and p.from_at < upto for p in window.pauses)
        version = None if "set_aside" in still else _version_at(window, starts, upto)
        how = next(how for edge, how in cuts if upto <= edge)
        yield _Stretch(after, upto, version, _COVERED if lasting else how, span, blackout)


class _Shelf:
    """Spans that do not overlap, asked in order for the one around a stretch."""

    def __init__(self, spans: Sequence[SpanRow]) -> None:
        self._spans, self._place = spans, 0

    def around(self, after: int, upto: int) -> SpanRow | None:
        while self._place < len(self._spans) and self._spans[self._place].to_at < upto:
            self._place += 1
        near = self._spans[self._place : self._place + 1]
        return near[0] if near and near[0].from_at <= after else None

"""What the demo reads from the ledger while the service writes it: what has ended since the last look, and why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from ..clock import Clock
from ..core.instants import MINUTE, SECOND, human_duration
from ..core.states import LIVE, State
from ..core.triggers import parse_trigger
from ..services import runs
from ..services.audit import AuditReport, audit
from ..services.database import Store
from ..services.explain import explain
from ..services.run_views import RunView, SpanView, because
from ..services.runs import Filters
from ..services.schedule_views import ScheduleView, list_schedules
from ..services.status import StatusView, status

_PAGE = 500
_RAN = (State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Ended:
    """An occurrence, or a span of them, that has come to its end."""

    at: int
    name: str
    state: str
    count: int
    id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the occurrences of one schedule that fell due in an outage, with the explanation of one."""

    name: str
    counts: Counter[str]
    sentence: str


class Ledger:
    """The ledger as the demo follows it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: set[tuple[str, int]] = set()
        self.counts: dict[str, Counter[str]] = {}
        for item in self._newest():
            if isinstance(item, SpanView) or not item.live:
                self._seen.add(_mark(item))

    @property
    def now(self) -> int:
        """The wall clock."""
        return self._clock.wall_us()

    def _newest(self) -> tuple[RunView | SpanView, ...]:
        return runs.list_runs(self._store, Filters(spans=True), now=self.now, limit=_PAGE).items

    def ended(self) -> list[Ended]:
        """What has ended since this was asked last, oldest first."""
        found = []
        for item in self._newest():
            if _mark(item) in self._seen or (isinstance(item, RunView) and item.live):
                continue
            self._seen.add(_mark(item))
            one = self._ended(item)
            self.counts.setdefault(one.name, Counter())[one.state] += one.count
            found.append(one)
        return sorted(found, key=lambda one: (one.at, one.id))

    def _ended(self, item: RunView | SpanView) -> Ended:
        if isinstance(item, SpanView):
            span = item.entry
            text = f"{span.ending}: {because(span.reason)}"
            return Ended(
                span.planned_at, span.schedule_name, span.ending, span.count, f"× {span.count}", text
            )
        row = item.entry
        text = item.sentence
        if row.state == State.SUCCEEDED and row.began_at is not None and row.ended_at is not None:
            result = self._result(row.id)
            text = f"succeeded in {short(row.ended_at - row.began_at)}{f': {result}' if result else ''}"
        return Ended(row.ended_at or row.planned_at, item.name, row.state, 1, item.id, text)

    def _result(self, run: int) -> str:
        """What the function returned, or the last line that the command printed."""
        kept = runs.show(self._store, run, now=self.now).details.result
        if kept is not None:
            value = json.loads(kept)
            return value if isinstance(value, str) else "" if value is None else kept
        lines = runs.logs(self._store, run).items
        return " ".join(lines[-1].text.split()) if lines else ""

    def schedules(self) -> tuple[ScheduleView, ...]:
        """All schedules, by name."""
        return list_schedules(self._store, now=self.now).items

    def status(self) -> StatusView:
        """The state of the whole house."""
        return status(self._store, now=self.now)

    def running(self) -> dict[str, str]:
        """How far those are that run at this moment, by the name of their schedule."""
        live = [State.CLAIMED, State.RUNNING]
        found = {}
        for item in runs.list_runs(self._store, Filters(states=live), now=self.now).items:
            if isinstance(item, RunView):
                progress = runs.show(self._store, item.entry.id, now=self.now).details.progress
                done, of = (None, None) if progress is None else progress[:2]
                found[item.name] = (
                    f"running, {100 * done / of:.0f} %" if done is not None and of else "running"
                )
        return found

    def caught_up(self, since: int) -> bool:
        """Whether everything that fell due before `since` is in the ledger and has come to its end."""
        for schedule in self.schedules():
            if schedule.overdue_us is not None:
                return False
        rows = runs.list_runs(self._store, Filters(states=sorted(LIVE)), now=self.now, limit=_PAGE).items
        return all(row.entry.due_at > since for row in rows if isinstance(row, RunView))

    def fates(self, killed_at: int, back_at: int) -> list[Fate]:
        """What became of everything that fell due, or was in flight, between a death and the return."""
        found = []
        for schedule in self.schedules():
            page = runs.list_runs(
                self._store,
                Filters(schedule=schedule.name, since=schedule.created_at, spans=True),
                now=self.now,
                limit=1000,
            )
            counts: Counter[str] = Counter()
            instants: dict[str, int] = {}
            for item in page.items:
                due_at, state, count = _fate(item, schedule, killed_at, back_at)
                if count:
                    counts[state] += count
                    instants.setdefault(state, due_at)
            if counts:
                told = next(
                    (instants[s] for s in instants if State(s) not in _RAN), next(iter(instants.values()))
                )
                found.append(
                    Fate(schedule.name, counts, explain(self._store, schedule.name, told, self.now).sentence)
                )
        return found

    def audit(self) -> AuditReport:
        """Recompute everything and compare it with the ledger."""
        return audit(self._store, now=self.now)


def short(span_us: int) -> str:
    """A span for a quick look: milliseconds, then tenths of a second, then as people say it."""
    if span_us < SECOND:
        return f"{max(0, span_us) // 1000} ms"
    return f"{span_us / SECOND:.1f} s" if span_us < MINUTE else human_duration(span_us // SECOND * SECOND)


def _mark(item: RunView | SpanView) -> tuple[str, int]:
    return ("span" if isinstance(item, SpanView) else "run", item.entry.id)


def _fate(
    item: RunView | SpanView, schedule: ScheduleView, killed_at: int, back_at: int
) -> tuple[int, str, int]:
    """(instant, state, how many) of one row; none where it is no matter of the outage."""
    if isinstance(item, SpanView):
        span = item.entry
        inside = span.to_at > killed_at and span.from_at <= back_at
        last = parse_trigger(schedule.trigger).last_in(span.from_at - 1, span.to_at)
        return span.to_at if last is None else last, span.ending, span.count if inside else 0
    row = item.entry
    in_flight = row.state == State.LOST and row.due_at <= killed_at < (row.ended_at or 0)
    return row.due_at, row.state, int(in_flight or killed_at < row.due_at <= back_at)

"""What would become of the next occurrences of one schedule, if: virtual time through the real decisions of `plan`.

An engine with room for everything is supposed, but for the times in which it is down; each run takes the same time. What
is decided, is decided by `plan.decide` and `plan.let_in`; here is only the clock, and who still runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .instants import LATEST, Instant, human_duration, local_text
from .plan import Capacity, Due, NewRow, Plan, Standing, Starting, decide, let_in, outage_reason
from .policies import Policies
from .spread import Spread
from .states import Reason, State
from .triggers import Trigger

MOST = 1_000
_ROOM = 1 << 30
_MOST_STEPS = 50_000
_LANE = "any"


@dataclass(frozen=True, slots=True)
class Supposed:
    """One schedule and what is supposed about it. `down` are times [from, to) without an engine, in order."""

    trigger: Trigger
    policies: Policies
    after: Instant
    count: int
    tz: str = "UTC"
    takes_us: int = 0
    down: tuple[tuple[Instant, Instant], ...] = ()
    spread: Spread | None = None


@dataclass(slots=True)
class Fate:
    """What becomes of one due instant. `into` is the due instant of the one that stands for it, or is in its way."""

    due_at: Instant
    state: State
    reason: str | None = None
    into: Instant | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    stands_for: tuple[str, ...] = ()
    held: bool = False
    sentence: str = ""


def simulate(supposed: Supposed) -> list[Fate]:
    """The fates of the next `count` due instants, in order; fewer where there are fewer."""
    return _Engine(supposed).live()


@dataclass(slots=True)
class _Engine:
    """The clock of the simulation and the rows that live in it."""

    given: Supposed
    rows: dict[int, Fate] = field(default_factory=dict)
    spans: dict[Instant, Fate] = field(default_factory=dict)
    ends: dict[int, Instant] = field(default_factory=dict)
    starts: dict[int, Instant] = field(default_factory=dict)
    catching_up: set[int] = field(default_factory=set)
    planned_until: Instant = 0
    next_due: Instant | None = None

    def live(self) -> list[Fate]:
        given = self.given
        self.planned_until = given.after
        self.next_due = given.trigger.first_in(given.after, LATEST)
        if (chain := self._chain()) is not None:
            self.next_due = given.after + chain
        for _ in range(_MOST_STEPS):
            now = self._next_event()
            if now is None or (self._known() >= given.count and not self._live_among_first()):
                break
            self._cut_down(now)
            self._end(now)
            self._start(now)
            if self.next_due is not None and self._up(self.next_due) <= now:
                self._plan(now)
        fates = {fate.due_at: fate for fate in self.rows.values()} | self.spans
        found = [fates[at] for at in sorted(fates)][: given.count]
        for fate in found:
            fate.sentence = _sentence(fate, given.tz)
        return found

    def _chain(self) -> int | None:
        trigger = self.given.trigger
        return int(getattr(trigger, "period_us", 0)) if getattr(trigger, "after_completion", False) else None

    def _known(self) -> int:
        return len(self.rows) + len(self.spans)

    def _live_among_first(self) -> bool:
        first = sorted((fate.due_at, number) for number, fate in self.rows.items())[: self.given.count]
        return any(number in self.ends or self.rows[number].state in _UNSTARTED for _, number in first)

    def _up(self, at: Instant) -> Instant:
        """The first instant from `at` on at which an engine is up."""
        for start, end in self.given.down:
            if start <= at < end:
                at = end
        return at

    def _next_event(self) -> Instant | None:
        times = [*self.ends.values(), *(self._up(at) for at in self.starts.values())]
        times += [start for start, _ in self.given.down if any(end > start for end in self.ends.values())
                  and any((self.rows[n].started_at or 0) < start for n in self.ends)]  # fmt: skip
        if self.next_due is not None:
            times.append(self._up(self.next_due))
        return min(times, default=None)

    def _cut_down(self, now: Instant) -> None:
        """What runs when the engine goes down is lost: nobody can say how it ended."""
        for start, _ in self.given.down:
            for number in [
                n
                for n, end in self.ends.items()
                if (self.rows[n].started_at or 0) < start <= now and end > start
            ]:
                self._settle(number, State.LOST, "begun", start)

    def _end(self, now: Instant) -> None:
        for number in sorted(
            (n for n, end in self.ends.items() if end <= now), key=lambda n: (self.ends[n], n)
        ):
            if number in self.ends:
                self._settle(number, State.SUCCEEDED, None, self.ends[number])

    def _settle(self, number: int, state: State, reason: str | None, at: Instant) -> None:
        """One has ended: what waits behind it begins, and a chain goes on."""
        fate = self.rows[number]
        del self.ends[number]
        fate.state, fate.reason, fate.ended_at = state, reason, at
        if (chain := self._chain()) is not None:
            self.next_due = at + chain
        held = sorted((self.rows[n].due_at, n) for n in self.rows if self.rows[n].state is State.HELD)
        if held and not self.ends:
            self._begin(held[0][1], self._up(at))

    def _begin(self, number: int, at: Instant) -> None:
        fate = self.rows[number]
        fate.state, fate.started_at = State.RUNNING, at
        self.ends[number] = at + self.given.takes_us
        self.starts.pop(number, None)

    def _start(self, now: Instant) -> None:
        """Waiting ones whose start has come, let in as the engine does it."""
        due = [n for n, at in sorted(self.starts.items(), key=lambda item: item[1]) if self._up(at) <= now]
        if due:
            mine = self._due(now, leaving=frozenset(due))
            batch = [
                Starting(n, mine, self.rows[n].due_at, self.starts.pop(n), n in self.catching_up) for n in due
            ]
            self._write(let_in(batch, self._room(), now), now)

    def _plan(self, now: Instant) -> None:
        self._write(decide([self._due(now)], self._room(), now, max(self.rows, default=0) + 1), now)

    def _room(self) -> Capacity:
        return Capacity(slots={_LANE: _ROOM}, catchup=_ROOM)

    def _due(self, now: Instant, leaving: frozenset[int] = frozenset()) -> Due:
        given = self.given
        live = tuple(
            Standing(n, fate.state, fate.due_at)
            for n, fate in sorted(self.rows.items())
            if (n in self.ends or fate.state in _UNSTARTED) and n not in leaving
        )
        outages = [("downtime", start, end) for start, end in given.down]
        return Due(
            schedule=1,
            workspace=1,
            version=1,
            job=1,
            lane=_LANE,
            next_due=now if self.next_due is None else self.next_due,
            planned_until=self.planned_until,
            trigger=given.trigger,
            policies=replace(given.policies, catchup_rate=None),  # a pace is the store's to keep
            live=live,
            why=outage_reason(outages, self.planned_until, now),
            chain_us=self._chain(),
            spread=given.spread,
        )

    def _write(self, plan: Plan, now: Instant) -> None:
        """What the engine would write into the ledger."""
        for error in plan.broken:
            raise ValueError(error[1])
        for row in plan.rows:
            self._take(row, now)
        for end in plan.ends:
            fate = self.rows[end.id]
            fate.state, fate.reason = end.state, None if end.reason is None else end.reason.value
            fate.into = None if end.into is None else self.rows[end.into].due_at
            self.starts.pop(end.id, None)
        for span in plan.spans:
            at: Instant | None = span.gap.after
            into = None if span.into is None else self.rows[span.into].due_at
            reason = None if span.gap.reason is None else span.gap.reason.value
            for _ in range(min(span.gap.count, self.given.count)):
                at = None if at is None else self.given.trigger.first_in(at, span.gap.upto)
                if at is not None:
                    self.spans[at] = Fate(at, span.gap.ending, reason, into)
        for run, new in plan.cancels:
            if run in self.ends:
                self.rows[run].into = self.rows[new].due_at
                self._settle(run, State.CANCELLED, Reason.BY_REQUEST.value, now)
        for move in plan.moves:
            self.planned_until, self.next_due = move.planned_until, move.next_due

    def _take(self, row: NewRow, now: Instant) -> None:
        into = None
        if row.into is not None:
            known = self.rows.get(row.into)
            into = row.due_at if known is None else known.due_at
        before = self.rows.get(row.id)
        fate = Fate(row.due_at, row.state, None if row.reason is None else row.reason.value, into,
                    stands_for=row.stands_for or (() if before is None else before.stands_for))  # fmt: skip
        self.rows[row.id] = fate
        if row.catchup:
            self.catching_up.add(row.id)
        if row.state is State.WAITING:
            self.starts[row.id] = now if row.start_at is None else row.start_at
        elif row.state in (State.CLAIMED, State.QUEUED):
            self._begin(row.id, now)
        fate.held = row.state is State.HELD


_UNSTARTED = (State.WAITING, State.QUEUED, State.HELD)


def _sentence(fate: Fate, tz: str) -> str:
    def clock(at: Instant) -> str:
        return local_text(at, tz)[11:19].removesuffix(":00") if at // 86_400_000_000 == fate.due_at // 86_400_000_000 else (
            local_text(at, tz)[:16].replace("T", " ")
        )  # fmt: skip

    if fate.state is State.COALESCED:
        into = "another" if fate.into is None else f"the one of {clock(fate.into)}"
        return f"does not run: {into} stands for it (coalesced)"
    if fate.state is State.SKIPPED:
        blocker = "" if fate.into is None else f" the one of {clock(fate.into)} is still there"
        return f"does not run: skipped ({fate.reason}){':' if blocker else ''}{blocker}"
    if fate.state is State.MISSED:
        return f"does not run: missed ({fate.reason})"
    if fate.started_at is None:
        return f"still {fate.state.value} at the end of what was looked at"
    late = fate.started_at - fate.due_at
    text = "runs at its time"
    if late:
        why = "after it waited for the one before, " if fate.held else ""
        text = f"runs late, {why}at {clock(fate.started_at)} ({human_duration(late)} behind)"
    if fate.state is State.LOST:
        return f"{text}; the engine goes down while it runs: lost"
    if fate.state is State.CANCELLED:
        return f"{text}; cancelled at {clock(fate.ended_at or fate.started_at)} to make room for the next"
    return (
        text
        if not fate.ended_at or fate.ended_at == fate.started_at
        else f"{text}, ends at {clock(fate.ended_at)}"
    )


def down_windows(
    spans: Sequence[tuple[Instant, Instant]],
) -> tuple[tuple[Instant, Instant], ...]:
    """Times without an engine in order, those that touch joined."""
    joined: list[tuple[Instant, Instant]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)

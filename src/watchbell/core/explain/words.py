"""What became of one occurrence, in words: a sentence for every state and every reason of SEMANTICS §2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ..instants import MINUTE, Instant, human_age, human_duration, local_text, to_text
from ..states import LIVE

LATE_US: Final = MINUTE
_NOT_RUN: Final = ("missed", "skipped", "coalesced", "superseded")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A ledger row with its run, as far as an explanation needs it."""

    id: int
    due_at: Instant
    state: str
    origin: str
    planned_at: Instant
    start_at: Instant
    reason: str | None = None
    into_id: int | None = None
    claimed_at: Instant | None = None
    began_at: Instant | None = None
    ended_at: Instant | None = None
    ready_at: Instant | None = None
    attempt: int = 0
    held_by: str | None = None
    node: str | None = None
    error: str | None = None
    exit_code: int | None = None
    note: str | None = None
    resolved: str | None = None
    stands_for: str | None = None
    revoke: str | None = None
    history: str | None = None
    waits_for: str | None = None
    """The rate that holds it, in words; `ready_at` is then when it may start at the earliest."""

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in LIVE

    @property
    def first_line(self) -> str | None:
        """What went wrong, in one line."""
        text = (self.error or "").strip()
        if text:
            return text.splitlines()[-1 if text.startswith("Traceback") else 0][:200].rstrip(".")
        return None if self.exit_code in (None, 0) else f"exit code {self.exit_code}"


@dataclass(frozen=True, slots=True)
class Clock:
    """How instants are written for people: always with the zone, without the date where that goes without saying. The
    sentence's subject leaves it out where it is today; everything else, where it is the day of the subject (`about`;
    None: now)."""

    tz: str
    now: Instant
    about: Instant | None = None

    def short(self, at: Instant) -> str:
        """ "03:00 UTC", or "2026-11-20 03:00 UTC" on another day than the subject's."""
        return f"{self._bare(at, self.now if self.about is None else self.about)} {self.tz}"

    def _bare(self, at: Instant, day_of: Instant) -> str:
        text = local_text(at, self.tz)
        time = _time(text)
        return time if text[:10] == local_text(day_of, self.tz)[:10] else f"{text[:10]} {time}"

    def full(self, at: Instant) -> str:
        """ "2026-11-21 03:00 Europe/Berlin (02:00 UTC)"."""
        here, utc = local_text(at, self.tz), to_text(at)
        text = f"{here[:10]} {_time(here)} {self.tz}"
        if here[:19] == utc[:19]:
            return text
        return f"{text} ({_time(utc) if here[:10] == utc[:10] else f'{utc[:10]} {_time(utc)}'} UTC)"

    def subject(self, at: Instant) -> str:
        """The instant as a sentence begins with it, "04:00 Europe/Berlin (03:00 UTC)": with UTC where it differs."""
        text = f"{self._bare(at, self.now)} {self.tz}"
        if local_text(at, self.tz)[:19] == to_text(at)[:19]:
            return text
        return f"{text} ({Clock('UTC', self.now)._bare(at, self.now)} UTC)"


def _time(text: str) -> str:
    return text[11:16] if text[17:19] == "00" else text[11:19]


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a row: the row that it points at, a recorded outage that covers it, its overlap
    policy, and why nothing of its schedule can begin now (`stuck`; None where it needs a free slot only)."""

    other: RunFacts | None = None
    outage: tuple[str, Instant, Instant] | None = None
    pause: str | None = None
    overlap: str = "skip"
    catchup: str = "latest"
    stuck: str | None = None


def row_sentence(row: RunFacts, around: Around, clock: Clock) -> str:
    """One sentence on a row: what became of it, and why."""
    clock = replace(clock, about=row.due_at)
    said = (
        _not_run(row.state, row.reason, around, clock) if row.state in _NOT_RUN else _ran(row, around, clock)
    )
    return f"{clock.subject(row.due_at)} {said}."


def span_sentence(at: Instant, span: tuple[str, str | None, int], around: Around, clock: Clock) -> str:
    """One sentence on an instant that a span (ending, reason, count) accounts for."""
    ending, reason, count = span
    clock = replace(clock, about=at)
    many = f" (one of {count} like it)" if count > 1 else ""
    return f"{clock.subject(at)} {_not_run(ending, reason, around, clock)}{many}."


def outcome(row: RunFacts, clock: Clock) -> str:
    """How a run that has ended ended: the second half of many sentences."""
    end = "" if row.ended_at is None else f" at {clock.short(row.ended_at)}"
    tries = f" after {row.attempt} attempts" if row.attempt > 1 else ""
    match row.state:
        case "succeeded":
            return f"succeeded{end}{tries}"
        case "failed":
            return f"failed{end}{tries}: {row.first_line or 'it left no error'}"
        case "timed_out":
            return f"reached its timeout{tries} and was ended{end}"
        case "cancelled":
            return f"was cancelled{end}{_cancelled(row)}"
        case "lost":
            maybe = " when it may or may not have begun" if row.reason == "begin_unknown" else ""
            return f"was lost{maybe}{_lost(row)}"
    return row.state.replace("_", " ")


def _cancelled(row: RunFacts) -> str:
    if row.reason == "shutdown":
        return ", as the engine shut down and it outlived the grace"
    note = (row.note or row.revoke or "").strip().rstrip(".")
    return f": {note}" if note else " by request"


def _lost(row: RunFacts) -> str:
    text = "" if row.reason == "begin_unknown" else ": it had begun, and how far it came is unknown"
    node = f" (node {row.node} died)" if row.node else ""
    return f"{text}{node}" + (f"; later it became known that it {row.resolved}" if row.resolved else "")


def _ran(row: RunFacts, around: Around, clock: Clock) -> str:
    if row.live:
        return _live(row, around, clock)
    if row.began_at is None:
        maybe = row.state == "lost"  # whose node can say nothing of it any more
        return (
            f"may or may not have begun: it was lost{_lost(row)}"
            if maybe
            else f"did not begin: it {outcome(row, clock)}"
        )
    late = row.began_at - row.start_at
    delay = f", {human_age(late)} late," if late > LATE_US else ""
    return f"ran: it began at {clock.short(row.began_at)}{delay} and {outcome(row, clock)}"


def _live(row: RunFacts, around: Around, clock: Clock) -> str:
    match row.state:
        case "running":
            return f"is running since {clock.short(row.began_at or row.claimed_at or row.due_at)}"
        case "claimed":
            node = f" by {row.node}" if row.node else ""
            return (
                f"has been claimed{node} at {clock.short(row.claimed_at or row.due_at)} and is about to begin"
            )
        case "retrying":
            when = "soon" if row.ready_at is None else f"at {clock.short(row.ready_at)}"
            times = "once" if row.attempt == 1 else f"{row.attempt} times"
            return f"failed {times} and will be tried again {when}: {row.first_line or 'it left no error'}"
        case "held" if row.held_by == "overlap":
            other = around.other
            until = (
                f"run_{other.id}, {other.state} since {clock.short(_since(other))}"
                if other
                else "an earlier run"
            )
            return f"is held behind {until}, as its overlap policy {around.overlap} says"
        case "held" if row.waits_for is not None:
            until = "" if row.ready_at is None else f", until {clock.short(row.ready_at)}"
            return f"waits for {row.waits_for}{until}"
        case "held":
            return f"is held: there is no room behind {row.held_by or 'its gate'}"
        case "waiting" if row.start_at > row.due_at:
            later = human_duration(row.start_at - row.due_at)
            return (
                f"waits for its start at {clock.short(row.start_at)}, which its schedule puts {later} later"
            )
        case "waiting":
            return f"is waiting for {clock.short(row.start_at if row.ready_at is None else row.ready_at)}"
    return "is queued and waits for a free slot" if around.stuck is None else f"is queued: {around.stuck}"


def _since(row: RunFacts) -> Instant:
    return row.began_at or row.claimed_at or row.planned_at


def _not_run(ending: str, reason: str | None, around: Around, clock: Clock) -> str:
    if ending == "superseded":
        return "does not count: the schedule was edited before its instant came"
    if ending == "held":
        return "is held until somebody confirms the clock: watchbell clock confirm"
    if ending == "coalesced":
        return f"did not run by itself: {_coalesced(reason, around, clock)}"
    if reason == "overlap":
        return f"did not run: {_overlap(around, clock)}"
    if reason in ("paused", "disabled"):
        return f"did not run: {around.pause or f'the schedule was {reason}'}"
    if reason == "replaced":
        return "did not run: a later occurrence replaced it, as its overlap policy replace says"
    why = _WHY.get(reason or "", "no reason was written down")
    if around.outage is not None and reason in _OUTAGES:
        why = f"{why} from {clock.short(around.outage[1])} to {clock.short(around.outage[2])}"
    policy = _POLICY.get(reason or "")
    return f"did not run: {why}" + (f", and {policy.format(catchup=around.catchup)}" if policy else "")


def _coalesced(reason: str | None, around: Around, clock: Clock) -> str:
    why = _WHY.get(reason or "")
    because = f"{why}, and " if why else ""
    other = around.other
    if other is None:
        return f"{because}another occurrence stands for it, which is no longer in the ledger"
    then = _live(other, around, clock) if other.live else outcome(other, clock)
    return f"{because}{clock.short(other.due_at)} (run_{other.id}) stands for it, which {then}"


def _overlap(around: Around, clock: Clock) -> str:
    other = around.other
    if other is None:
        return f"an earlier run was still there and its overlap policy is {around.overlap}"
    if other.claimed_at is None:
        return (
            f"run_{other.id}, due at {clock.short(other.due_at)}, still waited to run "
            f"and its overlap policy is {around.overlap}"
        )
    since = clock.short(other.began_at or other.claimed_at)
    return f"the job was still running since {since} and its overlap policy is {around.overlap}"


_OUTAGES: Final = ("downtime", "suspend", "clock_jump", "store_full", "restored")
_WHY: Final[Mapping[str, str]] = {
    "downtime": "no engine was running",
    "suspend": "the machine was asleep",
    "clock_jump": "the clock jumped over it",
    "start_deadline": "its start deadline passed before it could begin",
    "no_capacity": "no slot became free before the next one fell due",
    "handler_missing": "no node had the handler of its job",
    "catchup_none": "it was planned too late",
    "catchup_window": "it was older than the catch-up window",
    "catchup_limit": "more had been missed than the catch-up limit allows",
    "restored": "the database was restored from an older backup, and what may have run since that was made is not run again; "
    "the backup knows nothing of the time",
    "store_full": "there was no room left to write the database",
    "set_aside": "the schedule was set aside",
    "blackout": "it fell into a blackout",
    "condition": "its condition was not met",
    "paused": "the schedule was paused",
    "quota": "its quota was used up",
}
_POLICY: Final[Mapping[str, str]] = {
    "downtime": "its catch-up policy is {catchup}",
    "suspend": "its catch-up policy is {catchup}",
    "clock_jump": "its catch-up policy is {catchup}",
    "store_full": "its catch-up policy is {catchup}",
    "catchup_none": "its catch-up policy is {catchup}",
}

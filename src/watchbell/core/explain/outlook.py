"""Where a schedule stands now, in one sentence: what the status shows instead of a next run that lies in the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..audit.evidence import Present
from ..instants import SECOND, Instant, human_age, human_ago
from .case import KnownPause
from .words import Clock, RunFacts, outcome

if TYPE_CHECKING:
    from ..triggers import Trigger

ACTIVE: Final = ("claimed", "running", "retrying")
BEHIND_US: Final = 2 * SECOND
"""An instant this far behind that has not begun is overdue; an engine that runs needs a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of one schedule now. `pause` is the open one that counts, `last` its newest run that has ended;
    without one `by_hand` is the newest that was asked for, and `came_due` whether it ever came due by itself. `busy` and `slots` the slots of its lane over all nodes that are up (None: not known)."""

    name: str
    tz: str
    trigger: Trigger
    created_at: Instant
    next_due: Instant | None
    pause: KnownPause | None = None
    set_aside: str | None = None
    job: str = ""
    lane: str = ""
    handler: bool | None = None
    lacking: str | None = None
    live: Sequence[RunFacts] = ()
    last: RunFacts | None = None
    by_hand: RunFacts | None = None
    came_due: bool = False
    busy: int = 0
    slots: int | None = None
    active: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Gates that its rows are held behind: (active, limit)."""


def standing_sentence(outlook: Outlook, present: Present, running: bool | None = None) -> str:
    """One sentence; a next due instant in it is never behind now, and where no engine runs that is said beside it.
    `running` says whether one does, where more is known than the leases (None: what they say)."""
    if running is None:
        running = present.up_since is not None
    clock = Clock(outlook.tz, present.now)
    late = _overdue(outlook, present, clock, running)
    due_now = late is None and outlook.next_due is not None and outlook.next_due <= present.now
    outlook = replace(outlook, next_due=coming(outlook.trigger, outlook.next_due, present.now))
    if outlook.pause is not None and outlook.pause.kind == "set_aside":
        return _set_aside(outlook, outlook.pause, late, clock)
    if late is not None:
        return late
    active = next((row for row in outlook.live if row.state in ACTIVE), None)
    if active is not None:
        verb = "retrying" if active.state == "retrying" else "running"
        since = active.began_at or active.claimed_at or active.due_at
        return f"{verb} since {clock.short(since)}{_then(outlook, clock, running)}."
    still = _standing_still(outlook, clock)
    if still is not None:
        return still
    if due_now and outlook.next_due is None:
        return "due now and about to be planned."
    if outlook.last is None and not outlook.live:
        return _never(outlook, clock, present.now, running)
    last = (
        ""
        if outlook.last is None
        else f"the one of {clock.short(outlook.last.due_at)} {outcome(outlook.last, clock)}"
    )
    if outlook.next_due is None:
        return f"not due again; {last}." if last else "not due again."
    text = f"{_starting(outlook, clock)}next due at {_at(outlook.next_due, clock, running)}"
    return f"{text}; {last}." if last else f"{text}."


def coming(trigger: Trigger, next_due: Instant | None, now: Instant) -> Instant | None:
    """The next due instant that is not behind now: of one that is due this very moment, the one that comes after it."""
    if next_due is None or next_due >= now:
        return next_due
    return None if now - next_due > BEHIND_US else trigger.next_after(now)


def _then(outlook: Outlook, clock: Clock, running: bool) -> str:
    if getattr(outlook.trigger, "after_completion", False):
        return ", and due again after its end"
    return "" if outlook.next_due is None else f"; next due at {_at(outlook.next_due, clock, running)}"


def _at(instant: Instant, clock: Clock, running: bool) -> str:
    """An instant to come, and that nobody is there who would act at it."""
    return clock.subject(instant) if running else f"{clock.subject(instant)}, but no engine is running"


def _overdue(outlook: Outlook, present: Present, clock: Clock, running: bool) -> str | None:
    """What should have begun by now, and why it has not."""
    now = present.now
    waiting = [row for row in outlook.live if row.state in ("waiting", "queued", "held")]
    behind = [row for row in waiting if _ready(row) < now - BEHIND_US]
    first = min(behind, key=lambda row: row.due_at) if behind else None
    unplanned = (
        outlook.next_due if outlook.next_due is not None and outlook.next_due < now - BEHIND_US else None
    )
    if first is None and (unplanned is None or outlook.pause is not None):
        return None
    at = min(at for at in (None if first is None else first.start_at, unplanned) if at is not None)
    subject = "" if first is None or outlook.pause is None else f"run_{first.id} is "
    return f"{subject}overdue by {human_age(now - at)}: {_why(outlook, first, present, clock, running)}."


def _ready(row: RunFacts) -> Instant:
    """Since when it might have begun, a place under its rate apart."""
    return row.start_at if row.ready_at is None or row.waits_for is not None else row.ready_at


def _why(outlook: Outlook, row: RunFacts | None, present: Present, clock: Clock, running: bool) -> str:
    if not running:
        return no_engine(present, clock)
    if row is None:
        return "the engine has not planned it yet"
    if row.state == "held" and row.waits_for is not None:
        until = "" if row.ready_at is None else f", until {clock.short(row.ready_at)}"
        return f"it waits for {row.waits_for}{until}"
    if row.state == "held":
        if row.held_by != "overlap":
            active, limit = outlook.active.get(row.held_by or "", (0, 0))
            room = f" ({active} of {limit} are taken)" if limit else ""
            return f"held by {row.held_by or 'its gate'}, which has no room{room}"
        ahead = next((other for other in outlook.live if other.state in ACTIVE), None)
        if ahead is None:
            return "held by an earlier occurrence of the same schedule"
        since = ahead.began_at or ahead.claimed_at or ahead.due_at
        return f"held by run_{ahead.id}, which is {ahead.state} since {clock.short(since)} (overlap)"
    if outlook.handler is False:
        return f"handler missing: no node knows the job {outlook.job}"
    if outlook.lacking is not None:
        return outlook.lacking
    if outlook.slots is not None and outlook.busy >= outlook.slots:
        return f"all {outlook.slots} slots for {outlook.lane} jobs are busy" if outlook.slots else (
            f"no node has slots for {outlook.lane} jobs"
        )  # fmt: skip
    return "it waits for a free slot"


def no_engine(present: Present, clock: Clock) -> str:
    """Since when nobody acts."""
    seen = [node.heartbeat_at if node.stopped_at is None else node.stopped_at for node in present.engines]
    return (
        f"no engine has been running since {clock.short(max(seen))}"
        if seen
        else "no engine has ever been running"
    )


def _set_aside(outlook: Outlook, pause: KnownPause, late: str | None, clock: Clock) -> str:
    """That it is set aside comes before everything else: nobody else than a person can change that."""
    error = (outlook.set_aside or pause.note or "its rule cannot be evaluated").rstrip(".")
    text = f"not scheduled: set aside since {clock.short(pause.from_at)}: {error}"
    active = next((row for row in outlook.live if row.state in ACTIVE), None)
    if active is not None:
        since = active.began_at or active.claimed_at or active.due_at
        return f"{text}; run_{active.id} is {active.state} since {clock.short(since)}."
    return f"{text}." if late is None else f"{text}; {late}"


def _starting(outlook: Outlook, clock: Clock) -> str:
    """The occurrence that was due and waits for its start."""
    row = next((row for row in outlook.live if row.state == "waiting" and row.start_at > row.due_at), None)
    return (
        ""
        if row is None
        else f"starts at {clock.short(row.start_at)}, was due at {clock.short(row.due_at)}; "
    )


def _standing_still(outlook: Outlook, clock: Clock) -> str | None:
    pause = outlook.pause
    if pause is not None:
        since = clock.short(pause.from_at)
        note = f" ({pause.note})" if pause.note else ""
        return f"not scheduled: {pause.kind} since {since} by {pause.actor}{note}."
    if outlook.trigger.kind == "manual":
        last = "" if outlook.last is None else f"; the last run {outcome(outlook.last, clock)}"
        if outlook.by_hand is not None:
            last = f"; {by_hand(outlook.by_hand, outlook, clock)}"
        return f"not scheduled: manual{last}."
    return None


def _never(outlook: Outlook, clock: Clock, now: Instant, running: bool) -> str:
    text = f"never ran: created {human_ago(now - outlook.created_at)}"
    if outlook.by_hand is not None:
        never = "never ran" if outlook.came_due else "never came due"
        text = f"{never} by itself; {by_hand(outlook.by_hand, outlook, clock)}"
    if outlook.next_due is None:
        return f"{text}, and not due again."
    return (
        f"{text}, {'next' if outlook.came_due else 'first'} due at {_at(outlook.next_due, clock, running)}."
    )


def by_hand(row: RunFacts, outlook: Outlook, clock: Clock) -> str:
    """A run that somebody asked for, and how it ended: "run by hand 3 s ago: succeeded (run_22)"; one that was written
    with its schedule is that of `run_at_start`."""
    asked = human_ago(clock.now - row.planned_at)
    at_start = getattr(outlook.trigger, "run_at_start", False) and row.planned_at == outlook.created_at
    how = "run at its start" if at_start else "run by hand"
    return f"{how} {asked}: {row.state.replace('_', ' ')} (run_{row.id})"

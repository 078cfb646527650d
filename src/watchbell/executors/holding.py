"""What an executor holds, and the two points at which threads could disagree about it.

*Has it begun?* and *who reports it?* are each decided by one `dict.pop`, which only one thread can win. The engine's
`withdraw` and the lane's `begin` pop the same entry: whoever gets it decides, and the other is told. A run is visible
in `in_progress` from before it begins until after it was taken for its report, so it is never held by nobody.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from ..core.outcome import Ending, Outcome
from .account import failed, succeeded
from .base import Assignment, Report, Sink
from .condition import in_its_name, not_met
from .context import Run

Key = tuple[int, int]

TOO_LATE = "The cancel came too late: the work had finished."
NOT_STOPPED = (
    "It did not stop when asked and goes on in the background; its slot is not lent again until it ends."
)
SHUTDOWN = "shutdown"


class Live:
    """One assignment while an executor has it. `home` and `handle` belong to the lane that carries it out."""

    __slots__ = (
        "asked",
        "asking",
        "assignment",
        "began_at",
        "deadline_ns",
        "handle",
        "home",
        "key",
        "over",
        "reason",
        "run",
        "timer",
    )

    def __init__(self, assignment: Assignment, sink: Sink) -> None:
        self.assignment = assignment
        self.key: Key = (assignment.run, assignment.epoch)
        self.run = Run(assignment, sink)
        self.began_at: int | None = None
        self.asking = assignment.condition is not None
        """Its condition is still to be met: the lane has it, and nothing of the job has begun."""
        self.asked: Ending | None = None
        self.reason: str | None = None
        self.deadline_ns: int | None = None
        self.home: Any = None
        self.handle: Any = None
        self.timer: Any = None
        self.over = False

    def ask(self, ending: Ending, reason: str) -> bool:
        """Ask the run to end; the first one to ask is the one that is heard. True if it was this one."""
        if self.asked is not None:
            return False
        self.asked = ending
        self.reason = reason if ending is Ending.CANCELLED else None
        self.run._asked = reason
        return True

    def passed(self, now_us: int) -> None:
        """Its condition is met: from here on it has begun."""
        self.began_at = now_us
        self.asking = False


class Holding:
    """The assignments of one executor: not begun, begun, and lost (reported, but still going on)."""

    def __init__(self) -> None:
        self._unbegun: dict[Key, Live] = {}
        self._held: dict[Key, Live] = {}
        self._lost: dict[Key, Live] = {}
        self._giving_up = threading.Lock()

    def take(self, assignment: Assignment, sink: Sink) -> Live | None:
        """Hold a new assignment; None if this very attempt is already here (it is never begun twice)."""
        live = Live(assignment, sink)
        if live.key in self._held or live.key in self._lost:
            return None
        self._held[live.key] = live
        self._unbegun[live.key] = live
        return live

    def begin(self, live: Live, now_us: int) -> bool:
        """True if user code must be called now; False if the run was withdrawn. Once True, it has begun; or its condition
        is asked now, and can be withdrawn no more."""
        live.began_at = None if live.asking else now_us
        return self._unbegun.pop(live.key, None) is not None

    def withdraw(self, run: int, epoch: int) -> Live | None:
        """The run, if it had not begun; then it never will and nobody reports it."""
        live = self._unbegun.pop((run, epoch), None)
        if live is not None:
            self._held.pop(live.key, None)
        return live

    def end(self, live: Live) -> bool:
        """It has really ended: True if the caller is the one to report it, False if that was done."""
        if self._held.pop(live.key, None) is not None:
            return True
        self._lost.pop(live.key, None)
        return False

    def give_up(self, live: Live) -> bool:
        """It will not end: True if the caller is to report it. It counts as lost until `end`."""
        with self._giving_up:
            if live.key not in self._held:
                return False
            self._lost[live.key] = live
            if self._held.pop(live.key, None) is not None:
                return True
            self._lost.pop(live.key, None)
            return False

    def get(self, run: int, epoch: int) -> Live | None:
        return self._held.get((run, epoch))

    def unbegun(self) -> list[Live]:
        return list(self._unbegun.values())

    def all(self) -> list[Live]:
        return list(self._held.values())

    def under_way(self) -> list[Key]:
        """What cannot be withdrawn any more: what has begun, or is asking its condition."""
        return [key for key in self._held.copy() if key not in self._unbegun]

    def in_progress(self) -> dict[Key, int]:
        """(run, epoch) → began_at of what has begun."""
        held = self._held.copy()
        return {key: live.began_at for key, live in held.items() if live.began_at is not None}

    def lost(self) -> int:
        return len(self._lost)

    def __len__(self) -> int:
        return len(self._held)


def decided(live: Live, met: bool, now_us: int) -> Report | None:
    """What follows from the answer of a run's condition; None: the run begins."""
    condition = live.assignment.condition
    if live.asked is not None:
        return report_of(live, asked_to_end(live, now_us))
    if condition is not None and not met:
        return report_of(live, not_met(condition, now_us))
    live.passed(now_us)
    return None


def report_of(live: Live, outcome: Outcome) -> Report:
    """The report of an end, in its condition's name if that was still being asked."""
    condition = live.assignment.condition
    if live.asking and condition is not None:
        return Report(live.key[0], live.key[1], in_its_name(condition, outcome))
    return Report(live.key[0], live.key[1], outcome)


def returned(live: Live, value: object, now_us: int) -> Report:
    """The report of a function that returned, asked to end or not."""
    outcome = succeeded(value, live.began_at, now_us)
    if live.asked is not None:
        outcome = after_asking(live, outcome)
    return Report(live.key[0], live.key[1], outcome)


def raised(live: Live, exc: BaseException, now_us: int, *, obeyed: bool) -> Report:
    """The report of a function that raised; `obeyed`: it is the exception by which it was asked to end."""
    if live.asked is None:
        outcome = failed(exc, live.began_at, now_us)
    elif obeyed:
        outcome = asked_to_end(live, now_us)
    else:
        outcome = after_asking(live, failed(exc, live.began_at, now_us))
    return report_of(live, outcome)


def given_up(live: Live, now_us: int) -> Report:
    """The report of work that would not stop."""
    return report_of(live, asked_to_end(live, now_us, note=NOT_STOPPED))


def asked_to_end(live: Live, now_us: int, note: str | None = None) -> Outcome:
    """The outcome of a run that ended because it was asked to."""
    ending = live.asked or Ending.CANCELLED
    error = over_time(live.assignment) if ending is Ending.TIMED_OUT else None
    return Outcome(ending, live.began_at, now_us, error=error, reason=live.reason, note=note)


def over_time(assignment: Assignment) -> str:
    """The sentence about a run that was out of time."""
    return f"It ran longer than its timeout of {(assignment.timeout_us or 0) / 1e6:g} s."


def after_asking(live: Live, own: Outcome) -> Outcome:
    """What to say of work that ended with an account of its own after it was asked to end. A cancel that it never
    saw came too late and changes nothing; a cancel that it saw, and a timeout, are why it ended."""
    if live.asked is None:
        return own
    cancelled = live.asked is Ending.CANCELLED
    if cancelled and not live.run._noticed:
        return replace(own, note=own.note or TOO_LATE) if own.ending is Ending.SUCCEEDED else own
    error = own.error or (None if cancelled else over_time(live.assignment))
    return replace(own, ending=live.asked, error=error, reason=live.reason)

"""An executor that carries everything out on the caller's thread, and under virtual time lets it last.

A function that returns at once has taken no time. One that returns `Lasting("70m")` is still running until the clock
has moved by that much, so that overlap, timeouts, cancels and deaths can be tested without waiting for anything.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from ..clock import Clock
from ..core.instants import parse_duration
from ..core.outcome import Ending, Outcome
from ..executors.account import failed, succeeded
from ..executors.base import Assignment, Blocked, Condition, Report, Sink
from ..executors.condition import ask, in_its_name, not_met
from ..executors.context import Run, current_run


class Lasting:
    """What a function under test returns to go on for a while: then it succeeds with `result`, or raises `error`."""

    def __init__(
        self, span: str | float | timedelta, result: Any = None, error: BaseException | None = None
    ) -> None:
        self.span_us = parse_duration(span)
        self.result = result
        self.error = error


@dataclass(slots=True)
class _Going:
    assignment: Assignment
    began_at: int
    over_at: int
    outcome: Outcome
    wish: str | None = None


class InlineExecutor:
    """One lane, inline."""

    def __init__(
        self, lane: str, clock: Clock, sink: Sink, report: Callable[[Sequence[Report]], None]
    ) -> None:
        self.lane = lane
        self._clock = clock
        self._sink = sink
        self._report = report
        self._going: dict[tuple[int, int], _Going] = {}

    def start(self, assignments: Sequence[Assignment]) -> None:
        """Carry each out; what lasts is reported when its time is over."""
        now = self._clock.wall_us()
        done = []
        for assignment in assignments:
            outcome, span = self._carry_out(assignment, now)
            if span == 0:
                done.append(Report(assignment.run, assignment.epoch, outcome))
                continue
            ends = now + span
            if assignment.timeout_us is not None and assignment.timeout_us < span:
                ends = now + assignment.timeout_us
                outcome = Outcome(Ending.TIMED_OUT, now, ends, error="It ran out of time.")
            over_at = self._passed() + ends - now
            self._going[assignment.run, assignment.epoch] = _Going(assignment, now, over_at, outcome)
        if done:
            self._report(done)

    def next_end(self) -> int | None:
        """When the next lasting run ends."""
        ahead = self._clock.wall_us() - self._passed()
        return min((going.over_at + ahead for going in self._going.values()), default=None)

    def pass_time(self) -> None:
        """Report what has ended by now. How long a run lasts is not changed by what the clock on the wall is set to."""
        passed, now = self._passed(), self._clock.wall_us()
        over = [(key, going) for key, going in self._going.items() if going.over_at <= passed]
        for key, _ in over:
            del self._going[key]
        if over:
            self._report(
                [
                    Report(*key, replace(going.outcome, ended_at=now - (passed - going.over_at)))
                    for key, going in over
                ]
            )

    def _passed(self) -> int:
        return self._clock.boot_ns() // 1000

    def withdraw(self, run: int, epoch: int) -> bool:
        """Nothing waits here: what was started has begun."""
        return False

    def cancel(self, run: int, epoch: int, reason: str, hard: bool = False) -> None:
        """End a lasting run at once."""
        going = self._going.pop((run, epoch), None)
        if going is not None:
            now = self._clock.wall_us()
            outcome = Outcome(Ending.CANCELLED, going.began_at, now, reason=reason)
            self._report([Report(run, epoch, outcome)])

    def in_progress(self) -> dict[tuple[int, int], int]:
        """What lasts, with when it began."""
        return {key: going.began_at for key, going in self._going.items()}

    def lost_slots(self) -> int:
        """None: everything here can be ended."""
        return 0

    def unblock(self, limit_us: int) -> Blocked | None:
        """No run here can be in another's way."""
        return None

    def stop(self, within_us: int) -> None:
        """End everything as a shutdown does."""
        now = self._clock.wall_us()
        over = [
            Report(*key, Outcome(Ending.CANCELLED, going.began_at, now, reason="shutdown"))
            for key, going in self._going.items()
        ]
        self._going.clear()
        if over:
            self._report(over)

    def die(self) -> None:
        """Forget everything without a word, as a killed process does."""
        self._going.clear()

    def _ask(self, condition: Condition, run: Run, now: int) -> Outcome | None:
        """What follows from the answer of a condition; None: the run begins."""
        try:
            return None if _answer(condition, run) else not_met(condition, now)
        except BaseException as error:
            return in_its_name(condition, failed(error, None, now))

    def _carry_out(self, assignment: Assignment, now: int) -> tuple[Outcome, int]:
        run = Run(assignment, self._sink)
        token = current_run.set(run)
        kwargs = dict(assignment.args)
        if assignment.run_parameter is not None:
            kwargs[assignment.run_parameter] = run
        span = 0
        try:
            if (
                assignment.condition is not None
                and (end := self._ask(assignment.condition, run, now)) is not None
            ):
                return end, 0
            if assignment.function is None:
                raise TypeError(f"{assignment.job!r} is a command, which cannot be carried out inline")
            value = assignment.function(**kwargs)
            if inspect.iscoroutine(value):
                value = _finish(value)
            if isinstance(value, Lasting):
                span, lasting = value.span_us, value
                if lasting.error is not None:
                    raise lasting.error
                value = lasting.result
            json.dumps(value)
            outcome = succeeded(value, now, now + span)
        except BaseException as error:
            outcome = failed(error, now, now + span)
        finally:
            current_run.reset(token)
        return outcome, span


def _answer(condition: Condition, run: Run) -> bool:
    value = ask(condition, run)
    return bool(_finish(value) if inspect.iscoroutine(value) else value)


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Carry a coroutine to its end: most never wait for anything and need no loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError(
        "Under the stepping node an async job cannot wait for real time; return Lasting('5m') instead of sleeping."
    )

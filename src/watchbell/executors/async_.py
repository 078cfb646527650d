"""Async functions, on a job loop that is never the engine's.

A coroutine is asked to end by CancelledError, asked again after half its kill grace, and given up after the whole of
it: it cannot be killed, so it is reported, and its slot counts as lost until it really ends. When a run blocks the
loop, `lag` and `blocked_by` tell, and `abandon_loop` moves what has not begun, and all that comes, to a fresh loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from ..clock import Clock
from ..core.outcome import Ending
from .base import Assignment, Blocked, Report, Sink
from .holding import SHUTDOWN, Holding, Key, Live, asked_to_end, given_up
from .jobloop import JobLoop

HARD_GRACE_US = 100_000
_log = logging.getLogger(__name__)


class AsyncExecutor:
    """The lane `async`. `slots` is what the engine may fill; a loop has no limit of its own, so it is not enforced
    here: every assignment begins at once."""

    lane = "async"

    def __init__(
        self, clock: Clock, sink: Sink, report: Callable[[Sequence[Report]], None], slots: int = 1000
    ) -> None:
        self.slots = slots
        self._clock = clock
        self._sink = sink
        self._report = report
        self._holding = Holding()
        self._lock = threading.Lock()
        self._loops = 0
        self._stopping = False
        self._suspected = False
        self._idle = threading.Event()
        self._abandoned: list[JobLoop] = []
        self._loop = self._new_loop()

    def start(self, assignments: Sequence[Assignment]) -> None:
        """Begin each at once, with one wake-up of the loop for all of them."""
        take, sink = self._holding.take, self._sink
        lives = [live for a in assignments if (live := take(a, sink)) is not None]
        if self._stopping:
            self._hand_back(lives)
        elif lives:
            with self._lock:
                self._loop.post(self._loop.begin, lives)

    def withdraw(self, run: int, epoch: int) -> bool:
        """True if the coroutine has not begun and now never will."""
        return self._holding.withdraw(run, epoch) is not None

    def cancel(self, run: int, epoch: int, reason: str, hard: bool = False) -> None:
        """Ask the run to end; `hard` shortens its grace to 0.1 s. One that has not begun ends at once."""
        live = self._holding.get(run, epoch)
        if live is None:
            return
        live.ask(Ending.CANCELLED, reason)
        if self._holding.withdraw(run, epoch) is not None:
            self._loop.post(self._hand_in_cancelled, live)
        else:
            self._pursue(live, HARD_GRACE_US if hard else live.assignment.kill_grace_us)

    def in_progress(self) -> dict[Key, int]:
        """(run, epoch) → began_at of all that has begun and has not been reported."""
        return self._holding.in_progress()

    def lost_slots(self) -> int:
        """How many coroutines would not stop and are still going on."""
        return self._holding.lost()

    def lag(self, now_mono_ns: int) -> int:
        """How long the job loop has not turned, in nanoseconds; 0 when it is well."""
        return self._loop.lag_ns(now_mono_ns)

    def blocked_by(self) -> Key | None:
        """(run, epoch) of the run whose code is on the job loop at this moment."""
        live = self._loop.executing(self._holding.all())
        return None if live is None else live.key

    def blocked_where(self) -> str | None:
        """Where in the code the job loop is at this moment, as a traceback reads."""
        return self._loop.where()

    def abandon_loop(self) -> None:
        """Give further runs, and those that have not begun, to a fresh loop. The old one is left alone and ends with
        its last run; its runs are reported when they end, or when their time and grace are over."""
        with self._lock:
            old, self._loop = self._loop, self._new_loop()
            self._abandoned.append(old)
            waiting = self._holding.unbegun()
            if waiting:
                self._loop.post(self._loop.begin, waiting)
            self._loop.post(self._watch_abandoned, self._loop)
        old.post(old.retire)

    def unblock(self, limit_us: int) -> Blocked | None:
        """Abandon a job loop that has not turned for so long. It has to be seen twice: when the whole process was
        stopped for a while, a loop that is well turns again before the second look."""
        lag_us = self.lag(self._clock.mono_ns()) // 1000
        if self._stopping or lag_us <= limit_us or not self._suspected:
            self._suspected = lag_us > limit_us
            return None
        self._suspected = False
        key, where = self.blocked_by(), self.blocked_where()
        self.abandon_loop()
        return Blocked(None if key is None else key[0], 0 if key is None else key[1], lag_us, where)

    def stop(self, within_us: int) -> None:
        """Hand back what has not begun, cancel what has, give up what outlives `within_us`, end the loops."""
        until_ns = self._clock.mono_ns() + within_us * 1000
        self._stopping = True
        self._hand_back(self._holding.unbegun())
        for key in self._holding.under_way():
            self.cancel(*key, SHUTDOWN)
        self._await_idle(until_ns)
        for key in self._holding.under_way():
            self.cancel(*key, SHUTDOWN, hard=True)
        self._await_idle(self._clock.mono_ns() + 3 * HARD_GRACE_US * 1000)
        for live in self._holding.all():
            self._give_up(live)
        for loop in (self._loop, *self._abandoned):
            loop.post(loop.halt)
            loop.join(HARD_GRACE_US)

    def _new_loop(self) -> JobLoop:
        self._loops += 1
        name = f"watchbell-jobs-{self._loops}"
        return JobLoop(name, self._clock, self._holding, self._deliver, self._time_up)

    def _deliver(self, ends: Sequence[Report]) -> None:
        try:
            self._report(ends)
        except Exception:
            _log.exception("The reports of %d async runs were not taken.", len(ends))
        if self._stopping and not len(self._holding):
            self._idle.set()

    def _hand_back(self, lives: Sequence[Live]) -> None:
        back = [Report(*live.key, None) for live in lives if self.withdraw(*live.key)]
        if back:
            self._deliver(back)

    def _hand_in_cancelled(self, live: Live) -> None:
        self._deliver([Report(*live.key, asked_to_end(live, self._clock.wall_us()))])

    def _time_up(self, live: Live) -> None:
        if live.ask(Ending.TIMED_OUT, "its time is over"):
            self._pursue(live, live.assignment.kill_grace_us)

    def _pursue(self, live: Live, grace_us: int) -> None:
        """Interrupt the run now and at half its grace, give it up at the end of it. The timers are on the loop that
        is in use, which turns even if the run's own does not."""
        home: JobLoop = live.home
        home.post(home.interrupt, live)
        loop = self._loop
        loop.post(loop.call_later, grace_us // 2, home.post, home.interrupt, live)
        loop.post(loop.call_later, grace_us, self._give_up, live)

    def _give_up(self, live: Live) -> None:
        if self._holding.give_up(live):
            self._deliver([given_up(live, self._clock.wall_us())])

    def _watch_abandoned(self, loop: JobLoop) -> None:
        """On the fresh loop: mind the deadlines of runs whose own loop may never turn again."""
        now_ns = self._clock.mono_ns()
        for live in self._holding.all():
            if live.home is loop or live.home is None:
                continue
            if live.asked is not None:
                loop.call_later(live.assignment.kill_grace_us, self._give_up, live)
            elif live.deadline_ns is not None:
                loop.call_later((live.deadline_ns - now_ns) // 1000, self._time_up, live)

    def _await_idle(self, until_ns: int) -> None:
        while len(self._holding) and (left_ns := until_ns - self._clock.mono_ns()) > 0:
            self._clock.wait(self._idle, left_ns // 1000 + 1)

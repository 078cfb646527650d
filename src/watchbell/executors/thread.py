"""Sync functions, each on a thread of a pool that grows on demand.

A thread cannot be killed. Asked to end, its run's `cancelled` flag is set and `Interrupted` is raised inside it at its
next bytecode (a thread that waits in C code sees it when the call returns). After half the kill grace it is asked
again, after the whole of it it is given up: reported, and its slot not lent again until it really ends.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context

from ..clock import Clock
from ..core.outcome import Ending, Outcome
from ..errors import Cancelled
from .base import Assignment, Blocked, Report, Sink
from .capture import finish_capture
from .condition import LIMIT_US, answered, ask
from .context import current_run
from .deadlines import Watch
from .holding import SHUTDOWN, Holding, Key, Live, asked_to_end, decided, given_up, raised, returned
from .outbox import Outbox

HARD_GRACE_US = 100_000
_log = logging.getLogger(__name__)


class Interrupted(Cancelled):
    """Raised inside a thread whose run was asked to end. That it came into being is how we know it arrived."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(args or ("The run was asked to end.",)))
        run = current_run.get()
        if run is not None:
            run._noticed = True


class _Gate:
    """Lets an interrupt reach a thread only while user code is on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._asked = False
        self._thread_id = threading.get_ident()

    def interrupt(self) -> None:
        """From any thread."""
        with self._lock:
            self._asked = True
            if self._open:
                _raise_in(self._thread_id, Interrupted)

    def open(self) -> None:
        """By the thread itself, before user code. Raises Interrupted if it was asked to end meanwhile."""
        with self._lock:
            self._open = True
            if self._asked:
                raise Interrupted

    def close(self) -> None:
        """By the thread itself, after user code: no interrupt comes any more, and none is pending."""
        while True:
            try:
                with self._lock:
                    self._open = False
                    _raise_in(self._thread_id, None)
                return
            except Interrupted:
                continue


def _raise_in(thread_id: int, kind: type[BaseException] | None) -> None:
    what = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), what)


class ThreadExecutor:
    """The lane `thread`, with at most `slots` threads; what comes beyond them waits, not begun, for the next free
    one."""

    lane = "thread"

    def __init__(
        self, clock: Clock, sink: Sink, report: Callable[[Sequence[Report]], None], slots: int = 100
    ) -> None:
        self.slots = slots
        self._clock = clock
        self._sink = sink
        self._outbox = Outbox(report)
        self._holding = Holding()
        self._watch = Watch("watchbell-threads-watch", clock)
        self._changed = threading.Condition()
        self._queue: deque[Live] = deque()
        self._idle = 0
        self._threads = 0
        self._stopping = False
        self._empty = threading.Event()

    def start(self, assignments: Sequence[Assignment]) -> None:
        """Begin each at once on an idle or a new thread, as far as there are slots."""
        lives = [live for a in assignments if (live := self._holding.take(a, self._sink)) is not None]
        if self._stopping:
            self._hand_back(lives)
            return
        with self._changed:
            self._queue.extend(lives)
            self._changed.notify(len(lives))
            wanted = min(len(self._queue) - self._idle, self.slots - self._threads)
            made = self._grow(wanted)
        if made < wanted and self._threads == 0:
            self._refuse(lives)

    def withdraw(self, run: int, epoch: int) -> bool:
        """True if the function has not begun and now never will."""
        return self._holding.withdraw(run, epoch) is not None

    def cancel(self, run: int, epoch: int, reason: str, hard: bool = False) -> None:
        """Ask the run to end; `hard` shortens its grace to 0.1 s. One that has not begun ends at once."""
        live = self._holding.get(run, epoch)
        if live is None:
            return
        live.ask(Ending.CANCELLED, reason)
        if self._holding.withdraw(run, epoch) is not None:
            end = Report(run, epoch, asked_to_end(live, self._clock.wall_us()))
            self._watch.after(0, lambda: self._outbox.put([end]))
        else:
            self._pursue(live, HARD_GRACE_US if hard else live.assignment.kill_grace_us)

    def in_progress(self) -> dict[Key, int]:
        """(run, epoch) → began_at of all that has begun and has not been reported."""
        return self._holding.in_progress()

    def lost_slots(self) -> int:
        """How many threads would not stop and are still going on."""
        return self._holding.lost()

    def unblock(self, limit_us: int) -> Blocked | None:
        """No run here can be in another's way."""
        return None

    def stop(self, within_us: int) -> None:
        """Hand back what has not begun, cancel what has, give up what outlives `within_us`, end the threads."""
        until_ns = self._clock.mono_ns() + within_us * 1000
        self._stopping = True
        self._hand_back(self._holding.unbegun())
        for key in self._holding.under_way():
            self.cancel(*key, SHUTDOWN)
        self._await_empty(until_ns)
        for key in self._holding.under_way():
            self.cancel(*key, SHUTDOWN, hard=True)
        self._await_empty(self._clock.mono_ns() + 3 * HARD_GRACE_US * 1000)
        for live in self._holding.all():
            self._give_up(live)
        self._watch.end()
        with self._changed:
            self._changed.notify_all()

    def _grow(self, wanted: int) -> int:
        made = 0
        while made < wanted:
            thread = threading.Thread(
                target=self._serve, name=f"watchbell-job-{self._threads + 1}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                _log.warning("The system gives no further thread; %d are in use.", self._threads)
                break
            self._threads += 1
            made += 1
        return made

    def _refuse(self, lives: Sequence[Live]) -> None:
        """There is not one thread, and the system gives none."""
        now_us = self._clock.wall_us()
        error = "The system gave no thread to run it on: too many threads or too little memory."
        failed = Outcome(Ending.FAILED, None, now_us, error=error, error_type=("SpawnError",))
        self._outbox.put([Report(*live.key, failed) for live in lives if self.withdraw(*live.key)])

    def _hand_back(self, lives: Sequence[Live]) -> None:
        self._outbox.put([Report(*live.key, None) for live in lives if self.withdraw(*live.key)])

    def _serve(self) -> None:
        """A thread of the pool."""
        while (live := self._next()) is not None:
            try:
                self._carry(live)
            except (
                Interrupted
            ) as exc:  # the second interrupt of a run, between its end and the closing of its gate
                live.home.close()
                self._end(live, raised(live, exc, self._clock.wall_us(), obeyed=True))

    def _next(self) -> Live | None:
        with self._changed:
            while not self._queue:
                if self._stopping:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._queue.popleft()

    def _carry(self, live: Live) -> None:
        live.home = _Gate()
        if not self._holding.begin(live, self._clock.wall_us()):
            return
        context = Context()
        if live.asking and (end := context.run(self._ask, live)) is not None:
            self._end(live, end)
            return
        timeout_us = live.assignment.timeout_us
        if timeout_us is not None:
            live.timer = self._watch.after(timeout_us, lambda: self._time_up(live))
        self._end(live, context.run(self._call, live))

    def _ask(self, live: Live) -> Report | None:
        """The condition, between the opening and the closing of the gate; None if it is met. The gate remembers that
        somebody has asked the run to end, so that the function is not called after that."""
        condition = live.assignment.condition
        assert condition is not None
        current_run.set(live.run)
        live.timer = self._watch.after(LIMIT_US, lambda: self._time_up(live) if live.asking else None)
        gate: _Gate = live.home
        try:
            try:
                gate.open()
                met = answered(ask(condition, live.run))
            except BaseException as exc:
                gate.close()
                return raised(live, exc, self._clock.wall_us(), obeyed=isinstance(exc, Cancelled))
            gate.close()
            end = decided(live, met, self._clock.wall_us())
        except Interrupted as exc:
            gate.close()
            return raised(live, exc, self._clock.wall_us(), obeyed=True)
        self._watch.drop(live.timer)
        live.timer = None
        return end

    def _end(self, live: Live, end: Report) -> None:
        if live.timer is not None:
            self._watch.drop(live.timer)
        finish_capture(live.run)
        if self._holding.end(live):
            self._outbox.put([end])
        if self._stopping and not len(self._holding):
            self._empty.set()

    def _call(self, live: Live) -> Report:
        """User code, between the opening and the closing of the gate. The interrupt may come at any bytecode up to
        the end of `close`, so also in the lines after the function has returned."""
        current_run.set(live.run)
        gate: _Gate = live.home
        try:
            try:
                gate.open()
                value = self._user_code(live)
            except BaseException as exc:
                gate.close()
                obeyed = isinstance(exc, Cancelled)
                return raised(live, exc, self._clock.wall_us(), obeyed=obeyed)
            gate.close()
            return returned(live, value, self._clock.wall_us())
        except Interrupted as exc:
            gate.close()
            return raised(live, exc, self._clock.wall_us(), obeyed=True)

    def _user_code(self, live: Live) -> object:
        assignment = live.assignment
        assert assignment.function is not None
        if assignment.run_parameter is None:
            return assignment.function(**assignment.args)
        return assignment.function(**assignment.args, **{assignment.run_parameter: live.run})

    def _time_up(self, live: Live) -> None:
        if self._holding.get(*live.key) is live and live.ask(Ending.TIMED_OUT, "its time is over"):
            self._pursue(live, live.assignment.kill_grace_us)

    def _pursue(self, live: Live, grace_us: int) -> None:
        gate: _Gate = live.home
        gate.interrupt()
        self._watch.after(grace_us // 2, gate.interrupt)
        self._watch.after(grace_us, lambda: self._give_up(live))

    def _give_up(self, live: Live) -> None:
        if self._holding.give_up(live):
            self._outbox.put([given_up(live, self._clock.wall_us())])

    def _await_empty(self, until_ns: int) -> None:
        while len(self._holding) and (left_ns := until_ns - self._clock.mono_ns()) > 0:
            self._clock.wait(self._empty, left_ns // 1000 + 1)

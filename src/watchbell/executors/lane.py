"""What the lanes `command` and `process` have in common: slots, timeouts, cancels, and the life of a process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..clock import Clock
from ..core.outcome import Ending, Outcome
from . import memory
from .base import Assignment, Blocked, Report, Sink
from .child_process import Exit, Launch, Process
from .condition import LIMIT_US
from .environment import mark
from .exits import not_started
from .holding import SHUTDOWN, Holding, Key, Live, asked_to_end, given_up, report_of
from .host import ProcessHost
from .outbox import Outbox

_UNKILLABLE_US = 10_000_000


class ProcessLane:
    """A lane of processes, at most `slots` at a time; what comes beyond them waits, not begun. Without a `host` it
    has one of its own, which ends with it. Everything but the methods of `Executor` runs on the host's thread."""

    lane = ""
    _asks_twice = False

    def __init__(
        self,
        clock: Clock,
        sink: Sink,
        report: Callable[[Sequence[Report]], None],
        slots: int = 20,
        host: ProcessHost | None = None,
    ) -> None:
        self.slots = slots
        self._clock = clock
        self._sink = sink
        self._outbox = Outbox(report)
        self._holding = Holding()
        self._own_host = host is None
        self._host = host or ProcessHost(clock)
        self._queue: deque[Live] = deque()
        self._running = 0
        self._stopping = False
        self._empty = threading.Event()

    def start(self, assignments: Sequence[Assignment]) -> None:
        """Begin each at once, as far as there are slots."""
        lives = [live for a in assignments if (live := self._holding.take(a, self._sink)) is not None]
        if self._stopping:
            self._hand_back(lives)
        elif lives:
            self._host.post(lambda: self._admit(lives))

    def withdraw(self, run: int, epoch: int) -> bool:
        """True if no process was started for it and now never will be."""
        return self._holding.withdraw(run, epoch) is not None

    def cancel(self, run: int, epoch: int, reason: str, hard: bool = False) -> None:
        """SIGTERM to the process group, SIGKILL after the grace; `hard`: SIGKILL at once."""
        live = self._holding.get(run, epoch)
        if live is None:
            return
        live.ask(Ending.CANCELLED, reason)
        if self._holding.withdraw(run, epoch) is not None:
            end = Report(run, epoch, asked_to_end(live, self._clock.wall_us()))
            self._host.post(lambda: self._outbox.put([end]))
        else:
            self._host.post(lambda: self._pursue(live, 0 if hard else live.assignment.kill_grace_us))

    def in_progress(self) -> dict[Key, int]:
        """(run, epoch) → began_at of all that has begun and has not been reported."""
        return self._holding.in_progress()

    def lost_slots(self) -> int:
        """How many processes even SIGKILL did not end (they wait in the kernel, on a dead disk)."""
        return self._holding.lost()

    def unblock(self, limit_us: int) -> Blocked | None:
        """No run here can be in another's way."""
        return None

    def stop(self, within_us: int) -> None:
        """Hand back what has not begun, SIGTERM what has, SIGKILL what outlives `within_us`."""
        until_ns = self._clock.mono_ns() + within_us * 1000
        self._stopping = True
        self._hand_back(self._holding.unbegun())
        for key in self._holding.under_way():
            self.cancel(*key, SHUTDOWN)
        self._await_empty(until_ns)
        for key in self._holding.under_way():
            self.cancel(*key, SHUTDOWN, hard=True)
        if len(self._holding):
            self._host.post(self._host.ask_for_an_answer)
        self._await_empty(self._clock.mono_ns() + _UNKILLABLE_US * 1000)
        for live in self._holding.all():
            self._give_up(live)
        if self._own_host:
            self._host.close()

    def _launch(self, live: Live) -> Launch:
        """How the run's process is launched. Raises ValueError with a sentence for what cannot be."""
        raise ValueError(f"The lane {self.lane!r} launches nothing.")

    def _process(self, live: Live, launch: Launch) -> Process:
        """The run's process, not yet started."""
        return Process(
            mark(live.assignment),
            on_started=lambda pid, started: self._started(live, pid, started),
            on_line=lambda stream, text: self._sink.log(*live.key, stream, "info", text),
            on_exit=lambda told: self._exited(live, launch, told),
        )

    def _account(self, live: Live, told: Exit, now_us: int) -> Outcome:
        """What the process itself makes of its end."""
        raise ValueError(f"The lane {self.lane!r} has no account.")

    def _admit(self, lives: Sequence[Live] = ()) -> None:
        self._queue.extend(lives)
        while self._queue and self._running < self.slots:
            live = self._queue.popleft()
            if self._holding.begin(live, self._clock.wall_us()):
                self._running += 1
                self._begin(live)

    def _begin(self, live: Live) -> None:
        try:
            launch = self._launch(live)
            if live.assignment.memory is not None:
                launch = replace(launch, memory=2 * live.assignment.memory)
        except ValueError as error:
            now_us = self._clock.wall_us()
            kinds = ("SpawnError", "ValueError")
            self._end(live, Outcome(Ending.FAILED, live.began_at, now_us, error=str(error), error_type=kinds))
            return
        live.handle = self._process(live, launch)
        limit_us = LIMIT_US if live.asking else live.assignment.timeout_us
        if limit_us is not None:
            live.timer = self._host.after(limit_us, lambda: self._time_up(live))
        self._host.start(launch, live.handle)

    def _started(self, live: Live, pid: int, started: int | None) -> None:
        if not live.asking:
            self._sink.began(*live.key, live.began_at or 0, pid, started)
        if live.assignment.memory is not None:
            self._look_at_memory(live, pid)

    def _look_at_memory(self, live: Live, pid: int) -> None:
        """Now and again until its end: what uses more than it may is killed."""
        process: Process | None = live.handle
        if process is None or live.over:
            return
        if memory.used_by(pid) > (live.assignment.memory or 0):
            live.over = True
            self._host.kill(process)
        else:
            self._host.after(memory.LOOK_US, lambda: self._look_at_memory(live, pid))

    def _passed(self, live: Live) -> None:
        """The run's condition is met, and its own time begins."""
        if live.timer is not None:
            self._host.drop(live.timer)
            live.timer = None
        live.passed(self._clock.wall_us())

    def _time_up(self, live: Live) -> None:
        if live.ask(Ending.TIMED_OUT, "its time is over"):
            self._pursue(live, live.assignment.kill_grace_us)

    def _pursue(self, live: Live, grace_us: int) -> None:
        process: Process | None = live.handle
        if process is None:
            return
        live.run._noticed = True
        self._host.end(process, grace_us)
        if self._asks_twice:
            self._host.after(grace_us // 2, lambda: self._host.nudge(process))
        self._host.after(grace_us + _UNKILLABLE_US, lambda: self._give_up(live))

    def _exited(self, live: Live, launch: Launch, told: Exit) -> None:
        now_us = self._clock.wall_us()
        if told.stage is not None:
            outcome = not_started(told, launch, live.began_at, now_us)
        else:
            outcome = memory.judged(live, self._account(live, told, now_us))
        self._end(live, outcome)

    def _end(self, live: Live, outcome: Outcome) -> None:
        live.handle = None
        if live.timer is not None:
            self._host.drop(live.timer)
        self._running -= 1
        if self._holding.end(live):
            self._outbox.put([report_of(live, outcome)])
        if self._stopping and not len(self._holding):
            self._empty.set()
        if self._queue:
            self._host.post(self._admit)

    def _give_up(self, live: Live) -> None:
        if self._holding.give_up(live):
            self._outbox.put([given_up(live, self._clock.wall_us())])

    def _hand_back(self, lives: Sequence[Live]) -> None:
        self._outbox.put([Report(*live.key, None) for live in lives if self.withdraw(*live.key)])

    def _await_empty(self, until_ns: int) -> None:
        while len(self._holding) and (left_ns := until_ns - self._clock.mono_ns()) > 0:
            self._clock.wait(self._empty, left_ns // 1000 + 1)

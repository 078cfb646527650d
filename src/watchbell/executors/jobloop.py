"""The event loop that async jobs run on, in a daemon thread of its own.

Runs come in by batches, one wake-up of the loop for each, and their reports leave by batches, one for each turn of
the loop in which something ended. A heartbeat on the loop tells from outside how long it has not turned.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from ..clock import Clock
from ..errors import Cancelled
from .base import Report
from .capture import finish_capture
from .condition import LIMIT_US, ask, awaited
from .context import current_run
from .holding import Holding, Live, decided, raised, returned

_BEAT_S = 0.25
_SLICE = 256
_log = logging.getLogger(__name__)


class JobLoop:
    """One job loop and its thread. `report` and `time_up` are called on it."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        holding: Holding,
        report: Callable[[list[Report]], None],
        time_up: Callable[[Live], None],
    ) -> None:
        self._clock = clock
        self._holding = holding
        self._report = report
        self._time_up = time_up
        self._ends: list[Report] = []
        self._context = Context()
        self._loop = asyncio.new_event_loop()
        self._beat_ns = clock.mono_ns()
        self._retired = False
        self.running = 0
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have `call(*args)` called on the loop; nothing happens if the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(call, *args, context=self._context)
        except RuntimeError:
            _log.debug("The job loop has ended; %r is not called on it.", call)

    def begin(self, lives: Sequence[Live]) -> None:
        """Begin each run, from the loop's own thread. A long batch is cut into slices, so that runs that are under
        way get their turns in between."""
        create, carry = self._loop.create_task, self._carry
        for live in lives[:_SLICE]:
            current_run.set(live.run)  # the new one copies the context it is made in
            create(carry(live))
        current_run.set(None)
        if len(lives) > _SLICE:
            self._loop.call_soon(self.begin, lives[_SLICE:], context=self._context)

    async def _carry(self, live: Live) -> None:
        """One run: the coroutine of its task."""
        assignment = live.assignment
        live.home = self
        live.handle = asyncio.current_task(self._loop)
        if not self._holding.begin(live, self._clock.wall_us()):
            return
        self.running += 1
        if live.asking and (end := await self._ask(live)) is not None:
            self._end(live, end)
            return
        if assignment.timeout_us is not None:
            live.deadline_ns = self._clock.mono_ns() + assignment.timeout_us * 1000
            live.timer = self._loop.call_later(assignment.timeout_us / 1e6, self._time_up, live)
        try:
            if assignment.run_parameter is None:
                value = await assignment.function(**assignment.args)  # type: ignore[misc]
            else:
                value = await assignment.function(  # type: ignore[misc]
                    **assignment.args, **{assignment.run_parameter: live.run}
                )
        except BaseException as exc:
            obeyed = isinstance(exc, CancelledError | Cancelled)
            end = raised(live, exc, self._clock.wall_us(), obeyed=obeyed)
        else:
            end = returned(live, value, self._clock.wall_us())
        self._end(live, end)

    async def _ask(self, live: Live) -> Report | None:
        """Ask the run's condition; None if it is met."""
        condition = live.assignment.condition
        assert condition is not None
        live.deadline_ns = self._clock.mono_ns() + LIMIT_US * 1000
        live.timer = self._loop.call_later(LIMIT_US / 1e6, self._time_up, live)
        try:
            met = await awaited(ask(condition, live.run))
        except BaseException as exc:
            obeyed = isinstance(exc, CancelledError | Cancelled)
            return raised(live, exc, self._clock.wall_us(), obeyed=obeyed)
        live.timer.cancel()
        live.timer = live.deadline_ns = None
        return decided(live, met, self._clock.wall_us())

    def _end(self, live: Live, end: Report) -> None:
        self.running -= 1
        if live.timer is not None:
            live.timer.cancel()
        live.handle = None
        finish_capture(live.run)
        if self._holding.end(live):
            if not self._ends:
                self._loop.call_soon(self._flush)
            self._ends.append(end)
        if self._retired:
            self._leave_if_done()

    def _flush(self) -> None:
        ends, self._ends = self._ends, []
        if ends:
            self._report(ends)

    def call_later(self, after_us: int, call: Callable[..., object], *args: Any) -> None:
        """On the loop's own thread: call after a time."""
        self._loop.call_later(max(0, after_us) / 1e6, call, *args)

    def interrupt(self, live: Live) -> None:
        """On the loop's own thread: throw CancelledError into the run. It is sure to arrive, hence *noticed*."""
        if live.handle is not None and live.handle.cancel():
            live.run._noticed = True

    def lag_ns(self, now_ns: int) -> int:
        """How long the loop has not turned, beyond the beat it owes."""
        return max(0, now_ns - self._beat_ns - int(_BEAT_S * 1e9))

    def executing(self, lives: Sequence[Live]) -> Live | None:
        """The run whose code is on the loop's thread at this moment, if it is one of `lives`."""
        current = asyncio.current_task(self._loop)
        if current is None:
            return None
        return next((live for live in lives if live.handle is current), None)

    def where(self) -> str | None:
        """The innermost frames of the loop's thread, as a traceback reads."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return None if frame is None else "".join(traceback.format_stack(frame, limit=5))

    def retire(self) -> None:
        """On the loop's own thread: end as soon as its last run has ended."""
        self._retired = True
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self.running == 0:
            self._loop.call_soon(self._leave)

    def _leave(self, at_once: bool = False) -> None:
        if at_once or self.running == 0:
            self._flush()
            self._loop.stop()

    def halt(self) -> None:
        """On the loop's own thread: cancel whatever is left and end after one more turn; what still does not end
        then stays where it is."""
        for left in asyncio.all_tasks(self._loop):
            left.cancel()
        self._loop.call_soon(self._loop.call_soon, self._leave, True)

    def join(self, within_us: int) -> None:
        self._thread.join(max(0, within_us) / 1e6)

    def _beat(self) -> None:
        self._beat_ns = self._clock.mono_ns()
        self._loop.call_later(_BEAT_S, self._beat)

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._beat()
        try:
            self._loop.run_forever()
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

"""Calls that are to be made later, in order of their instants, for whoever has a thread to make them."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from ..clock import Clock

_LONGEST_WAIT_S = 1.0
_log = logging.getLogger(__name__)


class Deadline:
    """One call and its instant. It can be taken back."""

    __slots__ = ("at_ns", "call", "order")

    def __init__(self, at_ns: int, order: int, call: Callable[[], object]) -> None:
        self.at_ns = at_ns
        self.order = order
        self.call: Callable[[], object] | None = call

    def __lt__(self, other: Deadline) -> bool:
        return (self.at_ns, self.order) < (other.at_ns, other.order)


class Deadlines:
    """Calls by their instants (monotonic nanoseconds). Not thread-safe."""

    def __init__(self) -> None:
        self._heap: list[Deadline] = []
        self._order = itertools.count()
        self._dropped = 0

    def add(self, at_ns: int, call: Callable[[], object]) -> Deadline:
        """Have `call` made at or after `at_ns`."""
        deadline = Deadline(at_ns, next(self._order), call)
        heapq.heappush(self._heap, deadline)
        return deadline

    def drop(self, deadline: Deadline) -> None:
        """Take it back. Its place is cleared now and then: a day's timeouts of short runs must not pile up."""
        if deadline.call is None:
            return
        deadline.call = None
        self._dropped += 1
        if self._dropped > 1000 and self._dropped > len(self._heap) // 2:
            self._heap = [kept for kept in self._heap if kept.call is not None]
            heapq.heapify(self._heap)
            self._dropped = 0

    def next_ns(self) -> int | None:
        """The instant of the first call, None if there is none."""
        return self._heap[0].at_ns if self._heap else None

    def due(self, now_ns: int) -> list[Callable[[], object]]:
        """Take out the calls that are due."""
        calls = []
        while self._heap and self._heap[0].at_ns <= now_ns:
            deadline = heapq.heappop(self._heap)
            if deadline.call is not None:
                calls.append(deadline.call)
                deadline.call = None
            else:
                self._dropped -= 1
        return calls

    def __len__(self) -> int:
        return len(self._heap)


class Watch:
    """A thread that makes calls at their deadlines. It starts with the first one."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._deadlines = Deadlines()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False

    def after(self, after_us: int, call: Callable[[], object]) -> Deadline:
        """Have `call` made on the watch's thread after a time; it must not block."""
        with self._changed:
            at_ns = self._clock.mono_ns() + after_us * 1000
            first_ns = self._deadlines.next_ns()
            deadline = self._deadlines.add(at_ns, call)
            if self._thread is None:
                thread = threading.Thread(target=self._keep, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            elif first_ns is None or at_ns < first_ns:
                self._changed.notify()
            return deadline

    def drop(self, deadline: Deadline) -> None:
        """Take it back, unless the call is being made."""
        with self._changed:
            self._deadlines.drop(deadline)

    def end(self) -> None:
        """End the thread; calls that are not yet due are dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _keep(self) -> None:
        """The thread. Nothing that goes wrong in one turn ends it: all timeouts of the lane hang on it."""
        while not self._ended:
            try:
                with self._changed:
                    calls = self._await_due()
            except Exception:
                _log.exception("The watch %s could not make one turn and goes on.", self._name)
                threading.Event().wait(_LONGEST_WAIT_S)  # it must not spin on what goes wrong each time
                continue
            for call in calls:
                try:
                    call()
                except Exception:
                    _log.exception("A deadline could not be acted on.")

    def _await_due(self) -> list[Callable[[], object]]:
        """The calls that are due, none once the watch has ended. It waits by steps of a second at most: no system
        call takes a wait of centuries."""
        while not self._ended:
            now_ns = self._clock.mono_ns()
            calls = self._deadlines.due(now_ns)
            if calls:
                return calls
            next_ns = self._deadlines.next_ns()
            left_s = _LONGEST_WAIT_S if next_ns is None else (next_ns - now_ns) / 1e9
            self._changed.wait(min(left_s, _LONGEST_WAIT_S))
        return []

"""A loop on a thread of its own: step, wait, again. A step that fails is logged and tried again a little later each
time; it never stops the loop. Nothing but `step` knows what the loop is for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..clock import Clock
from ..errors import EngineReplaced
from .outage import Outage

LONGEST_BACKOFF_US = 5_000_000
_log = logging.getLogger("watchbell.engine")


class Loop:
    """Calls `step()` until it is stopped; `step` returns how many microseconds it would like to rest. What the `outage` of its
    node covers is not said once more. After failures it rests for `longest_us` at the most."""

    def __init__(
        self,
        name: str,
        step: Callable[[], int],
        clock: Clock,
        outage: Outage | None = None,
        longest_us: int = LONGEST_BACKOFF_US,
    ) -> None:
        self._name = name
        self._step = step
        self._clock = clock
        self._outage = outage
        self._longest_us = longest_us
        self._wake = threading.Event()
        self._stopping = False
        self._failures = 0
        self._unsaid: tuple[str, int] | None = None
        self._thread = threading.Thread(target=self._run, name=f"watchbell-{name}", daemon=True)

    def start(self) -> None:
        """Begin to turn."""
        self._thread.start()

    def wake(self) -> None:
        """Take the next step now."""
        self._wake.set()

    def stop(self, within_s: float = 5.0) -> None:
        """Take no further step."""
        self._stopping = True
        self._wake.set()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(within_s)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            rest = self._turn()
            while rest > 0 and not self._stopping:
                before = self._clock.mono_ns()
                if self._clock.wait(self._wake, rest):
                    break
                rest -= (self._clock.mono_ns() - before) // 1000

    def _turn(self) -> int:
        try:
            rest: int = self._step()
        except EngineReplaced:  # the engine's own loop says it, and ends this one
            return LONGEST_BACKOFF_US
        except Exception as error:
            self._failures += 1
            wait = min(self._longest_us, 100_000 << min(self._failures, 10))
            self._say(error, wait)
            _log.debug("where it failed", exc_info=True)
            return wait
        self._failures = 0
        self._went_well()
        return max(1000, rest)

    def _say(self, error: Exception, wait: int) -> None:
        said = str(error).rstrip(".")
        if self._outage is not None:
            outages = self._outage.count
            if self._outage.covers(error, self._failures):
                self._unsaid = said, outages
                return
        _log.error("engine.step_failed: %s: %s; next try in %.1f s", self._name, said, wait / 1e6)

    def _went_well(self) -> None:
        """What was left to an outage is said after all if none has come of it."""
        unsaid, self._unsaid = self._unsaid, None
        if unsaid is not None and self._outage is not None and self._outage.is_none_since(unsaid[1]):
            _log.error("engine.step_failed: %s: %s; it went well after that", self._name, unsaid[0])


def hold_back(clock: Clock, stop: threading.Event, span_us: int) -> None:
    """Wait for a span, or until `stop` is set."""
    end = clock.mono_ns() // 1000 + span_us
    while (left := end - clock.mono_ns() // 1000) > 0 and not stop.is_set():
        clock.wait(stop, left)

"""The stepping node of a life: where nothing happens for long, it looks less often, so that a year takes minutes."""

from __future__ import annotations

from typing import Any

from watchbell.core.instants import MINUTE
from watchbell.testing import StepNode

LONGEST_US = 30 * MINUTE


class LifeNode(StepNode):
    """A StepNode that looks after what waits every minute at first, then less and less often, every half an hour at
    last. A real engine looks each time at more than that; what depends on it is judged by the tests of the engine."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waits_since = 0
        self._waits_for: tuple[Any, ...] = ()

    def _not_past_the_watch(self, now: int, target: int) -> int:
        if self._in_doubt():
            return min(target, now + MINUTE)
        if waits_for := self._what_waits():
            if waits_for != self._waits_for or now < self._waits_since:
                self._waits_for, self._waits_since = waits_for, now
            return min(target, now + min(LONGEST_US, max(MINUTE, (now - self._waits_since) // 4)))
        return super()._not_past_the_watch(now, target)

    def _what_waits(self) -> tuple[Any, ...]:
        [found] = self.rows("SELECT count(*), max(id) FROM occurrence WHERE state IN ('queued', 'held')")
        return found if found[0] else ()

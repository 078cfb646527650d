"""Next instants computed: watchbell's triggers, and beside them a sketch in plain Python that can do this one rule only."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from watchbell import cron

ZONE = "America/New_York"
RULE = "0 9 * * 1-5"
HOUR_US = 3_600_000_000
START = 1_768_472_223_000_000  # 2026-01-15T10:17:03Z
SPREAD = 5000


def measure(seconds: float) -> dict[str, float]:
    """Per second: at unrelated instants, walking on, and the sketch at unrelated instants."""
    after = cron(RULE, tz=ZONE).bound("UTC", START).next_after
    sketch = Sketch()
    sample = range(START, START + SPREAD * HOUR_US, 97 * HOUR_US)
    assert all(after(at) == sketch.after(at) for at in sample), "the sketch is another rule"
    return {
        "asked_per_s": _asked(after, seconds),
        "walked_per_s": _walked(after, seconds),
        "sketch_per_s": _asked(sketch.after, seconds),
    }


def _asked(after: Callable[[int], int | None], seconds: float) -> float:
    instants = [START + HOUR_US * (number % SPREAD) for number in range(20_000)]
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for at in instants:
            after(at)
        count += len(instants)
    return count / (time.perf_counter() - began)


def _walked(after: Callable[[int], int | None], seconds: float) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        at: int | None = START
        for _ in range(5000):
            assert at is not None
            at = after(at)
        count += 5000
    return count / (time.perf_counter() - began)


class Sketch:
    """The instants of the rule in a table, once; then one bisect for each question. The least that an answer costs."""

    def __init__(self) -> None:
        day = date(2026, 1, 1)
        zone = ZoneInfo(ZONE)
        self._known = []
        for _ in range(3 * 365):
            if day.weekday() < 5:
                at = datetime.combine(day, time_of_day(9), tzinfo=zone)
                self._known.append(int(at.timestamp()) * 1_000_000)
            day += timedelta(1)

    def after(self, at: int) -> int:
        """The next instant after `at`."""
        return self._known[bisect_right(self._known, at)]

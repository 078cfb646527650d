"""Days of a zone's calendar as stretches of real time."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from functools import lru_cache
from typing import Final

from watchbell.core.instants import DAY, SECOND, Instant
from watchbell.core.wallclock import ZoneRules
from watchbell.errors import BadTrigger

_EPOCH_ORDINAL: Final = 719_163
_BEFORE_ALL: Final = -(1 << 62)


def read_day(text: str) -> str:
    """A day in one form, "2026-12-25". Raises BadTrigger."""
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError as error:
        raise BadTrigger(f"{text[:40]!r} is no day; write it as '2026-12-25'") from error


@lru_cache(maxsize=512)
def stretches_of(rules: ZoneRules, days: tuple[str, ...]) -> tuple[tuple[Instant, Instant], ...]:
    """The days of a zone's calendar as stretches [start, end) of real time, in order and joined where they touch."""
    offsets = [(_BEFORE_ALL, rules.first_offset_s), *rules.transitions]
    starts = [start for start, _ in offsets]
    found: list[tuple[Instant, Instant]] = []
    for day in days:
        local = (date.fromisoformat(day).toordinal() - _EPOCH_ORDINAL) * DAY
        place = max(bisect_right(starts, local - 3 * DAY) - 1, 0)
        while place < len(offsets) and offsets[place][0] < local + 3 * DAY:
            begin, offset = offsets[place][0], offsets[place][1] * SECOND
            end = offsets[place + 1][0] if place + 1 < len(offsets) else 1 << 62
            low, high = max(local - offset, begin), min(local + DAY - offset, end)
            if low < high:
                found.append((low, high))
            place += 1
    joined: list[tuple[Instant, Instant]] = []
    for low, high in sorted(found):
        if joined and joined[-1][1] == low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return tuple(joined)


def around(stretches: tuple[tuple[Instant, Instant], ...], at: Instant) -> tuple[Instant, Instant] | None:
    """The stretch that an instant is in."""
    place = bisect_right(stretches, (at, 1 << 62)) - 1
    return stretches[place] if place >= 0 and at < stretches[place][1] else None

"""The next changes of the clocks of a zone, and what they do to one rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchbell.core.instants import DAY, MINUTE, Instant, reading_text
from watchbell.core.lint import changes
from watchbell.core.wallclock import zone_rules

if TYPE_CHECKING:
    from watchbell.core.triggers import Trigger

_FAR: Final = 10 * 366 * DAY
_MOST_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One change: when, how the clock on the wall goes, and a sentence about what it does to the rule."""

    at: Instant
    by_us: int
    sentence: str


def coming_changes(trigger: Trigger, tz: str, after: Instant, most: int = 2) -> list[ClockChange]:
    """The next `most` changes of a zone after an instant; none for a zone whose clocks stay."""
    found: list[ClockChange] = []
    for at, before, offset in changes(zone_rules(tz), after, after + _FAR):
        if len(found) == most:
            break
        way = "forward" if offset > before else "back"
        first, last = (reading_text(at + each)[:16] for each in (before, offset))
        minutes = abs(offset - before) // MINUTE
        told = (
            _forward(trigger, at, before, offset) if offset > before else _back(trigger, at, before - offset)
        )
        found.append(
            ClockChange(
                at, offset - before, f"{first}: the clocks go {way} by {minutes} min, to {last[11:]}; {told}"
            )
        )
    return found


def _forward(trigger: Trigger, at: Instant, before: int, offset: int) -> str:
    if not _on_the_wall(trigger):
        return f"real time goes on, {_times(trigger.count(at - 1, at - 1 + offset - before))} in the hour behind it"
    low, high = reading_text(at + before)[:16], reading_text(at + offset)[:16]
    ask = getattr(trigger, "nominal_at", None)
    nominal = [each for each in (ask(at) if ask else ()) if low <= each[:16] < high]
    if nominal:
        named = ", ".join(each[11:] for each in nominal[:_MOST_TOLD])
        more = f" and {len(nominal) - _MOST_TOLD} more" if len(nominal) > _MOST_TOLD else ""
        return f"{named}{more} {'do' if len(nominal) > 1 else 'does'} not exist: due once, at {high[11:]}"
    skipped = getattr(trigger, "gap", "end")
    if skipped != "end":
        return f"a time between {low[11:]} and {high[11:]} is {'left out' if skipped == 'skip' else 'moved on'} (gap={skipped})"
    return "none of its times is in the gap"


def _back(trigger: Trigger, at: Instant, size: int) -> str:
    first, second = trigger.count(at - size - 1, at - 1), trigger.count(at - 1, at - 1 + size)
    if not first and not second:
        return "none of its times comes twice"
    if not _on_the_wall(trigger):
        return f"real time goes on, {_times(first + second)} in the hour that comes twice"
    return f"{_times(first)} in the first pass of the hour, {_times(second)} in the second"


def _on_the_wall(trigger: Trigger) -> bool:
    """Whether any part of the rule is a time on the wall."""
    inner = (*getattr(trigger, "parts", ()), getattr(trigger, "base", None))
    parts = [part for part in inner if part is not None]
    return any(map(_on_the_wall, parts)) if parts else not getattr(trigger, "rhythm", True)


def _times(count: int) -> str:
    return {0: "not due", 1: "due once", 2: "due twice"}.get(count, f"due {count} times")

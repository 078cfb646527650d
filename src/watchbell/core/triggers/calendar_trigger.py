"""The calendar trigger: every 3 months on the last business day at 09:00, in a zone, counted from a date."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar, Final, TypedDict, Unpack

from watchbell.core.instants import DAY, HOUR, Instant, reading_text
from watchbell.core.timeline import timeline
from watchbell.core.triggers.calendar_dates import calendar_dates
from watchbell.core.triggers.calendar_rule import (
    SHORT_MONTHS,
    UNITS,
    DayChoice,
    ShortMonth,
    Unit,
    check_every,
    default_on,
    read_every,
    read_on,
    read_start,
    read_time_of_day,
)
from watchbell.core.triggers.combine import RulesByZone
from watchbell.core.triggers.pattern import Pattern
from watchbell.core.triggers.walk import Walk
from watchbell.core.triggers.wall_trigger import Dst, WallTrigger, check_clocks, told_clocks
from watchbell.core.wallclock import Fold, Gap, ZoneRules, zone_info, zone_rules
from watchbell.errors import BadTrigger, NeverMatches

_EPOCH: Final = date(1970, 1, 1).toordinal()
_TEXT: Final = re.compile(r"(?P<every>.+?)(?:\s+on\s+(?P<on>.+?))?(?:\s+at\s+(?P<at>\S+))?", re.IGNORECASE)
_DEFAULTS: Final = {
    "tz": None,
    "start": None,
    "short_month": "clamp",
    "dst": "auto",
    "gap": "end",
    "fold": "first",
}


class Clocks(TypedDict, total=False):
    """What changes of the clocks do to a rule; as in `cron`."""

    dst: Dst
    gap: Gap
    fold: Fold


@dataclass(frozen=True, slots=True)
class Calendar(WallTrigger):
    """Every `every` units of the calendar, on a day chosen by `on`, at a time on the wall.

    The first period is the one that holds `start`, a date; None is the day of creation, filled by `bound`, and so is
    a zone that is left out. `short_month` says what a day's number means where the month ends before it.
    """

    kind: ClassVar[str] = "calendar"
    hash_span_us: ClassVar[int] = 0

    every: int
    unit: Unit
    on: str | None = None
    at: str = "00:00"
    tz: str | None = None
    start: str | None = None
    short_month: ShortMonth = "clamp"
    dst: Dst = "auto"
    gap: Gap = "end"
    fold: Fold = "first"
    rules: ZoneRules | None = field(default=None, compare=False, repr=False)
    _walk: Walk | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_every(self.every)
        if self.unit not in UNITS:
            raise BadTrigger(f"unit={self.unit!r} is not known; write unit= one of {', '.join(UNITS)}")
        if self.short_month not in SHORT_MONTHS:
            raise BadTrigger(
                f"short_month={self.short_month!r} is not known; write short_month= clamp or skip"
            )
        check_clocks(self.dst, self.gap, self.fold)
        if self.start is not None:
            object.__setattr__(self, "start", read_start(self.start).isoformat())
        if not (self.on is None or isinstance(self.on, str)):
            raise BadTrigger(f"on={self.on!r} is no text; write on= such as 'last business day'")
        choice = None
        if self.on is not None:
            choice = read_on(self.on, self.unit)
        elif self.unit == "quarter" or (self.unit != "day" and self.start is not None):
            choice = default_on(self.unit, self._start())
        object.__setattr__(self, "on", None if choice is None else choice.to_text())
        object.__setattr__(self, "at", read_time_of_day(self.at)[1])
        if self.tz is not None and self.rules is None:
            zone_info(self.tz)

    def __reduce__(self) -> tuple[type[Calendar], tuple[object, ...]]:
        clocks = (self.dst, self.gap, self.fold, self.rules)
        return Calendar, (
            self.every, self.unit, self.on, self.at, self.tz, self.start, self.short_month, *clocks
        )  # fmt: skip

    @property
    def rhythm(self) -> bool:
        """Whether real time is meant rather than the time on the wall."""
        return self.dst == "rhythm"

    @property
    def start_at(self) -> Instant | None:
        """An instant within the day that the periods are counted from; None until `bound` has filled it."""
        if self.start is None:
            return None
        noon = (self._start().toordinal() - _EPOCH) * DAY + 12 * HOUR
        return (self.rules or zone_rules(self.tz or "UTC")).from_local(noon).chosen()[0]

    def _start(self) -> date:
        return date(1970, 1, 1) if self.start is None else date.fromisoformat(self.start)

    def _choice(self) -> DayChoice | None:
        return None if self.on is None else read_on(self.on, self.unit)

    def _walked(self) -> Walk:
        if self.start is None:
            raise BadTrigger(
                "the calendar interval has no start yet; it gets one when its schedule is created"
            )
        rules = self.rules or zone_rules(self.tz or "UTC")
        found = _shared_walk(replace(self, tz=None, rules=None), rules)
        object.__setattr__(self, "_walk", found)  # a note for speed: the value does not change by it
        return found

    def with_rules(self, rules: RulesByZone) -> Calendar:
        """The same trigger, computed with stored zone rules instead of this machine's."""
        found = rules.get(self.tz or "UTC")
        return self if found is None else replace(self, rules=found)

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        choice = self._choice()
        text = self._period()
        if choice is not None:
            text += f" on {choice.describe()}"
        parts = [f"{text} at {self.at}"]
        if choice is not None and choice.kind == "day" and choice.n > 28:
            clamped = "on the last day" if self.short_month == "clamp" else "left out"
            parts.append(f"{clamped} where there are fewer days")
        if self.start is not None:
            parts.append(f"counted from {self.start}" if self.every > 1 else f"from {self.start} on")
        if self.tz is not None:
            parts.append(self.tz)
        return ", ".join(parts + told_clocks(self.dst, self.gap, self.fold, self.rhythm))

    def _period(self) -> str:
        return f"every {self.unit}" if self.every == 1 else f"every {self.every} {self.unit}s"

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data; options that have their default value are left out."""
        data: dict[str, Any] = {"kind": self.kind, "every": self.every, "unit": self.unit}
        if self.on is not None:
            data["on"] = self.on
        return data | {"at": self.at} | self._options()

    def to_text(self) -> str:
        """The value as text, "calendar every 3 months on last business day at 09:00 tz=Europe/Berlin"."""
        on = [] if self.on is None else [f"on {self.on}"]
        options = [f"{name}={value}" for name, value in self._options().items()]
        return " ".join([self.kind, self._period(), *on, f"at {self.at}", *options])

    def _options(self) -> dict[str, str]:
        return {
            name: getattr(self, name) for name, usual in _DEFAULTS.items() if getattr(self, name) != usual
        }

    def bound(self, zone: str, anchor: Instant) -> Calendar:
        """The trigger with a start and a zone, the day of `anchor` in the default zone where it has none.

        Raises NeverMatches when it is never due.
        """
        tz = self.tz or zone
        rules = (self.rules if self.tz is not None else None) or zone_rules(tz)
        start = self.start or reading_text(rules.to_local(anchor))[:10]
        bound = self if (self.tz, self.start) == (tz, start) else replace(self, tz=tz, start=start)
        if bound.next_after(anchor) is None:
            raise NeverMatches(
                f"the calendar interval {bound._period()!r} on {bound.on!r}, counted from {start}, meets no date of "
                "the calendar, so it would never be due; write a day that its periods have, or another start"
            )
        return bound


@lru_cache(maxsize=4096)
def _shared_walk(trigger: Calendar, rules: ZoneRules) -> Walk:
    """The occurrences under a zone's rules; schedules that say the same share them."""
    dates = calendar_dates(
        trigger.every, trigger.unit, trigger._choice(), trigger._start(), trigger.short_month
    )
    pattern = Pattern(dates, (read_time_of_day(trigger.at)[0],), (0,))
    return Walk(pattern, timeline(rules, trigger.rhythm, trigger.gap, trigger.fold))


def calendar(
    every: str,
    on: str | None = None,
    at: str = "00:00",
    *,
    tz: str | None = None,
    start: str | date | None = None,
    short_month: ShortMonth = "clamp",
    **clocks: Unpack[Clocks],
) -> Calendar:
    """Every so many days, weeks, months, quarters or years of the calendar: `calendar("3 months", "last business day",
    "09:00", tz="Europe/Berlin")`.

    `on` is the day: of a month, quarter or year "day 15", "last day", "first Monday", "last Friday", "last business
    day" or "third business day" (Monday to Friday); of a year "24 December" or "last Friday of November" as well; of
    a week its weekdays, "Monday and Thursday". Without it the day of `start`. What a period has not got (a fifth
    Monday) it leaves out; for a day number past its end `short_month` says "clamp" (the last day instead) or "skip".
    `start`, a date, is in the first period that counts, and nothing is due before it; without it the day of creation.
    `tz`, `dst`, `gap` and `fold` are those of `cron`; "auto" is the wall clock. Raises BadTrigger, BadZone.
    """
    number, unit = read_every(every)
    began = None if start is None else read_start(start).isoformat()
    return Calendar(number, unit, on, at, tz, began, short_month, **clocks)


def calendar_from_text(rest: str, options: dict[str, str]) -> Calendar:
    """The trigger that `to_text` wrote, without its first word and its options. Raises BadTrigger."""
    match = _TEXT.fullmatch(rest.strip())
    if match is None:
        raise BadTrigger(
            "a calendar interval says how often; write 'calendar every 3 months on last day at 09:00'"
        )
    number, unit = read_every(match["every"])
    return Calendar(number, unit, match["on"], match["at"] or "00:00", **options)  # type: ignore[arg-type]

"""The recurrence rule of RFC 5545 as a trigger: a rule, its start on the wall, a zone, and what clock changes do to it.

The rule gives wall-clock times, whatever the zone; which instants they stand for follows the house's own rules for gaps
and folds, as with cron. One that repeats within a day (HOURLY and finer) is real time unless `dst` says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Final, cast

from watchbell.core.instants import Instant, read_time, reading_text
from watchbell.core.timeline import Timeline, timeline
from watchbell.core.triggers.combine import RulesByZone
from watchbell.core.triggers.pattern import Pattern
from watchbell.core.triggers.rrule_dates import Readings
from watchbell.core.triggers.rrule_text import Recurrence, WallTime, parse_rrule
from watchbell.core.triggers.rrule_words import describe_rrule
from watchbell.core.triggers.walk import Walk
from watchbell.core.triggers.wall_trigger import Dst, WallTrigger, check_clocks, told_clocks
from watchbell.core.units import DAY
from watchbell.core.wallclock import Fold, Gap, ZoneRules, zone_info, zone_rules
from watchbell.errors import BadTrigger, NeverMatches

_START: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_FIRST_YEAR: Final = 1900


class _Laid(Walk):
    """Readings laid over a timeline. It has no table of days to look into, so every question goes the slow way."""

    __slots__ = ()

    def __init__(self, readings: Readings, line: Timeline) -> None:
        self._pattern = cast(Pattern, readings)  # the four questions that a walk asks of it
        self._timeline = line
        self._now = (0, 0, 0)

    def after(self, at: Instant) -> Instant | None:
        """The first occurrence after an instant, or None when there is none before the year 10000."""
        return self._slowly(at)


@lru_cache(maxsize=1024)
def _laid(rule: str, start: str, rules: ZoneRules, rhythm: bool, gap: Gap, fold: Fold) -> _Laid:
    """The occurrences of a rule; schedules that say the same share one, with what it has found out so far."""
    parsed = parse_rrule(rule)

    def local(time: WallTime) -> int:
        return rules.to_local(time.at) if time.utc else time.at

    readings = Readings(
        parsed,
        read_time(start)[0],
        None if parsed.until is None else local(parsed.until),
        tuple(map(local, parsed.more)),
        tuple(map(local, parsed.fewer)),
    )
    return _Laid(readings, timeline(rules, rhythm, gap, fold))


@dataclass(frozen=True, slots=True)
class RRule(WallTrigger):
    """A recurrence rule. `start` is its DTSTART, a time on the wall of `tz`: "2026-11-21T09:00:00".

    Without a start it is midnight of the day of creation, without a zone the default one: `bound` fills both.
    """

    kind: ClassVar[str] = "rrule"
    hash_span_us: ClassVar[int] = 0

    rule: str
    start: str | None = None
    tz: str | None = None
    dst: Dst = "auto"
    gap: Gap = "end"
    fold: Fold = "first"
    rules: ZoneRules | None = field(default=None, compare=False, repr=False)
    _walk: Walk | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rule, str):
            raise BadTrigger(f"a recurrence rule is a text such as 'FREQ=DAILY', not {self.rule!r}")
        parsed = parse_rrule(self.rule)
        object.__setattr__(self, "rule", parsed.text)
        if self.start is not None:
            object.__setattr__(self, "start", _start(self.start))
        elif parsed.count is not None:
            raise BadTrigger("COUNT counts from the start; write start='2026-11-21 09:00' beside the rule")
        check_clocks(self.dst, self.gap, self.fold)
        if self.tz is not None and self.rules is None:
            zone_info(self.tz)

    @property
    def parsed(self) -> Recurrence:
        """What the rule allows."""
        return parse_rrule(self.rule)

    @property
    def rhythm(self) -> bool:
        """Whether real time is meant rather than the time on the wall."""
        return self.parsed.rhythm if self.dst == "auto" else self.dst == "rhythm"

    def __reduce__(self) -> tuple[type[RRule], tuple[object, ...]]:
        return RRule, (self.rule, self.start, self.tz, self.dst, self.gap, self.fold, self.rules)

    def _walked(self) -> Walk:
        if self.start is None:
            raise BadTrigger("the rule has no start yet; it gets one when its schedule is created")
        rules = self.rules or zone_rules(self.tz or "UTC")
        found = _laid(self.rule, self.start, rules, self.rhythm, self.gap, self.fold)
        object.__setattr__(self, "_walk", found)  # a note for speed: the value does not change by it
        return found

    def with_rules(self, rules: RulesByZone) -> RRule:
        """The same trigger, computed with stored zone rules instead of this machine's."""
        found = rules.get(self.tz or "UTC")
        return self if found is None else replace(self, rules=found)

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        parts = [describe_rrule(self.parsed, self.start)]
        if self.tz is not None:
            parts.append(self.tz)
        return ", ".join(parts + told_clocks(self.dst, self.gap, self.fold, self.rhythm))

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data; options that have their default value are left out."""
        return {"kind": self.kind, "rule": self.rule, **self._options()}

    def to_text(self) -> str:
        """The value as text, "rrule FREQ=DAILY start=2026-11-21T09:00:00 tz=Europe/Berlin"."""
        return " ".join(
            [self.kind, self.rule, *(f"{name}={value}" for name, value in self._options().items())]
        )

    def _options(self) -> dict[str, str]:
        values = {"start": self.start, "tz": self.tz, "dst": self.dst, "gap": self.gap, "fold": self.fold}
        defaults = {"dst": "auto", "gap": "end", "fold": "first"}
        return {name: value for name, value in values.items() if value and value != defaults.get(name)}

    def bound(self, zone: str, anchor: Instant) -> RRule:
        """The trigger with its zone and its start. Raises NeverMatches when no time matches it at all."""
        tz = self.tz or zone
        start = self.start
        if start is None:
            local = zone_rules(tz).to_local(anchor)
            start = reading_text(local - local % DAY, "T")
        bound = replace(self, tz=tz, start=start)
        if bound.next_after(anchor) is None and bound.last_in(-(1 << 62), anchor) is None:
            raise NeverMatches(
                f"the rule {self.rule!r} would never be due: no time of the calendar matches it; "
                "write days that its months have, and times that its steps reach"
            )
        return bound


def _start(text: object) -> str:
    """A start in one form. Raises BadTrigger."""
    if not isinstance(text, str):
        raise BadTrigger(f"start={text!r} is no time on the wall; write start='2026-11-21 09:00'")
    local, offset = read_time(text)
    if offset is not None:
        raise BadTrigger(
            f"start={text!r} has an offset; it is a time on the wall of the schedule's zone: write it without, and tz="
        )
    found = reading_text(local - local % 1_000_000, "T")
    if not _START.fullmatch(found) or int(found[:4]) < _FIRST_YEAR:
        raise BadTrigger(f"start={text!r} is before {_FIRST_YEAR}; write a later one")
    return found


def rrule(
    rule: str,
    *,
    start: str | datetime | None = None,
    tz: str | None = None,
    dst: Dst = "auto",
    gap: Gap = "end",
    fold: Fold = "first",
) -> RRule:
    """At the times of a recurrence rule (RFC 5545): `rrule("FREQ=MONTHLY;BYDAY=-1FR", start="2026-11-21 09:00")`.

    `start` is DTSTART, a time on the wall of `tz` (a text or a naive datetime); what the rule leaves open (the time of
    day, the day, which weeks of INTERVAL=2) is taken from it. It is itself due only where the rule matches it. Without
    it: midnight of the day of creation. The rule may be followed by RDATE: and EXDATE: lines. `dst`, `gap` and `fold`
    are those of `cron`. Raises BadTrigger, BadZone.
    """
    if isinstance(start, datetime):
        if start.tzinfo is not None:
            raise BadTrigger("start= is a time on the wall of tz=; write it without tzinfo")
        start = start.isoformat(sep="T", timespec="seconds")
    return RRule(rule, start, tz, dst, gap, fold)

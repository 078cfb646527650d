"""Blackouts: times in which a schedule does not come due, once (`Window`) or again and again (`Recurring`).

A blackout is [from, to): what is due at its first instant is in it, what is due at its end is not. A recurring one
starts at the instants of a cron expression in its zone and lasts so long in elapsed time, whatever the clocks do.
`Thinned` is a rule of time less its blackouts: the planner asks it what may run and what falls into them. Every
question looks at no more windows than lie in the span of time that is asked about, and at most `MOST_WINDOWS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import BadPolicy
from .instants import (
    Instant,
    duration_text,
    from_datetime,
    human_duration,
    local_text,
    parse_duration,
    parse_instant,
    read_time,
    reading_text,
    to_text,
)
from .triggers import cron
from .wallclock import zone_rules

if TYPE_CHECKING:
    from .triggers import Trigger
    from .triggers.combine import RulesByZone
    from .triggers.cron_trigger import Cron

MOST: Final = 50
"""So many blackouts may a schedule have."""
MOST_WINDOWS: Final = 10_000
"""So many windows are passed over in search of an instant outside of them."""
LONGEST_US: Final = 366 * 86_400 * 1_000_000
_FEW: Final = 64
_FORMS: Final = "'2026-12-24T00:00/2026-12-27T00:00 Europe/Berlin' or 'cron 0 22 * * fri for 8h'"


@dataclass(frozen=True, slots=True)
class Window:
    """From one instant up to, but not with, another. `tz` is the zone it is shown in."""

    from_at: Instant
    to_at: Instant
    tz: str | None = None

    def __post_init__(self) -> None:
        for value in (self.from_at, self.to_at):
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadPolicy(f"A blackout's ends are instants, not {value!r}.")
        if self.to_at <= self.from_at:
            raise BadPolicy(
                f"The blackout {self.to_text()} ends before it begins; write the earlier time first."
            )

    def around(self, at: Instant) -> tuple[Instant, Instant] | None:
        """The window, if the instant is in it."""
        return (self.from_at, self.to_at) if self.from_at <= at < self.to_at else None

    def windows(self, after: Instant, upto: Instant) -> Iterator[tuple[Instant, Instant]]:
        """The window, if it reaches into (after, upto]."""
        if self.from_at <= upto and after + 1 < self.to_at:
            yield self.from_at, self.to_at

    def zones(self) -> tuple[str, ...]:
        """None: its ends are instants."""
        return ()

    def bound(self, _zone: str) -> Window:
        """Itself: it depends on no zone."""
        return self

    def with_rules(self, _rules: RulesByZone) -> Window:
        """Itself."""
        return self

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        data: dict[str, Any] = {"from_at": self.from_at, "to_at": self.to_at}
        return data if self.tz is None else data | {"tz": self.tz}

    def to_text(self) -> str:
        """As it is written: "2026-12-24T00:00/2026-12-27T00:00 Europe/Berlin"."""
        first, last = (_local(at, self.tz) for at in (self.from_at, self.to_at))
        if self.tz is None or first is None or last is None:
            return f"{to_text(self.from_at)}/{to_text(self.to_at)}" + (f" {self.tz}" if self.tz else "")
        return f"{first}/{last} {self.tz}"

    def describe(self) -> str:
        """In words."""
        tz = self.tz or "UTC"
        return f"{local_text(self.from_at, tz)[:16]} to {local_text(self.to_at, tz)[:16]} {tz}"


@dataclass(frozen=True, slots=True)
class Recurring:
    """From each instant of a cron expression on, for a time."""

    start: Cron
    length_us: int

    def __post_init__(self) -> None:
        if getattr(self.start, "hash_span_us", 0):
            raise BadPolicy("A blackout starts at plain times: H has no meaning in its cron expression.")
        length: object = self.length_us
        if isinstance(length, bool) or not isinstance(length, int) or not 0 < length <= LONGEST_US:
            raise BadPolicy("A blackout lasts for more than 0 and at most 366 days, such as 'for 8h'.")

    def around(self, at: Instant) -> tuple[Instant, Instant] | None:
        """The window that the instant is in; of several that overlap, from the first one's start to the last one's
        end."""
        last = self.start.last_in(at - self.length_us, at)
        if last is None:
            return None
        first = self.start.first_in(at - self.length_us, at)
        return (last if first is None else first), last + self.length_us

    def windows(self, after: Instant, upto: Instant) -> Iterator[tuple[Instant, Instant]]:
        """The windows that reach into (after, upto], in order."""
        at = self.start.next_after(after + 1 - self.length_us)
        while at is not None and at <= upto:
            yield at, at + self.length_us
            at = self.start.next_after(at)

    def zones(self) -> tuple[str, ...]:
        """The time zones it depends on."""
        return self.start.zones()

    def bound(self, zone: str) -> Recurring:
        """The same with this zone, where it names none. Raises NeverMatches when it never begins."""
        return replace(self, start=self.start.bound(zone, 0))

    def with_rules(self, rules: RulesByZone) -> Recurring:
        """The same, computed with stored zone rules."""
        return replace(self, start=self.start.with_rules(rules))

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        data: dict[str, Any] = {"cron": self.start.expression, "length_us": self.length_us}
        return data if self.start.tz is None else data | {"tz": self.start.tz}

    def to_text(self) -> str:
        """As it is written: "cron 0 22 * * fri for 8h Europe/Berlin"."""
        zone = "" if self.start.tz is None else f" {self.start.tz}"
        return f"cron {self.start.expression} for {duration_text(self.length_us)}{zone}"

    def describe(self) -> str:
        """In words."""
        return f"{self.start.describe()}, for {human_duration(self.length_us)}"


Blackout: TypeAlias = Window | Recurring


def _local(at: Instant, tz: str | None) -> str | None:
    """The wall-clock reading of an instant, if it reads back as that instant."""
    if tz is None:
        return None
    rules = zone_rules(tz)
    local = rules.to_local(at)
    if rules.from_local(local).chosen()[0] != at:
        return None
    text = reading_text(local, "T")
    return text[:16] if text.endswith(":00") and len(text) == 19 else text


# --- what users write -------------------------------------------------------------------------------------------------

_RECURRING: Final = re.compile(r"cron\s+(?P<rule>.+?)\s+for\s+(?P<span>\S+)(?:\s+(?:tz=)?(?P<zone>\S+))?")
_WINDOW: Final = re.compile(
    r"(?P<from>[^/]+?)\s*/\s*(?P<to>[^/ ]+(?: \d\S*)?)(?:\s+(?:tz=)?(?P<zone>[A-Za-z]\S*))?"
)


def parse_blackout(value: object) -> Blackout:
    """A blackout from what a person writes: a text, or two aware datetimes.

    "2026-12-24T00:00/2026-12-27T00:00 Europe/Berlin" is once; without a zone both times need an offset or a Z.
    "cron 0 22 * * fri for 8h" is recurring, in the zone written behind it, else in its schedule's. Raises BadPolicy, and
    what cron expressions, spans, times and zones raise.
    """
    if isinstance(value, Window | Recurring):
        return value
    if isinstance(value, tuple | list) and len(value) == 2:
        first, last = value
        if isinstance(first, datetime) and isinstance(last, datetime):
            return Window(from_datetime(first), from_datetime(last))
    if not isinstance(value, str):
        raise BadPolicy(
            f"A blackout is a text such as {_FORMS}, or two aware datetimes, not {str(value)[:60]!r}."
        )
    text = " ".join(value.split())
    if found := _RECURRING.fullmatch(text):
        return Recurring(cron(found["rule"], tz=found["zone"]), parse_duration(found["span"]))
    if (found := _WINDOW.fullmatch(text)) is None:
        raise BadPolicy(f"{text[:80]!r} is no blackout; write {_FORMS}.")
    zone = found["zone"]
    return Window(_instant(found["from"], zone, text), _instant(found["to"], zone, text), zone)


def _instant(text: str, zone: str | None, whole: str) -> Instant:
    if zone is None and read_time(text)[1] is None:
        raise BadPolicy(
            f"The blackout {whole!r} names no time zone: write one behind it, as in {_FORMS.split(' or ')[0]}."
        )
    return parse_instant(text, zone)


def blackout_from_json(data: object) -> Blackout:
    """Read what `to_json` wrote. Raises BadPolicy."""
    if not isinstance(data, Mapping):
        return parse_blackout(data)
    try:
        if "cron" in data:
            return Recurring(cron(data["cron"], tz=data.get("tz")), data["length_us"])
        return Window(data["from_at"], data["to_at"], data.get("tz"))
    except KeyError as error:
        raise BadPolicy(f"A blackout without {error} cannot be read: {str(dict(data))[:80]}.") from None


def read_blackouts(values: object) -> tuple[Blackout, ...]:
    """Several of them. Raises BadPolicy, and what `parse_blackout` raises."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise BadPolicy(f"blackouts are a list, such as [{_FORMS.split(' or ')[0]}].")
    if len(values) > MOST:
        raise BadPolicy(f"A schedule has at most {MOST} blackouts, not {len(values)}.")
    return tuple(blackout_from_json(value) for value in values)


# --- what the planner asks --------------------------------------------------------------------------------------------


def window_around(blackouts: Sequence[Blackout], at: Instant) -> tuple[Instant, Instant] | None:
    """From when to when it is dark around an instant, by the blackouts that hold then; None if none does."""
    found = [window for blackout in blackouts if (window := blackout.around(at)) is not None]
    return (min(start for start, _ in found), max(end for _, end in found)) if found else None


def dark_windows(
    blackouts: Sequence[Blackout], after: Instant, upto: Instant
) -> Iterator[tuple[Instant, Instant]]:
    """The times without occurrences that reach into (after, upto], in order; what overlaps or touches is one."""
    start = end = None
    for first, last in merge(*(blackout.windows(after, upto) for blackout in blackouts)):
        if start is None or end is None:
            start, end = first, last
        elif first <= end:
            end = max(end, last)
        else:
            yield start, end
            start, end = first, last
    if start is not None and end is not None:
        yield start, end


class Thinned:
    """A trigger less its blackouts. What is not about them is the trigger's own."""

    __slots__ = ("blackouts", "trigger")

    def __init__(self, trigger: Trigger, blackouts: Sequence[Blackout]) -> None:
        self.trigger = trigger
        self.blackouts = tuple(blackouts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trigger, name)

    def next_after(self, at: Instant) -> Instant | None:
        """The next instant that has to be looked at: the first one outside of the blackouts. Where there is none within
        reach, the last one in them that was met, so that somebody accounts for it and looks on from there."""
        dark = None
        for _ in range(MOST_WINDOWS):
            found = self.trigger.next_after(at)
            if found is None:
                return dark
            window = window_around(self.blackouts, found)
            if window is None:
                return found
            dark, at = found, window[1] - 1
        return dark

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The first instant in (after, upto] outside of the blackouts."""
        for _ in range(MOST_WINDOWS):
            found = self.trigger.first_in(after, upto)
            if found is None or (window := window_around(self.blackouts, found)) is None:
                return found
            after = window[1] - 1
        return None

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The last instant in (after, upto] outside of the blackouts."""
        while True:
            found = self.trigger.last_in(after, upto)
            if found is None or (window := window_around(self.blackouts, found)) is None:
                return found
            upto = window[0] - 1

    def count(self, after: Instant, upto: Instant) -> int:
        """How many instants in (after, upto] are outside of the blackouts."""
        return self.trigger.count(after, upto) - self.dark_count(after, upto)

    def dark_count(self, after: Instant, upto: Instant) -> int:
        """How many instants in (after, upto] fall into the blackouts."""
        if not any(next(blackout.windows(after, upto), None) for blackout in self.blackouts):
            return 0
        total = self.trigger.count(after, upto)
        if total <= _FEW:
            return len(self.dark_in(after, upto, _FEW)) if total else 0
        return sum(
            self.trigger.count(max(start - 1, after), min(end - 1, upto))
            for start, end in dark_windows(self.blackouts, after, upto)
        )

    def dark_in(self, after: Instant, upto: Instant, most: int) -> list[Instant]:
        """The instants in (after, upto] that fall into the blackouts, at most so many."""
        found: list[Instant] = []
        at = self.trigger.first_in(after, upto)
        while at is not None and len(found) < most:
            if window_around(self.blackouts, at) is not None:
                found.append(at)
            at = self.trigger.first_in(at, upto)
        return found


def thinned(trigger: Trigger, blackouts: Sequence[Blackout]) -> Trigger:
    """The trigger less its blackouts; itself where there are none."""
    return Thinned(trigger, blackouts) if blackouts else trigger  # type: ignore[return-value]  # it answers the same


def refuse_endless(trigger: Trigger, blackouts: Sequence[Blackout], now: Instant) -> None:
    """Refuse blackouts that leave a schedule nothing. Raises BadPolicy."""
    if not blackouts or getattr(trigger, "after_completion", False):
        return
    first = trigger.next_after(now)
    if first is not None and Thinned(trigger, blackouts).first_in(now, 1 << 62) is None:
        window = window_around(blackouts, first)
        ends = (
            ""
            if window is None
            else f" (the next one, {to_text(first)}, into the one up to {to_text(window[1])})"
        )
        raise BadPolicy(
            f"Every occurrence falls into a blackout{ends}, so it would never run: shorten the blackouts, or pause it."
        )

"""The triggers that need no calendar: every so often, once, and never by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from watchbell.core.instants import (
    EARLIEST,
    LATEST,
    MILLISECOND,
    Instant,
    duration_text,
    human_duration,
    local_text,
    parse_duration,
    read_time,
    to_text,
)
from watchbell.core.triggers.combine import Combines, RulesByZone, not_later
from watchbell.core.wallclock import zone_info
from watchbell.errors import BadTrigger

_FLAGS: Final = ("run_at_start", "after_completion")


@dataclass(frozen=True, slots=True)
class Interval(Combines):
    """Every `period_us` of elapsed time, counted from `start_at`: the n-th is due at `start_at + n ·
    period_us`, n ≥ 1.

    `start_at` None is the instant of creation, filled by `bound`. `run_at_start` (one manual run at
    creation) and `after_completion` (the period counts from the end of a run) are carried for those who
    plan.
    """

    kind: ClassVar[str] = "interval"
    hash_span_us: ClassVar[int] = 0

    period_us: int
    start_at: Instant | None = None
    run_at_start: bool = False
    after_completion: bool = False

    def __post_init__(self) -> None:
        check_whole("period_us", self.period_us)
        if self.start_at is not None:
            check_instant("start_at", self.start_at)
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise BadTrigger(f"{name}={getattr(self, name)!r} cannot be read; write true or false")
        if self.period_us < MILLISECOND:
            raise BadTrigger(
                f"an interval of {duration_text(self.period_us)} is too short; the shortest is 1ms "
                "(0 makes a trigger that is only run by hand: write manual())"
            )

    def _anchor(self) -> Instant:
        if self.start_at is None:
            raise BadTrigger("the interval has no start yet; it gets one when its schedule is created")
        return self.start_at

    def next_after(self, at: Instant) -> Instant | None:
        """The first due instant after `at`; None beyond the year 9999."""
        anchor = self._anchor()
        found = anchor + max((at - anchor) // self.period_us + 1, 1) * self.period_us
        return found if found <= LATEST else None

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The last due instant in (after, upto]."""
        anchor = self._anchor()
        n = (min(upto, LATEST) - anchor) // self.period_us
        found = anchor + n * self.period_us
        return found if n >= 1 and found > after else None

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The first due instant in (after, upto]."""
        return not_later(self.next_after(after), upto)

    def count(self, after: Instant, upto: Instant) -> int:
        """How many due instants there are in (after, upto]."""
        anchor = self._anchor()
        until = max(min(upto, LATEST) - anchor, 0) // self.period_us
        return max(until - max(after - anchor, 0) // self.period_us, 0)

    def stands_for(self, at: Instant) -> tuple[str, ...]:
        """Nothing: an interval has no wall-clock times."""
        return ()

    def zones(self) -> tuple[str, ...]:
        """Nothing: an interval is elapsed time, the same in every zone."""
        return ()

    def with_rules(self, rules: RulesByZone) -> Interval:
        """The same trigger: no zone has a say in it."""
        return self

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        period = human_duration(self.period_us)
        # Rounding is for spans that are looked at, not for a rule.
        if parse_duration(period.replace(",", "")) != self.period_us:
            period = duration_text(self.period_us)
        text = f"{period} after the end of the run before" if self.after_completion else f"every {period}"
        if self.start_at is not None:
            text += f", counted from {to_text(self.start_at)}"
        return text + (", and once at the start" if self.run_at_start else "")

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data; options that have their default value are left out."""
        data: dict[str, Any] = {"kind": self.kind, "period_us": self.period_us}
        if self.start_at is not None:
            data["start_at"] = self.start_at
        return data | {name: True for name in _FLAGS if getattr(self, name)}

    def to_text(self) -> str:
        """The value as text, "every 15m start_at=2026-11-21T08:00:00Z"."""
        words = ["every", duration_text(self.period_us)]
        if self.start_at is not None:
            words.append(f"start_at={to_text(self.start_at)}")
        words += [f"{name}=true" for name in _FLAGS if getattr(self, name)]
        return " ".join(words)

    def bound(self, zone: str, anchor: Instant) -> Interval:
        """The trigger with its start, `anchor` where it has none."""
        if self.start_at is not None:
            return self
        return Interval(self.period_us, anchor, self.run_at_start, self.after_completion)


@dataclass(frozen=True, slots=True)
class Once(Combines):
    """One instant. `wall` is the wall-clock time it was given as, "2026-11-21T09:00:00", read in `tz`; else
    None.
    """

    kind: ClassVar[str] = "once"
    hash_span_us: ClassVar[int] = 0

    at: Instant
    tz: str | None = None
    wall: str | None = None

    def __post_init__(self) -> None:
        check_instant("at", self.at)
        if self.tz is not None:
            zone_info(self.tz)
        if self.wall is not None and (self.tz is None or read_time(self.wall)[1] is not None):
            raise BadTrigger(
                "a wall-clock time has a zone and no offset; write once('2026-11-21 09:00', tz=…)"
            )

    def next_after(self, at: Instant) -> Instant | None:
        """The instant, if it is after `at`."""
        return self.at if self.at > at else None

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The instant, if it is in (after, upto]."""
        return self.at if after < self.at <= upto else None

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The instant, if it is in (after, upto]."""
        return self.last_in(after, upto)

    def count(self, after: Instant, upto: Instant) -> int:
        """1 if the instant is in (after, upto], else 0."""
        return int(after < self.at <= upto)

    def stands_for(self, at: Instant) -> tuple[str, ...]:
        """Nothing: there is one time only."""
        return ()

    def zones(self) -> tuple[str, ...]:
        """The time zone, when a wall-clock time was given."""
        return () if self.tz is None or self.wall is None else (self.tz,)

    def with_rules(self, rules: RulesByZone) -> Once:
        """The same wall-clock time, computed with stored zone rules instead of this machine's."""
        found = None if self.tz is None else rules.get(self.tz)
        if found is None or self.wall is None:
            return self
        return replace(self, at=found.from_local(read_time(self.wall)[0]).chosen()[0])

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        time = f"{local_text(self.at, self.tz)}, {self.tz}" if self.tz else to_text(self.at)
        return f"once, at {time}"

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data."""
        data: dict[str, Any] = {"kind": self.kind, "at": self.at, "tz": self.tz, "wall": self.wall}
        return {name: value for name, value in data.items() if value is not None}

    def to_text(self) -> str:
        """The value as text, "once 2026-11-21T08:00:00Z" or "once 2026-11-21T09:00:00 tz=Europe/Berlin"."""
        time = to_text(self.at) if self.wall is None else self.wall
        return f"once {time} tz={self.tz}" if self.tz else f"once {time}"

    def bound(self, zone: str, anchor: Instant) -> Once:
        """The trigger itself: nothing is left open."""
        return self


@dataclass(frozen=True, slots=True)
class Manual(Combines):
    """Never by itself; only run by hand, by a program or by another job."""

    kind: ClassVar[str] = "manual"
    hash_span_us: ClassVar[int] = 0

    def next_after(self, at: Instant) -> Instant | None:
        """Never."""
        return None

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """Never."""
        return None

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """Never."""
        return None

    def count(self, after: Instant, upto: Instant) -> int:
        """0."""
        return 0

    def stands_for(self, at: Instant) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def zones(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def with_rules(self, rules: RulesByZone) -> Manual:
        """The same trigger."""
        return self

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        return "only when run by hand"

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data."""
        return {"kind": self.kind}

    def to_text(self) -> str:
        """The value as text."""
        return self.kind

    def bound(self, zone: str, anchor: Instant) -> Manual:
        """The trigger itself."""
        return self


def check_instant(name: str, value: object) -> None:
    """Raise BadTrigger unless the value is an instant with a date in the calendar."""
    check_whole(name, value)
    if not isinstance(value, int) or not EARLIEST <= value <= LATEST:
        raise BadTrigger(f"{name}={value!r} is outside the years 1 to 9999")


def check_whole(name: str, value: object) -> None:
    """Raise BadTrigger unless the value is a whole number; what comes from JSON may be anything."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadTrigger(f"{name}={value!r} is not a whole number of microseconds")

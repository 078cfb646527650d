"""Triggers made of triggers: any of several, and one without the instants or the days of another.

    cron("0 9 * * 1-5") | cron("0 11 * * 6")           any_of: an instant that both give is one occurrence
    every("15m") - cron("* 2 * * *")                   except_for: without the instants of another
    cron("0 9 * * *") - "2026-12-25"                   … or without a day, as the calendar of its zone has it

An instant is left out when the other trigger gives exactly the same one, or when it falls on a day that is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Final

from watchbell.core.instants import Instant
from watchbell.core.triggers.combine import Combines, RulesByZone, not_later
from watchbell.core.triggers.compound_days import around, read_day, stretches_of
from watchbell.core.wallclock import ZoneRules, zone_info, zone_rules
from watchbell.errors import BadTrigger, NeverMatches

if TYPE_CHECKING:
    from watchbell.core.triggers import Trigger

_MOST_PARTS: Final = 20
_MOST_DAYS: Final = 1_000
_DEEPEST: Final = 4
_MOST_LEFT_OUT: Final = 100_000
_MOST_NOMINAL: Final = 60
_MOST_SHOWN: Final = 5


def any_of(*triggers: Trigger) -> AnyOf:
    """At the instants of any of these; an instant that several of them give is one occurrence. Also `a | b`.

    Raises BadTrigger for fewer than two different ones, and for what has no instants of its own (manual, intervals that
    count from the end of a run or run at the start).
    """
    return AnyOf(tuple(triggers))


def except_for(trigger: Trigger, *left_out: Trigger | str | date, tz: str | None = None) -> Except:
    """At the instants of `trigger`, without those that one of `left_out` gives as well, and without whole days: dates,
    or texts such as "2026-12-25", in the zone `tz` (else the trigger's own). Also `a - b`.

    Raises BadTrigger, BadZone.
    """
    days = [
        each if isinstance(each, str) else each.isoformat()
        for each in left_out
        if isinstance(each, str | date)
    ]
    others: list[Trigger] = [each for each in left_out if not isinstance(each, str | date)]
    if isinstance(trigger, Except) and (not days or not trigger.days or trigger.tz == (tz or trigger.tz)):
        days += trigger.days
        tz = tz or trigger.tz
        others = [*([trigger.other] if trigger.other is not None else []), *others]
        trigger = trigger.base
    return Except(trigger, _joined(others), tuple(days), tz)


def _joined(others: Sequence[Trigger]) -> Trigger | None:
    different = list(dict.fromkeys(others))
    if len(different) < 2:
        return different[0] if different else None
    return AnyOf(tuple(different))


@dataclass(frozen=True, slots=True)
class AnyOf(Combines):
    """The instants of any of its parts, each once."""

    kind: ClassVar[str] = "any"

    parts: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        flat: list[Trigger] = []
        for part in self.parts:
            flat += part.parts if isinstance(part, AnyOf) else (_sound(part),)
        found = tuple(dict.fromkeys(flat))
        object.__setattr__(self, "parts", found)
        if not 2 <= len(found) <= _MOST_PARTS:
            raise BadTrigger(f"any_of joins 2 to {_MOST_PARTS} different triggers, not {len(found)}")
        if len({getattr(part, "hash_span_us", 0) for part in found}) > 1:
            raise BadTrigger(
                "a cron expression with H can only be joined with others of the same H; use spread= instead"
            )
        _not_too_deep(self)

    @property
    def tz(self) -> str | None:
        """The zone of its first part that has one."""
        return next(iter(self.zones()), None)

    @property
    def hash_span_us(self) -> int:
        """How far behind its instants the starts may lie, by H."""
        return int(getattr(self.parts[0], "hash_span_us", 0))

    def next_after(self, at: Instant) -> Instant | None:
        """The first instant of any part after `at`."""
        found = [each for part in self.parts if (each := part.next_after(at)) is not None]
        return min(found, default=None)

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The last instant of any part in (after, upto]."""
        found = [each for part in self.parts if (each := part.last_in(after, upto)) is not None]
        return max(found, default=None)

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The first instant of any part in (after, upto]."""
        return not_later(self.next_after(after), upto)

    def count(self, after: Instant, upto: Instant) -> int:
        """How many instants there are in (after, upto]; those that several parts give are looked for one by one."""
        total = 0
        for place, part in enumerate(self.parts):
            total += part.count(after, upto)
            if place:
                total -= sum(1 for _ in _common(part, self.parts[:place], after, upto))
        return total

    def stands_for(self, at: Instant) -> tuple[str, ...]:
        """The wall-clock times of all parts that fall on this instant, where they are several; at most 60."""
        found: dict[str, None] = {}
        for part in self.parts:
            if part.first_in(at - 1, at) is not None:
                found |= dict.fromkeys(_nominal(part, at))
        return tuple(found)[:_MOST_NOMINAL] if len(found) > 1 else ()

    def nominal_at(self, at: Instant) -> tuple[str, ...]:
        """The wall-clock times of the parts that fall on this instant."""
        return tuple(dict.fromkeys(name for part in self.parts for name in _nominal(part, at)))[
            :_MOST_NOMINAL
        ]

    def zones(self) -> tuple[str, ...]:
        """The time zones that the parts depend on."""
        return tuple(dict.fromkeys(zone for part in self.parts for zone in part.zones()))

    def with_rules(self, rules: RulesByZone) -> AnyOf:
        """The same trigger, computed with stored zone rules instead of this machine's."""
        return AnyOf(tuple(part.with_rules(rules) for part in self.parts))

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        return "; or ".join(part.describe() for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data."""
        return {"kind": self.kind, "parts": [part.to_json() for part in self.parts]}

    def to_text(self) -> str:
        """The value as text, "any (cron 0 9 * * * tz=UTC) (every 15m start_at=2026-11-21T08:00:00Z)"."""
        return " ".join([self.kind, *(f"({part.to_text()})" for part in self.parts)])

    def bound(self, zone: str, anchor: Instant) -> AnyOf:
        """The trigger with all that its parts leave open. Raises NeverMatches when one of them is never due."""
        return AnyOf(tuple(part.bound(zone, anchor) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Except(Combines):
    """The instants of `base` that `other` does not give and that fall on none of `days` ("2026-12-25", in `tz`)."""

    kind: ClassVar[str] = "except"

    base: Trigger
    other: Trigger | None = None
    days: tuple[str, ...] = ()
    tz: str | None = None
    rules: ZoneRules | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _sound(self.base)
        if self.other is not None:
            _sound(self.other)
        given: object = self.days  # from JSON it may be anything
        if not isinstance(given, tuple) or not all(isinstance(day, str) for day in given):
            raise BadTrigger(f"days={given!r} cannot be read; write a list of dates such as '2026-12-25'")
        object.__setattr__(self, "days", tuple(sorted({read_day(day) for day in self.days})))
        if self.other is None and not self.days:
            raise BadTrigger("there is nothing to leave out; write a trigger, or days such as '2026-12-25'")
        if len(self.days) > _MOST_DAYS:
            raise BadTrigger(f"{len(self.days):,} days are left out; write at most {_MOST_DAYS:,}")
        if self.tz is not None and self.rules is None:
            zone_info(self.tz)
        _not_too_deep(self)

    @property
    def hash_span_us(self) -> int:
        """How far behind its instants the starts may lie, by H."""
        return int(getattr(self.base, "hash_span_us", 0))

    def _dark(self) -> tuple[tuple[Instant, Instant], ...]:
        """The days that are left out as stretches [start, end) of real time."""
        if not self.days:
            return ()
        return stretches_of(
            self.rules or zone_rules(self.tz or next(iter(self.base.zones()), "UTC")), self.days
        )

    def next_after(self, at: Instant) -> Instant | None:
        """The first instant after `at` that is not left out. Raises BadTrigger when 100,000 in a row are."""
        dark = self._dark()
        found = self.base.next_after(at)
        for _ in range(_MOST_LEFT_OUT):
            if found is None:
                return None
            stretch = around(dark, found)
            if stretch is not None:
                found = self.base.next_after(stretch[1] - 1)
            elif self.other is not None and self.other.first_in(found - 1, found) is not None:
                found = self.base.next_after(found)
            else:
                return found
        raise BadTrigger(
            f"{_MOST_LEFT_OUT:,} instants in a row are left out of the rule {self.to_text()[:200]!r}; leave out fewer"
        )

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The last instant in (after, upto] that is not left out."""
        dark = self._dark()
        found = self.base.last_in(after, upto)
        while found is not None:
            stretch = around(dark, found)
            if stretch is not None:
                found = self.base.last_in(after, stretch[0] - 1)
            elif self.other is not None and self.other.first_in(found - 1, found) is not None:
                found = self.base.last_in(after, found - 1)
            else:
                return found
        return None

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The first instant in (after, upto] that is not left out."""
        return not_later(self.next_after(after), upto)

    def count(self, after: Instant, upto: Instant) -> int:
        """How many instants of (after, upto] are not left out; those that both give are looked for one by one."""
        total, at = 0, after
        for start, end in (*self._dark(), (upto + 1, upto + 1)):
            lit = min(start - 1, upto)
            if lit > at:
                total += self.base.count(at, lit)
                if self.other is not None:
                    total -= sum(1 for _ in _common(self.base, (self.other,), at, lit))
            at = max(at, end - 1)
        return total

    def stands_for(self, at: Instant) -> tuple[str, ...]:
        """The wall-clock times that fall on this instant, where they are several."""
        return self.base.stands_for(at)

    def nominal_at(self, at: Instant) -> tuple[str, ...]:
        """The wall-clock times of the rule that fall on this instant."""
        return _nominal(self.base, at) if self.first_in(at - 1, at) is not None else ()

    def zones(self) -> tuple[str, ...]:
        """The time zones that the rule, what is left out and the days depend on."""
        found = [*self.base.zones(), *(() if self.other is None else self.other.zones())]
        return tuple(dict.fromkeys([*found, self.tz] if self.days and self.tz is not None else found))

    def with_rules(self, rules: RulesByZone) -> Except:
        """The same trigger, computed with stored zone rules instead of this machine's."""
        return replace(
            self,
            base=self.base.with_rules(rules),
            other=None if self.other is None else self.other.with_rules(rules),
            rules=None if self.tz is None else rules.get(self.tz, self.rules),
        )

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        told = []
        if self.other is not None:
            told.append(f"except {self.other.describe()}")
        if self.days:
            shown = ", ".join(self.days[:_MOST_SHOWN])
            more = len(self.days) - _MOST_SHOWN
            told.append(f"except on {shown}" + (f" and {more} more days" if more > 0 else ""))
        return ", ".join([self.base.describe(), *told])

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data."""
        data: dict[str, Any] = {"kind": self.kind, "base": self.base.to_json()}
        if self.other is not None:
            data["other"] = self.other.to_json()
        if self.days:
            data["days"] = list(self.days)
        return data if self.tz is None else data | {"tz": self.tz}

    def to_text(self) -> str:
        """The value as text, "except (every 15m) (cron * 2 * * *) days=2026-12-25,2026-12-26 tz=UTC"."""
        words = [self.kind, f"({self.base.to_text()})"]
        if self.other is not None:
            words.append(f"({self.other.to_text()})")
        if self.days:
            words.append(f"days={','.join(self.days)}")
        return " ".join(words if self.tz is None else [*words, f"tz={self.tz}"])

    def bound(self, zone: str, anchor: Instant) -> Except:
        """The trigger with all that its parts leave open. Raises NeverMatches when nothing is left of it."""
        base = self.base.bound(zone, anchor)
        bound = Except(
            base,
            None if self.other is None else self.other.bound(zone, anchor),
            self.days,
            self.tz or (next(iter(base.zones()), zone) if self.days else None),
        )
        try:
            empty = bound.next_after(anchor) is None
        except BadTrigger:
            empty = True
        if empty and base.next_after(anchor) is not None:  # a rule that has ended by itself is no mistake
            raise NeverMatches(
                "nothing is left of the rule: all its instants are left out, so it would never be due"
            )
        return bound


# --- what both need -----------------------------------------------------------------------------------------


def _sound(part: object) -> Any:
    """A part that has instants of its own. Raises BadTrigger."""
    if not isinstance(part, Combines):
        raise BadTrigger(f"{str(part)[:60]!r} is no trigger; write cron(…), every(…), once(…) or rrule(…)")
    if getattr(part, "kind", None) == "manual":
        raise BadTrigger("manual() has no instants, so it says nothing in a combination; leave it out")
    for name in ("after_completion", "run_at_start"):
        if getattr(part, name, False):
            raise BadTrigger(f"an interval with {name} cannot be combined; give it a schedule of its own")
    return part


def _not_too_deep(trigger: object, depth: int = 1) -> None:
    if depth > _DEEPEST:
        raise BadTrigger(f"triggers are combined more than {_DEEPEST} deep; write it with fewer brackets")
    inner = (*getattr(trigger, "parts", ()), getattr(trigger, "base", None), getattr(trigger, "other", None))
    for part in inner:
        if isinstance(part, AnyOf | Except):
            _not_too_deep(part, depth + 1)


def _common(one: Trigger, others: Sequence[Trigger], after: Instant, upto: Instant) -> Iterator[Instant]:
    """The instants in (after, upto] that one trigger and any of the others give: each side leaps to where the other is."""

    def of_others(at: Instant) -> Instant | None:
        return min((each for part in others if (each := part.next_after(at)) is not None), default=None)

    mine, theirs = one.next_after(after), of_others(after)
    while mine is not None and theirs is not None and max(mine, theirs) <= upto:
        if mine == theirs:
            yield mine
            mine, theirs = one.next_after(mine), of_others(theirs)
        elif mine < theirs:
            mine = one.next_after(theirs - 1)
        else:
            theirs = of_others(mine - 1)


def _nominal(part: Trigger, at: Instant) -> tuple[str, ...]:
    ask = getattr(part, "nominal_at", None)
    return () if ask is None else tuple(ask(at))

"""The cron trigger: an expression, a zone and what changes of the clocks do to it, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from watchbell.core.instants import Instant
from watchbell.core.triggers.combine import RulesByZone
from watchbell.core.triggers.cron_fields import parse_cron
from watchbell.core.triggers.cron_text import describe_cron
from watchbell.core.triggers.walk import Walk, walk
from watchbell.core.triggers.wall_trigger import Dst, WallTrigger, check_clocks, told_clocks
from watchbell.core.wallclock import Fold, Gap, ZoneRules, zone_info, zone_rules
from watchbell.errors import BadTrigger, NeverMatches


@dataclass(frozen=True, slots=True)
class Cron(WallTrigger):
    """A cron expression in a time zone.

    `tz` None is the default zone, filled by `bound` (until then UTC is used). `dst`, `gap` and `fold` say
    what changes of the clocks do to it. `rules` are the zone's offsets to use in place of this machine's;
    they are no part of the value.
    """

    kind: ClassVar[str] = "cron"

    expression: str
    tz: str | None = None
    dst: Dst = "auto"
    gap: Gap = "end"
    fold: Fold = "first"
    rules: ZoneRules | None = field(default=None, compare=False, repr=False)
    _walk: Walk | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise BadTrigger(f"a cron expression is a text such as '30 2 * * *', not {self.expression!r}")
        object.__setattr__(self, "expression", " ".join(self.expression.split()))
        parse_cron(self.expression)
        check_clocks(self.dst, self.gap, self.fold)
        if self.tz is not None and self.rules is None:
            zone_info(self.tz)

    def __reduce__(self) -> tuple[type[Cron], tuple[object, ...]]:
        return Cron, (self.expression, self.tz, self.dst, self.gap, self.fold, self.rules)

    @property
    def rhythm(self) -> bool:
        """Whether real time is meant rather than the time on the wall."""
        return parse_cron(self.expression).rhythm if self.dst == "auto" else self.dst == "rhythm"

    @property
    def hash_span_us(self) -> int:
        """In which span the schedule's own hash moves each start; 0 for an expression without `H`."""
        return parse_cron(self.expression).hash_span_us

    def _walked(self) -> Walk:
        rules = self.rules or zone_rules(self.tz or "UTC")
        found = walk(self.expression, rules, self.rhythm, self.gap, self.fold)
        object.__setattr__(self, "_walk", found)  # a note for speed: the value does not change by it
        return found

    def with_rules(self, rules: RulesByZone) -> Cron:
        """The same trigger, computed with stored zone rules instead of this machine's."""
        found = rules.get(self.tz or "UTC")
        return self if found is None else replace(self, rules=found)

    def describe(self) -> str:
        """The rule as a fragment of an English sentence."""
        parts = [describe_cron(parse_cron(self.expression))]
        if self.tz is not None:
            parts.append(self.tz)
        return ", ".join(parts + told_clocks(self.dst, self.gap, self.fold, self.rhythm))

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data; options that have their default value are left out."""
        data: dict[str, Any] = {"kind": self.kind, "expression": self.expression}
        data.update(self._options())
        return data

    def to_text(self) -> str:
        """The value as text, "cron 30 2 * * 1-5 tz=Europe/Berlin"."""
        options = [f"{name}={value}" for name, value in self._options().items()]
        return " ".join([self.kind, self.expression, *options])

    def _options(self) -> dict[str, str]:
        values = {"tz": self.tz, "dst": self.dst, "gap": self.gap, "fold": self.fold}
        defaults = {"tz": None, "dst": "auto", "gap": "end", "fold": "first"}
        return {name: value for name, value in values.items() if value and value != defaults[name]}

    def bound(self, zone: str, anchor: Instant) -> Cron:
        """The trigger with the default zone where it names none. Raises NeverMatches when it is never due."""
        bound = self if self.tz is not None else Cron(self.expression, zone, self.dst, self.gap, self.fold)
        if bound.next_after(anchor) is None:
            raise NeverMatches(
                f"the cron expression {self.expression!r} matches no date of the calendar, "
                "so it would never be due; write a day that its months have"
            )
        return bound

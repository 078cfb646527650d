"""Combined triggers for the recount: unions merged instant by instant, exclusions looked at instant by instant.

A part of `recount` and, like it, without a line in common with what plans.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from heapq import merge
from typing import Any, Protocol

KINDS = ("any", "except")
_EPOCH = date(1970, 1, 1).toordinal()
_MICRO = 1_000_000
_DAY = 86_400


class _Rule(Protocol):
    def between(self, after: int, upto: int) -> Iterator[int]: ...
    def count(self, after: int, upto: int) -> int: ...


class Union:
    """Every instant of any part, once."""

    def __init__(self, parts: Sequence[_Rule]) -> None:
        self._parts = parts

    def between(self, after: int, upto: int) -> Iterator[int]:
        """In order."""
        last = None
        for at in merge(*(part.between(after, upto) for part in self._parts)):
            if at != last:
                yield at
            last = at

    def count(self, after: int, upto: int) -> int:
        """How many."""
        return sum(1 for _ in self.between(after, upto))


class Exclusion:
    """The instants of one rule that another does not give, and that fall on no day that is left out."""

    def __init__(
        self, base: _Rule, other: _Rule | None, days: Sequence[str], to_local: Callable[[int], int]
    ) -> None:
        self._base, self._other, self._to_local = base, other, to_local
        self._days = frozenset(date.fromisoformat(day).toordinal() - _EPOCH for day in days)

    def between(self, after: int, upto: int) -> Iterator[int]:
        """In order."""
        others = iter(()) if self._other is None else self._other.between(after, upto)
        other = next(others, None)
        for at in self._base.between(after, upto):
            while other is not None and other < at:
                other = next(others, None)
            if other != at and not (self._days and self._to_local(at // _MICRO) // _DAY in self._days):
                yield at

    def count(self, after: int, upto: int) -> int:
        """How many."""
        return sum(1 for _ in self.between(after, upto))


def zones_within(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The zones that a stored trigger names, its parts' among them."""
    inner = [*data.get("parts", ()), *(data[name] for name in ("base", "other") if name in data)]
    found = [zone for part in inner for zone in zones_within(part)]
    own = data.get("tz")
    return tuple(dict.fromkeys([*found, own] if isinstance(own, str) else found))


def rules_within(data: Mapping[str, Any], known: Mapping[str, str]) -> str | None:
    """The stored rules that a trigger needs, as one text: of a combined trigger those of all its zones by name."""
    if data.get("kind") not in KINDS:
        return known.get(str(data.get("tz")))
    found = {zone: json.loads(known[zone]) for zone in zones_within(data) if zone in known}
    return json.dumps({"zones": found}, sort_keys=True) if found else None


def rules_for(part: Mapping[str, Any], stored: str | None) -> str | None:
    """Of what `rules_within` gave, the text for one part."""
    if stored is None:
        return None
    zones = json.loads(stored)["zones"]
    return rules_within(part, {zone: json.dumps(rules, sort_keys=True) for zone, rules in zones.items()})


def rules_of_days(zone: str, stored: str | None) -> str | None:
    """Of what `rules_within` gave, the text for the zone of the days."""
    found = None if stored is None else json.loads(stored)["zones"].get(zone)
    return None if found is None else json.dumps(found, sort_keys=True)

"""Blackouts, worked out a second time: the audit's own reading of what a version stored about them.

Like `recount` this shares no code with the planner: it reads the stored JSON by itself and goes window by window.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ...errors import BadTrigger
from .recount import Rule, rule_of

_Windows = Sequence[tuple[int, int]]


class Dark:
    """The times without occurrences of one version. Spans of time are (after, upto], windows [from, to)."""

    def __init__(self, stored: Sequence[Mapping[str, Any]], zones: Mapping[str, str]) -> None:
        self._fixed: list[tuple[int, int]] = []
        self._rules: list[tuple[Rule, int]] = []
        self._known: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for each in stored:
            try:
                if "cron" in each:
                    tz = each.get("tz") or "UTC"
                    text = json.dumps({"kind": "cron", "expression": each["cron"], "tz": tz})
                    self._rules.append((rule_of(text, zones.get(tz)), int(each["length_us"])))
                else:
                    self._fixed.append((int(each["from_at"]), int(each["to_at"])))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise BadTrigger(f"the stored blackout {each!r} cannot be read: {error}") from error

    def windows(self, after: int, upto: int) -> _Windows:
        """Those that reach into the span, in order and without overlaps."""
        known = self._known.get((after, upto))
        if known is not None:
            return known
        found = [(start, end) for start, end in self._fixed if start <= upto and end > after + 1]
        for rule, length in self._rules:
            found += [(at, at + length) for at in rule.between(after + 1 - length, upto)]
        joined: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((start, end))
        if len(self._known) > 64:
            self._known.clear()
        self._known[after, upto] = joined
        return joined

    def around(self, at: int) -> tuple[int, int] | None:
        """The window that an instant is in."""
        found = self.windows(at - 1, at)
        return found[0] if found else None


@lru_cache(maxsize=256)
def _dark(stored: str, zones: tuple[tuple[str, str], ...]) -> Dark:
    return Dark(json.loads(stored), dict(zones))


def dark_of(policies: Mapping[str, Any], zones: Mapping[str, str]) -> Dark | None:
    """The blackouts that a version's stored policies name; None without any. Raises BadTrigger."""
    stored = policies.get("blackouts")
    return _dark(json.dumps(stored), tuple(sorted(zones.items()))) if stored else None


class Lit:
    """What a rule implies outside of the blackouts."""

    def __init__(self, rule: Rule, dark: Dark) -> None:
        self._rule, self._dark = rule, dark

    def between(self, after: int, upto: int) -> Iterator[int]:
        """The instants in (after, upto]."""
        windows = self._dark.windows(after, upto)
        starts = [start for start, _ in windows]
        for at in self._rule.between(after, upto):
            place = bisect_right(starts, at) - 1
            if place < 0 or at >= windows[place][1]:
                yield at

    def count(self, after: int, upto: int) -> int:
        """How many there are."""
        return self._rule.count(after, upto) - Blacked(self._rule, self._dark).count(after, upto)


class Blacked:
    """What a rule implies inside of the blackouts."""

    def __init__(self, rule: Rule, dark: Dark) -> None:
        self._rule, self._dark = rule, dark

    def between(self, after: int, upto: int) -> Iterator[int]:
        """The instants in (after, upto]."""
        for start, end in self._dark.windows(after, upto):
            yield from self._rule.between(max(start - 1, after), min(end - 1, upto))

    def count(self, after: int, upto: int) -> int:
        """How many there are."""
        return sum(
            self._rule.count(max(start - 1, after), min(end - 1, upto))
            for start, end in self._dark.windows(after, upto)
        )

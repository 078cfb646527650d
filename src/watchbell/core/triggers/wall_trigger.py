"""What the triggers that follow a clock on the wall have in common: the questions, answered by their `Walk`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final, Literal, TypeAlias

from watchbell.core.instants import Instant, reading_text
from watchbell.core.triggers.combine import Combines, not_later
from watchbell.core.triggers.walk import Walk
from watchbell.core.wallclock import FOLDS, GAPS, Fold, Gap
from watchbell.errors import BadTrigger

Dst: TypeAlias = Literal["auto", "wall", "rhythm"]
"""Whether a rule means real time or the time on the wall; `auto` looks at the rule itself."""
DSTS: Final[tuple[Dst, ...]] = ("auto", "wall", "rhythm")

_GAP_TEXTS: Final[dict[Gap, str]] = {
    "end": "",
    "shift": "later by as much where the clocks skip a time",
    "skip": "left out where the clocks skip a time",
}
_FOLD_TEXTS: Final[dict[Fold, str]] = {
    "first": "",
    "second": "at the second where the clocks repeat a time",
    "both": "at both where the clocks repeat a time",
}
_MOST_NOMINAL: Final = 60  # a gap holds thousands of seconds; a ledger row names no more than these


class WallTrigger(Combines):
    """The questions of a trigger whose times stand on a wall; `_walk` is a note for speed, no part of the value."""

    __slots__ = ()

    tz: str | None
    _walk: Walk | None

    @abstractmethod
    def _walked(self) -> Walk:
        """The occurrences, from now on in `_walk`."""

    def next_after(self, at: Instant) -> Instant | None:
        """The first occurrence after an instant; None when there is none before the year 10000."""
        return (self._walk or self._walked()).after(at)

    def last_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The last occurrence in (after, upto]."""
        return (self._walk or self._walked()).last(after, upto)

    def first_in(self, after: Instant, upto: Instant) -> Instant | None:
        """The first occurrence in (after, upto]."""
        return not_later(self.next_after(after), upto)

    def count(self, after: Instant, upto: Instant) -> int:
        """How many occurrences there are in (after, upto]; fast for long spans."""
        return (self._walk or self._walked()).count(after, upto)

    def stands_for(self, at: Instant) -> tuple[str, ...]:
        """The wall-clock times that fall on this instant where they are several, as in a gap; else nothing.

        At most 60 are named.
        """
        if not (self._walk or self._walked()).may_double(at):
            return ()
        nominal = self.nominal_at(at)
        return nominal if len(nominal) > 1 else ()

    def nominal_at(self, at: Instant) -> tuple[str, ...]:
        """The wall-clock times of the rule that fall on this instant, "2026-03-29 02:30"; at most 60."""
        times = (self._walk or self._walked()).nominal(at, _MOST_NOMINAL)
        return tuple(reading_text(time).removesuffix(":00") for time in times)

    def zones(self) -> tuple[str, ...]:
        """The time zones the rule depends on."""
        return () if self.tz is None else (self.tz,)


def check_clocks(dst: Dst, gap: Gap, fold: Fold) -> None:
    """Raise BadTrigger unless these are choices that there are."""
    for name, value, allowed in (("dst", dst, DSTS), ("gap", gap, GAPS), ("fold", fold, FOLDS)):
        if value not in allowed:
            raise BadTrigger(f"{name}={value!r} is not known; write {name}= one of {', '.join(allowed)}")


def told_clocks(dst: Dst, gap: Gap, fold: Fold, rhythm: bool) -> list[str]:
    """What is not the default about changes of the clocks, as parts of a sentence."""
    told = []
    if dst != "auto":
        told.append("in real time" if rhythm else "by the clock on the wall")
    if not rhythm:
        told += [text for text in (_GAP_TEXTS[gap], _FOLD_TEXTS[fold]) if text]
    return told

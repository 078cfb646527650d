"""The line of real time of one zone, cut into pieces in which a wall-clock rule is simple.

What daylight saving time does to a rule depends on the zone and on three choices (rhythm or wall clock, gap,
fold), not on the rule, so it is worked out once here and shared by all rules. In each piece every matching
local reading is an occurrence, at `local - offset`; nothing happens between the end of a piece and the start
of the next.

- Rhythm: the pieces are the stretches between changes of offset. A repeated hour is in two pieces, a skipped
  one in none.
- Fold `first` cuts the second pass out, `second` the first, `both` neither.
- Gap `end`: the piece after the gap carries the readings left out, which all stand for its first instant.
  Gap `shift`: the piece of the gap's length after it has two offsets, the new one and the old.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from watchbell.core.units import LATEST, SECOND, Instant
from watchbell.core.wallclock import Fold, Gap, ZoneRules

_BEFORE_ALL: Final = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch [start, end) of real time with the offsets (µs) by which it reads its local times."""

    start: Instant
    end: Instant
    offsets: tuple[int, ...]
    gap: tuple[int, int] | None = None
    """Local readings [from, to) that were left out and stand for `start`."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The pieces in order; they cover all time but for what a fold rule cuts out."""

    pieces: tuple[Piece, ...]
    starts: tuple[Instant, ...]

    def index(self, at: Instant) -> int:
        """The place of the last piece that starts at or before an instant."""
        return bisect_right(self.starts, at) - 1


@lru_cache(maxsize=512)
def timeline(rules: ZoneRules, rhythm: bool, gap: Gap, fold: Fold) -> Timeline:
    """The pieces of a zone under the choices made for a rule; gap and fold say nothing to a rhythm."""
    pieces: list[Piece] = []
    start, offset = _BEFORE_ALL, rules.first_offset_s * SECOND
    left_out: tuple[int, int] | None = None
    for at, seconds in rules.transitions:
        change = seconds * SECOND - offset
        end = at
        if not rhythm and change < 0 and fold == "second":
            end = max(start, at + change)
        pieces.append(Piece(start, end, (offset,), left_out))
        start, left_out = at, None
        if not rhythm and change < 0 and fold == "first":
            start = at - change
        elif not rhythm and change > 0 and gap == "end":
            left_out = (at + offset, at + offset + change)
        elif not rhythm and change > 0 and gap == "shift":
            pieces.append(Piece(at, at + change, (offset + change, offset)))
            start = at + change
        offset += change
    pieces.append(Piece(start, LATEST + 1, (offset,), left_out))
    return Timeline(tuple(pieces), tuple(piece.start for piece in pieces))

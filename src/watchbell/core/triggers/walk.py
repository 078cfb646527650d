"""Occurrences of a rule in real time: the local pattern laid over the timeline of a zone.

Most questions fall inside one piece of the timeline, where the answer is "the next matching local time, less
the offset". `Walk.after` does that case in one short function, since the planner asks it once for every
occurrence there will ever be; the ends of pieces, where the clocks change, take the slow way round.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

from watchbell.core.timeline import Piece, Timeline, timeline
from watchbell.core.triggers.pattern import Pattern, pattern_of
from watchbell.core.units import DAY, EARLIEST, LATEST, Instant
from watchbell.core.wallclock import Fold, Gap, ZoneRules


@lru_cache(maxsize=4096)
def walk(expression: str, rules: ZoneRules, rhythm: bool, gap: Gap, fold: Fold) -> Walk:
    """The occurrences of an expression under a zone's rules; schedules that say the same share one."""
    return Walk(pattern_of(expression), timeline(rules, rhythm, gap, fold))


class Walk:
    """The occurrences of one expression in one zone. Instants are µs UTC; every answer depends on the
    arguments only.
    """

    __slots__ = ("_near", "_now", "_pattern", "_spread", "_timeline", "_times")

    def __init__(self, pattern: Pattern, line: Timeline) -> None:
        self._pattern = pattern
        self._timeline = line
        self._times = pattern.times
        self._spread = pattern.seconds[-1]
        self._near = pattern.dates.near
        # The piece of the last question: the next one is nearly always in it. One tuple, so that threads see
        # it whole.
        self._now = self._remembered(line.pieces[-1])

    @staticmethod
    def _remembered(piece: Piece) -> tuple[Instant, Instant, int]:
        # A piece with two offsets has no quick answer: an empty span is never the right one.
        return (piece.start, piece.end, piece.offsets[0]) if len(piece.offsets) == 1 else (0, 0, 0)

    def after(self, at: Instant) -> Instant | None:
        """The first occurrence after an instant, or None when there is none before the year 10000."""
        start, end, offset = self._now
        if not start <= at < end:
            return self._slowly(at)
        local = at + offset
        day = local // DAY
        days = self._near.get(day) or self._pattern.dates.around(day)
        found = days[0]
        if found == day:
            times, spread = self._times, self._spread
            rest = local - day * DAY
            place = bisect_right(times, rest)
            if spread and place and rest < times[place - 1] + spread:
                later = self._pattern.after(local)  # a later second of the same minute
                return later - offset if later is not None and later - offset < end else self._slowly(at)
            if place < len(times):
                match = day * DAY + times[place] - offset
                return match if match < end else self._slowly(at)
            found = days[1]
        if found is None:
            return self._slowly(at)
        match = found * DAY + self._times[0] - offset
        return match if match < end else self._slowly(at)

    def _slowly(self, at: Instant) -> Instant | None:
        line = self._timeline
        at = max(at, EARLIEST - 1)
        first = place = max(line.index(at), 0)
        self._now = self._remembered(line.pieces[place])
        while place < len(line.pieces):
            piece = line.pieces[place]
            if place > first and self._stands_for_gap(piece):
                return piece.start
            found = self._in_piece(piece, at if place == first else piece.start - 1)
            if found is None or found < piece.end:
                return found
            # No local time before that one matches, so the pieces before it (by any offset) are passed over; but not
            # the next one of the piece we began in the middle of: it may show times again that lay before `at`.
            place = place + 1 if place == first else max(place + 1, line.index(found - 2 * DAY))
        return None

    def _in_piece(self, piece: Piece, at: Instant) -> Instant | None:
        """The first match after `at` by the offsets of a piece; it may be after the end of the piece."""
        locals_ = ((self._pattern.after(at + offset), offset) for offset in piece.offsets)
        return min((local - offset for local, offset in locals_ if local is not None), default=None)

    def _stands_for_gap(self, piece: Piece) -> bool:
        return piece.gap is not None and self._pattern.count(*piece.gap) > 0

    def last(self, after: Instant, upto: Instant) -> Instant | None:
        """The last occurrence in (after, upto]."""
        pieces = self._timeline.pieces
        after, upto = max(after, EARLIEST - 1), min(upto, LATEST)
        place = self._timeline.index(upto)
        while place >= 0 and upto > after and pieces[place].end > after:
            piece = pieces[place]
            best: Instant | None = None
            for offset in piece.offsets:
                high, low = min(upto, piece.end - 1) + offset, max(after + 1, piece.start) + offset
                local = self._pattern.at_or_before(high, low)
                if local is not None and (best is None or local - offset > best):
                    best = local - offset
            if best is None and piece.start > after and self._stands_for_gap(piece):
                best = piece.start
            if best is not None:
                return best
            place -= 1
        return None

    def count(self, after: Instant, upto: Instant) -> int:
        """How many occurrences there are in (after, upto]."""
        after, upto = max(after, EARLIEST - 1), min(upto, LATEST)
        if after >= upto:
            return 0
        pieces = self._timeline.pieces
        total = 0
        for place in range(max(self._timeline.index(after), 0), self._timeline.index(upto) + 1):
            piece = pieces[place]
            first, end = max(after + 1, piece.start), min(upto + 1, piece.end)
            if len(piece.offsets) > 1:
                total += self._count_merged(piece, first, end)
                continue
            offset = piece.offsets[0]
            total += self._pattern.count(first + offset, end + offset)
            if first == piece.start and self._stands_for_gap(piece) and not self._pattern.has(first + offset):
                total += 1
        return total

    def _count_merged(self, piece: Piece, first: Instant, end: Instant) -> int:
        # Two rows of occurrences in one piece, an hour or so: instants that are in both count once.
        total, at = 0, self._in_piece(piece, first - 1)
        while at is not None and at < end:  # `end` is not after the end of the piece
            total, at = total + 1, self._in_piece(piece, at)
        return total

    def may_double(self, at: Instant) -> bool:
        """Whether several local times could stand at an instant; asked for every occurrence, so quick."""
        start, end, _ = self._now
        if start < at < end:
            return False
        piece = self._timeline.pieces[self._timeline.index(at)]
        return len(piece.offsets) > 1 or (piece.gap is not None and piece.start == at)

    def nominal(self, at: Instant, limit: int) -> tuple[int, ...]:
        """The local times that stand at an instant, in order, at most `limit`; none where nothing is due."""
        place = self._timeline.index(at)
        piece = self._timeline.pieces[place]
        if not piece.start <= at < piece.end:
            return ()
        found: set[int] = set()
        if piece.gap is not None and at == piece.start:
            local = self._pattern.after(piece.gap[0] - 1)
            while local is not None and local < piece.gap[1] and len(found) < limit:
                found.add(local)
                local = self._pattern.after(local)
        found.update(at + offset for offset in piece.offsets if self._pattern.has(at + offset))
        return tuple(sorted(found)[:limit])

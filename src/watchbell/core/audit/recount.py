"""The rules of time, worked out a second time: what the audit holds the ledger against.

This is on purpose a second implementation. It shares no code with `triggers` and the rooms below it, reads the stored
JSON by itself, and goes a simpler way: day by day, every wall-clock time resolved on its own (SEMANTICS §3). Two
programs that disagree show a fault in one of them; one program asked twice never would. Only the standard library and
the house's errors are imported here.

A rule is compiled once for its text and shared by all schedules that have it; the instants of a day are kept while
there is room.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from ...errors import BadTrigger
from .recount_calendar import read_calendar
from .recount_combined import KINDS, Exclusion, Union, rules_for, rules_of_days, rules_within
from .recount_cron import Expression, read_expression
from .recount_rrule import Recurrence

_MICRO: Final = 1_000_000
_DAY: Final = 86_400
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_FIRST_SECOND: Final = -62_135_596_800
# The rules of a zone are known from 1970 to 2100; before and after they stay as they are at the edge.
_ZONES_FROM: Final = 0
_ZONES_UNTIL: Final = 4_133_980_800
_MOST_KEPT: Final = 1_000_000


class Rule(Protocol):
    """What a trigger implies. Instants are µs UTC; spans of time are (after, upto]."""

    def between(self, after: int, upto: int) -> Iterator[int]: ...
    def count(self, after: int, upto: int) -> int: ...


def implied(trigger: str, after: int, upto: int, transitions: str | None = None) -> Iterator[int]:
    """Every instant in (after, upto] that a trigger (as stored, JSON text) implies, in order.

    `transitions` is the stored text of its zone's rules; without it the zone is read as this machine knows it today.
    A fixed delay (`after_completion`) implies nothing by itself. Raises BadTrigger where the text cannot be read.
    """
    return rule_of(trigger, transitions).between(after, upto)


def implied_count(trigger: str, after: int, upto: int, transitions: str | None = None) -> int:
    """How many instants `implied` gives, without listing them."""
    return rule_of(trigger, transitions).count(after, upto)


def chain_period(trigger: str) -> int | None:
    """The delay after each end, in µs, of a trigger that counts from there; None for every other."""
    data = _data(trigger)
    if data.get("kind") == "interval" and data.get("after_completion"):
        return int(data["period_us"])
    return None


def transitions_of(trigger: str, known: Mapping[str, str]) -> str | None:
    """Of the stored rules of zones, by name, the text that `rule_of` takes for this trigger; None where there is none."""
    return rules_within(_data(trigger), known)


@lru_cache(maxsize=4096)
def rule_of(trigger: str, transitions: str | None = None) -> Rule:
    """The rule behind a stored trigger. Raises BadTrigger."""
    data = _data(trigger)
    try:
        match data.get("kind"):
            case "manual":
                return _Listed(())
            case "interval":
                return (
                    _Listed(())
                    if data.get("after_completion")
                    else _Steps(data["period_us"], data["start_at"])
                )
            case "once":
                return _Listed((_once(data, transitions),))
            case "cron":
                zone = _zone(data.get("tz") or "UTC", transitions)
                expression = read_expression(data["expression"])
                return _Days(expression, zone, _Choice.of(data, expression))
            case "calendar":
                dates = read_calendar(data)
                return _Days(dates, _zone(data.get("tz") or "UTC", transitions), _Choice.of(data, dates))
            case "rrule":
                zone = _zone(data.get("tz") or "UTC", transitions)
                return _Recurring(Recurrence(data, zone.to_local), zone, data)
            case "any" | "except":
                return _combined(data, transitions)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise BadTrigger(f"the stored trigger {trigger[:200]} cannot be evaluated: {error}") from error
    raise BadTrigger(f"the stored trigger {trigger[:200]} is of no known kind")


def _combined(data: Mapping[str, Any], transitions: str | None) -> Rule:
    def part(each: Mapping[str, Any]) -> Rule:
        nested = each.get("kind") in KINDS
        return rule_of(
            json.dumps(each, sort_keys=True), transitions if nested else rules_for(each, transitions)
        )

    if data["kind"] == "any":
        return Union([part(each) for each in data["parts"]])
    zone = _zone(data.get("tz") or "UTC", rules_of_days(data.get("tz") or "UTC", transitions))
    other = None if data.get("other") is None else part(data["other"])
    return Exclusion(part(data["base"]), other, data.get("days", ()), zone.to_local)


@lru_cache(maxsize=4096)
def _data(trigger: str) -> Mapping[str, Any]:
    try:
        data = json.loads(trigger)
    except ValueError as error:
        raise BadTrigger(f"the stored trigger {trigger[:200]!r} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadTrigger(f"the stored trigger {trigger[:200]!r} is no JSON object")
    return data


def _once(data: Mapping[str, Any], transitions: str | None) -> int:
    at = int(data["at"])
    if transitions is None or data.get("wall") is None:
        return at
    # The wall-clock time under the rules that were stored with it.
    reading = datetime.fromisoformat(data["wall"]).replace(tzinfo=UTC)
    span = reading - datetime(1970, 1, 1, tzinfo=UTC)
    local, micros = span // timedelta(seconds=1), span.microseconds
    zone = _zone(data["tz"], transitions)
    found = min(zone.resolve(local, _Choice(False, "end", "first")))
    in_gap = zone.offset(found) != local - found
    return found * _MICRO + (0 if in_gap else micros)


class _Listed:
    """A few instants, or none."""

    __slots__ = ("_instants",)

    def __init__(self, instants: tuple[int, ...]) -> None:
        self._instants = instants

    def between(self, after: int, upto: int) -> Iterator[int]:
        return (at for at in self._instants if after < at <= upto)

    def count(self, after: int, upto: int) -> int:
        return sum(1 for _ in self.between(after, upto))


class _Steps:
    """`anchor + n · period`, n ≥ 1."""

    __slots__ = ("_anchor", "_period")

    def __init__(self, period: int, anchor: int) -> None:
        if period <= 0:
            raise ValueError(f"a period of {period} µs")
        self._period, self._anchor = period, anchor

    def between(self, after: int, upto: int) -> Iterator[int]:
        last = min(upto, _LAST_SECOND * _MICRO + _MICRO - 1)
        return iter(range(self._anchor + self._number(after) * self._period, last + 1, self._period))

    def count(self, after: int, upto: int) -> int:
        last = min(upto, _LAST_SECOND * _MICRO + _MICRO - 1)
        return max(0, (last - self._anchor) // self._period - self._number(after) + 1)

    def _number(self, after: int) -> int:
        """Which step is the first one later than `after`."""
        return max(1, (after - self._anchor) // self._period + 1)


class _Choice:
    """What the clocks' changes do to a rule."""

    __slots__ = ("fold", "gap", "rhythm")

    def __init__(self, rhythm: bool, gap: str, fold: str) -> None:
        self.rhythm, self.gap, self.fold = rhythm, gap, fold

    @classmethod
    def of(cls, data: Mapping[str, Any], expression: Expression) -> _Choice:
        """Read the options of a cron trigger; what is left out has its default."""
        dst = data.get("dst", "auto")
        rhythm = expression.every_hour if dst == "auto" else dst == "rhythm"
        return cls(rhythm, data.get("gap", "end"), data.get("fold", "first"))


class _Zone:
    """The offsets of one zone; everything in seconds. `changes` is None for a zone as this machine knows it."""

    def __init__(self, name: str, first: int, changes: list[tuple[int, int]] | None) -> None:
        self._info = ZoneInfo(name) if changes is None else None
        self._starts = [] if changes is None else [at for at, _ in changes]
        self._after = [first] if changes is None else [first, *(offset for _, offset in changes)]
        self._by_day: dict[int, tuple[tuple[int, int, int], ...]] = {}

    def offset(self, second: int) -> int:
        """Seconds east of UTC at an instant."""
        if self._info is None:
            return self._after[bisect_right(self._starts, second)]
        moment = datetime.fromtimestamp(min(max(second, _ZONES_FROM), _ZONES_UNTIL), UTC)
        found = moment.astimezone(self._info).utcoffset()
        assert found is not None
        return found // timedelta(seconds=1)

    def to_local(self, second: int) -> int:
        """What the clock on the wall shows at an instant."""
        return second + self.offset(second)

    def changes(self, day: int) -> tuple[tuple[int, int, int], ...]:
        """The changes of offset within a UTC day: (instant, offset before, offset after)."""
        known = self._by_day.get(day)
        if known is None:
            if len(self._by_day) > 50_000:
                self._by_day.clear()
            known = self._by_day[day] = tuple(self._search(day * _DAY - 1, day * _DAY + _DAY - 1))
        return known

    def _search(self, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        if self._info is None:
            for i in range(bisect_right(self._starts, low), bisect_right(self._starts, high)):
                yield self._starts[i], self._after[i], self._after[i + 1]
            return
        before = self.offset(low)
        while before != self.offset(high):
            left, right = low, high
            while right - left > 1:
                middle = (left + right) // 2
                left, right = (middle, right) if self.offset(middle) == before else (left, middle)
            yield right, before, self.offset(right)
            low, before = right, self.offset(right)

    def resolve(self, local: int, choice: _Choice) -> tuple[int, ...]:
        """The instants that one wall-clock reading stands for."""
        day = local // _DAY
        near = [change for each in range(day - 2, day + 3) for change in self.changes(each)]
        offsets = {self.offset(local), *(o for _, before, after in near for o in (before, after))}
        real = sorted(local - offset for offset in offsets if self.offset(local - offset) == offset)
        if choice.rhythm:
            return tuple(real)
        if real:
            return {"first": (real[0],), "second": (real[-1],), "both": tuple(real)}[choice.fold]
        if choice.gap == "skip":
            return ()
        at, before = next((at, b) for at, b, a in near if at + b <= local < at + a)
        return (at,) if choice.gap == "end" else (local - before,)


@lru_cache(maxsize=1024)
def _zone(name: str, transitions: str | None) -> _Zone:
    if transitions is None:
        return _Zone(name, 0, None)
    data = json.loads(transitions)
    return _Zone(
        name, int(data["first_offset_s"]), [(int(at), int(offset)) for at, offset in data["transitions"]]
    )


class _Days:
    """A cron expression in a zone, one UTC day after the other."""

    __slots__ = ("_choice", "_counts", "_expression", "_zone")

    def __init__(self, expression: Expression, zone: _Zone, choice: _Choice) -> None:
        self._expression, self._zone, self._choice = expression, zone, choice
        self._counts: dict[int, int] = {}

    def between(self, after: int, upto: int) -> Iterator[int]:
        first, last = _seconds(after, upto)
        for day in range(first // _DAY, last // _DAY + 1 if first <= last else first // _DAY):
            for second in self._seconds_of(day):
                if first <= second <= last:
                    yield second * _MICRO

    def count(self, after: int, upto: int) -> int:
        first, last = _seconds(after, upto)
        if first > last:
            return 0
        if first // _DAY == last // _DAY:
            return self._part(first // _DAY, first, last)
        whole = sum(map(self._count_of, range(first // _DAY + 1, last // _DAY)))
        return self._part(first // _DAY, first, last) + whole + self._part(last // _DAY, first, last)

    def _part(self, day: int, first: int, last: int) -> int:
        instants = self._seconds_of(day)
        return bisect_right(instants, last) - bisect_left(instants, first)

    def _count_of(self, day: int) -> int:
        known = self._counts.get(day)
        if known is None:
            if len(self._counts) > 20_000:
                self._counts.clear()
            head, tail, _ = self._quiet(day) or (self._seconds_of(day), (), 0)
            known = self._counts[day] = len(head) + len(tail)
        return known

    def _seconds_of(self, day: int) -> tuple[int, ...]:
        key = (id(self), day)
        known = _kept.days.get(key)
        return known if known is not None else _kept.keep(key, self, self._work_out(day))

    def _work_out(self, day: int) -> tuple[int, ...]:
        quiet = self._quiet(day)
        if quiet is not None:
            head, tail, start = quiet
            return tuple([start + t for t in head] + [start + _DAY + t for t in tail])
        found: set[int] = set()
        for date in (day - 1, day, day + 1):
            if self._expression.has_date(date):
                for time in self._expression.times:
                    found.update(self._zone.resolve(date * _DAY + time, self._choice))
        return tuple(sorted(at for at in found if day * _DAY <= at < (day + 1) * _DAY))

    def _quiet(self, day: int) -> tuple[tuple[int, ...], tuple[int, ...], int] | None:
        """For a day far from any change: the times of its first and of its second local date, and the first
        date's start as an instant. None where the clocks change nearby."""
        if any(self._zone.changes(each) for each in (day - 1, day, day + 1)):
            return None
        offset = self._zone.offset(day * _DAY)
        date, rest = divmod(day * _DAY + offset, _DAY)
        times = self._expression.times
        cut = bisect_left(times, rest)
        head = times[cut:] if self._expression.has_date(date) else ()
        tail = times[:cut] if cut and self._expression.has_date(date + 1) else ()
        return head, tail, date * _DAY - offset


class _Recurring(_Days):
    """A recurrence in a zone: its times differ from date to date."""

    __slots__ = ("_recurrence",)

    def __init__(self, recurrence: Recurrence, zone: _Zone, data: Mapping[str, Any]) -> None:
        nothing = Expression(times=(), every_hour=recurrence.every_hour, has_date=lambda date: False)
        super().__init__(nothing, zone, _Choice.of(data, nothing))
        self._recurrence = recurrence

    def _count_of(self, day: int) -> int:
        return len(self._seconds_of(day))

    def _work_out(self, day: int) -> tuple[int, ...]:
        quiet = not any(self._zone.changes(each) for each in (day - 1, day, day + 1))
        offset = self._zone.offset(day * _DAY)
        found: set[int] = set()
        for date in (day - 1, day, day + 1):
            for time in self._recurrence.times_on(date):
                local = date * _DAY + time
                found.update((local - offset,) if quiet else self._zone.resolve(local, self._choice))
        return tuple(sorted(at for at in found if day * _DAY <= at < (day + 1) * _DAY))


class _Kept:
    """The days worked out lately, of all rules, within one limit. The rule is kept with them, so that its id stays its."""

    __slots__ = ("days", "owners", "size")

    def __init__(self) -> None:
        self.days: dict[tuple[int, int], tuple[int, ...]] = {}
        self.owners: dict[int, _Days] = {}
        self.size = 0

    def keep(self, key: tuple[int, int], rule: _Days, seconds: tuple[int, ...]) -> tuple[int, ...]:
        if self.size > _MOST_KEPT:
            self.days, self.owners, self.size = {}, {}, 0
        self.owners[key[0]] = rule
        self.days[key] = seconds
        self.size += len(seconds) + 1
        return seconds


_kept = _Kept()


def _seconds(after: int, upto: int) -> tuple[int, int]:
    """The whole seconds of (after, upto], within the calendar."""
    return max(after // _MICRO + 1, _FIRST_SECOND), min(upto // _MICRO, _LAST_SECOND)

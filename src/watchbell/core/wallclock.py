"""Wall clocks: what the clock on the wall of a time zone reads at an instant, and which instants a reading
stands for.

`zone_rules` turns a zone of the IANA database into a plain value, the list of its changes of offset from
1970 to 2100. That value is stored with each schedule version, so that the past can be recomputed with the
rules that held then, and every question is a bisect: `zoneinfo` is read once per zone and never again. This
is the only room that reads it.

A *local reading* is written as the microseconds since 1970-01-01T00:00 on that wall ("as if it were UTC").
Before 1970 a zone keeps the offset it had then, after 2100 the last one.
"""

from __future__ import annotations

import json
import operator
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import compress, repeat
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from watchbell.core.units import SECOND, Instant
from watchbell.errors import BadInput, BadZone

Gap: TypeAlias = Literal["end", "shift", "skip"]
"""What becomes of a wall-clock time that a change of offset leaves out."""
Fold: TypeAlias = Literal["first", "second", "both"]
"""What becomes of a wall-clock time that a change of offset repeats."""
GAPS: Final[tuple[Gap, ...]] = ("end", "shift", "skip")
FOLDS: Final[tuple[Fold, ...]] = ("first", "second", "both")

_RULES_UNTIL: Final = 4_133_980_800  # 2101-01-01 in seconds
# Finer than any stretch between two changes that a zone has had since 1970 (the shortest is just under a
# week).
_PROBE: Final = 86_400
_WIDEST: Final = 48 * 3_600 * SECOND  # two offsets of one zone are never further apart
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
# Names found in system folders that are no zones of the IANA database, or count leap seconds.
_NO_ZONES: Final = ("right/", "posix/", "localtime", "posixrules", "Factory", "leapseconds", "tzdata")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a local reading stands for: `kind` says whether it exists once, never or twice."""

    kind: Literal["regular", "gap", "fold"]
    instants: tuple[Instant, ...]
    """The real instants with this reading, in order; empty in a gap."""
    gap_end: Instant | None = None
    """In a gap: the first instant after it."""
    shifted: Instant | None = None
    """In a gap: the reading moved on by the length of the gap."""

    def chosen(self, gap: Gap = "end", fold: Fold = "first") -> tuple[Instant, ...]:
        """The instants that stand for the reading under these rules, in order."""
        if self.kind == "gap":
            found = {"end": self.gap_end, "shift": self.shifted, "skip": None}[gap]
            return () if found is None else (found,)
        if fold == "first":
            return self.instants[:1]
        return self.instants[-1:] if fold == "second" else self.instants


@dataclass(frozen=True, slots=True, eq=False)
class ZoneRules:
    """The offsets of one time zone as a value: equal when name and digest are.

    `transitions` are (instant in µs UTC, offset in seconds east of UTC from then on), in order, each with an
    offset other than the one before it. `digest` identifies the offsets, whatever the name.
    """

    name: str
    digest: str
    transitions: tuple[tuple[Instant, int], ...]
    first_offset_s: int
    _starts: tuple[Instant, ...] = field(init=False, repr=False)
    _offsets: tuple[int, ...] = field(init=False, repr=False)  # µs; one more than _starts

    def __post_init__(self) -> None:
        starts = tuple(at for at, _ in self.transitions)
        offsets = (self.first_offset_s * SECOND, *(offset * SECOND for _, offset in self.transitions))
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_offsets", offsets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ZoneRules):
            return NotImplemented
        return (self.name, self.digest) == (other.name, other.digest)

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    def offset_at(self, at: Instant) -> int:
        """The offset that holds at an instant, in seconds east of UTC."""
        return self._offsets[bisect_right(self._starts, at)] // SECOND

    def to_local(self, at: Instant) -> int:
        """The local reading at an instant."""
        return at + self._offsets[bisect_right(self._starts, at)]

    def from_local(self, local: int) -> Reading:
        """The instants that a local reading stands for."""
        starts, offsets = self._starts, self._offsets
        first, last = bisect_right(starts, local - _WIDEST), bisect_right(starts, local + _WIDEST)
        found = []
        for i in range(first, last + 1):
            at = local - offsets[i]
            if (i == 0 or starts[i - 1] <= at) and (i == len(starts) or at < starts[i]):
                found.append(at)
        if len(found) > 1:
            return Reading("fold", tuple(found))
        if found:
            return Reading("regular", tuple(found))
        for i in range(first, last):
            if starts[i] + offsets[i] <= local < starts[i] + offsets[i + 1]:
                return Reading("gap", (), starts[i], local - offsets[i])
        raise AssertionError(f"{self.name}: the reading {local} lies nowhere")  # stretches and gaps cover all

    def to_json(self) -> dict[str, Any]:
        """The value as JSON data; `rules_from_json` reads it back."""
        return {
            "name": self.name,
            "first_offset_s": self.first_offset_s,
            "transitions": [[at // SECOND, offset] for at, offset in self.transitions],
        }


def same_from(at: Instant, one: ZoneRules, other: ZoneRules) -> bool:
    """Whether two sets of rules say the same of every instant from `at` on."""
    if one.offset_at(at) != other.offset_at(at):
        return False
    return [move for move in one.transitions if move[0] > at] == [
        move for move in other.transitions if move[0] > at
    ]


def rules_from_json(data: Mapping[str, Any]) -> ZoneRules:
    """ZoneRules from what `ZoneRules.to_json` gave. Raises BadInput when it is something else."""
    try:
        moves = tuple((int(at) * SECOND, int(offset)) for at, offset in data["transitions"])
        return _rules(str(data["name"]), moves, int(data["first_offset_s"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"these are no zone rules: {error!r}; they have a name, first_offset_s and transitions"
        ) from error


def _rules(name: str, moves: tuple[tuple[Instant, int], ...], first: int) -> ZoneRules:
    content = json.dumps([first, [[at // SECOND, offset] for at, offset in moves]], separators=(",", ":"))
    return ZoneRules(name, sha256(content.encode()).hexdigest()[:32], moves, first)


@dataclass(frozen=True, slots=True)
class ZoneData:
    """Zone data to be used in place of this machine's: its version, and the zones that differ."""

    version: str | None
    rules: Mapping[str, ZoneRules] = field(default_factory=dict)


_in_place: ZoneData | None = None


def put_zone_data(data: ZoneData | None) -> None:
    """Let these zone data stand for this machine's from here on, None: its own again. For tests: a process meets new zone
    data only when it starts."""
    global _in_place
    _in_place = data
    zone_rules.cache_clear()


def zone_data_in_place() -> ZoneData | None:
    """The zone data that stand for this machine's, if there are any."""
    return _in_place


@lru_cache(maxsize=1024)
def zone_rules(name: str) -> ZoneRules:
    """The offsets of an IANA zone from 1970 to 2100, from the time zone database of this machine.

    Raises BadZone, with the nearest names, when there is none of that name. The first call for a zone takes
    some 20 ms.
    """
    if _in_place is not None and name in _in_place.rules:
        return _in_place.rules[name]
    zone = zone_info(name)
    probes = range(0, _RULES_UNTIL + 1, _PROBE)
    offsets = list(map(datetime.utcoffset, map(datetime.fromtimestamp, probes, repeat(zone))))
    moves: list[tuple[Instant, int]] = []
    for low in compress(probes, map(operator.ne, offsets, offsets[1:])):
        # One stretch may hold several changes: look for the next until the offset at its end is explained.
        start, end = low, _offset(zone, low + _PROBE)
        while (offset := _offset(zone, start)) != end:
            start = _change_after(zone, start, low + _PROBE, offset)
            moves.append((start * SECOND, _offset(zone, start)))
    return _rules(name, tuple(moves), _offset(zone, 0))


def _change_after(zone: ZoneInfo, low: int, high: int, offset: int) -> int:
    """The first second found after `low` with another offset, given that `high` has one."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if offset is None else offset // timedelta(seconds=1)


@lru_cache(maxsize=1024)
def zone_info(name: str) -> ZoneInfo:
    """The zone as `zoneinfo` has it, for aware datetimes at the edges. Raises BadZone."""
    given: object = name  # from JSON it may be anything
    if not isinstance(given, str) or not _NAME.fullmatch(name) or name.startswith(_NO_ZONES):
        raise BadZone(_unknown(given))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadZone(_unknown(name)) from error


def _unknown(name: object) -> str:
    from difflib import get_close_matches  # only when somebody mistyped

    text = str(name)[:60]
    if not isinstance(name, str):
        return f"a time zone is a name such as 'Europe/Berlin', not {text}"
    if re.fullmatch(r"(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?", text, re.IGNORECASE):
        return f"the offset {text!r} is no time zone; write that of a place, 'Europe/Berlin', or 'UTC'"
    folded, cities = _names()
    wanted = text.strip().lower().replace(" ", "_")
    near = [folded[match] for match in get_close_matches(wanted, folded, n=3, cutoff=0.75)]
    near += [cities[match] for match in get_close_matches(wanted.rpartition("/")[2], cities, n=2, cutoff=0.8)]
    nearest = list(dict.fromkeys(near))[:3]
    if not nearest:
        return f"there is no time zone {text!r}; write an IANA name such as 'Europe/Berlin' or 'UTC'"
    return f"there is no time zone {text!r}; did you mean {' or '.join(repr(zone) for zone in nearest)}?"


@lru_cache(maxsize=1)
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Every zone by its name in small letters, and by that of its city: people write the city alone."""
    names = sorted(zone for zone in available_timezones() if not zone.startswith(_NO_ZONES))
    return {zone.lower(): zone for zone in names}, {zone.rpartition("/")[2].lower(): zone for zone in names}


def aware(at: Instant, tz: str) -> datetime:
    """The instant as an aware datetime in that zone."""
    seconds, micros = divmod(at, SECOND)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micros)
    return moment if tz == "UTC" else moment.astimezone(zone_info(tz))

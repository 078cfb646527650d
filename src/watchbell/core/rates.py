"""Rates: at most so many starts in any span of time. The value, its text, and when the next start is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import BadInput, BadPolicy
from .instants import duration_text, human_duration, parse_duration

MOST_STARTS = 100_000
LEAST_SPAN_US = 1_000_000
LONGEST_SPAN_US = 366 * 86_400 * 1_000_000
PREFIX = "rate:"
"""What a held row is held by begins so where it waits for a rate; a gate's key stands there without."""
_BACKLOG = "catchup:"
_FORM = "write a number and a span, such as '10/1m'"


def catchup_hold(schedule: int) -> str:
    """What the backlog of a schedule is held by that is let in by that schedule's own order and rate."""
    return f"{PREFIX}{catchup_key(schedule)}"


def catchup_key(schedule: int) -> str:
    """The key of a schedule's own rate for its backlog."""
    return f"{_BACKLOG}{schedule}"


def schedule_of(key: str) -> int | None:
    """Whose backlog a key stands for; None for the rate of a job or of a shared key."""
    return int(key.removeprefix(_BACKLOG)) if key.startswith(_BACKLOG) else None


def held_by_rate(held_by: str | None) -> str | None:
    """What a row waits for that is held by a rate, in words; None for one that is held by something else."""
    if held_by is None or not held_by.startswith(PREFIX):
        return None
    kind, _, name = held_by.removeprefix(PREFIX).partition(":")
    return {"key": f"the rate {name}", "job": "the rate of its job"}.get(
        kind, "the catch-up rate of its schedule"
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `starts` starts in any `per_us` of time."""

    starts: int
    per_us: int

    def __post_init__(self) -> None:
        if not _whole(self.starts, 1, MOST_STARTS):
            raise BadPolicy(f"A rate has from 1 to {MOST_STARTS:,} starts in its span: {_FORM}.")
        if not _whole(self.per_us, LEAST_SPAN_US, LONGEST_SPAN_US):
            raise BadPolicy(f"The span of a rate is from 1 second to 1 year: {_FORM}.")

    def to_text(self) -> str:
        """The value as text, "10/1m"; `parse_rate` reads it back exactly."""
        return f"{self.starts}/{duration_text(self.per_us)}"

    def describe(self) -> str:
        """For people: "10 per 1 min"."""
        return f"{self.starts:,} per {human_duration(self.per_us)}"

    @property
    def slack_us(self) -> int:
        """How long after its claim an attempt may begin and still be counted right; its start is taken to be that late."""
        return max(250_000, min(1_000_000, self.per_us // 60))


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def parse_rate(text: object) -> Rate:
    """Read "10/1m". Raises BadPolicy.

    >>> parse_rate("100/1h")
    Rate(starts=100, per_us=3600000000)
    """
    if isinstance(text, Rate):
        return text
    match = (
        re.fullmatch(r"\s*([0-9]{1,9})\s*(?:/|\bper\b)\s*(\S.*?)\s*", text) if isinstance(text, str) else None
    )
    if match is None:
        raise BadPolicy(f"{str(text)[:40]!r} is no rate; {_FORM}.")
    span = match[2] if match[2][0].isdigit() else f"1{match[2]}"
    try:
        return Rate(int(match[1]), parse_duration(span))
    except BadInput as error:
        raise BadPolicy(f"{text!r} is no rate: {error}; {_FORM}.") from error


def allowed_at(rate: Rate, starts: Sequence[int], now: int, place: int = 0) -> int:
    """When the start number `place` (0: the next one) from now is allowed, all those before it taken as early as they
    can be. `starts` are the recorded ones of the last span, in order.

    >>> allowed_at(Rate(2, 6_000_000), [10, 20], 30)
    6000010
    >>> allowed_at(Rate(2, 6_000_000), [10, 20], 30, 2)
    12250010
    """
    known = list(starts[-rate.starts :])
    before = place + len(known) - rate.starts
    if before < 0:
        return now
    known = [now - rate.per_us] * (rate.starts - len(known)) + known
    rounds, index = divmod(place, rate.starts)
    return max(now, known[index] + rate.per_us + rounds * (rate.per_us + rate.slack_us))

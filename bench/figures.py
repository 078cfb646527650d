"""What a measurement gives: figures, the limits they stand beside, and the small arithmetic on both. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_PERCENT = 999.0


@dataclass(frozen=True, slots=True)
class Limit:
    """What the machine can do without watchbell, measured in the same run."""

    key: str
    title: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `aim` is DESIGN §6's; `less` says that less is better; `limit` is the key of the limit
    beside it; without a value `note` says why there is none; `on` is the database, where there is one."""

    row: str
    title: str
    value: float | None
    unit: str
    aim: float | None = None
    less: bool = False
    limit: str | None = None
    note: str = ""
    on: str = ""


@dataclass(slots=True)
class Result:
    """Everything one run has measured."""

    machine: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    limits: dict[str, Limit] = field(default_factory=dict)
    seconds: float = 0.0


def percent(value: float | None, of: float | None, less: bool) -> float | None:
    """How much of the goal `of` is reached: 100 is all of it, for figures of which less is better as well.

    >>> percent(25_000, 50_000, False), percent(4.0, 2.0, True), percent(None, 2.0, True)
    (50.0, 50.0, None)
    """
    if value is None or of is None or (not less and of <= 0):
        return None
    if not less:
        return min(MOST_PERCENT, 100.0 * value / of)
    return MOST_PERCENT if value <= 0 else max(0.0, min(MOST_PERCENT, 100.0 * of / value))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of all values lie, by the nearest rank.

    >>> quantile([5, 1, 3], 0.5), quantile([1, 2], 1.0)
    (3, 2)
    """
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number the lower one of the two, so that it is always one that was measured."""
    return sorted(values)[(len(values) - 1) // 2]

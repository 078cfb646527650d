"""What is done to one database, as a pure function of the seed: its schedules, and when each engine is killed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

LEAST_LIFE_S, LONGEST_LIFE_S = 0.05, 1.2
CRONS = ("cron * * * * * *", "cron */2 * * * * *")
POLICIES: tuple[dict[str, Any], ...] = (
    {"overlap": "skip"},
    {"overlap": "skip", "catchup": "none"},
    {"overlap": "queue_all", "overlap_max": 4, "catchup": "all", "catchup_limit": 5},
    {"overlap": "queue_one"},
    {"overlap": "allow", "overlap_max": 3},
    {"overlap": "replace"},
    {"overlap": "allow", "catchup": "earliest"},
    {"overlap": "skip", "spread_us": 400_000},
    {"overlap": "queue_one", "jitter_us": 500_000},
)
LANES = ("async", "async", "async", "async", "thread", "thread", "thread", "process", "command", "command")


@dataclass(frozen=True, slots=True)
class Work:
    """A job with its schedule. `longest_s` is the longest that a run takes, `failing` the share that fails."""

    name: str
    lane: str
    trigger: str
    longest_s: float
    failing: float
    options: dict[str, Any]
    attempts: int | None = None
    rerun: bool = False
    limit: int | None = None
    rate: str | None = None
    timeout_s: float | None = None

    @property
    def together(self) -> int:
        """How many of its occurrences may be at work together."""
        if self.options["overlap"] != "allow":
            return 1
        return int(self.options.get("overlap_max", 1000))


@dataclass(frozen=True, slots=True)
class Cycle:
    """One life of an engine: how long it lives, whether its spawner dies with it, whether the next engine stands by
    already when it dies, whether the process that calls from outside is killed too, and how long there is none then."""

    number: int
    life_s: float
    spawner_first: bool
    spawner_last: bool
    next_stands_by: bool
    caller_dies: bool
    nobody_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is planned for one database."""

    seed: int
    works: tuple[Work, ...]
    cycles: tuple[Cycle, ...] = field(default=())


def plan_of(seed: int, first: int, cycles: int) -> Plan:
    """The plan of one seed, with its cycles numbered from `first`."""
    drawn = random.Random(seed)
    works = tuple(_work(drawn, number, lane) for number, lane in enumerate(LANES))
    return Plan(seed, works, tuple(_cycle(drawn, first + number) for number in range(cycles)))


def _work(drawn: random.Random, number: int, lane: str) -> Work:
    least = 1.5 if lane == "process" else 0.5 if lane == "command" else 0.2
    period = round(drawn.uniform(least, 2.0), 2)
    trigger = drawn.choice(CRONS) if drawn.random() < 0.3 else f"every {int(period * 1000)}ms"
    options = dict(drawn.choice(POLICIES))
    longest = period * (0.8 if options["overlap"] == "queue_all" else 2.0)
    retried = drawn.random() < 0.4
    return Work(
        name=f"{lane}-{number}",
        lane=lane,
        trigger=trigger,
        longest_s=round(longest, 2),
        failing=0.3 if retried else 0.1,
        options=options,
        attempts=drawn.choice((2, 3)) if retried else None,
        rerun=drawn.random() < 0.25 and lane in ("async", "command"),
        limit=drawn.choice((1, 2, 3)) if drawn.random() < 0.35 else None,
        timeout_s=round(longest * 0.7, 2) if drawn.random() < 0.2 else None,
        rate=drawn.choice(("3/2s", "1/1s")) if drawn.random() < 0.2 else None,
    )


def _cycle(drawn: random.Random, number: int) -> Cycle:
    with_spawner = drawn.random()
    stands_by = drawn.random() < 0.2
    return Cycle(
        number,
        drawn.uniform(LEAST_LIFE_S, LONGEST_LIFE_S),
        spawner_first=with_spawner < 0.2,
        spawner_last=0.2 <= with_spawner < 0.4,
        next_stands_by=stands_by,
        caller_dies=drawn.random() < 0.1,
        nobody_s=drawn.uniform(0.3, 1.5) if drawn.random() < 0.1 and not stands_by else 0.0,
    )

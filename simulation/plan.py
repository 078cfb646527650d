"""What one life is made of, as a pure function of its seed: the schedules, and the steps that are done to them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MEAN_WAIT_US = 7 * HOUR_US
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Europe/Dublin",
    "Africa/Cairo",
    "Asia/Kolkata",
    "UTC",
)
TRIGGERS = (
    "every 90m",
    "every 6h",
    "every 1d",
    "every 7h after_completion=true",
    "cron 0 */3 * * * tz={zone}",
    "cron 30 2 * * * tz={zone}",
    "cron */20 2 * * * tz={zone}",
    "cron 0 1-3 * * * tz={zone}",
    "cron 15 0,12 * * mon-fri tz={zone}",
    "cron 0 9 1,L * * tz={zone}",
    "cron 45 23 15W * * tz={zone}",
    "cron H */4 * * * tz={zone}",
    "cron H(10-50)/20 1-2 * * * tz={zone}",
    "calendar every 2 days at 02:30 tz={zone}",
    "calendar every 1 months on last business day at 09:00 tz={zone}",
    "rrule FREQ=WEEKLY;BYDAY=MO,WE,SU;BYHOUR=2;BYMINUTE=30 tz={zone}",
    "any (cron 0 9 * * 1-5 tz={zone}) (every 11h)",
    "except (cron 30 1-3 * * * tz={zone}) (cron 30 2 * * * tz={zone})",
)
POLICIES: tuple[dict[str, Any], ...] = (
    {"overlap": "skip"},
    {"overlap": "skip", "catchup": "none"},
    {"overlap": "skip", "spread": "2h"},
    {"overlap": "queue_all", "catchup": "all", "catchup_limit": 5},
    {"overlap": "queue_all", "catchup": "all", "catchup_order": "newest", "catchup_rate": "3/1h"},
    {"overlap": "queue_all", "overlap_max": 3, "catchup": "earliest"},
    {"overlap": "queue_one"},
    {"overlap": "queue_one", "jitter": "50m"},
    {"overlap": "allow", "overlap_max": 2},
    {"overlap": "replace"},
    {"overlap": "replace", "jitter": "10m", "pause_after_failures": 3},
    {"overlap": "allow", "catchup": "all", "catchup_window": "2d", "start_deadline": "3h"},
)
BLACKOUTS = ("cron 0 22 * * fri for 30h", "cron 0 1 * * 2,5 for 2h Europe/Berlin")
PASSING = ("crash", "deploy", "missing", "reboot", "suspend")
EDITS = ("every 2h", "every 1d", "cron 45 1 * * *", "cron 0 4 * * sun")


@dataclass(frozen=True, slots=True)
class Work:
    """A schedule with its job. `limit` is the job's own, `shared` whether it passes the gate that all share, `api` the
    rate of a key that all share; `asks` whether it has a condition."""

    name: str
    trigger: str
    options: dict[str, Any]
    attempts: int = 1
    rerun: bool = False
    limit: int | None = None
    shared: bool = False
    timeout: str | None = None
    rate: str | None = None
    api: str | None = None
    asks: bool = False

    @property
    def alone(self) -> bool:
        """Whether one occurrence at a time may be at work."""
        return bool(self.options["overlap"] != "allow")


@dataclass(frozen=True, slots=True)
class Step:
    """Wait, then do one thing. `work` is the number of a schedule, `by_us` a length of time where the verb has one."""

    verb: str
    wait_us: int
    work: int = 0
    by_us: int = 0
    text: str = ""

    @property
    def lasts_us(self) -> int:
        """How much time passes in it."""
        return self.wait_us + (self.by_us if self.verb in PASSING else 0)


@dataclass(frozen=True, slots=True)
class Life:
    """One life: where it begins, what there is, and what happens."""

    seed: int
    begins_at: int
    works: tuple[Work, ...]
    steps: tuple[Step, ...]
    keep: str | None = None

    def with_steps(self, steps: tuple[Step, ...]) -> Life:
        """The same life with other steps."""
        return replace(self, steps=steps)

    @property
    def days(self) -> float:
        """How much time passes in it."""
        return sum(step.lasts_us for step in self.steps) / DAY_US


def life_of(seed: int, days: float) -> Life:
    """The life of a seed, some `days` long."""
    drawn = random.Random(seed)
    begins = (drawn.randrange(18_262, 24_000) * 24 + drawn.randrange(24)) * HOUR_US  # 2020 to 2035
    keep = drawn.choice((None, "2d", "7d"))
    api = drawn.choice(("2/90m", "5/6h"))
    works = tuple(_work(drawn, number, api) for number in range(drawn.randrange(2, 6)))
    steps: list[Step] = []
    left = days * DAY_US
    while left > 0:
        step = _step(drawn, len(works))
        steps.append(step)
        left -= step.lasts_us
    return Life(seed, begins, works, tuple(steps), keep)


def _work(drawn: random.Random, number: int, api: str) -> Work:
    trigger = drawn.choice(TRIGGERS)
    options = dict(drawn.choice(POLICIES))
    if drawn.random() < 0.2:
        options["blackouts"] = [drawn.choice(BLACKOUTS)]
    if drawn.random() < 0.3:
        options["priority"] = drawn.choice((0, 50, 100))
    return Work(
        name=f"work-{number}",
        trigger=trigger.format(zone=drawn.choice(ZONES)),
        options=options,
        attempts=drawn.choice((1, 1, 2, 3)),
        rerun=drawn.random() < 0.2,
        limit=drawn.choice((None, None, 1, 2)),
        shared=drawn.random() < 0.3,
        timeout=drawn.choice((None, None, "2h", "30m")),
        rate=drawn.choice((None, None, None, "4/1h")),
        api=drawn.choice((None, None, None, api)),
        asks=drawn.random() < 0.2,
    )


_VERBS = {
    "wait": 30, "run_now": 12, "enqueue": 8, "cancel": 8, "pause": 7, "resume": 9, "edit": 6, "edit_later": 3,
    "edit_policies": 3, "catch_up": 3, "confirm": 2, "crash": 7, "deploy": 4, "missing": 2, "suspend": 4, "reboot": 2,
    "clock": 4, "future": 1, "repair": 1, "slots": 3, "remove": 2, "add": 2, "backfill": 4, "retry": 5, "switch": 2, "zone": 1,
}  # fmt: skip
MINUTE_US = 60_000_000
_STEPS_OF_THE_CLOCK = (
    3_000_000, -1_500_000, 500_000_000, -240_000_000, -2 * HOUR_US, 3 * HOUR_US, 20 * MINUTE_US, 26 * HOUR_US, -2 * DAY_US,
    400 * DAY_US,
)  # fmt: skip


def _step(drawn: random.Random, works: int) -> Step:
    verb = drawn.choices(list(_VERBS), list(_VERBS.values()))[0]
    wait = int(drawn.expovariate(1 / MEAN_WAIT_US))
    if drawn.random() < 0.15:
        wait = int(drawn.expovariate(1 / (4 * DAY_US)))  # a long quiet time: months pass too
    if drawn.random() < 0.2:
        wait = drawn.randrange(0, 120_000_000)  # or hardly any: things happen at once
    by, text = _how(drawn, verb)
    return Step(verb, wait, drawn.randrange(works), by, text)


def _how(drawn: random.Random, verb: str) -> tuple[int, str]:
    """A length of time or a number, and a text, for the verbs that have them."""
    match verb:
        case "crash" | "deploy":
            return drawn.choice((5_000_000, 600_000_000, 5 * HOUR_US, 30 * HOUR_US)), ""
        case "missing":
            return drawn.choice((5_000_000, HOUR_US)), ""
        case "reboot":
            return drawn.choice((90_000_000, 9 * HOUR_US)), ""
        case "suspend":
            return drawn.choice((60_000_000, 8 * HOUR_US, 3 * DAY_US)), ""
        case "clock":
            weights = (4, 4, 4, 4, 4, 4, 3, 3, 2, 1)
            return drawn.choices(_STEPS_OF_THE_CLOCK, weights)[0], ""
        case "future":
            return drawn.choice((26 * HOUR_US, 9 * DAY_US, 400 * DAY_US)), drawn.choice(("", "confirm"))
        case "slots":
            return drawn.choice((0, 1, 2, 16)), ""
        case "edit" | "edit_later":
            return drawn.choice((0, HOUR_US, 3 * DAY_US)), drawn.choice(EDITS)
        case "edit_policies":
            return drawn.randrange(len(POLICIES)), ""
        case "enqueue":
            return drawn.choice((0, 60_000_000, 5 * HOUR_US)), drawn.choice(("", "a", "b"))
        case "pause" | "remove":
            return 0, drawn.choice(("", "", "drop"))
        case "backfill":
            return drawn.choice((5 * HOUR_US, DAY_US, 4 * DAY_US, 40 * DAY_US)), ""
        case "retry":
            return drawn.randrange(8), ""
        case "zone":
            return drawn.randrange(1, 9), ""
        case _:
            return 0, ""

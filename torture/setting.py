"""A database before the first engine: the command jobs of the plan with their schedules. Functions are declared by
the engines that have them."""

from __future__ import annotations

import time
from pathlib import Path

from watchbell.core.policies import JobOptions, Retry, policies_from_json
from watchbell.core.rates import parse_rate
from watchbell.core.triggers import parse_trigger
from watchbell.services.commands import Command
from watchbell.services.schedules import Details, add_command_schedule
from watchbell.store.base import Store

from .history import History
from .jobs import BY_HAND, shell_text
from .plan import Plan, Work
from .sidelog import LOG_VARIABLE


def set_up(store: Store, plan: Plan, log: Path) -> None:
    """Write the command jobs; what they do they write to `log`."""
    now = time.time_ns() // 1000
    for work in plan.works:
        if work.lane == "command":
            add_command_schedule(
                store,
                work.name,
                parse_trigger(work.trigger),
                Command(shell=shell_text(work), env={LOG_VARIABLE: str(log)}),
                details=Details(policies_from_json(work.options), options=_options_of(work)),
                now=now,
                actor="torture",
            )


def _options_of(work: Work) -> JobOptions:
    return JobOptions(
        timeout_us=None if work.timeout_s is None else int(work.timeout_s * 1e6),
        retry=None if work.attempts is None else Retry(work.attempts, delay_us=100_000),
        concurrency=work.limit,
        rate=None if work.rate is None else parse_rate(work.rate),
    )


def limits_of(plan: Plan, history: History) -> None:
    """Tell the judge how many of each schedule and job may be at work together."""
    history.of_schedule |= {work.name: work.together for work in plan.works if work.together < 1000}
    history.of_job |= {work.name: work.limit for work in plan.works if work.limit is not None}
    history.of_job |= {name: limit for name, limit in BY_HAND.items() if limit is not None}

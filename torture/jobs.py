"""The jobs that are tortured. Each writes down by itself that it begins and how it ends, and holds a lock that only as
many may have as its policies allow: what the ledger says later is compared with that."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from watchbell import Run, Watchbell, retry

from . import sidelog
from .plan import Plan, Work

SLOTS = {"async": 40, "thread": 16, "process": 2, "command": 8}
BY_HAND: dict[str, int | None] = {"errand-async": None, "errand-thread": 2}
"""Jobs without a schedule, with their limits: other processes enqueue them."""


class Meant(Exception):
    """A failure that the plan asks for."""


@contextmanager
def at_work(run: Run, failing: float, together: int, limit: int) -> Iterator[float]:
    """From the job's first act to its last; gives a number in [0, 1) that is the same whenever this attempt is made."""

    def say(phase: str) -> None:
        sidelog.say(run.run_key, run.epoch, run.attempt, run.token, phase)

    digest = hashlib.sha256(f"{run.run_key} {run.attempt}".encode()).digest()
    say("begin")
    with ExitStack() as places:
        if run.schedule is not None:
            places.enter_context(sidelog.OneOf(run.schedule, together, lambda: say("over")))
        if limit:
            places.enter_context(sidelog.OneOf(f"job-{run.job}", limit, lambda: say("over")))
        try:
            yield int.from_bytes(digest[:4], "big") / 2**32
        except BaseException:
            say("stop")
            raise
        if int.from_bytes(digest[4:8], "big") / 2**32 < failing:
            say("fail")
            raise Meant
        say("end")


async def on_a_loop(
    run: Run, longest: float, failing: float = 0.0, together: int = 1000, limit: int = 0
) -> None:
    """An async job."""
    with at_work(run, failing, together, limit) as share:
        await asyncio.sleep(longest * share)


def on_a_thread(run: Run, longest: float, failing: float = 0.0, together: int = 1000, limit: int = 0) -> None:
    """A job on a thread, or in a process of its own."""
    with at_work(run, failing, together, limit) as share:
        end = time.monotonic() + longest * share
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.02))


def build(url: str, plan: Plan, revision: int = 1) -> Watchbell:
    """The application: every function job of the plan with its schedule, and the errands."""
    bell = Watchbell(url, app="torture", revision=revision, slots=SLOTS, shutdown_grace="5s")
    for work in plan.works:
        if work.lane == "command":
            continue
        make = bell.job(
            name=work.name,
            isolated=work.lane == "process",
            concurrency=work.limit,
            rate=work.rate,
            timeout=work.timeout_s,
            retry=None if work.attempts is None else retry(work.attempts, delay="100ms"),
            on_lost="rerun" if work.rerun else "skip",
            may_overlap=work.rerun and work.lane == "thread",
        )
        job = make(on_a_loop) if work.lane == "async" else make(on_a_thread)
        bell.add_schedule(work.name, job, work.trigger, args=arguments(work), **options_of(work))
    for name, limit in BY_HAND.items():
        bell.job(name=name, concurrency=limit)(on_a_loop if "async" in name else on_a_thread)
    return bell


def options_of(work: Work) -> dict[str, Any]:
    """A schedule's policies as `add_schedule` takes them: spans in seconds."""
    return {
        name.removesuffix("_us"): value / 1e6 if name.endswith("_us") else value
        for name, value in work.options.items()
    }


def arguments(work: Work, longest_s: float | None = None) -> dict[str, float | int]:
    """What a function job of the plan is called with."""
    longest = work.longest_s if longest_s is None else longest_s
    return {"longest": longest, "failing": work.failing, "together": work.together, "limit": work.limit or 0}


def shell_text(work: Work) -> str:
    """A command job of the plan as a text for /bin/sh. Its first attempt fails where it has more than one."""
    lines = [sidelog.SHELL_FUNCTIONS, "trap 'say stop; exit 143' TERM", "say begin"]
    lines.append(f'[ -z "$WATCHBELL_SCHEDULE" ] || one_of {work.name} {work.together} 9')
    if work.limit is not None:
        lines.append(f"one_of job-{work.name} {work.limit} 8")
    lines.append(f"sleep {work.longest_s / 2:.2f}")
    if work.attempts is not None:
        lines.append('if [ "$WATCHBELL_ATTEMPT" = 1 ]; then say fail; exit 3; fi')
    lines.append("say end")
    return "\n".join(lines)


def log_of(folder: Path) -> Path:
    """Where the jobs of the database in this folder write."""
    return folder / "jobs.log"


def url_of(folder: Path) -> str:
    """The database in this folder."""
    return f"sqlite:///{folder / 'bell.db'}"

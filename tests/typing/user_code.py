"""An application as a user writes it; mypy --strict reads it in test_user_code.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from watchbell import Declared, Run, RunHandle, Watchbell, cron, every, once, retry
from watchbell.testing import AssertEnqueued, BellClock, StepNode, in_memory

bell = Watchbell("sqlite://", tz="Europe/Berlin", slots={"thread": 4})


@bell.job
def plain(day: str, limit: int = 10) -> dict[str, int]:
    return {day: limit}


@bell.schedule(cron("30 2 * * 1-5", tz="Europe/Berlin"), catchup="latest", grace="15m")
@bell.job(timeout="10m", retry=retry(5, on=[OSError]), concurrency=1, tags=["export"])
async def nightly(run: Run, note: str = "") -> None:
    run.log("due at %s", run.due_at.isoformat())
    run.progress(1, of=2, message=note)
    run.raise_if_cancelled()
    if run.once("charge"):
        run.log("charged")


@bell.source("websites", every="60s", max_consecutive_errors=3)
def websites() -> Iterator[Declared]:
    yield Declared("1", plain, "every 5m", args={"day": "today"}, enabled=True)


@bell.on("run.failed")
def failed(about: Mapping[str, Any]) -> None:
    print(about["run"])


bell.add_schedule("orders", plain, every(timedelta(minutes=15)), args={"day": "today"})
bell.add_schedule("new year", plain, once("2027-01-01T00:00:00Z"), args={"day": "new year"})
bell.add_job("cleanup", 86_400, plain, is_async=False)

assert_type(plain("today"), dict[str, int])


def in_a_request() -> RunHandle:
    plain.enqueue_in("10m", "today", key="once-today")
    plain.enqueue_at(datetime(2027, 1, 1, tzinfo=UTC), day="today")
    return plain.enqueue("today", limit=5)


async def lifespan() -> AsyncIterator[None]:
    within: AbstractAsyncContextManager[None] = bell.lifespan(object())
    async with within, bell as same:
        assert_type(same, Watchbell)
        status = await bell.astatus()
        print(status.enabled, (await bell.areload())["websites"].added)
        yield


def control() -> bool:
    bell.run_now("orders", {"day": "today"})
    bell.pause("orders", note="holiday")
    bell.resume("orders")
    bell.edit("orders", trigger="every 30m")
    bell.remove("orders")
    print(bell.explain("orders", datetime(2027, 1, 1, tzinfo=UTC)).sentence)
    return bell.audit().ok


def a_test(bell_clock: BellClock, bell_node: StepNode, assert_enqueued: AssertEnqueued) -> None:
    bell_clock.move_to("2026-10-25 00:00", tz="Europe/Berlin")
    bell_clock.advance(timedelta(hours=1))
    assert_type(bell_clock.occurrences(plain, between=("2026-10-25", bell_clock.now)), list[datetime])
    assert_enqueued(plain, args={"day": "today"}, count=1)
    bell_node.die()
    with in_memory(bell, bell_clock) as same:
        assert_type(same, Watchbell)

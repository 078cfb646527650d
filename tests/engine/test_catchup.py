"""Catch-up told as stories: an outage, and what became of every occurrence in it (S1.5, S3.1, SEMANTICS §3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, cron, every
from watchbell.core.instants import HOUR, parse_duration
from watchbell.services.clock import confirm
from watchbell.testing import Lasting

Begin = Callable[..., Story]
OUTAGES = ["downtime", "suspend", "clock_jump"]


def hourly(**options: Any) -> Callable[[Watchbell], None]:
    """One schedule at every full hour."""

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"), **options)
        def report() -> None: ...

    return declare


def outage(begun: Story, kind: str, lasts: str) -> None:
    """Nobody plans for a while: the process is dead, the machine sleeps, or the clock is set forward and confirmed."""
    if kind == "downtime":
        begun.restart(lasts)
    elif kind == "suspend":
        begun.clock.suspend(parse_duration(lasts))
    else:
        begun.clock.step(parse_duration(lasts))
        begun.node.step()
        confirm(begun.bell._open(), now=begun.now, actor="somebody")
    begun.node.step()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "watchbell.db"


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("catchup", ["none", "latest", "earliest", "all"])
def test_S1_5_one_that_is_merely_late_runs_however_late(
    story: Begin, file: Path, catchup: str, kind: str
) -> None:
    begun = story(hourly(catchup=catchup, overlap="queue_all"), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, kind, "80m")
    assert begun.seen() == [("01:00", "succeeded", None)]


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_S1_5_latest_runs_the_latest_and_the_others_point_at_it(
    story: Begin, file: Path, n: int, kind: str
) -> None:
    begun = story(hourly(), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, kind, f"{n}h")
    earlier = [f"{hour:02}:00" for hour in range(1, n)]
    assert begun.seen() == [*all_of("coalesced", earlier, kind), (f"{n:02}:00", "succeeded", None)]
    newest = begun.value("SELECT id FROM occurrence WHERE state = 'succeeded'")
    assert {row[0] for row in begun.rows("SELECT into_id FROM occurrence WHERE state = 'coalesced'")} == {
        newest
    }


@pytest.mark.parametrize("kind", OUTAGES)
def test_S1_5_a_gap_of_5000_costs_one_span_and_never_delays_the_present(
    story: Begin, file: Path, kind: str
) -> None:
    begun = story(hourly(), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, kind, "5000h")
    assert begun.states() == ["succeeded"]
    newest = begun.value("SELECT id FROM occurrence")
    assert begun.rows("SELECT count, ending, reason, into_id FROM span") == [
        (4999, "coalesced", kind, newest)
    ]
    assert begun.audit().occurrences == 5000


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("n", [2, 4, 5000])
def test_S1_5_none_runs_the_late_one_and_the_missed_say_which_outage_it_was(
    story: Begin, file: Path, n: int, kind: str
) -> None:
    begun = story(hourly(catchup="none"), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, kind, f"{n}h")
    assert begun.states() == ["missed"] * (n - 1 if n <= 4 else 0) + ["succeeded"]
    reasons = {row[0] for row in begun.rows("SELECT reason FROM occurrence WHERE state = 'missed'")}
    reasons |= {row[0] for row in begun.rows("SELECT reason FROM span WHERE ending = 'missed'")}
    assert reasons == {kind}


@pytest.mark.parametrize("kind", OUTAGES)
@pytest.mark.parametrize("n", [2, 4, 5000])
def test_S1_5_earliest_runs_the_earliest_and_the_others_point_at_it(
    story: Begin, file: Path, n: int, kind: str
) -> None:
    begun = story(hourly(catchup="earliest", overlap="queue_all"), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, kind, f"{n}h")
    assert begun.seen()[0] == ("01:00", "succeeded", None)
    first = begun.value("SELECT id FROM occurrence WHERE state = 'succeeded'")
    pointers = begun.rows("SELECT into_id FROM occurrence WHERE state = 'coalesced'")
    pointers += begun.rows("SELECT into_id FROM span WHERE ending = 'coalesced'")
    assert set(pointers) == {(first,)}


@pytest.mark.parametrize("kind", OUTAGES)
def test_S1_5_all_runs_them_in_due_order_one_after_the_other(story: Begin, file: Path, kind: str) -> None:
    begun = story(hourly(catchup="all", overlap="queue_all"), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, kind, "4h")
    assert begun.seen() == all_of("succeeded", ["01:00", "02:00", "03:00", "04:00"])
    order = begun.rows("SELECT due_at FROM occurrence ORDER BY claimed_at, epoch, due_at")
    assert order == sorted(order)


def test_S1_5_all_runs_no_more_than_its_limit(story: Begin, file: Path) -> None:
    begun = story(hourly(catchup="all", overlap="queue_all", catchup_limit=5), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, "downtime", "5000h")
    assert begun.states() == ["succeeded"] * 5
    assert begun.rows("SELECT count, ending, reason FROM span") == [(4995, "missed", "catchup_limit")]


def test_S1_5_what_is_older_than_the_window_is_missed_for_it(story: Begin, file: Path) -> None:
    begun = story(hourly(catchup="all", overlap="queue_all", catchup_window="2h"), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, "suspend", "5h")
    assert begun.seen() == [
        *all_of("missed", ["01:00", "02:00", "03:00"], "catchup_window"),
        *all_of("succeeded", ["04:00", "05:00"]),
    ]


def test_S1_4_past_its_start_deadline_nothing_runs(story: Begin, file: Path) -> None:
    begun = story(hourly(start_deadline="10m"), file=file)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, "downtime", "3h")
    assert begun.seen() == all_of("missed", ["01:00", "02:00", "03:00"], "start_deadline")
    begun.until("04:00")
    assert begun.seen()[-1] == ("04:00", "succeeded", None)


def test_S1_4_one_that_waits_for_a_slot_past_its_start_deadline_is_missed(story: Begin) -> None:
    begun = story(hourly(start_deadline="10m"))
    begun.node.set_slots(thread=0)
    begun.until("01:30")
    assert begun.seen() == [("01:00", "missed", "start_deadline")]


def test_S1_4_the_start_deadline_is_of_the_first_start_only(story: Begin) -> None:
    tries = []

    def declare(bell: Watchbell) -> None:
        from watchbell import retry

        @bell.schedule(every("2h"), start_deadline="10m", retry=retry(2, delay="30m", jitter=False))
        def report() -> None:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("no")

    begun = story(declare)
    begun.until("03:00")
    assert begun.seen() == [("02:00", "succeeded", None)]


@pytest.mark.many_turns
def test_S1_5_a_backlog_never_takes_all_slots_from_what_is_new(story: Begin, file: Path) -> None:
    """After a restart 40 schedules are late and 4 threads are there: half of them may be taken by the backlog."""

    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> Lasting:
            return Lasting("10m")

        for number in range(40):
            bell.add_schedule(f"late {number}", work, every("1h"))
        bell.add_schedule("fresh", work, cron("5 2 * * *", tz="UTC"))

    begun = story(declare, file=file, slots={"thread": 4, "async": 0, "process": 0, "command": 0})
    begun.live("2026-11-21T00:30:00Z")
    begun.restart("90m")
    begun.until("02:05")
    assert begun.states("fresh") == ["going"]
    begun.until("05:00")


def test_S3_1_a_suspend_is_recorded_with_its_length_and_told(story: Begin) -> None:
    told: list[Any] = []

    def declare(bell: Watchbell) -> None:
        hourly()(bell)
        bell.on("engine.suspended")(told.append)

    begun = story(declare)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, "suspend", "3h")
    assert [round(item["by_us"] / HOUR) for item in told] == [3]
    assert begun.rows("SELECT kind, to_at - from_at FROM outage") == [("suspend", 3 * HOUR)]


def test_S1_6_what_was_missed_is_told(story: Begin) -> None:
    told: list[Any] = []

    def declare(bell: Watchbell) -> None:
        hourly(catchup="none")(bell)
        bell.on("occurrence.missed")(told.append)

    begun = story(declare)
    begun.live("2026-11-21T00:30:00Z")
    outage(begun, "suspend", "10h")
    assert [(item["schedule"], item["count"], item["reason"]) for item in told] == [("report", 9, "suspend")]

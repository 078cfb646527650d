"""Clocks told as stories: DST weeks, steps forward and back, suspends (S1.3, S3.1, PROTOCOL §11)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, cron, every
from watchbell.core.instants import HOUR, MINUTE, local_text

Begin = Callable[..., Story]


def at(expression: str, tz: str, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron(expression, tz=tz, **options))
        def work() -> None: ...

    return declare


def local(begun: Story, tz: str) -> list[str]:
    assert set(begun.states()) == {"succeeded"}
    return [local_text(due, tz)[5:16].replace("T", " ") for due, _, _ in begun.node.occurrences()]


WEEKS = {
    "Europe/Berlin": ("2026-10-23T00:00:00Z", "2027-03-26T00:00:00Z"),
    "America/New_York": ("2026-10-30T04:00:00Z", "2027-03-12T06:00:00Z"),
}


@pytest.mark.parametrize("tz", WEEKS)
def test_S1_3_in_autumn_a_wall_clock_time_in_the_fold_comes_once(story: Begin, tz: str) -> None:
    hour = 2 if tz == "Europe/Berlin" else 1
    begun = story(at(f"30 {hour} * * *", tz), at=WEEKS[tz][0])
    begun.node.advance("96h")
    times = local(begun, tz)
    assert len(times) == len({time[:5] for time in times}) == 4
    assert {time[6:] for time in times} == {f"0{hour}:30"}


@pytest.mark.parametrize("tz", WEEKS)
def test_S1_3_in_spring_a_wall_clock_time_in_the_gap_comes_at_its_end(story: Begin, tz: str) -> None:
    begun = story(at("30 2 * * *", tz), at=WEEKS[tz][1])
    begun.node.advance("96h")
    assert sorted(time[6:] for time in local(begun, tz)) == ["02:30", "02:30", "02:30", "03:00"]


@pytest.mark.parametrize("tz", WEEKS)
@pytest.mark.parametrize("season", [0, 1])
def test_S1_12_at_half_past_each_hour_is_rhythm_and_knows_no_dst(story: Begin, tz: str, season: int) -> None:
    begun = story(at("30 * * * *", tz), at=WEEKS[tz][season])
    begun.node.advance("96h")
    dues = [due for due, _, _ in begun.node.occurrences()]
    assert len(dues) == 96
    assert {later - earlier for earlier, later in pairwise(dues)} == {HOUR}


@pytest.mark.parametrize("tz", WEEKS)
def test_S1_3_with_skip_a_time_that_does_not_exist_is_no_occurrence(story: Begin, tz: str) -> None:
    begun = story(at("30 2 * * *", tz, gap="skip"), at=WEEKS[tz][1])
    begun.node.advance("96h")
    assert [time[6:] for time in local(begun, tz)] == ["02:30"] * 3


def test_S1_3_an_interval_is_elapsed_time_whatever_the_wall_says(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("24h"))
        def daily() -> None: ...

    begun = story(declare, at="2026-10-24T10:00:00Z", tz="Europe/Berlin")
    begun.node.advance("72h")
    assert [time[6:] for time in local(begun, "Europe/Berlin")] == ["11:00", "11:00", "11:00"]


def hourly(bell: Watchbell) -> None:
    @bell.schedule(every("1h"))
    def work() -> None: ...


def test_S3_1_a_step_back_repeats_nothing_and_waits(story: Begin) -> None:
    told: list[Any] = []

    def declare(bell: Watchbell) -> None:
        hourly(bell)
        bell.on("engine.clock_step")(told.append)

    begun = story(declare)
    begun.until("03:30")
    begun.clock.step(-2 * HOUR)
    begun.until("03:29")
    assert begun.seen() == all_of("succeeded", ["01:00", "02:00", "03:00"])
    assert [item["by_us"] for item in told] == [2 * HOUR]
    begun.until("04:10")
    assert begun.seen()[3:] == all_of("succeeded", ["04:00"])


def test_S3_1_small_steps_are_nothing_to_speak_of(story: Begin) -> None:
    begun = story(hourly)
    begun.until("00:30")
    for _ in range(20):
        begun.clock.step(1_500_000)
        begun.node.advance("1m")
        begun.clock.step(-1_500_000)
        begun.node.advance("1m")
    begun.until("02:30")
    assert begun.rows("SELECT count(*) FROM outage") == [(0,)]
    assert begun.states() == ["succeeded", "succeeded"]


def test_S3_1_a_suspend_is_not_a_step_and_a_step_is_not_a_suspend(story: Begin) -> None:
    begun = story(hourly)
    begun.until("00:30")
    begun.clock.suspend(5 * MINUTE)
    begun.node.advance("1m")
    begun.clock.step(5 * MINUTE)
    begun.node.advance("1m")
    kinds = begun.rows("SELECT kind, to_at - from_at FROM outage ORDER BY id")
    assert kinds == [("suspend", 5 * MINUTE), ("clock_jump", 5 * MINUTE)]


def test_S3_1_a_node_that_slept_longer_than_its_lease_begins_nothing_before_it_has_renewed_it(
    story: Begin,
) -> None:
    begun = story(hourly)
    begun.until("00:59")
    begun.clock.suspend(2 * HOUR)
    assert not begun.node._keeper.trusted()
    assert begun.node._bell.step() is not None
    assert begun.states() == ["coalesced", "queued"]
    begun.node.step()
    assert begun.states() == ["coalesced", "succeeded"]

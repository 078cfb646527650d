"""Rates told as stories: never more starts in any span than were asked for, across restarts, retries and jobs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests import databases
from tests.engine.story import MIDNIGHT, Story
from tests.engine.test_budget import Writes
from watchbell import Watchbell, every, retry
from watchbell.core.instants import MINUTE, SECOND, parse_instant
from watchbell.errors import BadPolicy
from watchbell.testing import Lasting

Begin = Callable[..., Story]
T0 = parse_instant(MIDNIGHT)


def one_job(**options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job(**options)
        def work(number: int = 0) -> None: ...

    return declare


def starts(begun: Story) -> list[int]:
    """The instant of every start, retries among them."""
    first = "SELECT run, number, began_at FROM attempt UNION SELECT id, attempt, began_at FROM occurrence"
    return sorted(
        row[0] for row in begun.rows(f"SELECT began_at FROM ({first}) every WHERE began_at IS NOT NULL")
    )


def most_in_a_span(at: Sequence[int], span: int) -> int:
    """The most starts in any half-open span of this length."""
    return max((sum(1 for one in at if first <= one < first + span) for first in at), default=0)


def ask(begun: Story, many: int, job: str = "work", **how: Any) -> list[int]:
    found = begun.bell._declared.jobs[job]
    return [found.enqueue(number, **how).id for number in range(many)]


def test_never_more_than_the_rate_starts_in_a_span_and_the_others_follow_in_order(story: Begin) -> None:
    begun = story(one_job(rate="3/1m"))
    ask(begun, 10)
    begun.node.step()
    assert sorted(begun.states()) == ["held"] * 7 + ["succeeded"] * 3
    assert begun.value("SELECT DISTINCT held_by FROM occurrence WHERE state = 'held'") == "rate:job:work"
    begun.until("00:10")
    assert begun.states() == ["succeeded"] * 10
    at = starts(begun)
    assert most_in_a_span(at, MINUTE) == 3
    assert at[-1] - T0 == 3 * (MINUTE + SECOND)  # a start counts up to a second after its claim
    assert begun.rows("SELECT id FROM occurrence ORDER BY began_at, id") == [(one,) for one in range(1, 11)]


def test_jobs_that_share_a_key_share_its_rate(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rates={"api": "2/1m"})
        def one(number: int) -> None: ...

        @bell.job(rates={"api": "2/1m"}, rate="1/10s")
        def two(number: int) -> None: ...

    begun = story(declare)
    ask(begun, 3, "one")
    ask(begun, 3, "two")
    begun.until("00:10")
    assert begun.states() == ["succeeded"] * 6
    assert most_in_a_span(starts(begun), MINUTE) == 2


def test_a_rate_holds_for_what_a_schedule_starts_as_well(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rates={"api": "2/10m"})
        def call() -> None: ...

        for number in range(4):
            bell.add_schedule(f"s{number}", call, every("20m"))

    begun = story(declare)
    begun.until("00:20")
    assert sorted(begun.states()) == ["held", "held", "succeeded", "succeeded"]
    begun.until("00:31")
    assert begun.states() == ["succeeded"] * 4


def test_under_skip_what_a_rate_holds_gives_way_to_the_next_occurrence(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1m"))
        @bell.job(rate="1/5m")
        def call() -> None: ...

    begun = story(declare)
    begun.until("00:12")
    seen = begun.states()
    assert seen.count("held") == 1
    assert begun.value("SELECT count(*) FROM occurrence WHERE state = 'succeeded'") == 3
    assert set(seen) == {"succeeded", "coalesced", "held"}


def test_a_retry_counts_as_a_start(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rate="2/1m", retry=retry(3, delay="1s", jitter=False))
        def work(number: int) -> None:
            raise ValueError("no")

    begun = story(declare)
    ask(begun, 3)
    begun.node.advance("30s")
    assert sorted(begun.states()) == ["held", "retrying", "retrying"]  # what has begun keeps its state
    begun.until("00:20")
    assert begun.states() == ["failed"] * 3
    at = [row[0] for row in begun.rows("SELECT began_at FROM attempt")]
    assert len(at) == 9
    assert most_in_a_span(at, MINUTE) == 2


def test_the_rate_survives_a_death_and_the_clock_that_goes_on_meanwhile(tmp_path: Path) -> None:
    begun = Story(one_job(rate="2/10m"), file=tmp_path / "a.db")
    ask(begun, 5)
    begun.until("00:01")
    begun.restart("1m")
    begun.until("00:05")
    assert sorted(begun.states()) == ["held"] * 3 + ["succeeded"] * 2
    begun.restart("3h")
    begun.node.step()
    assert sorted(begun.states()) == ["held"] + ["succeeded"] * 4
    begun.node.advance("11m")
    assert begun.states() == ["succeeded"] * 5
    assert most_in_a_span(starts(begun), 10 * MINUTE) == 2
    begun.audit()
    begun.bell.stop()


def test_a_cancelled_run_that_was_held_costs_no_start(story: Begin) -> None:
    begun = story(one_job(rate="1/10m"))
    ask(begun, 1)
    second = begun.bell._declared.jobs["work"].enqueue(2)
    ask(begun, 1)
    begun.node.step()
    assert second.state() == "held"
    assert second.cancel() == "cancelled"
    begun.until("00:11")
    assert begun.states() == ["succeeded", "cancelled", "succeeded"]


def test_a_claim_that_is_handed_back_gives_its_start_back(story: Begin) -> None:
    begun = story(one_job(rate="1/10m"))
    begun.bell._declared.jobs["work"].enqueue_in("1s", 1)
    begun.node.step()
    node = begun.node
    node.clock.advance(SECOND)
    node._bell._begin = lambda: None  # the claim is there, and nothing begins
    node._bell.step()
    assert begun.value("SELECT count(*) FROM rate_start") == 1
    del node._bell._begin
    node._bell.hand_back(node.house.desk.withdraw_ready())
    assert begun.value("SELECT count(*) FROM rate_start") == 0
    begun.until("00:01")
    assert begun.states() == ["succeeded"]


def test_what_cannot_begin_in_time_goes_back_and_is_counted_anew(story: Begin) -> None:
    begun = story(one_job(rate="1/1m"))
    ask(begun, 1)
    node = begun.node
    begin = node._bell._begin
    node._bell._begin = lambda: None
    node._bell.step()
    node.clock.advance(2 * SECOND)
    node._bell._begin = begin
    node.step()
    assert begun.states() == ["succeeded"]
    assert begun.value("SELECT at FROM rate_start") == T0 + 3 * SECOND


def test_a_held_run_waits_behind_no_gate_that_others_need(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rate="1/10m", limits={"db": 1})
        def rated(number: int) -> None: ...

        @bell.job(limits={"db": 1})
        def free(number: int) -> Lasting:
            return Lasting("1m")

    begun = story(declare)
    ask(begun, 3, "rated")
    ask(begun, 3, "free")
    begun.until("00:05")
    assert begun.rows("SELECT j.name, count(*) FROM occurrence o JOIN job j ON j.id = o.job WHERE o.state = 'succeeded' "
                      "GROUP BY 1 ORDER BY 1") == [("free", 3), ("rated", 1)]  # fmt: skip
    begun.until("00:30")
    assert begun.states() == ["succeeded"] * 6


def test_lower_priority_starts_first_among_those_that_a_rate_holds(story: Begin) -> None:
    begun = story(one_job(rate="1/1m"))
    ask(begun, 3)
    begun.node.step()
    urgent = ask(begun, 1, priority=-5)
    begun.until("00:10")
    order = [row[0] for row in begun.rows("SELECT id FROM occurrence ORDER BY began_at")]
    assert order == [1, *urgent, 2, 3]


def test_a_rate_that_is_dropped_or_raised_lets_go_of_what_it_held(tmp_path: Path) -> None:
    begun = Story(one_job(rate="1/1d"), file=tmp_path / "a.db")
    ask(begun, 4)
    begun.node.step()
    begun.restart("1s", one_job(rate="2/1d"))
    begun.node.step()
    assert sorted(begun.states()) == ["held", "held", "succeeded", "succeeded"]
    begun.restart("1s", one_job())
    begun.node.step()
    assert begun.states() == ["succeeded"] * 4
    begun.audit()
    begun.bell.stop()


def test_a_clock_that_is_set_back_keeps_a_rate_shut_for_one_span_and_no_longer(story: Begin) -> None:
    begun = story(one_job(rate="1/1m"))
    begun.until("00:05")
    ask(begun, 1)
    begun.node.step()
    begun.change("UPDATE rate_start SET at = at + 86400000000")
    ask(begun, 1)
    begun.until("00:07")
    assert begun.states() == ["succeeded", "succeeded"]


@pytest.mark.parametrize("by_us", [9 * MINUTE, -20 * MINUTE])
def test_a_rate_counts_time_that_passes_and_not_what_the_clock_was_set_by(story: Begin, by_us: int) -> None:
    begun = story(one_job(rate="1/10m"))
    begun.until("00:05")
    ask(begun, 1)
    begun.node.advance("5m")
    begun.clock.step(by_us)
    begun.node.step()
    ask(begun, 1)
    begun.node.advance("4m")
    assert sorted(begun.states()) == ["held", "succeeded"]
    begun.node.advance("90s")
    assert begun.states() == ["succeeded", "succeeded"]


@pytest.mark.many_turns
def test_ten_thousand_that_wait_are_not_looked_at_for_each_start(story: Begin) -> None:
    begun = story(one_job(rate="2/1m"), slots={"thread": 10})
    ask(begun, 1)
    begun.node.step()
    begun.change(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) INSERT INTO occurrence "
        "(id, workspace, job, origin, due_at, start_at, state, lane, planned_at, args) "
        "SELECT i, 1, 1, 'manual', ?, ?, 'queued', 'thread', ?, '{\"number\": 1}' FROM n", T0, T0, T0
    )  # fmt: skip
    begun.node.step()
    assert begun.value("SELECT count(*) FROM occurrence WHERE state = 'held'") == 9_999
    with Writes(begun) as written:
        begun.until("00:02")
    assert 4 <= written["update occurrence"] <= 12  # two starts a minute, each claimed and settled
    begun.change(
        "UPDATE occurrence SET state = 'cancelled', ended_at = 1, held_by = NULL WHERE state = 'held'"
    )


@pytest.mark.many_turns
@databases.holds_for(
    sqlite=10,
    postgresql=2,
    rate=st.tuples(st.integers(1, 4), st.sampled_from([10, 60, 300])),
    asked=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 6)), min_size=1, max_size=8),
    fails=st.integers(0, 3),
    dies=st.sets(st.integers(1, 9), max_size=2),
)
def test_property_no_span_sees_more_starts_than_the_rate(
    rate: tuple[int, int], asked: list[tuple[int, int]], fails: int, dies: set[int]
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rates={"api": f"{rate[0]}/{rate[1]}s"}, retry=retry(2, delay="3s", jitter=False))
        def work(number: int) -> Lasting:
            return Lasting("2s", error=ValueError("no") if number < fails else None)

    with tempfile.TemporaryDirectory() as folder:
        begun = Story(declare, file=Path(folder) / "a.db")
        for at, many in sorted(asked):
            begun.node.run_until(max(begun.now, T0 + at * SECOND))
            ask(begun, many)
        for minute in range(1, 10):
            begun.node.run_until(max(begun.now, T0 + (minute + 10) * MINUTE))
            if minute in dies:
                begun.restart("7s")
        begun.audit()
        claims = begun.rows("SELECT at FROM rate_start")
        assert len(claims) <= rate[0]
        assert most_in_a_span(starts(begun), rate[1] * SECOND) <= rate[0]
        begun.bell.stop()


@pytest.mark.parametrize("wrong", ["10", "ten/1m", "0/1m", "5/1ms", "5/400d", "-1/1m", "", "5/1m/2"])
def test_a_rate_that_says_nothing_is_refused_with_the_form(wrong: str) -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(BadPolicy, match="'10/1m'"):
        bell.job(rate=wrong)(lambda: None)
    with pytest.raises(BadPolicy, match="'10/1m'"):
        bell.job(rates={"api": wrong})(lambda: None)


def test_S3_1_a_rated_run_begins_while_the_clock_is_in_doubt_and_is_claimed_once() -> None:
    """Its start was counted by the time that is believed and judged by the clock on the wall: it went back and forth."""

    def declare(bell: Watchbell) -> None:
        @bell.job(rate="10/1m")
        def work() -> None: ...

    begun = Story(declare)
    begun.until("00:10")
    begun.clock.step(40 * 24 * 60 * MINUTE)
    begun.node.step()
    begun.bell.run_now("work")
    begun.node.step()
    assert begun.rows("SELECT state, epoch FROM occurrence") == [("succeeded", 1)]
    assert begun.value("SELECT count(*) FROM rate_start") == 1

"""What would become of the next occurrences: the real decisions in virtual time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.core.instants import HOUR, MINUTE, parse_instant, to_text
from watchbell.core.policies import CatchUp, Overlap, Policies
from watchbell.core.simulate import Supposed, down_windows, simulate
from watchbell.core.states import State
from watchbell.core.triggers import cron, every, rrule
from watchbell.core.triggers.clock_changes import coming_changes

NOW = parse_instant("2026-11-21T00:00:00Z")
HOURLY = cron("0 * * * *", tz="UTC")


def told(policies: Policies = Policies(), count: int = 6, **given: object) -> list[tuple[str, str, str]]:
    fates = simulate(Supposed(HOURLY, policies, NOW, count, **given))  # type: ignore[arg-type]
    return [(to_text(fate.due_at)[11:16], fate.state.value, fate.sentence) for fate in fates]


def test_without_trouble_everything_runs_at_its_time() -> None:
    assert told(count=2, takes_us=10 * MINUTE) == [
        ("01:00", "succeeded", "runs at its time, ends at 01:10"),
        ("02:00", "succeeded", "runs at its time, ends at 02:10"),
    ]


def test_what_was_missed_in_an_outage_is_coalesced_into_the_latest() -> None:
    down = ((NOW + HOUR, NOW + 4 * HOUR + MINUTE),)
    stands = "does not run: the one of 04:00 stands for it (coalesced)"
    assert told(down=down) == [
        ("01:00", "coalesced", stands),
        ("02:00", "coalesced", stands),
        ("03:00", "coalesced", stands),
        ("04:00", "succeeded", "runs late, at 04:01 (1 min behind)"),
        ("05:00", "succeeded", "runs at its time"),
        ("06:00", "succeeded", "runs at its time"),
    ]


def test_a_long_outage_is_told_instant_by_instant() -> None:
    found = told(count=12, down=((NOW, NOW + 9 * HOUR),))
    assert [state for _, state, _ in found] == ["coalesced"] * 8 + ["succeeded"] * 4
    missed = told(Policies(catchup=CatchUp.NONE), count=12, down=((NOW, NOW + 9 * HOUR),))
    assert [state for _, state, _ in missed] == ["missed"] * 8 + ["succeeded"] * 4


def test_overlap_is_decided_as_the_policy_says() -> None:
    long = {"takes_us": 70 * MINUTE, "count": 3}
    assert [state for _, state, _ in told(**long)] == ["succeeded", "skipped", "succeeded"]  # type: ignore[arg-type]
    assert told(**long)[1][2] == "does not run: skipped (overlap): the one of 01:00 is still there"  # type: ignore[arg-type]
    queued = told(Policies(overlap=Overlap.QUEUE_ALL), **long)  # type: ignore[arg-type]
    assert (
        queued[1][2]
        == "runs late, after it waited for the one before, at 02:10 (10 min behind), ends at 03:20"
    )
    replaced = told(Policies(overlap=Overlap.REPLACE), **long)  # type: ignore[arg-type]
    assert replaced[0][2] == "runs at its time; cancelled at 02:00 to make room for the next"
    both = told(Policies(overlap=Overlap.ALLOW), **long)  # type: ignore[arg-type]
    assert both[1][2] == "runs at its time, ends at 03:10"


def test_what_runs_when_the_engine_goes_down_is_lost() -> None:
    found = told(count=2, takes_us=30 * MINUTE, down=((NOW + HOUR + 5 * MINUTE, NOW + HOUR + 40 * MINUTE),))
    assert found[0][1:] == ("lost", "runs at its time; the engine goes down while it runs: lost")
    assert found[1][1] == "succeeded"


def test_a_fixed_delay_counts_from_the_end_of_each_run() -> None:
    trigger = every("1h", start_at=NOW, after_completion=True)
    fates = simulate(Supposed(trigger, Policies(), NOW, 3, takes_us=10 * MINUTE))
    assert [to_text(fate.due_at)[11:16] for fate in fates] == ["01:00", "02:10", "03:20"]


def test_a_rule_that_ends_has_fewer_fates_than_were_asked_for() -> None:
    rule = rrule("FREQ=HOURLY;COUNT=2", start="2026-11-21 01:00", tz="UTC")
    assert len(simulate(Supposed(rule, Policies(), NOW, 5))) == 2


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*Overlap]),
    st.sampled_from([*CatchUp]),
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=3),
    st.integers(1, 30),
)
def test_every_instant_has_one_fate_and_nothing_starts_while_nobody_is_there(
    overlap: Overlap, catchup: CatchUp, takes: int, outages: list[tuple[int, int]], count: int
) -> None:
    if overlap is Overlap.SKIP and catchup in (CatchUp.ALL, CatchUp.EARLIEST):
        return
    down = down_windows([(NOW + a * 45 * MINUTE, NOW + (a + n) * 45 * MINUTE) for a, n in outages])
    policies = Policies(overlap=overlap, catchup=catchup)
    fates = simulate(Supposed(HOURLY, policies, NOW, count, takes_us=takes * MINUTE, down=down))
    assert [fate.due_at for fate in fates] == [NOW + n * HOUR for n in range(1, count + 1)]
    for fate in fates:
        assert fate.sentence
        assert fate.state not in (State.RUNNING, State.CLAIMED, State.HELD, State.QUEUED)
        if fate.started_at is not None:
            assert fate.started_at >= fate.due_at
            assert not any(start <= fate.started_at < end for start, end in down)
    if overlap is not Overlap.ALLOW:
        ran = sorted(
            (f.started_at, f.ended_at) for f in fates if f.started_at is not None and f.ended_at is not None
        )
        assert all(before[1] <= after[0] for before, after in pairwise(ran))


def test_the_next_two_changes_of_the_clocks_say_what_they_do_to_the_rule() -> None:
    wall = [
        one.sentence for one in coming_changes(cron("30 2 * * *", tz="Europe/Berlin"), "Europe/Berlin", NOW)
    ]
    assert wall == [
        "2027-03-28 02:00: the clocks go forward by 60 min, to 03:00; 02:30 does not exist: due once, at 03:00",
        (
            "2027-10-31 03:00: the clocks go back by 60 min, to 02:00; due once in the first pass of the hour, not due in "
            "the second"
        ),
    ]
    real = coming_changes(every("20m", start_at=NOW), "Europe/Berlin", NOW)
    assert "real time goes on" in real[1].sentence
    assert "due 6 times" in real[1].sentence
    assert coming_changes(HOURLY, "UTC", NOW) == []

"""Blackouts: windows in which a schedule does not come due, in stories under virtual time with an audit at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from tests.engine.test_budget import Writes
from watchbell import Watchbell, cron, every
from watchbell.core.instants import HOUR
from watchbell.errors import BadPolicy
from watchbell.services import clock as service

Begin = Callable[..., Story]
NIGHT = "2026-11-21T01:00/2026-11-21T02:00 UTC"


def hourly(trigger: Any = None, ran: list[str] | None = None, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron("*/20 * * * *", tz="UTC") if trigger is None else trigger, **options)
        def work() -> None: ...

    return declare


def test_S3_what_is_due_in_a_blackout_is_skipped_and_what_is_due_at_its_end_runs(story: Begin) -> None:
    begun = story(hourly(blackouts=[NIGHT]))
    begun.until("02:30")
    assert begun.seen() == [
        *all_of("succeeded", ["00:20", "00:40"]),
        *all_of("skipped", ["01:00", "01:20", "01:40"], "blackout"),
        *all_of("succeeded", ["02:00", "02:20"]),
    ]
    begun.audit()


def test_S3_1_what_is_held_for_a_clock_in_doubt_counts_with_its_blackouts(story: Begin) -> None:
    """What falls into a blackout is told apart when the backlog is let go, not while it is held."""
    begun = story(hourly(every("1h"), blackouts=["2026-11-21T04:30/2026-11-21T07:30 UTC"]))
    begun.live("2026-11-21T01:30:00Z")
    begun.clock.step(30 * HOUR)
    begun.live("2026-11-22T08:30:00Z")
    assert [span[2:] for span in begun.spans()] == [(30, "held", None)]
    begun.audit()
    service.confirm(begun.bell._open(), now=begun.now, actor="a person")
    begun.node.step()
    assert begun.states().count("skipped") == 3
    begun.audit()


def test_S3_more_than_three_are_one_span(story: Begin) -> None:
    begun = story(hourly(cron("*/5 * * * *", tz="UTC"), blackouts=[NIGHT]))
    begun.until("02:01")
    assert [span[2:] for span in begun.spans()] == [(12, "skipped", "blackout")]
    assert begun.states().count("succeeded") == 12
    begun.audit()


def test_S3_while_a_blackout_lasts_the_schedule_costs_nothing_and_the_audit_holds(story: Begin) -> None:
    begun = story(hourly(blackouts=[NIGHT]))
    begun.until("00:59")
    with Writes(begun) as written:
        begun.live("2026-11-21T01:59:00Z")
    assert set(written) == {"update node"}
    begun.audit()
    assert begun.value("SELECT next_due FROM cursor") == begun.now + 60_000_000


def test_S3_a_recurring_blackout_is_read_in_the_schedules_zone(story: Begin) -> None:
    begun = story(
        hourly(cron("0 * * * *", tz="Europe/Berlin"), blackouts=["cron 0 3 * * * for 2h"]),
    )
    begun.until("04:30")
    assert begun.seen() == [
        ("01:00", "succeeded", None),
        *all_of("skipped", ["02:00", "03:00"], "blackout"),
        ("04:00", "succeeded", None),
    ]
    begun.audit()


@pytest.mark.parametrize(
    ("catchup", "overlap"),
    [("latest", "skip"), ("none", "skip"), ("all", "queue_all"), ("earliest", "queue_all")],
)
def test_S3_a_blackout_comes_before_the_catch_up(tmp_path: Path, catchup: str, overlap: str) -> None:
    begun = Story(
        hourly(cron("*/5 * * * *", tz="UTC"), blackouts=[NIGHT], catchup=catchup, overlap=overlap),
        file=tmp_path / "a.db",
    )
    begun.until("00:32")
    begun.restart(after="2h")  # 02:32
    begun.until("02:33")
    spans = {span[4]: span[2] for span in begun.spans()}
    assert spans["blackout"] == 12
    dark = begun.value("SELECT count(*) FROM occurrence WHERE reason = 'blackout'")
    assert dark == 0
    assert ("02:30", "succeeded", None) in begun.seen() or catchup == "earliest"
    begun.audit()
    for at in ("01:20", "00:55", "02:10"):
        said = begun.bell.explain("work", at=instant(at)).sentence
        assert ("blackout" in said) is (at == "01:20")
    begun.bell.stop()


def instant(text: str) -> Any:
    from datetime import UTC, datetime

    return datetime.fromisoformat(f"2026-11-21T{text}:00").replace(tzinfo=UTC)


def test_S3_an_engine_that_comes_back_within_a_blackout_runs_what_was_due_before_it(tmp_path: Path) -> None:
    begun = Story(hourly(blackouts=[NIGHT]), file=tmp_path / "a.db")
    begun.until("00:35")
    begun.restart(after="35m")  # 01:10
    begun.until("01:11")
    assert begun.seen()[1] == ("00:40", "succeeded", None)
    begun.until("02:10")
    begun.audit()
    begun.bell.stop()


@pytest.mark.parametrize("change", ["pause", "edit", "remove", "disable"])
def test_S3_a_change_in_the_middle_of_a_blackout_leaves_nothing_out(story: Begin, change: str) -> None:
    begun = story(hourly(blackouts=[NIGHT]))
    begun.until("01:30")
    if change == "pause":
        begun.bell.pause("work")
    elif change == "edit":
        begun.bell.edit("work", trigger=cron("*/30 * * * *", tz="UTC"), blackouts=[])
    elif change == "remove":
        begun.bell.remove("work")
    begun.audit()
    begun.until("01:50")
    if change == "pause":
        begun.bell.resume("work")
    begun.until("03:00")
    begun.audit()
    assert begun.seen()[2:4] == all_of("skipped", ["01:00", "01:20"], "blackout")


def test_S3_a_fixed_delay_goes_on_one_period_after_the_blackout(story: Begin) -> None:
    begun = story(
        hourly(every("20m", after_completion=True), blackouts=["2026-11-21T00:50Z/2026-11-21T01:50Z"])
    )
    begun.until("02:40")
    assert begun.seen() == [
        *all_of("succeeded", ["00:20", "00:40"]),
        ("01:00", "skipped", "blackout"),
        *all_of("succeeded", ["02:10", "02:30"]),
    ]
    begun.audit()


def test_S3_a_change_of_the_blackouts_is_a_new_version_and_the_same_again_is_none(story: Begin) -> None:
    begun = story(hourly(blackouts=[NIGHT]))
    assert not begun.bell.edit("work", blackouts=[NIGHT]).changed
    assert begun.bell.edit("work", blackouts=[NIGHT, "cron 0 12 * * * for 1h"]).changed
    assert begun.value("SELECT max(version) FROM schedule_version") == 2
    begun.until("13:10")
    assert begun.states().count("skipped") == 6
    begun.audit()


def test_S3_a_schedule_that_would_never_run_is_refused_with_a_sentence(story: Begin) -> None:
    with pytest.raises(BadPolicy, match="Every occurrence falls into a blackout"):
        story(hourly(cron("30 1 * * *", tz="UTC"), blackouts=["cron 0 1 * * * for 1h UTC"]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["tomorrow"], "is no blackout; write"),
        (["2026-12-24T00:00/2026-12-27T00:00"], "names no time zone"),
        (["2026-12-27T00:00Z/2026-12-24T00:00Z"], "ends before it begins"),
        (["cron 0 1 * * * for 0s"], "lasts for more than 0"),
        ("cron 0 1 * * * for 1h", "blackouts are a list"),
        ([7], "A blackout is a text"),
        (["cron 0 1 * * * for 1h"] * 51, "at most 50"),
    ],
)
def test_S3_a_blackout_that_cannot_be_is_refused_with_a_sentence(wrong: Any, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        hourly(blackouts=wrong)(Watchbell("sqlite://"))


def test_S3_explain_names_the_blackout_before_and_after(story: Begin) -> None:
    begun = story(hourly(blackouts=[NIGHT]))
    begun.until("00:30")
    assert (
        "will not run: it falls into a blackout, from 01:00 UTC to 02:00 UTC"
        in begun.bell.explain("work", at=instant("01:20")).sentence
    )
    begun.until("01:30")
    assert "did not run: it falls into a blackout" in begun.bell.explain("work", at=instant("01:20")).sentence
    begun.until("02:30")
    assert "did not run: it fell into a blackout" in begun.bell.explain("work", at=instant("01:20")).sentence

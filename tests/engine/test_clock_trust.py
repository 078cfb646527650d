"""A clock that is set wrong, told as stories (PROTOCOL §11): what is planned, what waits, who is told, and the audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, cron, every
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND
from watchbell.services import clock as service
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class House:
    """An application with an hourly and a quarterly job, that notes what it was told of its clock."""

    def __init__(self, **options: Any) -> None:
        self.told: list[str] = []
        self.options = options

    def declare(self, bell: Watchbell) -> None:
        @bell.schedule(every("1h"), name="hourly", **self.options)
        def hourly() -> None: ...

        @bell.schedule(every("15m"), name="quarterly", **self.options)
        def quarterly() -> None: ...

        @bell.on("engine.clock_suspect")
        def suspected(_about: Any) -> None:
            self.told.append("clock_suspect")

        @bell.on("engine.clock_trusted")
        def believed(_about: Any) -> None:
            self.told.append("clock_trusted")


def rule(begun: Story) -> None:
    """Somebody who wants to hear of clocks."""
    begun.change(
        "INSERT INTO channel (id, name, kind, options, created_at) VALUES (1, 'c', 'email', '{}', 0)"
    )
    begun.change(
        """INSERT INTO alert_rule (id, scope, events, channel, created_at) VALUES (1, 'workspace', '["clock"]', 1, 0)"""
    )


def alerts(begun: Story) -> list[str]:
    return [row[0] for row in begun.rows("SELECT text FROM alert WHERE event = 'clock' ORDER BY id")]


def standing(begun: Story) -> str:
    return str(begun.value("SELECT standing FROM clock_trust") or "trusted")


def kinds(begun: Story) -> list[str]:
    return [row[0] for row in begun.rows("SELECT kind FROM outage ORDER BY id")]


def begin(story: Begin, house: House, **more: Any) -> Story:
    begun = story(house.declare, **more)
    rule(begun)
    begun.until("02:10")
    return begun


# --- forward ----------------------------------------------------------------------------------------------------------


def test_S3_1_forward_by_3_s_is_written_down_and_nothing_else_happens(story: Begin) -> None:
    house = House()
    begun = begin(story, house)
    begun.clock.step(3 * SECOND)
    begun.until("03:00")
    assert kinds(begun) == ["clock_jump"]
    assert (standing(begun), house.told, alerts(begun)) == ("trusted", [], [])
    assert begun.seen("hourly") == all_of("succeeded", ["01:00", "02:00", "03:00"])


def test_S3_1_forward_by_9_min_goes_on_at_once(story: Begin) -> None:
    house = House()
    begun = begin(story, house)
    begun.clock.step(9 * MINUTE)
    begun.node.step()
    assert standing(begun) == "trusted"
    assert begun.seen("quarterly")[-1] == ("02:15", "succeeded", None)
    assert alerts(begun) == []


def test_S3_1_forward_by_11_min_stops_planning_until_the_clock_has_been_steady(story: Begin) -> None:
    house = House()
    begun = begin(story, house)
    begun.clock.step(11 * MINUTE)
    begun.node.advance("9m")
    assert standing(begun) == "suspect"
    assert begun.seen("quarterly")[-1] == ("02:00", "succeeded", None)
    assert begun.audit().pending == 2
    assert len(alerts(begun)) == 1
    assert "the clock was set forward by 11 min" in alerts(begun)[0]
    begun.node.advance("2m")
    assert standing(begun) == "trusted"
    assert begun.seen("quarterly")[-2:] == [
        ("02:15", "coalesced", "clock_jump"),
        ("02:30", "succeeded", None),
    ]
    assert house.told == ["clock_suspect", "clock_trusted"]
    assert kinds(begun) == ["clock_jump", "clock_doubt"]


def test_S3_1_the_kernels_word_ends_the_doubt(story: Begin) -> None:
    house = House()
    begun = begin(story, house)
    begun.clock.in_sync = False
    begun.clock.step(11 * MINUTE)
    begun.node.advance("2m")
    assert standing(begun) == "suspect"
    begun.clock.in_sync = True
    begun.node.advance("2s")
    assert standing(begun) == "trusted"


def test_S3_1_forward_by_30_h_holds_the_backlog_and_runs_what_is_new(story: Begin) -> None:
    house = House()
    begun = begin(story, house)
    begun.clock.step(30 * HOUR)
    begun.node.advance("2h")
    assert standing(begun) == "holding"
    assert len(begun.rows("SELECT 1 FROM span WHERE ending = 'held'")) == 2
    held = {row[0] for row in begun.rows("SELECT DISTINCT due_at FROM occurrence WHERE state = 'succeeded'")}
    day = begun.now - begun.now % DAY
    assert {day + 9 * HOUR, day + 10 * HOUR} <= held
    assert begun.value("SELECT sum(count) FROM span WHERE ending = 'held'") == 30 + 121
    assert begun.audit().pending == 0
    text = begun.bell.explain("hourly", at=at(begun, "2026-11-21T05:00:00Z")).sentence
    assert text.endswith(
        "is held until somebody confirms the clock: watchbell clock confirm (one of 30 like it)."
    )
    assert "watchbell clock confirm" in alerts(begun)[-1]


def at(begun: Story, text: str) -> Any:
    from watchbell.core.instants import parse_instant, to_datetime

    return to_datetime(parse_instant(text), "UTC")


def test_S3_1_a_clock_that_was_wild_for_30_s_leaves_no_trace_in_the_future(story: Begin) -> None:
    house = House()
    begun = begin(story, house)
    begun.clock.step(3650 * DAY)
    begun.node.advance("30s")
    assert standing(begun) == "suspect"
    begun.clock.step(-3650 * DAY)
    begun.until("03:00")
    assert standing(begun) == "trusted"
    assert begun.seen("hourly") == all_of("succeeded", ["01:00", "02:00", "03:00"])
    assert begun.value("SELECT max(due_at) FROM occurrence") <= begun.now


def test_S3_1_what_was_due_before_the_step_goes_on_and_no_start_deadline_passes_by_it(story: Begin) -> None:
    lasting = Lasting("30m")

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"), start_deadline="2h", overlap="queue_all")
        def work() -> Any:
            return lasting

    begun = story(declare)
    begun.node.set_slots(thread=0)
    begun.until("01:10")
    begun.clock.step(30 * HOUR)
    begun.node.advance("1m")
    assert begun.states() == ["queued"]
    begun.node.set_slots(thread=1)
    begun.node.advance("1m")
    assert standing(begun) == "suspect"
    assert begun.states() == ["going"]
    begun.node.advance("1h")
    assert begun.states()[0] == "succeeded"


def test_S3_1_claims_that_have_not_begun_are_given_back(story: Begin) -> None:
    house = House()
    begun = story(house.declare)
    begun.until("00:59")
    begun.clock.advance(MINUTE - 1000)
    begun.node.step()
    assert begun.states("hourly") == ["going"]
    begun.clock.step(-10 * MINUTE)
    begun.node._bell.step()
    assert begun.value("SELECT max(epoch) FROM occurrence") == 2  # given back, and claimed again
    begun.until("01:05")
    assert begun.seen("hourly") == all_of("succeeded", ["01:00"])


# --- back -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "told"), [(MINUTE, 0), (10 * MINUTE, 1), (2 * DAY, 1)])
def test_S3_1_back_repeats_nothing_waits_and_tells_over_5_min(story: Begin, by: int, told: int) -> None:
    begun = begin(story, House())
    before = begun.seen()
    begun.clock.step(-by)
    begun.node.advance(by / 1e6 - 60)
    assert begun.seen() == before
    assert standing(begun) == "trusted"
    assert len(alerts(begun)) == told
    begun.until("03:00")
    assert begun.seen("hourly")[-1] == ("03:00", "succeeded", None)


# --- asleep -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [8, 72])
def test_S3_1_a_suspend_is_no_step_however_long(story: Begin, hours: int) -> None:
    begun = begin(story, House())
    begun.clock.suspend(hours * HOUR)
    begun.node.step()
    assert (standing(begun), alerts(begun), kinds(begun)) == ("trusted", [], ["suspend"])
    assert begun.rows("SELECT DISTINCT reason FROM span") == [("suspend",)]
    assert begun.states("hourly")[-1] == "succeeded"


# --- while nobody looked ----------------------------------------------------------------------------------------------


def test_S3_1_a_step_while_no_engine_runs_is_seen_within_one_boot(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, House(), file=tmp_path / "w.db")
    begun.node.advance("10s")
    begun.die()
    begun.clock.advance(MINUTE)
    begun.clock.step(30 * HOUR)
    begun.open()
    begun.node.step()
    assert standing(begun) == "suspect"
    begun.node.advance("11m")
    assert standing(begun) == "holding"
    assert "clock_jump" in kinds(begun)


def test_S3_1_time_off_is_no_step_and_after_a_reboot_nothing_can_be_known(
    story: Begin, tmp_path: Path
) -> None:
    begun = begin(story, House(), file=tmp_path / "w.db")
    begun.die()
    begun.clock.reboot(30 * HOUR)
    begun.open()
    begun.node.step()
    assert standing(begun) == "trusted"
    assert kinds(begun) == ["downtime"]


def test_S3_1_a_start_in_1970_waits_for_the_time_server(story: Begin, tmp_path: Path) -> None:
    house = House()
    begun = begin(story, house, file=tmp_path / "w.db")
    before, seen = begun.now, begun.seen()
    begun.die()
    begun.clock.reboot(8 * HOUR)
    begun.clock.step(-begun.now)
    begun.open()
    begun.node.step()
    assert standing(begun) == "suspect"
    assert "behind the newest entry of the ledger" in alerts(begun)[0]
    begun.node.advance("1m")
    assert begun.seen() == seen
    begun.clock.step(before + 8 * HOUR - begun.now)
    begun.clock.in_sync = True
    begun.node.advance("5s")
    assert standing(begun) == "trusted"
    assert begun.states("hourly")[-1] == "succeeded"
    begun.node.advance("2h")
    assert begun.seen("hourly")[-1][1] == "succeeded"


def test_S3_1_a_start_more_than_400_days_on_holds_the_backlog(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, House(), file=tmp_path / "w.db")
    begun.die()
    begun.clock.reboot(500 * DAY)
    begun.open()
    begun.node.step()
    assert standing(begun) == "suspect"
    begun.node.advance("20m")
    assert standing(begun) == "holding"
    assert begun.states("hourly") == ["succeeded", "succeeded"]


def test_S3_1_the_doubt_outlives_a_restart(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, House(), file=tmp_path / "w.db")
    begun.node.advance("10s")
    begun.clock.step(2 * HOUR)
    begun.node.step()
    begun.restart("1m")
    begun.node.advance("5m")
    assert standing(begun) == "suspect"
    assert begun.states("hourly") == ["succeeded", "succeeded"]
    begun.node.advance("5m")
    assert standing(begun) == "trusted"


# --- changes in the meantime ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["edit", "pause", "remove"])
def test_S3_1_a_change_while_the_clock_is_in_doubt_loses_and_runs_nothing(story: Begin, verb: str) -> None:
    begun = begin(story, House())
    begun.clock.step(5 * HOUR)
    begun.node.step()
    if verb == "edit":
        begun.bell.edit("hourly", trigger=every("20m"))
    elif verb == "pause":
        begun.bell.pause("hourly")
    else:
        begun.bell.remove("hourly")
    assert begun.states("hourly") == ["succeeded", "succeeded"]
    begun.audit()
    begun.node.advance("11m")
    assert standing(begun) == "trusted"
    assert begun.rows("SELECT 1 FROM span WHERE ending = 'held'") == []
    due = {row[0]: row[1] for row in begun.seen("hourly")}
    assert due["07:00"] == ("coalesced" if verb == "edit" else "succeeded")  # 07:20 of the edit stands for it


# --- a person ---------------------------------------------------------------------------------------------------------


def confirmed(begun: Story) -> str:
    return service.confirm(begun.bell._open(), now=begun.now, actor="anna").sentence


def repaired(begun: Story, apply: bool = True) -> service.Repaired:
    return service.repair_clock(begun.bell._open(), now=begun.now, actor="anna", apply=apply)


def test_S3_1_a_person_ends_the_doubt_at_once(story: Begin) -> None:
    begun = begin(story, House())
    begun.clock.step(30 * HOUR)
    begun.node.step()
    confirmed(begun)
    begun.node.step()
    assert standing(begun) == "trusted"
    assert begun.seen("hourly")[-1] == ("2026-11-22T08:00:00Z", "succeeded", None)
    assert begun.rows("SELECT DISTINCT reason FROM span") == [("clock_jump",)]


@pytest.mark.parametrize("catchup", ["latest", "none", "all"])
def test_S3_1_a_held_backlog_that_is_confirmed_is_planned_like_what_was_missed(
    story: Begin, catchup: str
) -> None:
    more = {"overlap": "queue_all", "catchup_limit": 100} if catchup == "all" else {}
    begun = begin(story, House(catchup=catchup, **more))
    begun.clock.step(30 * HOUR)
    begun.node.advance("40m")
    assert standing(begun) == "holding"
    ran = begun.value("SELECT count(*) FROM occurrence WHERE state = 'succeeded'")
    assert "151 occurrences that were held are planned now" in confirmed(begun)
    begun.node.advance("10s")
    assert begun.rows("SELECT 1 FROM span WHERE ending = 'held'") == []
    begun.node.advance("1m")
    now = begun.value("SELECT count(*) FROM occurrence WHERE state = 'succeeded'")
    assert now - ran == (30 + 100 if catchup == "all" else 2)
    assert "anna" in begun.rows("SELECT actor FROM audit_event WHERE action = 'clock.confirmed'")[0]


def test_S3_1_the_backlog_stays_held_through_a_restart_and_a_second_step(
    story: Begin, tmp_path: Path
) -> None:
    begun = begin(story, House(), file=tmp_path / "w.db")
    begun.clock.step(30 * HOUR)
    begun.node.advance("20m")
    begun.restart("1m")
    begun.node.advance("5m")
    assert standing(begun) == "holding"
    begun.clock.step(HOUR)
    begun.node.advance("20m")
    assert standing(begun) == "holding"
    begun.audit()
    confirmed(begun)
    begun.node.advance("1m")
    assert (standing(begun), begun.rows("SELECT 1 FROM span WHERE ending = 'held'")) == ("trusted", [])


def test_S3_1_a_repair_gives_back_what_never_ran_and_repeats_nothing(story: Begin) -> None:
    begun = begin(story, House())
    begun.clock.step(30 * HOUR)
    begun.node.advance("1h")
    ran = set(begun.rows("SELECT schedule, due_at FROM occurrence WHERE state = 'succeeded'"))
    begun.clock.step(-30 * HOUR)
    begun.node.advance("1m")
    before = repaired(begun, apply=False)
    assert (before.found.moved, before.found.stays) == ([], 2)  # each has run in that future
    begun.audit()
    confirmed(begun)
    begun.until("2026-11-22T10:10:00Z")
    again = begun.rows("SELECT schedule, due_at FROM occurrence WHERE state = 'succeeded'")
    assert len(again) == len(set(again))
    assert ran <= set(again)


def test_S3_1_what_was_held_beyond_now_comes_due_at_its_time_after_a_repair(story: Begin) -> None:
    begun = story(House().declare)
    begun.bell.add_schedule("nightly", _nothing, cron("0 3 * * *", tz="UTC"))
    begun.until("02:10")
    begun.clock.step(30 * HOUR)
    begun.node.advance("11m")
    assert standing(begun) == "holding"
    begun.clock.step(-30 * HOUR)
    begun.node.advance("1s")
    done = repaired(begun)
    assert "nightly" in [item.name for item in done.found.moved]
    begun.audit()
    confirmed(begun)
    begun.until("03:05")
    assert begun.seen("nightly") == [("03:00", "succeeded", None)]
    assert begun.rows("SELECT 1 FROM span WHERE ending = 'held'") == []


def _nothing() -> None: ...


def test_S3_1_a_row_of_the_future_that_never_ran_is_taken_out_and_comes_due_at_its_time(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(limits={"db": 1})
        def work() -> None: ...

        bell.add_schedule("work", work, every("1h"))

    begun = story(declare)
    begun.until("00:55")
    begun.node.set_slots(thread=0)
    begun.clock.step(9 * MINUTE)
    begun.node.step()
    assert begun.states() == ["queued"]
    begun.clock.step(-9 * MINUTE)
    begun.node.step()
    done = repaired(begun)
    assert (done.found.rows, done.found.stays) == (1, 0)
    assert begun.seen() == []
    begun.audit()
    begun.node.set_slots(thread=1)
    begun.until("01:05")
    assert begun.seen() == all_of("succeeded", ["01:00"])

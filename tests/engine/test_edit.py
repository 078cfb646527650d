"""Edits told as stories: in force from their own instant on, never before it, and nothing is lost between versions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, cron, every, retry
from watchbell.errors import BadArguments, BadInput, BadPolicy
from watchbell.services import schedules
from watchbell.services.schedules import Change
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class Greeting:
    """A job that notes with which arguments it was called."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def declare(self, bell: Watchbell) -> None:
        said = self.said

        @bell.schedule(every("1h"), args={"word": "old"})
        def greet(word: str) -> None:
            said.append(word)


@pytest.mark.parametrize(
    ("moved_us", "said"),
    [
        (-3_600_000_000 + 1, ["new"]),
        (-1_000_000, ["new"]),
        (0, ["old"]),
        (1, ["old"]),
    ],
)
def test_S3_4_what_was_due_before_the_edit_runs_with_the_old_arguments(
    story: Begin, moved_us: int, said: list[str]
) -> None:
    """The edit comes so long after 01:00, before the engine has planned anything."""
    greeting = Greeting()
    begun = story(greeting.declare)
    begun.clock.advance(3_600_000_000 + moved_us)
    begun.bell.edit("greet", args={"word": "new"})
    begun.until("01:30")
    assert greeting.said == said
    begun.until("02:30")
    assert greeting.said == [*said, "new"]


@pytest.mark.parametrize("early_us", [1, 900])
def test_S3_4_one_that_is_claimed_ahead_at_the_instant_of_the_edit_runs_as_it_was(
    story: Begin, early_us: int
) -> None:
    greeting = Greeting()
    begun = story(greeting.declare)
    begun.until("00:30")
    begun.clock.advance(1_800_000_000 - early_us)
    begun.node.step()
    assert begun.states() == ["going"]
    begun.bell.edit("greet", args={"word": "new"}, trigger=every("7m"))
    begun.until("01:05")
    assert greeting.said == ["old", "new"]


def test_S3_4_an_edit_1_us_before_the_instant_takes_it_for_the_new_version(story: Begin) -> None:
    greeting = Greeting()
    begun = story(greeting.declare)
    begun.clock.advance(3_600_000_000 - 1)
    begun.bell.edit("greet", args={"word": "new"})
    begun.until("01:30")
    assert greeting.said == ["new"]


def test_S3_4_nothing_is_lost_and_nothing_doubled_between_two_versions(story: Begin) -> None:
    greeting = Greeting()
    begun = story(greeting.declare)
    begun.until("02:30")
    begun.bell.edit("greet", trigger=every("30m"))
    begun.until("04:10")
    assert begun.seen() == all_of("succeeded", ["01:00", "02:00", "03:00", "03:30", "04:00"])
    assert begun.rows(
        "SELECT version, effective_from IS NOT NULL, effective_to IS NULL FROM schedule_version"
    ) == [
        (1, 1, 0),
        (2, 1, 1),
    ]
    assert begun.rows("SELECT count(*) FROM schedule_version a JOIN schedule_version b ON a.effective_to = "
                      "b.effective_from") == [(1,)]  # fmt: skip


def test_S3_4_the_anchor_of_an_interval_stays_when_its_period_changes(story: Begin) -> None:
    greeting = Greeting()
    begun = story(greeting.declare, at="2026-11-21T00:07:00Z")
    begun.until("00:40")
    begun.bell.edit("greet", trigger=every("20m"))
    begun.until("01:10")
    assert begun.seen() == all_of("succeeded", ["00:47", "01:07"])


def test_S3_4_an_edit_while_paused_accounts_for_the_pause_by_the_old_version_and_stays_paused(
    story: Begin,
) -> None:
    greeting = Greeting()
    begun = story(greeting.declare)
    begun.until("01:30")
    begun.bell.pause("greet")
    begun.until("03:30")
    begun.bell.edit("greet", trigger=every("10m"))
    begun.until("04:05")
    assert begun.states() == ["succeeded"]
    begun.bell.resume("greet")
    begun.until("04:15")
    assert [row[2:] for row in begun.spans()] == [(2, "skipped", "paused"), (3, "skipped", "paused")]
    assert begun.seen()[1:] == [("04:10", "succeeded", None)]


def test_S3_4_an_edit_that_changes_nothing_writes_nothing(story: Begin) -> None:
    begun = story(Greeting().declare)
    before = begun.rows("SELECT count(*), max(id) FROM audit_event")
    assert not begun.bell.edit("greet", args={"word": "old"}).changed
    assert begun.rows("SELECT count(*), max(id) FROM audit_event") == before
    assert begun.rows("SELECT count(*) FROM schedule_version") == [(1,)]


def policies(begun: Story) -> dict[str, object]:
    (row,) = begun.rows("SELECT policies FROM schedule_version ORDER BY version DESC LIMIT 1")
    return dict(json.loads(row[0]))


def test_S3_4_an_edit_keeps_the_policies_that_are_not_given(story: Begin) -> None:
    begun = story(Greeting().declare)
    begun.bell.edit("greet", grace="5m", retry=retry(2, delay="1s"), overlap="queue_all", overlap_max=3)
    said = policies(begun)
    begun.bell.edit("greet", timeout="10m")
    assert policies(begun) == {**said, "timeout_us": 600_000_000}
    begun.bell.edit("greet", trigger=every("2h"))
    assert policies(begun) == {**said, "timeout_us": 600_000_000}
    assert not begun.bell.edit("greet", grace="5m").changed


def test_S3_4_an_edit_sets_policies_back_to_their_defaults(story: Begin) -> None:
    begun = story(Greeting().declare)
    begun.bell.edit("greet", grace="5m", timeout="10m", spread="1m", overlap="queue_all", overlap_max=3)
    begun.bell.edit("greet", default="grace")
    assert "grace_us" not in policies(begun)
    begun.bell.edit("greet", default=["overlap", "overlap_max"], timeout="20m")
    assert policies(begun) == {"spread_us": 60_000_000, "timeout_us": 1_200_000_000}
    begun.bell.edit("greet", overlap="allow", overlap_max=2)
    with pytest.raises(BadPolicy, match="overlap_max"):  # what stays contradicts what is given
        begun.bell.edit("greet", overlap="skip")
    begun.bell.edit("greet", overlap="skip", default="overlap_max")
    with pytest.raises(BadPolicy, match=r"A schedule has no option 'graze'; it has .* grace, "):
        begun.bell.edit("greet", graze="5m")
    with pytest.raises(BadPolicy, match="'graze'"):
        begun.bell.edit("greet", default="graze")
    with pytest.raises(BadPolicy):
        begun.bell.edit("greet", default=[5])  # type: ignore[list-item]
    with pytest.raises(BadInput):
        begun.bell.edit("greet", take_back=True, default="grace")
    assert policies(begun) == {"spread_us": 60_000_000, "timeout_us": 1_200_000_000}


def test_S3_4_an_edit_that_waits_keeps_what_is_not_given(story: Begin) -> None:
    begun = story(Greeting().declare)
    begun.bell.edit("greet", grace="5m", timeout="10m")
    begun.bell.edit("greet", timeout="20m", apply_from="2026-11-21T02:30:00Z")
    begun.until("03:10")
    assert policies(begun) == {"grace_us": 300_000_000, "timeout_us": 1_200_000_000}


def test_S3_4_what_contradicts_itself_changes_nothing(story: Begin) -> None:
    begun = story(Greeting().declare)
    with pytest.raises(BadPolicy):
        begun.bell.edit("greet", catchup="all")
    with pytest.raises(BadArguments):
        begun.bell.edit("greet", args={"wrod": "new"})
    assert begun.rows("SELECT count(*) FROM schedule_version") == [(1,)]


def test_with_drop_waiting_what_was_due_and_has_not_begun_is_cancelled_and_stays_accounted_for(
    story: Begin,
) -> None:
    begun = story(Greeting().declare)
    begun.node.set_slots(thread=0)
    begun.until("01:30")
    change = Change(trigger=cron("0 3 * * *", tz="UTC"), drop_waiting=True)
    schedules.edit(begun.bell._open(), "greet", change, now=begun.now, actor="anna")
    assert begun.seen() == [("01:00", "cancelled", "by_request")]
    begun.node.set_slots(thread=1)
    begun.until("04:00")
    assert begun.seen()[1:] == [("03:00", "succeeded", None)]


def test_a_chain_that_is_edited_while_it_runs_goes_on(story: Begin) -> None:
    said: list[int] = []

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m", after_completion=True), args={"number": 1})
        def sync(number: int) -> Lasting:
            said.append(number)
            return Lasting("30m")

    begun = story(declare)
    begun.until("00:15")
    begun.bell.edit("sync", args={"number": 2})
    begun.until("03:00")
    assert said[0] == 1
    assert said[1:] == [2] * 4


def test_S3_4_a_version_that_can_no_longer_be_read_sets_that_schedule_aside_and_the_others_go_on(
    story: Begin,
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        bell.add_schedule("good", work, every("1h"))
        bell.add_schedule("bad", work, every("1h"))

    begun = story(declare)
    begun.may_be_unknown = True
    begun.until("01:10")
    begun.change("UPDATE schedule_version SET trigger = '{\"kind\": \"lunar\"}' WHERE schedule = "
                 "(SELECT id FROM schedule WHERE name = 'bad')")  # fmt: skip
    begun.until("03:10")
    assert begun.states("good") == ["succeeded"] * 3
    assert begun.states("bad") == ["succeeded"]
    standing, why = begun.rows("SELECT standing, set_aside FROM schedule WHERE name = 'bad'")[0]
    assert standing == "set_aside"
    assert why.startswith("its definition cannot be read: ")
    begun.bell.edit("bad", trigger=every("30m"))
    begun.until("04:45")
    assert begun.rows("SELECT standing, set_aside FROM schedule WHERE name = 'bad'") == [("on", None)]
    assert begun.seen("bad")[1:] == all_of("succeeded", ["03:40", "04:10", "04:40"])


def test_S3_4_a_job_that_can_no_longer_be_read_stops_nobody_else(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"))
        def good() -> None: ...

        @bell.schedule(every("1h"))
        def bad() -> None: ...

    begun = story(declare)
    begun.may_be_unknown = True
    begun.until("01:10")
    begun.change("UPDATE job SET options = '{' WHERE name = 'bad'")
    begun.until("03:10")
    assert begun.states("good") == ["succeeded"] * 3
    assert begun.rows("SELECT standing FROM schedule WHERE name = 'bad'") == [("set_aside",)]


def test_S3_4_a_queued_row_of_a_version_that_can_no_longer_be_read_is_in_nobodys_way(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        bell.add_schedule("a bad", work, every("1h"))
        bell.add_schedule("good", work, every("1h"))

    begun = story(declare)
    begun.may_be_unknown = True
    begun.node.set_slots(thread=0)
    begun.until("01:10")
    begun.change("UPDATE schedule_version SET trigger = '{' WHERE schedule = "
                 "(SELECT id FROM schedule WHERE name = 'a bad')")  # fmt: skip
    begun.node.set_slots(thread=1)
    begun.until("02:10")
    assert begun.states("good") == ["succeeded", "succeeded"]
    assert begun.seen("a bad") == [("01:00", "skipped", "set_aside")]

"""Edits that wait for their instant, and a pause that is caught up: stories under virtual time, audited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.engine.story import Story, all_of
from watchbell import Watchbell, cron, every, once
from watchbell.errors import BadInput, BadTrigger
from watchbell.testing import Lasting

Begin = Callable[..., Story]
FROM = "2026-11-21T01:10:00Z"


def every_twenty(trigger: Any = None, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron("*/20 * * * *", tz="UTC") if trigger is None else trigger, **options)
        def work() -> None: ...

    return declare


def test_S3_an_edit_takes_effect_at_its_instant_exactly(story: Begin) -> None:
    begun = story(every_twenty())
    begun.until("00:30")
    done = begun.bell.edit("work", trigger=cron("*/30 * * * *", tz="UTC"), apply_from=FROM)
    assert done.sentence == "work is changed from 2026-11-21T01:10:00Z on; until then it stays as it is."
    begun.until("02:10")
    assert begun.seen() == all_of("succeeded", ["00:20", "00:40", "01:00", "01:30", "02:00"])
    begun.audit()
    assert begun.rows(
        "SELECT version, effective_from, effective_to FROM schedule_version ORDER BY version"
    ) == [
        (1, begun.rows("SELECT created_at FROM schedule")[0][0], at(FROM)),
        (2, at(FROM), None),
    ]


def at(text: str) -> int:
    from watchbell.core.instants import parse_instant

    return parse_instant(text)


def test_S3_an_instant_that_both_versions_imply_belongs_to_the_old_one(story: Begin) -> None:
    begun = story(every_twenty())
    begun.bell.edit("work", trigger=cron("0 * * * *", tz="UTC"), apply_from="2026-11-21T01:00:00Z")
    begun.until("01:30")
    assert begun.rows("SELECT version FROM occurrence ORDER BY due_at") == [(1,), (1,), (1,)]
    begun.until("02:30")
    assert begun.states() == ["succeeded"] * 4
    begun.audit()


@pytest.mark.parametrize("catchup", ["latest", "none"])
def test_S3_an_edit_takes_effect_at_its_instant_also_when_nobody_was_there(
    tmp_path: Path, catchup: str
) -> None:
    begun = Story(every_twenty(catchup=catchup), file=tmp_path / "a.db")
    begun.until("00:30")
    begun.bell.edit("work", trigger=cron("*/15 * * * *", tz="UTC"), apply_from=FROM, catchup=catchup)
    begun.die(after="2h")  # 02:30
    begun.bell = Watchbell(databases.at(tmp_path / "a.db"), clock=begun.clock)
    begun.audit()  # nobody has applied it, and the audit knows what holds
    begun.bell.stop()
    begun.open()
    begun.until("02:31")
    begun.audit()
    by_version = begun.rows(
        "SELECT version, min(due_at), max(due_at) FROM occurrence GROUP BY version ORDER BY version"
    )
    assert by_version[0][2] == at("2026-11-21T01:00Z")
    assert by_version[1][1] >= at("2026-11-21T01:15Z")
    planned = begun.value("SELECT min(planned_at) FROM occurrence WHERE version = 2")
    assert planned >= at("2026-11-21T02:30Z")
    begun.until("03:20")
    assert begun.seen()[-1] == ("03:15", "succeeded", None)
    begun.audit()
    begun.bell.stop()


def test_S3_a_claim_ahead_never_reaches_beyond_the_edit(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        every_twenty()(bell)

        @bell.schedule(once("2026-11-21T00:59:59.9985Z"))
        def somebody_looks_just_before() -> None: ...

    begun = story(declare)
    begun.bell.edit("work", trigger=cron("30 * * * *", tz="UTC"), apply_from="2026-11-21T00:59:59.9995Z")
    begun.until("02:00")
    assert begun.seen("work") == all_of("succeeded", ["00:20", "00:40", "01:30"])
    begun.audit()


@pytest.mark.parametrize("change", ["pause", "edit", "remove"])
def test_S3_who_changes_it_after_that_instant_finds_it_applied_at_it(tmp_path: Path, change: str) -> None:
    begun = Story(every_twenty(), file=tmp_path / "a.db")
    begun.until("00:30")
    begun.bell.edit("work", trigger=cron("*/15 * * * *", tz="UTC"), apply_from=FROM)
    begun.die(after="2h")  # 02:30, and no engine is there
    begun.bell = Watchbell(databases.at(tmp_path / "a.db"), clock=begun.clock)
    if change == "pause":
        begun.bell.pause("work")
    elif change == "edit":
        begun.bell.edit("work", trigger=cron("5 * * * *", tz="UTC"))
    else:
        begun.bell.remove("work")
    assert begun.rows("SELECT effective_from, effective_to FROM schedule_version ORDER BY version")[1][
        0
    ] == at(FROM)
    assert begun.rows("SELECT effective_to FROM schedule_version ORDER BY version")[0][0] == at(FROM)
    begun.audit()
    begun.bell.stop()


def test_S3_one_edit_waits_and_another_takes_its_place_with_a_sentence(story: Begin) -> None:
    begun = story(every_twenty())
    begun.bell.edit("work", trigger=cron("*/30 * * * *", tz="UTC"), apply_from=FROM)
    later = begun.bell.edit("work", trigger=cron("5 * * * *", tz="UTC"), apply_from="2026-11-21T02:00:00Z")
    assert "The edit that was to apply from 2026-11-21T01:10:00Z is dropped for it." in later.sentence
    again = begun.bell.edit("work", trigger=cron("5 * * * *", tz="UTC"), apply_from="2026-11-21T02:00:00Z")
    assert not again.changed
    now = begun.bell.edit("work", trigger=cron("*/10 * * * *", tz="UTC"))
    assert "The edit that was to apply from 2026-11-21T02:00:00Z is dropped for it." in now.sentence
    begun.until("03:00")
    assert len(begun.states()) == 18
    begun.audit()


def test_S3_an_edit_that_waits_is_shown_and_can_be_taken_back(story: Begin) -> None:
    begun = story(every_twenty())
    begun.bell.edit("work", trigger=cron("*/30 * * * *", tz="UTC"), apply_from=FROM)
    (view,) = begun.bell.schedules().items
    assert view.pending is not None
    assert (view.pending["apply_from"], view.pending["trigger"]) == (FROM, "cron */30 * * * * tz=UTC")
    back = begun.bell.edit("work", take_back=True)
    assert back.sentence == "The edit of work that was to apply from 2026-11-21T01:10:00Z is taken back."
    assert not begun.bell.edit("work", take_back=True).changed
    begun.until("02:10")
    assert begun.states() == ["succeeded"] * 6
    begun.audit()


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        (
            {"apply_from": "2026-11-20T00:00:00Z"},
            BadInput,
            "was 1 d ago, and an edit never changes what has been due",
        ),
        ({"apply_from": "2026-11-22T00:00"}, Exception, "time zone"),
        ({"apply_from": FROM, "trigger": once("2026-11-21T01:00:00Z")}, BadTrigger, "would never come due"),
        ({"apply_from": FROM, "take_back": True}, BadInput, "leave everything else out"),
        ({"apply_from": FROM, "drop_waiting": True}, BadInput, "drop_waiting drops what waits now"),
    ],
)
def test_S3_what_cannot_wait_is_refused_with_a_sentence(
    story: Begin, edit: dict[str, Any], error: type[Exception], said: str
) -> None:
    begun = story(every_twenty())
    with pytest.raises(error, match=said):
        begun.bell.edit("work", **edit)
    assert begun.rows("SELECT * FROM pending_change") == []


@pytest.mark.parametrize("still", ["paused", "running"])
def test_S3_an_edit_that_waits_applies_to_a_schedule_that_stands_still_or_runs(
    story: Begin, still: str
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron("*/20 * * * *", tz="UTC"))
        def work() -> Lasting:
            return Lasting("35m")

    begun = story(declare if still == "running" else every_twenty())
    begun.bell.edit("work", trigger=cron("*/30 * * * *", tz="UTC"), apply_from=FROM)
    begun.until("00:45")
    if still == "paused":
        begun.bell.pause("work")
    begun.until("01:45")
    begun.audit()
    if still == "paused":
        begun.bell.resume("work")
        assert [span[2:] for span in begun.spans()] == [(1, "skipped", "paused"), (1, "skipped", "paused")]
    begun.until("02:40")
    begun.audit()


def test_S3_a_fixed_delay_starts_anew_at_the_edit(story: Begin) -> None:
    begun = story(every_twenty(every("20m", after_completion=True)))
    begun.bell.edit("work", trigger=every("30m", after_completion=True), apply_from=FROM)
    begun.until("03:00")
    assert begun.seen() == all_of("succeeded", ["00:20", "00:40", "01:00", "01:40", "02:10", "02:40"])
    begun.audit()


def test_S3_removing_a_schedule_drops_the_edit_that_waits(story: Begin) -> None:
    begun = story(every_twenty())
    begun.bell.edit("work", trigger=cron("*/30 * * * *", tz="UTC"), apply_from=FROM)
    begun.bell.remove("work")
    assert begun.rows("SELECT * FROM pending_change") == []
    begun.until("02:00")
    begun.audit()


# --- resume with catch-up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catchup", "overlap", "ran", "rest"),
    [
        ("latest", "skip", ["01:40"], ("coalesced", "paused")),
        ("none", "skip", ["01:40"], ("missed", "catchup_none")),
        ("earliest", "queue_all", ["00:40"], ("coalesced", "paused")),
        ("all", "queue_all", ["00:40", "01:00", "01:20", "01:40"], None),
    ],
)
def test_S3_a_resume_with_catch_up_follows_the_schedules_own_rule(
    story: Begin, catchup: str, overlap: str, ran: list[str], rest: tuple[str, str] | None
) -> None:
    begun = story(every_twenty(catchup=catchup, overlap=overlap))
    begun.until("00:30")
    begun.bell.pause("work")
    begun.until("01:50")
    begun.bell.resume("work", catchup=True)
    begun.audit()
    begun.until("02:10")
    paused = [row for row in begun.seen() if "00:30" < row[0] < "01:50"]
    assert [row[0] for row in paused if row[1] == "succeeded"] == ran
    assert {row[1:] for row in paused if row[1] != "succeeded"} == ({rest} if rest else set())
    assert begun.seen()[-1] == ("02:00", "succeeded", None)
    assert begun.spans() == []
    begun.audit()


def test_S3_many_that_fell_into_the_pause_are_one_span(story: Begin) -> None:
    begun = story(every_twenty(cron("* * * * *", tz="UTC")))
    begun.until("00:30")
    begun.bell.pause("work")
    begun.until("23:30")
    begun.bell.resume("work", catchup=True)
    begun.until("23:31")
    assert [span[2:] for span in begun.spans()] == [(1379, "coalesced", "paused")]
    begun.audit()


def test_S3_what_a_blackout_took_is_not_caught_up(story: Begin) -> None:
    begun = story(
        every_twenty(blackouts=["2026-11-21T01:00Z/2026-11-21T01:30Z"], catchup="all", overlap="queue_all")
    )
    begun.until("00:30")
    begun.bell.pause("work")
    begun.until("01:50")
    begun.bell.resume("work", catchup=True)
    begun.until("01:55")
    assert begun.seen()[1:] == [
        ("00:40", "succeeded", None),
        *all_of("skipped", ["01:00", "01:20"], "blackout"),
        ("01:40", "succeeded", None),
    ]
    begun.audit()


def test_S3_nothing_is_caught_up_of_a_schedule_that_is_disabled_as_well(story: Begin) -> None:
    begun = story(every_twenty(enabled=False))
    begun.bell.pause("work")
    begun.until("01:50")
    begun.bell.resume("work", catchup=True)
    assert begun.states() == []
    begun.audit()


def test_S3_a_fixed_delay_has_nothing_to_catch_up(story: Begin) -> None:
    begun = story(every_twenty(every("20m", after_completion=True)))
    begun.until("00:30")
    begun.bell.pause("work")
    begun.until("01:50")
    begun.bell.resume("work", catchup=True)
    begun.until("02:20")
    assert begun.seen() == all_of("succeeded", ["00:20", "02:10"])
    begun.audit()


def test_S3_explain_and_the_next_due_instant_know_the_edit_that_waits(story: Begin) -> None:
    begun = story(every_twenty())
    begun.bell.edit("work", trigger=cron("30 * * * *", tz="UTC"), apply_from=FROM)
    begun.until("01:05")
    assert begun.bell.explain("work").sentence.endswith("01:30 UTC will be due in 25 min.")
    (view,) = begun.bell.schedules().items
    assert view.next_due_at == at("2026-11-21T01:30Z")
    assert view.sentence.startswith("next due at 01:30 UTC")

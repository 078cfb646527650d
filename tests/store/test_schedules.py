"""Jobs and schedules as they are written: versions, pauses and cursors (SEMANTICS §3, PROTOCOL §12)."""

from __future__ import annotations

import json

import pytest

from tests.store.house import T0, House
from watchbell.core.instants import HOUR, MINUTE
from watchbell.core.policies import JobOptions
from watchbell.core.triggers import cron, every
from watchbell.errors import NotFound
from watchbell.store.schedules.put import (
    Doer,
    JobSpec,
    ScheduleSpec,
    find_job,
    find_schedule,
    go_on,
    put_job,
    remove,
    spec_of,
    stand_still,
)


@pytest.fixture
def house() -> House:
    return House()


def spec(house: House, **changes: object) -> ScheduleSpec:
    given = {"name": "s", "job": house.job(), "trigger": every("1h"), **changes}
    return ScheduleSpec(**given)  # type: ignore[arg-type]


def test_the_same_job_writes_nothing_and_another_content_changes_it(house: House) -> None:
    def put(**more: object) -> str:
        return house.store.write(lambda tx: put_job(tx, JobSpec("j", "thread", **more), house.doer)).change  # type: ignore[arg-type]

    assert [put(), put(), put(about="new"), put(about="new")] == [
        "added",
        "unchanged",
        "changed",
        "unchanged",
    ]


def test_a_job_is_found_by_its_name_or_an_alias(house: House) -> None:
    job = house.store.write(lambda tx: put_job(tx, JobSpec("new", "thread", aliases=("old",)), house.doer)).id
    assert house.store.read(lambda tx: [find_job(tx, name) for name in ("new", "old", "other")]) == [
        job,
        job,
        None,
    ]


def test_an_older_revision_of_the_same_app_changes_neither_job_nor_schedule(house: House) -> None:
    def put(revision: int, about: str) -> str:
        job = JobSpec("j", "thread", about=about, app="shop", revision=revision)
        return house.store.write(lambda tx: put_job(tx, job, house.doer)).change

    assert [put(5, "five"), put(4, "four"), put(6, "six")] == ["added", "older", "changed"]
    changes = [
        house.put(spec(house, trigger=every(f"{minutes}m"), app="shop", revision=revision)).change
        for revision, minutes in ((5, 50), (4, 40), (6, 60))
    ]
    assert changes == ["added", "older", "changed"]


def test_the_same_content_at_an_older_revision_is_no_older_one(house: House) -> None:
    def put(revision: int, **more: object) -> str:
        return house.put(spec(house, app="shop", revision=revision, **more)).change

    assert [put(5), put(4), put(4, enabled=False), put(4, tags=("new",)), put(4)] == [
        "added",
        "unchanged",
        "older",
        "older",
        "unchanged",
    ]


def test_a_version_is_written_only_when_the_content_differs(house: House) -> None:
    house.put(spec(house))
    assert house.put(spec(house)).change == "unchanged"
    assert house.put(spec(house, args='{"n":1}')).change == "changed"
    assert house.put(spec(house, args='{"n":1}', tags=("x",))).change == "changed"
    assert house.rows("SELECT version, args FROM schedule_version") == [(1, "{}"), (2, '{"n":1}')]


def test_each_version_keeps_the_zone_rules_it_was_planned_with_once_for_all(house: House) -> None:
    for name in ("a", "b"):
        house.put(spec(house, name=name, trigger=cron("0 3 * * *", tz="Europe/Berlin")))
    assert house.rows("SELECT count(*) FROM zone_rules") == [(1,)]
    zones = {row[0] for row in house.rows("SELECT zones FROM schedule_version")}
    assert [zone for zone, _ in json.loads(zones.pop())] == ["Europe/Berlin"]
    assert zones == set()


def test_an_unset_zone_becomes_the_one_of_who_asks_and_an_unset_start_the_creation(house: House) -> None:
    house.now += 7 * MINUTE
    from watchbell.store.schedules.put import put_schedule

    wish, doer = spec(house, trigger=cron("0 3 * * *")), Doer("anna", house.now, "Asia/Tokyo")
    house.store.write(lambda tx: put_schedule(tx, house.catalog, wish, doer))
    house.put(spec(house, name="i"))
    texts = [
        json.loads(row[0]) for row in house.rows("SELECT trigger FROM schedule_version ORDER BY schedule")
    ]
    assert (texts[0]["tz"], texts[1]["start_at"]) == ("Asia/Tokyo", house.now)


def test_versions_follow_each_other_without_a_hole_or_an_overlap(house: House) -> None:
    house.put(spec(house))
    for minutes in (10, 20, 30):
        house.now += 25 * MINUTE
        house.put(spec(house, trigger=every(f"{minutes}m")))
    rows = house.rows("SELECT effective_from, effective_to FROM schedule_version ORDER BY version")
    assert [end for _, end in rows] == [start for start, _ in rows[1:]] + [None]
    house.plan()
    house.audit()


@pytest.mark.parametrize("kind", ["paused", "disabled"])
def test_standing_still_and_going_on(house: House, kind: str) -> None:
    schedule = house.put(spec(house)).id

    def change(act: object, *more: object) -> bool:
        return house.store.write(lambda tx: act(tx, house.catalog, schedule, kind, house.doer, *more))  # type: ignore[operator,no-any-return]

    house.now += 30 * MINUTE
    assert [change(stand_still, "why"), change(stand_still)] == [True, False]
    assert house.rows("SELECT next_due FROM cursor") == [(None,)]
    house.now += 3 * HOUR
    assert [change(go_on), change(go_on)] == [True, False]
    assert house.rows("SELECT next_due, planned_until FROM cursor") == [(T0 + 4 * HOUR, house.now)]
    assert house.rows("SELECT count, ending, reason FROM span") == [(3, "skipped", kind)]
    assert house.rows("SELECT kind, until_at - from_at, note FROM pause") == [(kind, 3 * HOUR, "why")]
    house.audit()


def test_what_is_set_aside_is_mended_by_an_edit_and_accounted_for_up_to_where_it_was_planned(
    house: House,
) -> None:
    schedule = house.put(spec(house)).id
    house.now += 90 * MINUTE
    house.plan()
    house.settle(house.node.held)
    house.now += 2 * HOUR
    house.store.write(lambda tx: stand_still(tx, house.catalog, schedule, "set_aside", house.doer, "broken"))
    assert house.rows("SELECT standing, set_aside FROM schedule") == [("set_aside", "broken")]
    house.put(spec(house, trigger=every("30m")))
    assert house.rows("SELECT standing, set_aside FROM schedule") == [("on", None)]
    house.now += HOUR
    house.plan()
    house.settle(house.node.held)
    house.audit()


def test_an_edit_of_what_is_disabled_and_set_aside_does_not_switch_it_on(house: House) -> None:
    schedule = house.put(spec(house, enabled=False)).id
    house.store.write(lambda tx: stand_still(tx, house.catalog, schedule, "set_aside", house.doer, "broken"))
    wish = spec_of(house.stands("s"))
    assert not wish.enabled
    house.put(wish)
    assert house.rows("SELECT standing FROM schedule") == [("disabled",)]


def test_what_a_schedule_says_comes_back_as_a_wish_that_changes_nothing(house: House) -> None:
    house.put(spec(house, args='{"n":1}', tags=("a", "b"), about="About.", app="shop", revision=3))
    assert house.put(spec_of(house.stands("s"))).change == "unchanged"


def test_removing_ends_it_and_frees_its_name(house: House) -> None:
    schedule = house.put(spec(house)).id
    house.now += 90 * MINUTE
    house.store.write(lambda tx: remove(tx, house.catalog, schedule, house.doer))
    assert house.states() == ["queued"]
    with pytest.raises(NotFound, match="There is no schedule named 's'"):
        house.store.read(lambda tx: find_schedule(tx, "s"))
    assert house.put(spec(house)).id != schedule
    house.audit()


def test_a_limit_that_changes_with_the_job_is_in_force_at_once(house: House) -> None:
    house.store.write(
        lambda tx: put_job(tx, JobSpec("j", "thread", options=JobOptions(concurrency=1)), house.doer)
    )
    house.store.write(
        lambda tx: put_job(tx, JobSpec("j", "thread", options=JobOptions(concurrency=4)), house.doer)
    )
    assert house.rows("SELECT key, lim FROM gate") == [("job:j", 4)]


def test_every_change_is_kept_with_who_made_it(house: House) -> None:
    schedule = house.put(spec(house)).id
    house.put(spec(house, trigger=every("2h")))
    house.store.write(lambda tx: stand_still(tx, house.catalog, schedule, "paused", house.doer))
    house.store.write(lambda tx: go_on(tx, house.catalog, schedule, "paused", house.doer))
    house.store.write(lambda tx: remove(tx, house.catalog, schedule, house.doer))
    words = ["added", "edited", "paused", "resumed", "removed"]
    assert house.rows("SELECT actor, action, subject FROM audit_event ORDER BY id") == [
        ("anna", f"schedule.{word}", "s") for word in words
    ]


def test_a_job_whose_row_is_gone_is_said_in_words(house: House) -> None:
    with pytest.raises(AssertionError, match="the row of job 77 is gone from the database"):
        house.store.read(lambda tx: house.catalog.job(tx, 77))

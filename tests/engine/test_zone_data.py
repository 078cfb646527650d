"""New time zone data (F29, SEMANTICS §3): the future is planned anew, the past stays as it was, and older data do not undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, cron, every, once
from watchbell.core import wallclock
from watchbell.core.instants import HOUR, parse_instant, to_text
from watchbell.core.wallclock import ZoneData, ZoneRules, put_zone_data, rules_from_json, zone_rules
from watchbell.store.clocks import zones
from watchbell.store.clocks.zone_version import zone_data_version
from watchbell.store.schedules import catalog
from watchbell.store.schedules.trigger_texts import trigger_of

Begin = Callable[..., Story]
ZONE = "Europe/Berlin"
SPRING = parse_instant("2027-03-28T01:00:00Z")


def rules(**more: object) -> ZoneRules:
    return rules_from_json({**zone_rules(ZONE).to_json(), **more})


def without_summer(year: int = 2027) -> ZoneRules:
    """Berlin, if it stayed in winter time from that spring on."""
    edge = parse_instant(f"{year}-01-01T00:00:00Z") // 1_000_000
    return rules(transitions=[move for move in zone_rules(ZONE).to_json()["transitions"] if move[0] < edge])


def install(version: str | None, there: ZoneRules | None = None) -> None:
    """This machine's zone data from here on, as a process meets them that starts with them."""
    put_zone_data(ZoneData(version, {} if there is None else {ZONE: there}))
    for cache in (trigger_of, catalog.policies_of):
        cache.cache_clear()


@pytest.fixture(autouse=True)
def own_data() -> Iterator[None]:
    install("2026a")
    yield
    put_zone_data(None)
    trigger_of.cache_clear()


def declare(bell: Watchbell) -> None:
    @bell.schedule(cron("30 9 * * *", tz=ZONE), name="morning")
    def morning() -> None: ...

    @bell.schedule(once("2027-07-01T09:00:00", tz=ZONE), name="opening")
    def opening() -> None: ...

    @bell.schedule(every("6h"), name="rhythm")
    def rhythm() -> None: ...

    @bell.schedule(cron("0 12 * * *", tz="America/New_York"), name="elsewhere")
    def elsewhere() -> None: ...


def begin(story: Begin, tmp_path: Path, at: str = "2027-03-20T12:00:00Z") -> Story:
    begun = story(declare, at=at, file=tmp_path / "w.db")
    begun.node.advance("1h")
    return begun


def dues(begun: Story, name: str = "morning") -> list[str]:
    return [to_text(due)[5:16] for due, _, _ in begun.node.occurrences(name)]


def versions(begun: Story) -> dict[str, int]:
    return dict(begun.rows("SELECT name, version FROM schedule ORDER BY name"))


def told(begun: Story) -> list[str]:
    return [row[0] for row in begun.rows("SELECT detail FROM audit_event WHERE action = 'zone_data.changed'")]


def renew(begun: Story, version: str | None, there: ZoneRules | None) -> None:
    begun.die("1m")
    install(version, there)
    begun.open()
    begun.node.advance("10s")


def test_F29_new_data_plan_the_future_anew_and_say_so(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, tmp_path)
    renew(begun, "2026b", without_summer())
    assert told(begun) == ["tz data 2026a → 2026b: 2 schedules re-planned (Europe/Berlin)"]
    assert versions(begun) == {"elsewhere": 1, "morning": 2, "opening": 2, "rhythm": 1}
    begun.live("2027-03-30T12:00:00Z", "6h")
    assert dues(begun)[-4:] == ["03-27T08:30", "03-28T08:30", "03-29T08:30", "03-30T08:30"]
    assert begun.value(
        "SELECT next_due FROM cursor c JOIN schedule s ON s.id = c.schedule WHERE name = 'opening'"
    ) == (parse_instant("2027-07-01T08:00:00Z"))


@pytest.mark.many_turns
def test_F29_the_past_is_recounted_with_what_held_then(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, tmp_path)
    begun.live("2027-04-02T12:00:00Z", "6h")
    assert dues(begun)[-1] == "04-02T07:30"
    renew(begun, "2026b", without_summer())
    begun.live("2027-04-04T12:00:00Z", "6h")
    assert dues(begun)[-4:] == ["04-01T07:30", "04-02T07:30", "04-03T08:30", "04-04T08:30"]
    begun.audit()


def test_F29_what_fell_due_while_nobody_ran_is_planned_with_the_rules_of_its_time(
    story: Begin, tmp_path: Path
) -> None:
    begun = begin(story, tmp_path)
    begun.die("240h")
    install("2026b", without_summer())
    begun.open()
    begun.node.advance("10s")
    assert dues(begun)[-1] == "03-30T07:30"
    assert begun.audit().unaccounted == 0


def test_F29_older_data_do_not_flip_it_back(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, tmp_path)
    renew(begun, "2026b", without_summer())
    renew(begun, "2026a", None)
    assert len(told(begun)) == 1
    assert versions(begun)["morning"] == 2
    begun.bell.edit("elsewhere", trigger=cron("45 9 * * *", tz=ZONE))
    begun.bell.edit("rhythm", trigger=once("2027-07-02T09:00:00", tz=ZONE))
    begun.live("2027-03-30T12:00:00Z", "6h")
    assert dues(begun)[-1] == "03-30T08:30"
    assert dues(begun, "elsewhere")[-1] == "03-30T08:45"
    assert begun.value("SELECT max(next_due) FROM cursor") == parse_instant("2027-07-02T08:00:00Z")


def test_F29_what_is_the_same_from_now_on_needs_no_new_version(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, tmp_path)
    moves = zone_rules(ZONE).to_json()["transitions"]
    renew(begun, "2026b", rules(transitions=[[moves[0][0] + 3600, moves[0][1]], *moves[1:]]))
    assert told(begun) == []
    assert versions(begun)["morning"] == 1
    assert begun.rows("SELECT DISTINCT version FROM zone_in_force") == [("2026b",)]
    begun.node.advance("48h")


def test_F29_the_same_version_is_not_even_compared(
    story: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(story, tmp_path)
    begun.die()

    def read(_zone: str) -> ZoneRules:
        raise AssertionError("no zone is worked out where the versions are the same")

    monkeypatch.setattr("watchbell.store.clocks.zone_change.zone_rules", read)
    begun.open()
    begun.node.advance("10s")


def test_F29_data_that_do_not_say_their_version_are_older_than_those_that_do(
    story: Begin, tmp_path: Path
) -> None:
    begun = begin(story, tmp_path)
    renew(begun, None, without_summer())
    assert versions(begun)["morning"] == 1
    begun.live("2027-03-30T12:00:00Z", "6h")
    assert dues(begun)[-1] == "03-30T07:30"


def test_F29_a_paused_schedule_and_its_pause_are_accounted_for(story: Begin, tmp_path: Path) -> None:
    begun = begin(story, tmp_path)
    begun.bell.pause("morning")
    begun.node.advance("48h")
    renew(begun, "2026b", without_summer())
    begun.live("2027-03-30T12:00:00Z", "6h")
    begun.bell.resume("morning")
    begun.node.advance("24h")
    assert dues(begun)[-1] == "03-31T08:30"


def test_F29_it_goes_on_where_a_crash_has_cut_it_off(
    story: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchbell.store.clocks.zone_change.BATCH", 1)
    monkeypatch.setattr("watchbell.engine.zonekeeper.BATCHES", 1)
    begun = begin(story, tmp_path)
    begun.die()
    install("2026b", without_summer())
    begun.open()
    begun.node.step()
    assert told(begun) == []
    begun.restart()
    for _ in range(6):
        begun.node.advance("5s")
        begun.node.step()
    assert told(begun) == ["tz data 2026a → 2026b: 2 schedules re-planned (Europe/Berlin)"]


def test_the_version_of_this_machines_data_is_known_here() -> None:
    put_zone_data(None)
    assert zones.newer(zone_data_version() or "", "2020a")


def test_rules_are_compared_from_now_on_only() -> None:
    assert wallclock.same_from(SPRING + HOUR, zone_rules(ZONE), rules())
    assert not wallclock.same_from(SPRING - HOUR, zone_rules(ZONE), without_summer())
    assert wallclock.same_from(
        parse_instant("2026-01-01T00:00:00Z"), without_summer(2028), without_summer(2028)
    )

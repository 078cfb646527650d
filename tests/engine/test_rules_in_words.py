"""Stories of recurrence rules, unions and exclusions: outages, clock changes, a restart, and the audit at the end."""

from __future__ import annotations

from pathlib import Path

from tests.engine.story import Story
from watchbell import Watchbell, any_of, cron, every, except_for, rrule
from watchbell.core.instants import parse_instant
from watchbell.services.explain import explain


def job() -> None:
    """Nothing."""


def declare(bell: Watchbell) -> None:
    made = bell.job(job)
    bell.add_schedule(
        "three", made, rrule("FREQ=DAILY;COUNT=3", start="2026-10-24 02:30", tz="Europe/Berlin")
    )
    bell.add_schedule("hourly", made, rrule("FREQ=HOURLY;INTERVAL=2"), tags=("rule",))
    bell.add_schedule(
        "either",
        made,
        any_of(cron("0 9 * * *", tz="Europe/Berlin"), cron("0 4 * * *", tz="America/New_York"), every("5h")),
    )
    bell.add_schedule(
        "rarely",
        made,
        except_for(cron("30 * * * *", tz="Europe/Berlin"), cron("30 3 * * *", tz="UTC"), "2026-10-25"),
    )


def test_S4_2_rules_survive_an_outage_a_clock_change_and_a_restart(tmp_path: Path) -> None:
    story = Story(declare, at="2026-10-23T12:00:00Z", file=tmp_path / "bell.db")
    story.live("2026-10-24T06:00:00Z", by="30m")
    versions = story.rows("SELECT schedule, version FROM schedule_version ORDER BY schedule, version")
    story.restart(after="30h")
    assert story.rows("SELECT schedule, version FROM schedule_version ORDER BY schedule, version") == versions
    story.live("2026-10-27T12:00:00Z", by="1h")
    assert [due for due, _, _ in story.seen("three")] == [
        "2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"
    ]  # fmt: skip
    assert story.value("SELECT next_due FROM cursor WHERE schedule = 1") is None
    assert "2026-10-25T12:30:00Z" not in [due for due, _, _ in story.seen("rarely")]
    left_out = parse_instant("2026-10-25T12:30:00Z")
    told = explain(story.bell._open(), "rarely", at=left_out, now=story.now)
    assert "was not due: its rule does not match it" in told.sentence
    story.audit()

"""The linter: each oddity is found with what to write instead, and what is sound is left in peace."""

from __future__ import annotations

import pytest

from watchbell.core.instants import HOUR, MINUTE, SECOND, parse_instant
from watchbell.core.lint import Subject, lint, lint_crowd
from watchbell.core.policies import CatchUp, Overlap, Policies
from watchbell.core.triggers import Trigger, cron, every, except_for, once, rrule

NOW = parse_instant("2026-11-21T08:00:00Z")


def codes(trigger: Trigger, **given: object) -> list[str]:
    bound = trigger.bound("UTC", NOW)
    return [finding.code for finding in lint(Subject(bound, NOW, **given))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "tz", "code", "instead"),
    [
        ("* 3 * * *", "UTC", "every-minute", "'0 3 * * *'"),
        ("0 * 3 * * *", "UTC", "every-minute", "'0 0 3 * * *'"),
        ("*/7 * * * *", "UTC", "uneven-step", "every('7m')"),
        ("0 */5 * * *", "UTC", "uneven-step", "every('5h')"),
        ("0 9 */2 * *", "UTC", "uneven-step", "calendar 2 days"),
        ("*/90 * * * *", "UTC", "step-too-long", "every('90m')"),
        ("0 9 31 * *", "UTC", "skips-months", "Write 'L'"),
        ("0 9 31 4,5 *", "UTC", "no-such-day", "Write 'L'"),
        ("0 9 1 * MON", "UTC", "day-or-weekday", "'MON#2'"),
        ("0 9 1-7,*/9 * MON", "UTC", "day-or-weekday", "either is enough"),
        ("30 2 * * *", "Europe/Berlin", "in-a-gap", "gap=shift"),
        ("30 2 * * *", "Europe/Berlin", "in-a-fold", "fold=second"),
    ],
)
def test_S4_9_what_is_odd_is_found_with_what_to_write(
    expression: str, tz: str, code: str, instead: str
) -> None:
    found = [one for one in lint(Subject(cron(expression, tz=tz), NOW)) if one.code == code]
    assert len(found) == 1
    assert instead in str(found[0])


@pytest.mark.parametrize(
    "trigger",
    [
        cron("0 3 * * *", tz="UTC"),
        cron("0-59 3 * * *", tz="UTC"),
        cron("*/15 * * * *", tz="Europe/Berlin"),
        cron("0 9 * * 1-5", tz="Europe/Berlin"),
        cron("0 9 L * *", tz="UTC"),
        cron("0 9 28 2 *", tz="UTC"),
        every("15m"),
        once(NOW + HOUR),
        rrule("FREQ=MONTHLY;BYDAY=-1FR", start="2026-11-21 09:00", tz="Europe/Berlin"),
    ],
)
def test_what_is_sound_is_left_in_peace(trigger: Trigger) -> None:
    assert codes(trigger) == []


def test_parts_of_combined_rules_are_looked_at() -> None:
    assert codes(cron("* 3 * * *", tz="UTC") | every("2h")) == ["every-minute"]
    assert codes(except_for(cron("*/7 9 * * *", tz="UTC"), "2026-12-25")) == ["uneven-step"]


def test_a_period_shorter_than_its_runs_is_found_where_the_runs_are_known() -> None:
    assert codes(every("10m"), usual_us=11 * MINUTE) == ["shorter-than-its-runs"]
    assert codes(every("10m"), usual_us=9 * MINUTE) == []
    assert codes(every("10m", after_completion=True), usual_us=11 * MINUTE) == []


def test_policies_that_work_against_each_other_are_found() -> None:
    assert codes(every("10m"), policies=Policies(start_deadline_us=SECOND // 2)) == ["deadline-too-short"]
    assert codes(every("10m"), policies=Policies(start_deadline_us=30 * SECOND)) == ["deadline-within-grace"]
    assert codes(every("10m"), policies=Policies(start_deadline_us=5 * MINUTE)) == []
    assert codes(every("10m"), policies=Policies(spread_us=10 * MINUTE)) == ["spread-too-wide"]
    assert codes(every("10m"), policies=Policies(spread_us=5 * MINUTE)) == []
    everything = Policies(catchup=CatchUp.ALL, overlap=Overlap.QUEUE_ALL)
    assert codes(every("1m"), policies=everything) == ["long-backlog"]
    assert codes(every("1h"), policies=everything) == []


def test_the_night_of_a_zone_that_nobody_named_is_asked_about() -> None:
    assert codes(cron("30 3 * * *"), zone_was_named=False) == ["no-zone"]
    assert codes(cron("30 3 * * *"), zone_was_named=True) == []
    assert codes(cron("30 9 * * *"), zone_was_named=False) == []


def test_a_crowd_at_one_instant_is_found() -> None:
    rules: dict[str, Trigger] = {f"s{n}": cron("0 * * * *", tz="UTC") for n in range(21)}
    assert [one.code for one in lint_crowd(rules, NOW)] == ["crowd"]
    assert lint_crowd(dict(list(rules.items())[:20]), NOW) == ()
    assert lint_crowd({}, NOW) == ()

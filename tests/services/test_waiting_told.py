"""What waits says for what: the start of a spread, a rate and until when, in every place where people look."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, cron, every
from watchbell.core.instants import MINUTE, SECOND, parse_instant, to_datetime
from watchbell.services import previews, runs, schedule_views, status

DUE = parse_instant("2026-11-21T00:10:00Z")
START = DUE + 129_665_144


@pytest.fixture
def begin() -> Iterator[Callable[[Callable[[Watchbell], None]], Story]]:
    told: list[Story] = []

    def story(declare: Callable[[Watchbell], None]) -> Story:
        told.append(Story(declare))
        return told[-1]

    yield story
    for begun in told:
        begun.audit()
        begun.bell.stop()


def spread(bell: Watchbell) -> None:
    @bell.schedule(every("10m"), spread="9m")
    def work() -> None: ...


def rated(bell: Watchbell) -> None:
    @bell.job(rates={"api": "2/10m"})
    def call() -> None: ...

    for number in range(5):
        bell.add_schedule(f"s{number}", call, every("20m"))


def test_explain_says_when_it_starts_and_that_the_schedule_puts_it_later(begin: Callable[..., Story]) -> None:
    begun = begin(spread)
    begun.until("00:11")
    said = begun.bell.explain("work", to_datetime(DUE)).sentence
    assert said == (
        "00:10 UTC waits for its start at 00:12:09 UTC, which its schedule puts 2 min 10 s later."
    )
    begun.until("00:19")
    said = begun.bell.explain("work", to_datetime(DUE)).sentence
    assert said == "00:10 UTC ran: it began at 00:12:09 UTC and succeeded at 00:12:09 UTC."


def test_explain_says_of_what_is_to_come_when_it_starts(begin: Callable[..., Story]) -> None:
    begun = begin(spread)
    said = begun.bell.explain("work", to_datetime(DUE))
    assert said.sentence == "00:10 UTC will be due in 10 min and start at 00:12:09 UTC."
    assert any("puts its start later, to 2026-11-21 00:12:09 UTC" in check.text for check in said.checks)


def test_the_standing_of_a_schedule_says_when_what_was_due_starts(begin: Callable[..., Story]) -> None:
    begun = begin(spread)
    begun.until("00:11")
    view = schedule_views.show(begun.bell._open(), "work", now=begun.now)
    assert view.sentence.startswith("starts at 00:12:09 UTC, was due at 00:10 UTC; next due at 00:20 UTC")
    assert view.next_start_at == START + 10 * MINUTE
    assert view.to_json()["next_start_at"] == "2026-11-21T00:22:09.665144Z"


def test_a_preview_of_a_schedule_says_when_each_starts(begin: Callable[..., Story]) -> None:
    begun = begin(spread)
    found = previews.of_schedule(begun.bell._open(), "work", after=begun.now, count=2)
    assert found is not None
    assert found.instants == (DUE, DUE + 10 * MINUTE)
    assert found.starts == (START, START + 10 * MINUTE)
    assert found.to_json()["items"][0]["start_at"] == "2026-11-21T00:12:09.665144Z"


def test_a_run_says_which_rate_it_waits_for_and_until_when(begin: Callable[..., Story]) -> None:
    begun = begin(rated)
    begun.until("00:25")
    held = [
        row[0] for row in begun.rows("SELECT id FROM occurrence WHERE state = 'held' ORDER BY due_at, id")
    ]
    assert len(held) == 3
    store = begun.bell._open()
    until = [runs.show(store, run, now=begun.now).to_json()["ready_at"] for run in held]
    assert until == ["2026-11-21T00:30:01Z", "2026-11-21T00:30:01Z", "2026-11-21T00:40:02Z"]
    said = runs.show(store, held[0], now=begun.now).run.sentence
    assert said.startswith("waits for the rate api: 2 per 10 min, until 2026-11-21 00:30:01")
    name = begun.value(
        "SELECT name FROM schedule s JOIN occurrence o ON o.schedule = s.id WHERE o.id = ?", held[0]
    )
    said = begun.bell.explain(name, to_datetime(DUE + 10 * MINUTE)).sentence
    assert said == "00:20 UTC waits for the rate api: 2 per 10 min, until 00:30:01 UTC."
    view = schedule_views.show(store, name, now=begun.now)
    assert view.sentence == "overdue by 5 min: it waits for the rate api: 2 per 10 min, until 00:30:01 UTC."
    overdue = status.status(store, now=begun.now).overdue
    assert len(overdue) == 3
    assert all("waits for the rate api" in item.sentence for item in overdue)
    begun.until("00:45")


@pytest.mark.many_turns
def test_what_waits_for_a_rate_for_hours_is_not_stuck(begin: Callable[..., Story]) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rate="1/1d")
        def call() -> None: ...

        bell.add_schedule("a", call, cron("0 1 * * *", tz="UTC"))
        bell.add_schedule("b", call, cron("0 1 * * *", tz="UTC"))

    begun = begin(declare)
    begun.live("2026-11-21T09:00:00Z", by="5m")
    assert sorted(begun.states()) == ["held", "succeeded"]
    begun.audit()


def test_a_start_that_no_policy_explains_is_a_contradiction(begin: Callable[..., Story]) -> None:
    begun = begin(spread)
    begun.until("00:19")
    begun.change("UPDATE occurrence SET start_at = due_at + ?", 10 * MINUTE)
    report = begun.bell.audit()
    assert report.contradicted == 1
    assert "starts 10 min late, which its version does not say" in report.findings[0].sentence
    begun.change("UPDATE occurrence SET start_at = due_at + ?, began_at = due_at", 129_665_144)
    assert "began before its start" in begun.bell.audit().findings[0].sentence
    begun.change("UPDATE occurrence SET began_at = start_at + ?", SECOND)

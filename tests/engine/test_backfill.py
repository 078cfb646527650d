"""Backfill reopens what never ran and nothing else, behind everything fresh; a retry runs once more what has ended."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, every
from watchbell.errors import BadInput, Conflict, NotFound
from watchbell.testing import Lasting


def at(text: str) -> datetime:
    return datetime.fromisoformat(text if "T" in text else f"2026-11-21T{text}:00Z")


class Tidy:
    """An application with one schedule; what it runs lasts `lasting`."""

    def __init__(self, rule: Any = "every 1h", **options: object) -> None:
        self.rule, self.options = rule, options
        self.lasting = "0s"
        self.began: list[str] = []
        self.bad = False

    def __call__(self, bell: Watchbell) -> None:
        @bell.schedule(self.rule, args={"name": "x"}, **self.options)
        def tidy(name: str) -> Lasting:
            self.began.append(name)
            return Lasting(self.lasting, error=ValueError("no") if self.bad else None)


def down_until_seven(tmp_path: Path, tidy: Tidy) -> Story:
    story = Story(tidy, file=tmp_path / "bell.db")
    story.live("2026-11-21T01:30:00Z")
    story.restart(after="6h")
    story.live("2026-11-21T07:40:00Z")
    return story


def test_S3_10_a_span_is_reopened_one_by_one_oldest_first_and_the_audit_holds(tmp_path: Path) -> None:
    tidy = Tidy(catchup="none")
    story = down_until_seven(tmp_path, tidy)
    assert story.spans()[0][2:] == (5, "missed", "downtime")
    dry = story.bell.backfill("tidy", at("00:00"), at("23:00"), dry_run=True)
    assert (dry.chosen, dry.total, dry.ran, dry.runs) == (5, 5, 2, ())
    assert "5 occurrences would be reopened: 5 missed: downtime (2 ran)" in dry.sentence
    assert story.states() == ["succeeded"] * 2
    tidy.lasting = "2m"
    done = story.bell.backfill("tidy", at("00:00"), at("23:00"))
    assert len(done.runs) == 5
    assert story.spans()[0][2] == 0
    assert not [one for one in story.bell.runs().items if "×" in one.sentence]  # an empty span is not told
    story.audit()
    story.live("2026-11-21T07:45:00Z")
    assert story.states()[:4] == ["succeeded", "succeeded", "succeeded", "going"]  # one after the other
    story.audit()
    story.live("2026-11-21T09:30:00Z", by="5m")
    hours = [f"{hour:02}:00" for hour in range(1, 10)]
    assert story.seen() == all_of("succeeded", hours)
    assert story.bell.backfill("tidy", at("00:00"), at("23:00")).total == 0
    story.audit()


def test_what_is_backfilled_is_limited_and_says_where_to_go_on(tmp_path: Path) -> None:
    story = down_until_seven(tmp_path, Tidy(catchup="none"))
    done = story.bell.backfill("tidy", at("00:00"), at("23:00"), limit=2)
    assert (done.chosen, done.total) == (2, 5)
    assert "the oldest of 5" in done.sentence
    assert "--from 2026-11-21T03:00:00.000001Z" in done.sentence
    rest = story.bell.backfill("tidy", at("2026-11-21T03:00:00.000001+00:00"), at("23:00"), dry_run=True)
    assert rest.total == 3
    story.audit()


def test_rows_that_never_ran_keep_their_number_and_say_what_they_were() -> None:
    tidy = Tidy("every 10m")
    tidy.lasting = "25m"
    story = Story(tidy)
    story.live("2026-11-21T01:00:00Z")
    before = story.rows("SELECT id, due_at FROM occurrence WHERE state = 'skipped' ORDER BY due_at")
    assert before
    done = story.bell.backfill("tidy", at("00:00"), at("00:20"))
    assert done.runs == (before[0][0],)
    assert done.counts == {"skipped: overlap": 1}
    run = story.rows("SELECT origin, epoch, history FROM occurrence WHERE id = ?", before[0][0])[0]
    assert run[:2] == ("backfill", 1)
    assert run[2] == "skipped: overlap; reopened by application at 2026-11-21T01:00:00Z"
    told = story.bell.explain("tidy", at("00:20"))
    assert any(
        "what it was: skipped: overlap; reopened by application" in check.text for check in told.checks
    )
    story.audit()


@pytest.mark.many_turns
def test_the_present_comes_before_a_backfill_and_is_not_folded_into_it(tmp_path: Path) -> None:
    """Under overlap `skip` a fresh one is never coalesced with what somebody asked for again, nor skipped for what is
    still held."""
    tidy = Tidy(catchup="none")
    story = down_until_seven(tmp_path, tidy)
    tidy.lasting = "50m"
    story.bell.backfill("tidy", at("00:00"), at("23:00"))
    story.live("2026-11-21T17:00:00Z", by="10m")
    states = {due: (state, reason) for due, state, reason in story.seen()}
    assert [states[f"{hour:02}:00"][0] for hour in range(2, 7)].count("succeeded") >= 4
    assert {states[f"{hour:02}:00"][0] for hour in range(8, 17)} <= {"succeeded", "skipped"}
    assert not any(state == "coalesced" for state, _ in states.values())
    assert not any(state == "missed" for state, _ in states.values())
    story.audit()


def test_an_instant_before_the_schedule_was_there_gets_a_row_of_its_own() -> None:
    story = Story(Tidy("cron 0 * * * *"))
    story.live("2026-11-21T02:30:00Z")
    done = story.bell.backfill("tidy", at("2026-11-20T20:00:00+00:00"), at("2026-11-20T22:00:00+00:00"))
    assert done.counts == {"before it was created": 3}
    story.live("2026-11-21T02:40:00Z")
    assert story.states() == ["succeeded"] * 5
    assert [row[0] for row in story.rows("SELECT DISTINCT origin FROM occurrence ORDER BY 1")] == [
        "backfill",
        "scheduled",
    ]
    story.audit()


def test_gates_hold_for_a_backfill_as_for_everything(tmp_path: Path) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule("every 1h", catchup="none", overlap="allow")
        @bell.job(concurrency=2)
        def tidy() -> Lasting:
            return Lasting("3m")

    story = Story(declare, file=tmp_path / "bell.db")
    story.live("2026-11-21T01:30:00Z")
    story.restart(after="6h")
    story.live("2026-11-21T07:40:00Z")
    story.bell.backfill("tidy", at("00:00"), at("23:00"))
    story.node.step()
    assert sorted(story.states()) == ["going"] * 2 + ["held"] * 3 + ["succeeded"] * 2
    story.audit()
    story.live("2026-11-21T07:55:00Z")
    assert story.states() == ["succeeded"] * 7
    story.audit()


def test_a_start_deadline_does_not_end_what_somebody_asked_for(tmp_path: Path) -> None:
    tidy = Tidy(catchup="none", start_deadline="5m")
    story = down_until_seven(tmp_path, tidy)
    tidy.lasting = "3m"
    story.bell.backfill("tidy", at("00:00"), at("23:00"))
    story.live("2026-11-21T08:10:00Z")
    assert set(story.states()) == {"succeeded"}
    story.audit()


def test_below_what_retention_has_closed_only_force_runs_anything_and_by_hand(tmp_path: Path) -> None:
    from watchbell.services.backfill import Stretch, backfill

    story = Story(Tidy("every 6h"), keep={"occurrences": "1d"})
    story.live("2026-11-24T06:30:00Z", by="6h")
    with pytest.raises(
        Conflict, match="Retention has removed what tidy was due for up to 2026-11-22T23:59:59"
    ):
        story.bell.backfill("tidy", at("2026-11-21T00:00:00+00:00"), at("2026-11-24T00:00:00+00:00"))
    stretch = Stretch(story.now - 3 * 86_400_000_000, story.now, 100, force=True)
    done = backfill(story.bell._open(), "tidy", stretch, now=story.now, actor="anna")
    assert done.counts == {"removed by retention": len(done.runs)}
    assert len(done.runs) == 6
    story.live("2026-11-24T06:40:00Z")
    assert story.rows("SELECT DISTINCT origin, state FROM occurrence WHERE id >= ?", done.runs[0]) == [
        ("manual", "succeeded")
    ]
    story.audit()


def test_what_makes_no_sense_is_refused_with_a_sentence() -> None:
    story = Story(Tidy())
    with pytest.raises(NotFound, match="no schedule named 'tydi'"):
        story.bell.backfill("tydi", at("00:00"), at("01:00"))
    with pytest.raises(BadInput, match="is later than"):
        story.bell.backfill("tidy", at("02:00"), at("01:00"))
    with pytest.raises(NotFound, match="There is no run_7"):
        story.bell.retry(7)


def test_S3_11_a_retry_reopens_what_never_ran_and_runs_by_hand_what_did() -> None:
    tidy = Tidy("every 10m")
    tidy.bad = True
    story = Story(tidy)
    story.live("2026-11-21T00:15:00Z")
    failed = story.value("SELECT id FROM occurrence")
    tidy.bad = False
    made = story.bell.retry(failed)
    assert made.new
    assert f"run_{failed} of tidy failed; run_{made.run} runs it once more" in made.sentence
    story.live("2026-11-21T00:16:00Z")
    row = story.rows("SELECT origin, state, cause_id, args FROM occurrence WHERE id = ?", made.run)[0]
    assert row == ("manual", "succeeded", failed, '{"name":"x"}')
    story.change("UPDATE occurrence SET state = 'missed', reason = 'no_capacity' WHERE id = ?", failed)
    again = story.bell.retry(f"run_{failed}")
    assert (again.run, again.new) == (failed, False)
    with pytest.raises(Conflict, match="is not over: it is queued"):
        story.bell.retry(failed)
    story.live("2026-11-21T00:17:00Z")
    assert story.value("SELECT state FROM occurrence WHERE id = ?", failed) == "succeeded"
    story.audit()


def test_what_never_ran_of_a_chain_is_run_by_a_row_of_its_own_and_the_chain_stays() -> None:
    """The next link counts from the end of the one that was skipped: were that reopened, its end would be gone."""
    tidy = Tidy(every("20m", after_completion=True), overlap="skip")
    story = Story(tidy)
    story.live("2026-11-21T00:30:00Z")
    tidy.lasting = "15m"
    story.bell.run_now("tidy")
    story.live("2026-11-21T01:30:00Z")
    skipped = story.value("SELECT id FROM occurrence WHERE state = 'skipped'")
    made = story.bell.retry(skipped)
    assert made.new
    story.audit()
    story.live("2026-11-21T03:00:00Z")
    assert story.value("SELECT state FROM occurrence WHERE id = ?", skipped) == "skipped"
    assert story.rows("SELECT state, cause_id FROM occurrence WHERE id = ?", made.run) == [
        ("succeeded", skipped)
    ]
    story.audit()


def test_a_backfill_leaves_what_was_a_chain_before_an_edit() -> None:
    tidy = Tidy(every("20m", after_completion=True), overlap="skip")
    story = Story(tidy)
    story.live("2026-11-21T00:30:00Z")
    tidy.lasting = "15m"
    story.bell.run_now("tidy")
    story.live("2026-11-21T01:30:00Z")
    assert "skipped" in story.states()
    story.bell.edit("tidy", trigger="every 1h")
    story.live("2026-11-21T03:00:00Z")
    assert story.bell.backfill("tidy", at("00:00"), at("03:00")).total == 0
    story.live("2026-11-21T03:30:00Z")
    story.audit()

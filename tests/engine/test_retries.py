"""Retries, timeouts, cancels and lost runs told as stories (S3.5, S2.5, S1.7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story, short
from watchbell import Run, Watchbell, every, retry
from watchbell.core.instants import SECOND, parse_duration
from watchbell.core.policies import Retry
from watchbell.errors import Conflict
from watchbell.services.runs import cancel
from watchbell.store.settling import Ended, settle
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class Calls(list[str]):
    """A job that notes when it is called and does, one call after the other, what it was told to."""

    def __init__(self, *does: Any) -> None:
        self.does = list(does)
        self.keys: list[str] = []
        self.begun: Story | None = None

    def __call__(self, run: Run) -> Any:
        assert self.begun is not None
        self.append(short(self.begun.now))
        self.keys.append(run.run_key)
        what = self.does.pop(0) if self.does else None
        if isinstance(what, BaseException):
            raise what
        return what


def tell(
    story: Begin, calls: Calls, policy: Retry | None = None, file: Path | None = None, **job: Any
) -> Story:
    """A job once an hour that fails as it was told to."""

    def declare(bell: Watchbell) -> None:
        @bell.job(**job)
        def work(run: Run) -> Any:
            return calls(run)

        bell.add_schedule("work", work, every("1h"), retry=policy)

    calls.begun = begun = story(declare, file=file)
    return begun


FIXED = retry(3, delay="10s", jitter=False)


def test_S3_5_a_failure_is_tried_again_with_growing_waits_and_every_attempt_is_kept(story: Begin) -> None:
    calls = Calls(OSError("one"), OSError("two"), {"rows": 3})
    begun = tell(story, calls, FIXED)
    begun.until("01:30")
    assert calls == ["01:00", "01:00:10", "01:00:30"]
    assert begun.rows("SELECT state, attempt, result, error, traceback FROM occurrence") == [
        ("succeeded", 3, '{"rows": 3}', None, None)
    ]
    attempts = begun.rows("SELECT number, epoch, ending, error FROM attempt ORDER BY number")
    assert attempts == [
        (1, 1, "failed", "OSError: one"),
        (2, 2, "failed", "OSError: two"),
        (3, 3, "succeeded", None),
    ]


def test_S3_5_the_wait_is_drawn_between_nothing_and_the_whole(story: Begin) -> None:
    calls = Calls(OSError(), OSError())
    begun = tell(story, calls, retry(3, delay="10s"))  # the stepping node draws 0.5
    begun.until("01:30")
    assert calls == ["01:00", "01:00:05", "01:00:15"]


def test_S3_5_after_the_last_attempt_it_has_failed_with_its_traceback(story: Begin) -> None:
    calls = Calls(*[ValueError("no")] * 3)
    begun = tell(story, calls, FIXED)
    begun.until("01:30")
    state, attempt, error, text = begun.rows("SELECT state, attempt, error, traceback FROM occurrence")[0]
    assert (state, attempt, error) == ("failed", 3, "ValueError: no")
    assert "raise what\nValueError: no" in text


@pytest.mark.parametrize(("error", "tried"), [(ConnectionResetError("gone"), 2), (ValueError("no"), 1)])
def test_S3_5_only_the_given_exceptions_are_tried_again(story: Begin, error: Exception, tried: int) -> None:
    calls = Calls(error)
    begun = tell(story, calls, retry(2, delay="10s", jitter=False, on=[OSError]))
    begun.until("01:30")
    assert len(calls) == tried


def test_S2_5_a_timeout_ends_the_attempt_and_is_tried_again(story: Begin) -> None:
    calls = Calls(Lasting("1h"), Lasting("20s"))
    begun = tell(story, calls, FIXED, timeout="1m")
    begun.until("01:30")
    assert calls == ["01:00", "01:01:10"]
    assert begun.rows("SELECT number, ending FROM attempt ORDER BY number") == [
        (1, "timed_out"),
        (2, "succeeded"),
    ]


def test_S2_5_a_timeout_without_retries_is_the_end(story: Begin) -> None:
    begun = tell(story, Calls(Lasting("1h")), timeout="1m")
    begun.until("01:30")
    assert begun.seen() == [("01:00", "timed_out", None)]


def test_S3_5_a_retry_waits_for_a_slot_and_the_engine_does_not_turn_in_circles_meanwhile(
    story: Begin,
) -> None:
    calls = Calls(OSError())
    begun = tell(story, calls, FIXED)
    begun.until("01:00")
    begun.node.set_slots(thread=0)
    begun.until("01:10")
    assert begun.states() == ["retrying"]
    following = begun.node.step()
    assert following is not None
    assert following > begun.now
    begun.node.set_slots(thread=1)
    begun.until("01:11")
    assert begun.states() == ["succeeded"]


def test_a_retry_that_waits_for_a_slot_for_long_is_late_and_not_stuck(story: Begin) -> None:
    calls = Calls(OSError())

    def declare(bell: Watchbell) -> None:
        @bell.job
        def work(run: Run) -> Any:
            return calls(run)

        @bell.job
        def long() -> Lasting:
            return Lasting("45m")

        bell.add_schedule("work", work, every("1h"), retry=FIXED)
        bell.add_schedule("long", long, every("1h", start_at="2026-11-21T00:00:05Z"))

    calls.begun = begun = story(declare, slots={"thread": 1})
    begun.until("01:40")
    assert begun.states("work") == ["retrying"]
    begun.audit()
    begun.until("01:50")
    assert begun.states("work") == ["succeeded"]


def test_a_run_between_two_attempts_is_cancelled_at_once(story: Begin) -> None:
    calls = Calls(OSError())
    begun = tell(story, calls, retry(3, delay="10m", jitter=False))
    begun.until("01:01")
    assert begun.bell._run_cancel(1) == "cancelled"
    begun.until("01:59")
    assert (calls, begun.seen()) == (["01:00"], [("01:00", "cancelled", "by_request")])
    with pytest.raises(Conflict, match="run_1 has ended already"):
        begun.bell._run_cancel(1)


def test_what_runs_is_asked_to_end_and_its_owner_writes_that_it_has(story: Begin) -> None:
    begun = tell(story, Calls(Lasting("40m")), FIXED)
    begun.until("01:10")
    said = cancel(begun.bell._open(), 1, now=begun.now, actor="anna")
    assert begun.states() == ["going"]
    begun.until("01:11")
    assert begun.seen() == [("01:00", "cancelled", "by_request")]
    assert "anna" in begun.value("SELECT note FROM occurrence")
    assert said is not None


def test_a_cancel_that_was_not_heard_before_the_attempt_failed_keeps_it_from_being_tried_again(
    story: Begin,
) -> None:
    calls = Calls(Lasting("1m", error=OSError("no")))
    begun = tell(story, calls, FIXED)
    begun.until("01:00")
    begun.clock.advance(60 * SECOND)
    begun.change("UPDATE occurrence SET revoke = 'Cancelled by anna.'")
    begun.until("01:30")
    assert calls == ["01:00"]
    assert begun.rows("SELECT state, note FROM occurrence") == [("cancelled", "Cancelled by anna.")]


def test_a_handed_back_claim_keeps_its_attempts(story: Begin) -> None:
    """The clock is set back between the claim ahead and the instant: nothing has begun, and nothing begins early."""
    calls = Calls()
    begun = tell(story, calls)
    begun.until("00:59")
    begun.clock.advance(parse_duration("1m") - 1000)
    begun.node.step()
    assert begun.states() == ["going"]
    begun.clock.step(-parse_duration("30m"))
    begun.node.step()
    assert calls == []
    begun.until("01:10")
    assert calls == ["01:00"]
    assert begun.rows("SELECT state, attempt FROM occurrence") == [("succeeded", 1)]


# --- lost ---------------------------------------------------------------------------------------------------------------


def test_what_ran_when_its_engine_died_is_lost_and_not_started_again(story: Begin, tmp_path: Path) -> None:
    calls = Calls(Lasting("30m"))
    begun = tell(story, calls, FIXED, tmp_path / "w.db")
    begun.live("2026-11-21T01:10:00Z")
    begun.restart("1m")
    begun.until("01:50")
    assert calls == ["01:00"]
    assert begun.seen() == [("01:00", "lost", "begun")]


def test_S3_5_with_rerun_a_lost_run_is_another_attempt_with_the_same_run_key(
    story: Begin, tmp_path: Path
) -> None:
    calls = Calls(Lasting("30m"))
    begun = tell(story, calls, FIXED, tmp_path / "w.db", on_lost="rerun", may_overlap=True)
    begun.live("2026-11-21T01:10:00Z")
    begun.restart("1m")
    begun.until("01:50")
    assert calls == ["01:00", "01:11:10"]
    assert len(set(calls.keys)) == 1
    assert begun.rows("SELECT state, reason, attempt FROM occurrence") == [("succeeded", None, 2)]
    assert begun.rows("SELECT number, ending, reason FROM attempt ORDER BY number") == [
        (1, "lost", "begun"),
        (2, "succeeded", None),
    ]


def test_S3_5_reruns_stop_at_the_attempt_limit(story: Begin, tmp_path: Path) -> None:
    calls = Calls(*[Lasting("30m")] * 5)
    begun = tell(
        story,
        calls,
        retry(2, delay="10s", jitter=False),
        tmp_path / "w.db",
        on_lost="rerun",
        may_overlap=True,
    )
    for _ in range(3):
        begun.live("2026-11-21T01:10:00Z" if not calls else "+5m")
        begun.restart("1m")
    assert len(calls) == 2
    assert begun.seen() == [("01:00", "lost", "begun")]


def test_the_truth_about_a_lost_run_that_arrives_later_is_kept_beside_it(
    story: Begin, tmp_path: Path
) -> None:
    calls = Calls(Lasting("30m"))
    begun = tell(story, calls, None, tmp_path / "w.db")
    begun.live("2026-11-21T01:10:00Z")
    claim, node = begun.node.house.desk.held()[0], begun.node.house.node
    begun.restart("1m")
    late = Ended(claim, _succeeded(begun), node=node)
    settled = begun.bell._open().write(lambda tx: settle(tx, node, [late, late], begun.now, lambda: 0.5))
    assert (len(settled.resolved), len(settled.refused)) == (1, 1)
    assert begun.rows("SELECT state, resolved FROM occurrence") == [
        ("lost", "succeeded at 2026-11-21T01:11:00Z")
    ]


def test_an_end_reported_by_an_older_claim_is_refused_and_recorded(story: Begin, tmp_path: Path) -> None:
    calls = Calls(Lasting("30m"), Lasting("30m"))
    begun = tell(story, calls, FIXED, tmp_path / "w.db", on_lost="rerun", may_overlap=True)
    begun.live("2026-11-21T01:10:00Z")
    claim, node = begun.node.house.desk.held()[0], begun.node.house.node
    begun.restart("1m")
    begun.until("01:12")
    late = Ended(claim, _succeeded(begun), node=node)
    settled = begun.bell._open().write(lambda tx: settle(tx, node, [late], begun.now, lambda: 0.5))
    assert (settled.done, len(settled.refused)) == ([], 1)
    assert begun.states() == ["going"]
    actions = begun.rows("SELECT subject, detail FROM audit_event WHERE action = 'report.refused'")
    assert actions == [
        ("run_1", "succeeded at 2026-11-21T01:12:00Z, by claim 1, which holds the row no more")
    ]
    begun.until("02:00")


def _succeeded(begun: Story) -> Any:
    from watchbell.core.outcome import Ending, Outcome

    return Outcome(Ending.SUCCEEDED, begun.now - SECOND, begun.now)


def test_S3_5_a_wish_to_cancel_outlives_the_hand_back_of_the_claim_it_was_for(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m"))
        def work() -> Lasting:
            return Lasting("2m")

    begun = story(declare)
    begun.node.set_slots(thread=0)
    begun.until("00:10")
    begun.change("UPDATE occurrence SET revoke = 'Cancelled by anna.'")
    begun.node.set_slots(thread=1)
    begun.until("00:11")
    assert begun.seen() == [("00:10", "cancelled", "by_request")]

"""Settle as a decision: how an attempt ended × what its claim says → the row's next state (PROTOCOL §6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from watchbell.core.claim import Claim
from watchbell.core.outcome import Ending, Outcome
from watchbell.core.policies import Retry
from watchbell.core.settle import decide
from watchbell.core.states import State

CLAIM = Claim(
    run=1, epoch=1, token="t", workspace=1, schedule=1, version=1, job=1, lane="thread", due_at=0, start_at=0, claimed_at=0
)  # fmt: skip
RETRY = Retry(max_attempts=2, delay_us=10, jitter=False)


def claim(**changes: object) -> Claim:
    return replace(CLAIM, **changes)  # type: ignore[arg-type]


def end(ending: Ending, **more: object) -> Outcome:
    return Outcome(ending, 1, 2, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", list(Ending))
def test_an_attempt_that_is_not_tried_again_ends_its_run_as_it_ended(ending: Ending) -> None:
    assert decide(claim(), end(ending), 5, 0.5).state == State(ending.value)


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.TIMED_OUT])
def test_S3_5_a_failure_or_timeout_with_attempts_left_waits_for_the_next_one(ending: Ending) -> None:
    answer = decide(claim(retry=RETRY), end(ending), 5, 0.5)
    assert (answer.state, answer.ready_at) == (State.RETRYING, 15)
    assert decide(claim(retry=RETRY, attempt=2), end(ending), 5, 0.5).state == State(ending.value)


def test_lost_is_never_started_again_under_at_most_once() -> None:
    assert decide(claim(retry=RETRY), end(Ending.LOST, reason="begun"), 5, 0.5).state is State.LOST


def test_lost_with_rerun_is_another_attempt_and_stops_at_the_limit() -> None:
    assert decide(claim(rerun=True), end(Ending.LOST), 5, 0.5).state is State.RETRYING
    assert decide(claim(rerun=True, attempt=2), end(Ending.LOST), 5, 0.5).state is State.LOST
    three = Retry(max_attempts=3, delay_us=10, jitter=False)
    answer = decide(claim(rerun=True, attempt=2, retry=three), end(Ending.LOST), 5, 0.5)
    assert (answer.state, answer.ready_at) == (State.RETRYING, 25)


def test_a_cancel_that_comes_too_late_is_a_success_that_says_so() -> None:
    answer = decide(claim(revoked="Cancelled by anna."), end(Ending.SUCCEEDED), 5, 0.5)
    assert answer.state is State.SUCCEEDED
    assert answer.note == "The request to cancel came too late: the work had finished."


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.CANCELLED])
def test_what_was_asked_to_end_and_ended_without_success_is_cancelled_and_not_retried(ending: Ending) -> None:
    answer = decide(claim(revoked="Cancelled by anna.", retry=RETRY), end(ending), 5, 0.5)
    assert (answer.state, answer.reason, answer.note) == (State.CANCELLED, "by_request", "Cancelled by anna.")


@pytest.mark.parametrize("ending", [Ending.TIMED_OUT, Ending.LOST])
def test_what_was_asked_to_end_is_not_tried_again_however_it_ended(ending: Ending) -> None:
    answer = decide(claim(revoked="Cancelled by anna.", retry=RETRY, rerun=True), end(ending), 5, 0.5)
    assert answer.state == State(ending.value)


def test_S2_10_what_a_shutdown_ends_is_cancelled_and_says_shutdown() -> None:
    answer = decide(claim(retry=RETRY), end(Ending.CANCELLED, reason="shutdown"), 5, 0.5)
    assert (answer.state, answer.reason) == (State.CANCELLED, "shutdown")

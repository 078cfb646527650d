"""Retries: which ends are tried again, and after how long (S3.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.outcome import Ending, Outcome
from watchbell.core.policies import Retry
from watchbell.core.retry import wait_us, wants_retry

SECOND = 1_000_000


def failed(*names: str, code: int | None = None) -> Outcome:
    return Outcome(Ending.FAILED, 0, 1, error_type=names, exit_code=code)


def test_S3_5_the_wait_doubles_up_to_the_cap() -> None:
    retry = Retry(max_attempts=9, delay_us=10 * SECOND, factor=2, cap_us=60 * SECOND, jitter=False)
    assert [wait_us(retry, attempt, 0.7) // SECOND for attempt in range(1, 7)] == [10, 20, 40, 60, 60, 60]


def test_S3_5_full_jitter_draws_between_nothing_and_the_whole_wait() -> None:
    retry = Retry(delay_us=10 * SECOND)
    assert [wait_us(retry, 2, drawn) for drawn in (0.0, 0.25, 0.5)] == [0, 5 * SECOND, 10 * SECOND]


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(1, 100))
def test_S3_5_the_wait_is_never_longer_than_the_cap_however_many_attempts_there_were(
    attempt: int, drawn: float, factor: float
) -> None:
    retry = Retry(max_attempts=10_000, delay_us=SECOND, factor=factor, cap_us=3600 * SECOND)
    assert 0 <= wait_us(retry, attempt, drawn) <= 3600 * SECOND


def test_S3_5_the_limit_counts_the_first_attempt() -> None:
    assert [wants_retry(Retry(max_attempts=3), failed(), attempt) for attempt in (1, 2, 3)] == [
        True,
        True,
        False,
    ]
    assert not wants_retry(None, failed(), 1)


def test_S3_5_only_the_given_exceptions_and_those_that_derive_from_them_are_retried() -> None:
    retry = Retry(on=("OSError",))
    assert wants_retry(retry, failed("ConnectionResetError", "ConnectionError", "OSError", "Exception"), 1)
    assert not wants_retry(retry, failed("ValueError", "Exception"), 1)


def test_S3_5_only_the_given_exit_codes_are_retried() -> None:
    retry = Retry(exit_codes=(75,))
    assert wants_retry(retry, failed(code=75), 1)
    assert not wants_retry(retry, failed(code=1), 1)


def test_S2_5_a_timeout_is_retried_whatever_the_exceptions_say() -> None:
    assert wants_retry(Retry(on=("OSError",)), Outcome(Ending.TIMED_OUT, 0, 1), 1)


@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.CANCELLED, Ending.LOST])
def test_nothing_else_is_retried(ending: Ending) -> None:
    assert not wants_retry(Retry(), Outcome(ending, 0, 1), 1)

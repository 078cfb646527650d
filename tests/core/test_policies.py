"""Policies: what contradicts itself is refused with a sentence, and JSON says exactly what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.policies import (
    CatchUp,
    JobOptions,
    OnLost,
    Overlap,
    Policies,
    Retry,
    options_from_json,
    policies_from_json,
    to_json,
)
from watchbell.errors import BadPolicy


@pytest.mark.parametrize("catchup", [CatchUp.ALL, CatchUp.EARLIEST])
def test_catch_up_that_would_drop_silently_under_skip_is_refused_and_says_queue_all(catchup: CatchUp) -> None:
    with pytest.raises(BadPolicy, match=f"catchup={catchup} with overlap=skip .* Use overlap=queue_all"):
        Policies(catchup=catchup)
    assert Policies(catchup=catchup, overlap=Overlap.QUEUE_ALL).catchup is catchup


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"overlap_max": 3}, "overlap_max goes with overlap=queue_all or allow, not with skip"),
        ({"overlap": Overlap.ALLOW, "overlap_max": 0}, "overlap_max must be at least 1, not 0"),
        ({"catchup_limit": 0}, "catchup_limit must be at least 1, not 0; use catchup=none"),
        ({"catchup_window_us": 0}, "catchup_window must be longer than 0"),
        ({"start_deadline_us": -1}, "start_deadline must be longer than 0"),
        ({"timeout_us": 0}, "timeout must be longer than 0; leave it out for none"),
        ({"grace_us": -1}, "grace cannot be negative"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadPolicy, match=sentence):
        Policies(**wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"limits": (("db", 0),)}, "The limit of 'db' must be at least 1, not 0; pause the job to stop it"),
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"timeout_us": 0}, "A timeout must be longer than 0"),
    ],
)
def test_a_job_that_could_never_run_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadPolicy, match=sentence):
        JobOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"delay_us": -1}, {"cap_us": -1}, {"factor": 0.5}])
def test_a_retry_policy_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadPolicy, match="A retry policy"):
        Retry(**wrong)


def test_gates_of_a_job_are_its_own_and_its_named_keys_in_the_order_in_which_they_are_locked() -> None:
    options = JobOptions(concurrency=2, limits=(("printer", 1), ("db", 5)))
    assert options.gates("report") == (("job:report", 2), ("key:db", 5), ("key:printer", 1))
    assert JobOptions().gates("report") == ()


def test_an_unknown_name_or_word_is_named_and_the_known_ones_are_told() -> None:
    with pytest.raises(BadPolicy, match=r"Policies has no 'cathcup'; it has .*catchup, catchup_limit"):
        policies_from_json({"cathcup": "latest"})
    with pytest.raises(
        BadPolicy, match="overlap is one of skip, queue_one, queue_all, allow, replace, not 'wait'"
    ):
        policies_from_json({"overlap": "wait"})
    with pytest.raises(BadPolicy, match="on_lost is one of skip, rerun, not 'again'"):
        options_from_json({"on_lost": "again"})


retries = st.builds(
    Retry,
    max_attempts=st.integers(1, 9),
    delay_us=st.integers(0, 10**9),
    jitter=st.booleans(),
    on=st.lists(st.sampled_from(["ValueError", "OSError"])).map(tuple),
    exit_codes=st.lists(st.integers(0, 255)).map(tuple),
)


@given(
    st.builds(
        Policies,
        catchup=st.sampled_from(list(CatchUp)),
        overlap=st.just(Overlap.QUEUE_ALL),
        overlap_max=st.none() | st.integers(1, 9),
        catchup_window_us=st.none() | st.integers(1, 10**12),
        start_deadline_us=st.none() | st.integers(1, 10**12),
        priority=st.none() | st.integers(-9, 9),
        retry=st.none() | retries,
    )
)
def test_policies_come_back_from_json_as_they_were(policies: Policies) -> None:
    assert policies_from_json(to_json(policies)) == policies


@given(
    st.builds(
        JobOptions,
        timeout_us=st.none() | st.integers(1, 10**12),
        retry=st.none() | retries,
        concurrency=st.none() | st.integers(1, 9),
        limits=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(1, 9)).map(
            lambda d: tuple(d.items())
        ),
        on_lost=st.sampled_from(list(OnLost)),
        hold_if_missing=st.booleans(),
    )
)
def test_options_come_back_from_json_as_they_were(options: JobOptions) -> None:
    assert options_from_json(to_json(options)) == options


def test_defaults_are_written_as_nothing_so_that_the_same_content_has_the_same_hash() -> None:
    assert to_json(Policies()) == {}
    assert to_json(JobOptions()) == {}

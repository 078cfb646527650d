"""Rates as values: their text, and when the next start is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.core.policies import (
    CatchUp,
    CatchUpOrder,
    JobOptions,
    Overlap,
    Policies,
    options_from_json,
    policies_from_json,
    to_json,
)
from watchbell.core.rates import Rate, allowed_at, held_by_rate, parse_rate

RATES = st.builds(Rate, st.integers(1, 50), st.integers(SECOND, 48 * HOUR))


@given(RATES)
def test_a_rate_reads_back_from_its_text(rate: Rate) -> None:
    assert parse_rate(rate.to_text()) == rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/1m", Rate(10, MINUTE)),
        ("10/m", Rate(10, MINUTE)),
        (" 3 / 90s ", Rate(3, 90 * SECOND)),
        ("100 per 1h", Rate(100, HOUR)),
    ],
)
def test_the_forms_that_people_write(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@given(RATES, st.lists(st.integers(0, 100), max_size=60), st.integers(1, 40))
def test_no_span_of_allowed_starts_holds_more_than_the_rate(rate: Rate, gaps: list[int], more: int) -> None:
    """Taken one by one, each as early as it is allowed, they never exceed the rate; and `place` says the same ahead."""
    starts: list[int] = []
    now = 0
    for gap in gaps:
        now = max(now + gap * SECOND, allowed_at(rate, starts, now + gap * SECOND))
        starts.append(now + rate.slack_us)
    ahead = [allowed_at(rate, starts, now, place) for place in range(more)]
    at = now
    for place in range(more):
        at = allowed_at(rate, starts, at)
        assert ahead[place] <= at
        starts.append(at + rate.slack_us)
    for first, later in zip(starts, starts[rate.starts :], strict=False):
        assert later - first >= rate.per_us
    # Whenever within its slack each of them begins, none begins before it was claimed.
    begun = [start - rate.slack_us for start in starts[rate.starts :]]
    assert all(late >= start + rate.per_us for start, late in zip(starts, begun, strict=False))


def test_the_places_ahead_are_those_that_come_to_pass() -> None:
    rate = Rate(2, 10 * SECOND)
    starts = [0, 4 * SECOND]
    ahead = [allowed_at(rate, starts, 5 * SECOND, place) for place in range(5)]
    assert ahead == [10 * SECOND, 14 * SECOND, 20_250_000, 24_250_000, 30_500_000]


def test_a_job_counts_for_its_own_rate_and_for_those_it_shares() -> None:
    options = JobOptions(rate=Rate(1, MINUTE), rates=(("api", Rate(2, HOUR)),))
    assert options.all_rates("report") == (("job:report", Rate(1, MINUTE)), ("key:api", Rate(2, HOUR)))


@given(st.none() | RATES, st.dictionaries(st.text(min_size=1, max_size=5), RATES, max_size=3))
def test_they_read_back_from_json(own: Rate | None, named: dict[str, Rate]) -> None:
    options = JobOptions(rate=own, rates=tuple(sorted(named.items())))
    assert options_from_json(to_json(options)) == options
    policies = Policies(
        catchup=CatchUp.ALL, overlap=Overlap.ALLOW, catchup_rate=own, catchup_order=CatchUpOrder.NEWEST
    )
    assert policies_from_json(to_json(policies)) == policies


@pytest.mark.parametrize(
    ("held_by", "what"),
    [
        (None, None),
        ("overlap", None),
        ("key:rate", None),
        ("rate:key:api", "the rate api"),
        ("rate:job:report", "the rate of its job"),
        ("rate:catchup:7", "the catch-up rate of its schedule"),
    ],
)
def test_what_a_row_waits_for_in_words(held_by: str | None, what: str | None) -> None:
    assert held_by_rate(held_by) == what

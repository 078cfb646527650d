"""The arithmetic of the bench."""

from __future__ import annotations

import pytest

from bench.figures import MOST_PERCENT, median, percent, quantile


@pytest.mark.parametrize(
    ("value", "of", "less", "expected"),
    [
        (25_000, 50_000, False, 50.0),
        (100_000, 50_000, False, 200.0),
        (4.0, 2.0, True, 50.0),
        (1.0, 2.0, True, 200.0),
        (-3.0, 20.0, True, MOST_PERCENT),
        (0.0, 20.0, True, MOST_PERCENT),
        (5.0, 0.0, False, None),
        (None, 2.0, True, None),
        (2.0, None, False, None),
    ],
)
def test_the_share_of_a_goal_is_100_where_it_is_just_reached_whichever_way_is_better(
    value: float | None, of: float | None, less: bool, expected: float | None
) -> None:
    assert percent(value, of, less) == expected


def test_a_quantile_and_a_median_are_values_that_were_measured() -> None:
    values = [9.0, 1.0, 5.0, 3.0]
    assert quantile(values, 0.0) == 1.0
    assert quantile(values, 1.0) == 9.0
    assert quantile(list(range(101)), 0.99) == 99
    assert median(values) == 3.0
    assert median([7.0]) == 7.0

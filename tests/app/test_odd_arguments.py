"""Arguments that are no JSON are refused where they are given, and hold nothing up that comes after them."""

from __future__ import annotations

from typing import Any

import pytest

from watchbell import Watchbell, every
from watchbell.errors import BadArguments


def nested() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


@pytest.mark.parametrize("odd", ["half", "deep", "long"])
def test_arguments_that_no_database_takes_are_refused_and_the_next_are_taken(odd: str) -> None:
    value: Any = {"half": "\ud800", "deep": nested(), "long": 10**5000}[odd]
    bell = Watchbell("sqlite://")

    @bell.job
    def job(a: Any = None) -> None: ...

    with pytest.raises(BadArguments):
        job.enqueue(a=value)
    with pytest.raises(BadArguments):
        bell.add_schedule("odd", job, every("1h"), args={"a": value})
    assert job.enqueue(a=1).new
    with pytest.raises(BadArguments):
        bell.run_now("job", args={"a": value})
    bell.add_schedule("plain", job, every("1h"), args={"a": 1})
    assert bell.run_now("plain").new
    bell.stop()

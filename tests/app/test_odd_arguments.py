"""Arguments that are no JSON are refused where they are given, and hold nothing up that comes after them."""

from __future__ import annotations

from typing import Any

import pytest

from watchbell import Watchbell, every
from watchbell.app.checks import as_json
from watchbell.errors import BadArguments
from watchbell.services.arguments import check


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


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")], ids=str)
def test_what_is_no_number_of_json_is_refused_wherever_arguments_are_given(odd: float) -> None:
    """Python writes NaN, which no other reader of JSON takes, and a database that knows JSON refuses the row."""
    bell = Watchbell("sqlite://")

    @bell.job
    def any_of_them(a: Any = None) -> None: ...

    @bell.job
    def number(a: float = 0.0) -> None: ...

    @bell.job
    def numbers(a: list[float]) -> None: ...

    said = "NaN and infinity are no numbers of JSON"
    for give in (
        lambda: any_of_them.enqueue(a=odd),
        lambda: any_of_them.enqueue(a={"b": [odd]}),
        lambda: number.enqueue(a=odd),
        lambda: numbers.enqueue(a=[1.0, odd]),
        lambda: bell.run_now("number", args={"a": odd}),
        lambda: bell.add_schedule("odd", number, every("1h"), args={"a": odd}),
    ):
        with pytest.raises(BadArguments, match=said):
            give()
    with pytest.raises(BadArguments, match=said):
        check({"a": odd}, None, "backup")
    with pytest.raises(BadArguments, match=said):
        as_json({"a": odd})
    assert number.enqueue(a=1.5).new
    bell.stop()

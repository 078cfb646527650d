"""What the Python interface refuses: whatever is handed to it, the answer is a sentence of watchbell's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from watchbell import Watchbell, every, retry
from watchbell.errors import (
    BadArguments,
    BadConfiguration,
    BadDeclaration,
    BadInput,
    BadPolicy,
    BadTrigger,
    NaiveTime,
    WatchbellError,
)


def work(n: int = 1) -> None:
    """Do nothing."""


def other() -> None:
    """Do nothing either."""


def made() -> Any:
    bell: Any = Watchbell("sqlite://")
    bell.add_schedule("known", bell.job(name="work")(work), every("1h"))
    return bell


DECLARED: list[tuple[Callable[[Any], object], type[WatchbellError]]] = [
    *[
        (lambda bell, name=name: bell.job(name=name)(work), BadDeclaration)
        for name in ("", " ", 5, b"x", "a\nb", "a\udcff", "x" * 201)
    ],
    (lambda bell: bell.job(name="a", tags="red")(work), BadDeclaration),
    (lambda bell: bell.job(name="a", tags=[1])(work), BadDeclaration),
    (lambda bell: bell.job(name="a", aliases=5)(work), BadDeclaration),
    (lambda bell: bell.job(name="a")(5), BadDeclaration),
    (lambda bell: bell.job(5), BadDeclaration),
    (lambda bell: bell.job(name="a", retry=5)(work), BadPolicy),
    (lambda bell: bell.job(name="a", limits=5)(work), BadPolicy),
    (lambda bell: bell.job(name="a", limits=["x"])(work), BadPolicy),
    (lambda bell: bell.job(name="a", limits={"x": "two"})(work), BadPolicy),
    (lambda bell: bell.job(name="a", limits={5: 2})(work), BadPolicy),
    (lambda bell: bell.job(name="a", may_overlap=3)(work), BadPolicy),
    (lambda bell: bell.add_schedule("a", None, every("1h")), BadDeclaration),
    (lambda bell: bell.add_schedule("a", other, None), BadTrigger),
    (lambda bell: bell.add_schedule("a", other, 5), BadTrigger),
    (lambda bell: bell.add_schedule(None, other, every("1h")), BadDeclaration),
    (lambda bell: bell.add_schedule("", other, every("1h")), BadDeclaration),
    (lambda bell: bell.add_schedule("a", other, every("1h"), args=[]), BadArguments),
    (lambda bell: bell.add_schedule("a", other, every("1h"), args=0), BadArguments),
    (lambda bell: bell.add_schedule("a", other, every("1h"), tags="red"), BadDeclaration),
    (lambda bell: bell.add_schedule("a", other, every("1h"), retry=5), BadPolicy),
    (lambda bell: bell.add_schedule("a", other, every("1h"), enabled="no"), BadDeclaration),
    (lambda bell: bell.schedule(None)(other), BadTrigger),
    (lambda bell: bell.source(5)(list), BadDeclaration),
    (lambda bell: bell.source("a")(5), BadDeclaration),
    (lambda bell: bell.source("a", max_consecutive_errors="x")(list), BadDeclaration),
    (lambda bell: bell.on("run.failed")(5), BadDeclaration),
    (lambda bell: bell.on("run.exploded")(work), BadDeclaration),
]

ASKED: list[tuple[Callable[[Any], object], type[WatchbellError]]] = [
    (lambda bell: bell.run_now("work", ""), BadArguments),
    (lambda bell: bell.run_now("work", []), BadArguments),
    (lambda bell: bell.run_now("work", 0), BadArguments),
    (lambda bell: bell.run_now("work", {5: 1}), BadArguments),
    (lambda bell: bell.run_now(None), BadInput),
    (lambda bell: bell.run_now("work", key=5), BadInput),
    (lambda bell: bell.edit("known", args=[]), BadArguments),
    (lambda bell: bell.edit("known", trigger=5), BadTrigger),
    (lambda bell: bell.edit("known", retry=5), BadPolicy),
    (lambda bell: bell.edit(None), BadInput),
    (lambda bell: bell.pause(5), BadInput),
    (lambda bell: bell.pause("known", 5), BadInput),
    (lambda bell: bell.resume(None), BadInput),
    (lambda bell: bell.remove(b"known"), BadInput),
    (lambda bell: bell.explain("known", "2026-11-21"), BadInput),
    (lambda bell: bell.explain("known", datetime(2026, 11, 21)), NaiveTime),
    (lambda bell: bell.explain(5), BadInput),
    (lambda bell: bell.audit("yesterday"), BadInput),
    (lambda bell: bell.audit(None, datetime(2026, 11, 21)), NaiveTime),
    (lambda bell: bell.runs(limit=-1), BadInput),
    (lambda bell: bell.runs(limit="x"), BadInput),
    (lambda bell: bell.runs(states="failed"), BadInput),
    (lambda bell: bell.runs(job=5), BadInput),
    (lambda bell: bell.schedules(limit=2**70), BadInput),
    (lambda bell: bell.schedules(tag=5), BadInput),
    (lambda bell: bell.reload(5), BadInput),
]


@pytest.mark.parametrize("case", [*DECLARED, *ASKED], ids=lambda case: "")
def test_a_wrong_type_is_a_sentence(case: tuple[Callable[[Any], object], type[WatchbellError]]) -> None:
    call, refusal = case
    with pytest.raises(refusal) as caught:
        call(made())
    assert str(caught.value)[0].isprintable()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"max": 0},
        {"max": True},
        {"max": 2.5},
        {"max": 1001},
        {"max": "3"},
        {"factor": float("nan")},
        {"factor": float("inf")},
        {"factor": "2"},
        {"jitter": "no"},
        {"on": 5},
        {"on": [5]},
        {"on": "OSError"},
        {"exit_codes": 5},
        {"exit_codes": ["a"]},
    ],
)
def test_a_retry_policy_refuses_what_is_no_number(given: dict[str, Any]) -> None:
    with pytest.raises(BadPolicy):
        retry(**given)


@pytest.mark.parametrize("at", ["2026-11-21", None, 5])
def test_an_instant_to_enqueue_at_is_a_datetime(at: Any) -> None:
    bell = made()
    job = bell.job(name="other")(work)
    with pytest.raises(BadInput, match="datetime with a time zone"):
        job.enqueue_at(at)
    with pytest.raises(NaiveTime):
        job.enqueue_at(datetime(2026, 11, 21))
    with pytest.raises(BadArguments, match="key"):
        job.enqueue(key=5)


@pytest.mark.parametrize(
    "given",
    [{"url": 1}, {"app": None}, {"tz": 5}, {"revision": "x"}, {"slots": 5}, {"slots": {"thread": "x"}}],
)
def test_a_watchbell_of_wrong_types_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises((BadConfiguration, BadInput)):
        Watchbell(**given)


def test_what_is_echoed_is_short_and_escaped() -> None:
    with pytest.raises(BadDeclaration) as caught:
        made().job(name="line\nbreak" + "x" * 500)(work)
    assert "line\\nbreak" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_option_is_refused_also_where_its_equal_was_taken_before() -> None:
    bell: Any = Watchbell("sqlite://")
    job = bell.job(name="work")(other)
    bell.add_schedule("a", job, "every 1h", priority=1)
    with pytest.raises(BadPolicy, match="priority is a whole number"):
        bell.add_schedule("b", job, "every 1h", priority=True)
    with pytest.raises(BadPolicy, match="priority is a whole number"):
        bell.add_schedule("b", job, "every 1h", priority=1.0)
    bell.add_schedule("b", job, "every 1h", priority=1)


def test_arguments_are_those_of_the_moment_in_which_they_were_given() -> None:
    bell = Watchbell("sqlite://")

    @bell.job
    def work(names: list[str]) -> None: ...

    given = {"names": ["a"]}
    bell.add_schedule("a", work, "every 1h", args=given)
    given["names"].append("b")
    assert bell.schedules().items[0].args == {"names": ["a"]}

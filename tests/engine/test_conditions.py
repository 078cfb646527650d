"""Conditions in the life of a schedule: the ledger, what follows from a skip, and who is asked when."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Watchbell, cron, every, retry
from watchbell.errors import BadDeclaration, BadPolicy
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class Shop:
    """A job, and a condition that says what it is told to."""

    def __init__(
        self, answers: list[Any], trigger: Any = None, job: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.answers, self.options, self.job = answers, options, job or {}
        self.trigger = trigger or cron("*/20 * * * *", tz="UTC")
        self.ran = 0
        self.asked = 0

    def __call__(self, bell: Watchbell) -> None:
        def is_open() -> Any:
            self.asked += 1
            answer = self.answers.pop(0) if self.answers else True
            if isinstance(answer, Exception):
                raise answer
            return answer

        @bell.schedule(self.trigger, condition=is_open, **self.options)
        @bell.job(**self.job)
        def work() -> Any:
            self.ran += 1
            return self.job_does() if self.job_does else None

    job_does: Callable[[], Any] | None = None


def test_S3_what_its_condition_refuses_is_skipped_without_a_failure(story: Begin) -> None:
    shop = Shop([True, False, 0, True])
    begun = story(shop)
    begun.until("01:25")
    assert begun.seen() == [
        ("00:20", "succeeded", None),
        *all_of("skipped", ["00:40", "01:00"], "condition"),
        ("01:20", "succeeded", None),
    ]
    assert (shop.asked, shop.ran) == (4, 2)
    rows = begun.rows("SELECT began_at, claimed_at IS NULL, attempt FROM occurrence WHERE state = 'skipped'")
    assert rows == [(None, 0, 1)] * 2
    said = begun.bell.explain("work", at=at("00:40")).sentence
    assert said == "00:40 UTC did not run: its condition was not met."
    begun.audit()


def at(text: str) -> Any:
    from datetime import UTC, datetime

    return datetime.fromisoformat(f"2026-11-21T{text}:00").replace(tzinfo=UTC)


def test_S3_a_condition_that_raises_fails_the_run_which_is_not_tried_again(story: Begin) -> None:
    shop = Shop([ValueError("no idea")], retry=retry(max=5, delay="1s"))
    begun = story(shop)
    begun.until("00:41")
    assert begun.seen() == [("00:20", "failed", "condition"), ("00:40", "succeeded", None)]
    error = begun.value("SELECT error FROM occurrence WHERE state = 'failed'")
    assert error.startswith(
        "Its condition tests.engine.test_conditions:Shop.__call__.<locals>.is_open failed: ValueError: no idea"
    )
    assert shop.ran == 1
    begun.audit()


def test_S3_a_skip_gives_back_its_gate_and_lets_in_what_was_held(story: Begin) -> None:
    shop = Shop([False] * 3, job={"limits": {"db": 1}}, overlap="queue_all")
    begun = story(shop)
    begun.until("01:30")
    assert begun.states() == ["skipped"] * 3 + ["succeeded"]
    assert begun.rows("SELECT active FROM gate") == [(0,)]
    begun.audit()


def test_S3_a_retry_goes_on_with_what_has_begun_and_does_not_ask_again(story: Begin) -> None:
    shop = Shop([True, False, False], retry=retry(max=3, delay="1s", jitter=False))
    calls: list[int] = []

    def does() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("not yet")

    shop.job_does = does
    begun = story(shop)
    begun.until("00:25")
    assert (begun.states(), shop.asked) == (["succeeded"], 1)
    begun.audit()


def test_S3_a_run_by_hand_is_not_asked_for_and_says_so(story: Begin) -> None:
    shop = Shop([False] * 9)
    begun = story(shop)
    made = begun.bell.run_now("work")
    assert made.sentence.endswith("Its condition is not asked: a person has.")
    begun.until("00:05")
    assert (begun.states(), shop.asked, shop.ran) == (["succeeded"], 0, 1)
    begun.audit()


def test_S3_a_fixed_delay_goes_on_from_the_skip(story: Begin) -> None:
    begun = story(Shop([True, False], every("20m", after_completion=True)))
    begun.until("01:05")
    assert begun.seen() == [
        ("00:20", "succeeded", None),
        ("00:40", "skipped", "condition"),
        ("01:00", "succeeded", None),
    ]
    begun.audit()


def test_S3_what_is_caught_up_is_asked_as_well(tmp_path: Path) -> None:
    shop = Shop([True, False])
    begun = Story(shop, file=tmp_path / "a.db")
    begun.until("00:25")
    begun.restart(after="2h")
    begun.until("02:26")
    assert begun.seen()[-1] == ("02:20", "skipped", "condition")
    begun.audit()
    begun.bell.stop()


def test_S3_the_audit_sees_a_skip_that_had_begun(story: Begin) -> None:
    begun = story(Shop([False]))
    begun.until("00:25")
    begun.audit()
    begun.change("UPDATE occurrence SET began_at = claimed_at")
    (finding,) = begun.bell.audit().findings
    assert "was skipped by its condition, but it had begun" in finding.sentence
    begun.change("UPDATE occurrence SET began_at = NULL")


def test_S3_a_condition_is_stored_by_its_name_and_found_by_it(
    story: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = types.ModuleType("the_rules")
    rules.is_open = lambda: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "the_rules", rules)
    ran: list[int] = []

    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron("*/20 * * * *", tz="UTC"), condition="the_rules:is_open")
        def work() -> None:
            ran.append(1)

        @bell.schedule(cron("*/20 * * * *", tz="UTC"), condition="the_rules:is_shut")
        def other() -> None:
            ran.append(1)

    begun = story(declare)
    begun.until("00:25")
    assert begun.seen("work") == [("00:20", "skipped", "condition")]
    assert begun.seen("other") == [("00:20", "failed", "condition")]
    assert "no function is named 'the_rules:is_shut' here" in begun.value(
        "SELECT error FROM occurrence WHERE error > ''"
    )
    assert ran == []


def test_S3_declaring_the_same_condition_again_writes_nothing(tmp_path: Path) -> None:
    begun = Story(Shop([]), file=tmp_path / "a.db")
    begun.restart()
    assert begun.value("SELECT count(*) FROM schedule_version") == 1
    begun.bell.stop()


def test_S3_what_can_be_no_condition_is_refused_with_a_sentence() -> None:
    bell = Watchbell("sqlite://")

    async def later() -> bool:
        return True

    def wants(customer: str) -> bool:
        return bool(customer)

    for wrong, error, said in (
        (7, BadPolicy, "A condition is a function with a name of its own"),
        (later, BadPolicy, "is an async function, and its job runs on a thread"),
        (wants, BadPolicy, "wants 'customer', and nobody would give it"),
        ("", BadPolicy, "A condition is a function's name"),
    ):
        with pytest.raises(error, match=said):

            @bell.schedule(cron("0 * * * *", tz="UTC"), name=f"{said}", condition=wrong)
            @bell.job(name=f"job {said}")
            def work() -> None: ...


def test_S3_two_conditions_of_one_name_are_refused() -> None:
    bell = Watchbell("sqlite://")
    bell.schedule(cron("0 * * * *", tz="UTC"), condition=lambda: True)(bell.job(name="one")(lambda: None))
    with pytest.raises(BadDeclaration, match="Two conditions are named"):
        bell.schedule(cron("0 * * * *", tz="UTC"), condition=lambda: False)(
            bell.job(name="two")(lambda: None)
        )


def test_S3_a_process_job_needs_a_condition_that_another_process_finds() -> None:
    bell = Watchbell("sqlite://")
    job = bell.job(isolated=True)(lasting)
    with pytest.raises(BadDeclaration, match="cannot be a lambda"):
        bell.schedule(cron("0 * * * *", tz="UTC"), condition=lambda: True)(job)


def lasting() -> Lasting:
    return Lasting("1m")

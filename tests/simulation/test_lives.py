"""Lives under virtual time: the rules hold, the same seed is the same life, and a judge that cannot be fooled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulation.live import live, shrink
from simulation.plan import DAY_US, HOUR_US, Life, Step, Work, life_of
from watchbell.core import catchup, plan
from watchbell.core.overlap import Admission
from watchbell.core.states import State
from watchbell.store import gates


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_rule_holds_after_every_step_of_a_life(seed: int) -> None:
    lived = live(life_of(seed, 25))
    assert lived.broken is None
    assert lived.rows > 10


def test_the_same_seed_twice_gives_the_same_trace_and_another_seed_another() -> None:
    first, again, other = live(life_of(7, 4)), live(life_of(7, 4)), live(life_of(8, 4))
    assert first.trace == again.trace
    assert first.trace != other.trace


def _nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "admit_held", lambda *_: 0)


def _overlap_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "admit", lambda *_args, **_kwargs: Admission(State.QUEUED))


def _a_gap_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = catchup.catch_up

    def partly(*args: Any) -> Any:
        caught = whole(*args)
        return type(caught)(caught.runs[:1])

    monkeypatch.setattr(plan, "catch_up", partly)


PLANTED: list[tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = [
    (_nobody_is_let_in, {"ends", "audit"}),
    (_overlap_is_forgotten, {"overlap"}),
    (_a_gap_is_dropped, {"audit"}),
]


@pytest.mark.parametrize(("plant", "rules"), PLANTED, ids=lambda part: getattr(part, "__name__", ""))
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], rules: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    lives = (live(life) for life in (plain_life(), *(life_of(seed, 8) for seed in range(12))))
    assert any(lived.broken is not None and lived.broken.rule in rules for lived in lives)


def test_what_breaks_a_rule_is_shrunk_to_a_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    _overlap_is_forgotten(monkeypatch)
    life = plain_life()
    assert breaks(life, "overlap")
    small = shrink(life, "overlap", lives=30)
    assert len(small.steps) <= 4
    assert breaks(small, "overlap")


def plain_life() -> Life:
    """Some days of one schedule whose runs often last longer than its period."""
    work = Work("work-0", "every 90m", {"overlap": "skip"})
    return Life(
        1, 20_000 * DAY_US, (work,), (Step("wait", 7 * HOUR_US), Step("crash", HOUR_US, 0, HOUR_US)) * 8
    )


def breaks(life: Life, rule: str) -> bool:
    broken = live(life).broken
    return broken is not None and broken.rule == rule

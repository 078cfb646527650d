"""Python's search for garbage is made seldom while a turn lasts, and is as it was afterwards (engine/garbage.py)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, every
from watchbell.engine.garbage import SELDOM, seldom


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 11, 12)
    yield
    gc.set_threshold(*before)


def test_it_is_seldom_while_any_turn_lasts_and_as_it_was_after_the_last() -> None:
    with seldom():
        with seldom():
            assert gc.get_threshold() == (SELDOM, 11, 12)
        assert gc.get_threshold() == (SELDOM, 11, 12)
    assert gc.get_threshold() == (700, 11, 12)


@pytest.mark.parametrize("own", [0, SELDOM, 10 * SELDOM])
def test_an_application_that_searches_never_or_as_seldom_is_left_alone(own: int) -> None:
    gc.set_threshold(own, 11, 12)
    with seldom():
        assert gc.get_threshold() == (own, 11, 12)
    assert gc.get_threshold() == (own, 11, 12)


def test_a_turn_that_fails_leaves_it_as_it_was(story: Callable[..., Story]) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        bell.add_schedule("minutely", work, every("1m"))

    begun = story(declare)
    seen: list[int] = []

    def fails(*args: Any) -> Any:
        seen.append(gc.get_threshold()[0])
        raise ValueError("a fault")

    begun.node._bell._clocks.plan = fails  # type: ignore[method-assign,assignment]
    begun.node.clock.advance(61_000_000)
    with pytest.raises(ValueError, match="a fault"):
        begun.node.step()
    assert seen == [SELDOM]
    assert gc.get_threshold() == (700, 11, 12)

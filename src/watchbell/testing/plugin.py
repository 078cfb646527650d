"""The pytest plugin: `bell`, `bell_clock`, `bell_node` and `assert_enqueued`.

pytest loads it by its entry point in every suite where watchbell is installed, so nothing of the engine is imported until
a test asks for one of the fixtures. Any of them is overridden by a fixture of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from watchbell.app import Watchbell
    from watchbell.testing.at_hand import AssertEnqueued, BellClock
    from watchbell.testing.stepnode import StepNode


@pytest.fixture
def bell_clock(request: pytest.FixtureRequest) -> BellClock:
    """The clock of this test: it stands at 2026-01-01T00:00:00Z until `move_to` or `advance` moves it."""
    from watchbell.core.instants import parse_instant
    from watchbell.testing.at_hand import BEGINNING, BellClock

    return BellClock(parse_instant(BEGINNING), lambda: request.getfixturevalue("bell"))


@pytest.fixture
def bell(bell_clock: BellClock) -> Iterator[Watchbell]:
    """A Watchbell with a database in memory, under the clock of this test. Override it to test your own:
    `with in_memory(shop.bell, bell_clock) as bell: yield bell`."""
    from watchbell.app import Watchbell
    from watchbell.testing.at_hand import close

    made = Watchbell("sqlite://", clock=bell_clock)
    yield made
    close(made)


@pytest.fixture
def bell_node(bell: Watchbell, bell_clock: BellClock) -> Iterator[StepNode]:
    """An engine on the thread of this test: what falls due while `bell_clock` moves is carried out at its instant."""
    from watchbell.testing.stepnode import StepNode

    node = StepNode(bell)
    bell_clock.carry_out_with(node)
    yield node
    bell_clock.carry_out_with(None)


@pytest.fixture
def assert_enqueued(bell: Watchbell) -> AssertEnqueued:
    """`assert_enqueued(job, args={…}, count=1)`: fails unless such runs were asked for."""
    from watchbell.testing.at_hand import AssertEnqueued

    return AssertEnqueued(bell)

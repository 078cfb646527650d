"""The store's clock is one for all nodes: a step of it happens once, and the sleep of a machine is its own affair."""

from __future__ import annotations

from tests.nodes.several import Several
from watchbell import Watchbell, cron
from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.testing import StepNode


def declare(bell: Watchbell) -> None:
    @bell.schedule(cron("* * * * *"))
    def work() -> None: ...


def both(several: Several) -> tuple[StepNode, StepNode]:
    found = several.node(declare, "one"), several.node(declare, "two")
    several.live(2)
    return found


def outages(several: Several) -> list[tuple[str, int]]:
    return several.rows("SELECT kind, (to_at - from_at) / 1000000 FROM outage ORDER BY id")


def test_a_step_of_the_stores_clock_is_written_down_once(several: Several) -> None:
    both(several)
    several.clock.step(5 * MINUTE)
    several.live(5)
    assert outages(several) == [("clock_jump", 300)]
    several.clock.step(-30 * SECOND)
    several.live(5)
    assert outages(several) == [("clock_jump", 300), ("clock_back", 30)]


def test_a_node_that_sees_a_step_later_finds_it_written(several: Several) -> None:
    one, _ = both(several)
    several.frozen.append(one)
    several.clock.step(5 * MINUTE)
    several.live(7)
    several.frozen.clear()
    several.live(2)
    assert outages(several) == [("clock_jump", 300)]


def test_all_nodes_doubt_the_clock_when_one_does_and_believe_it_again_together(several: Several) -> None:
    one, two = both(several)
    several.clock.step(2 * HOUR)
    several.live(3)
    assert [kind for kind, _ in outages(several)] == ["clock_jump", "clock_doubt"]
    assert not one._bell._clocks.planning
    assert not two._bell._clocks.planning
    several.nodes.remove(one)  # who has seen it first is gone
    one.die()
    several.live(3)
    several.clock.advance(10 * MINUTE)
    several.live(3)
    assert two._bell._clocks.planning
    assert several.rows("SELECT standing FROM clock_trust") == []


class Asleep:
    """A node whose machine sleeps while the others are awake."""

    def __init__(self, node: StepNode) -> None:
        self._clock = node.house.clock
        self._behind_ns = 0

    def sleep(self, by_us: int) -> None:
        self._behind_ns += by_us * 1000

    def mono_ns(self) -> int:
        return self._clock.mono_ns() - self._behind_ns

    def __getattr__(self, name: str) -> object:
        return getattr(self._clock, name)


def test_the_sleep_of_one_machine_is_no_outage_while_others_are_awake(several: Several) -> None:
    one, _ = both(several)
    machine = Asleep(one)
    one.house.clock = one._bell._clocks._watch._clock = machine  # type: ignore[assignment]
    several.frozen.append(one)
    several.live(8)
    machine.sleep(8 * SECOND)
    several.frozen.clear()
    several.live(2)
    assert outages(several) == []
    assert several.states() == {"one": "up", "two": "up"}

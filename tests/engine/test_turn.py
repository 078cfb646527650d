"""A turn of the engine: what has ended is written, and its slots are filled again, in one transaction (engine/bell.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.story import Story
from tests.engine.test_declare import Statements
from watchbell import Watchbell, cron, every
from watchbell.core.instants import MINUTE
from watchbell.core.plan import CROWD
from watchbell.engine.bell import PATIENCE_US, Bell
from watchbell.errors import StoreUnavailable
from watchbell.store.planning import Planned
from watchbell.store.tx import Tx
from watchbell.testing import Lasting

Begin = Callable[..., Story]


def crowd(number: int, lasts: str = "100ms") -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> Lasting:
            return Lasting(lasts)

        for place in range(number):
            bell.add_schedule(f"schedule {place}", work, cron("0 * * * *", tz="UTC"))

    return declare


def test_what_ends_and_what_is_due_then_are_one_commit(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> Lasting:
            return Lasting("1m")

        bell.add_schedule("minutely", work, every("1m"))

    with Statements() as asked:
        begun = story(declare)
        begun.until("00:05")
        begun.node.advance("30s")
        asked.clear()
        begun.until("00:06")
    assert begun.states().count("succeeded") == 5
    settling = [place for place, text in enumerate(asked) if text.startswith("UPDATE occurrence")]
    planning = [place for place, text in enumerate(asked) if text.startswith("UPDATE cursor")]
    assert len(settling) == len(planning) == 1
    between = list(asked)[min(*settling, *planning) : max(*settling, *planning)]
    assert not any("COMMIT" in text for text in between)


def test_a_crowd_costs_three_writes_a_run_though_there_are_few_slots(story: Begin) -> None:
    begun = story(crowd(CROWD + 50), slots={"thread": 50})
    begun.until("01:00")
    begun.node.advance("400ms")
    rows = begun.value("SELECT count(*) FROM occurrence")
    assert rows == begun.value("SELECT count(*) FROM occurrence WHERE epoch = 1") == CROWD + 50
    begun.node.advance("1s")
    assert begun.states() == ["succeeded"] * (CROWD + 50)
    begun.audit()


def test_nothing_that_is_due_is_without_a_row_for_longer_than_the_patience(story: Begin) -> None:
    begun = story(crowd(CROWD + 50, lasts="10m"), slots={"thread": 50})
    begun.until("01:00")
    begun.node.advance(f"{PATIENCE_US + 1}us")
    found = Counter(begun.states())
    assert found["queued"] == CROWD
    assert found.total() == CROWD + 50
    begun.until("02:00")
    begun.audit()


def test_a_crowd_that_nobody_has_slots_for_is_queued_in_whole_batches(story: Begin) -> None:
    begun = story(crowd(12 * CROWD, lasts="2h"), slots={"thread": 20})
    begun.until("01:00")
    sizes: list[int] = []
    plan = begun.node._bell._clocks.plan

    def counted(*args: Any) -> Planned:
        planned = plan(*args)
        sizes.append(planned.rows)
        return planned

    begun.node._bell._clocks.plan = counted  # type: ignore[method-assign,assignment]
    begun.node.advance(f"{PATIENCE_US + 1}us")
    written = [size for size in sizes if size]
    assert sum(written) == 12 * CROWD - 20
    assert len(written) <= 3


@pytest.mark.parametrize("error", [ValueError("a fault"), StoreUnavailable("the server is away")])
def test_what_has_ended_is_written_though_planning_fails(story: Begin, error: Exception) -> None:
    begun = story(crowd(1, lasts="90m"))
    begun.until("02:00")
    bell = begun.node._bell
    plan = bell._clocks.plan

    def fails(*args: Any) -> Any:
        raise error

    bell._clocks.plan = fails  # type: ignore[method-assign,assignment]
    begun.node.clock.advance(30 * MINUTE)
    for _ in range(3):
        with pytest.raises(type(error)):
            begun.node.step()
    assert begun.value("SELECT state FROM occurrence ORDER BY id LIMIT 1") == "succeeded"
    bell._clocks.plan = plan  # type: ignore[method-assign]
    begun.until("05:00")
    begun.audit()


def test_an_end_that_cannot_be_written_stops_neither_the_others_nor_the_planning(story: Begin) -> None:
    begun = story(crowd(3, lasts="90m"))
    begun.until("02:00")
    bell = begun.node._bell
    settle = bell._ends.settle

    def fails(tx: Tx, taken: Any, *args: Any) -> Any:
        if any(item.claim.run == 2 and item.outcome.error is None for item in taken.ended):
            raise ValueError("a word that no ledger takes")
        return settle(tx, taken, *args)

    bell._ends.settle = fails  # type: ignore[method-assign,assignment]
    begun.until("02:45")
    found = dict(begun.rows("SELECT id, error FROM occurrence WHERE state = 'succeeded' ORDER BY id"))
    assert set(found) == {1, 2, 3}
    assert "a word that no ledger takes" in str(found[2])
    assert begun.value("SELECT count(*) FROM occurrence WHERE due_at > 0") >= 4


def test_a_turn_takes_half_of_many_slots_and_all_of_a_few(story: Begin) -> None:
    begun = story(crowd(1), slots={"thread": 1000, "process": 3})
    bell: Bell = begun.node._bell
    begun.node.step()
    slots = bell._capacity().slots
    assert (slots["thread"], slots["process"]) == (500, 3)


def test_a_crowd_in_a_full_lane_keeps_nobody_waiting_in_another(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        crowd(6 * CROWD, lasts="1h")(bell)

        @bell.job
        async def other() -> None: ...

        bell.add_schedule("other", other, cron("0 * * * *", tz="UTC"))

    begun = story(declare, slots={"thread": 2, "async": 5})
    begun.until("01:00")
    begun.node.advance("10ms")
    assert begun.value("SELECT state FROM occurrence WHERE lane = 'async'") == "succeeded"

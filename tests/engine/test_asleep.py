"""An engine that hears of nothing: what its own transaction has left to be done is done at once, once, and not slept over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, cron, every
from watchbell.core.plan import CROWD
from watchbell.errors import StoreUnavailable
from watchbell.executors.base import Report
from watchbell.store.tx import Tx
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class TakenBack(Exception):
    """The server has taken a transaction back."""


def lasting(span: str, rule: Any, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> Lasting:
            return Lasting(span)

        bell.add_schedule("work", work, rule, **options)

    return declare


def asleep(begun: Story) -> list[int]:
    """From now on it looks only when it knows that something is due; returns the instants of its turns, as they come."""
    begun.node.step()
    bell = begun.node._bell
    bell.look_always = False
    begun.node.house.store.data_version = lambda: 0  # type: ignore[method-assign]
    turns: list[int] = []
    turn = bell._turn

    def counted(*args: Any) -> bool:
        turns.append(begun.now)
        return turn(*args)

    bell._turn = counted  # type: ignore[method-assign,assignment]
    return turns


def test_a_run_that_is_replaced_is_asked_to_end_at_once(story: Begin) -> None:
    begun = story(lasting("25m", every("10m"), overlap="replace"))
    asleep(begun)
    begun.until("00:20")
    assert begun.states() == ["cancelled", "going"]


def test_what_an_edit_has_planned_before_it_is_claimed_at_once(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(rate="100/1m")
        def work() -> None: ...

        bell.add_schedule("work", work, cron("0 * * * *", tz="UTC"))

    begun = story(declare)
    begun.bell.edit("work", trigger=cron("30 5 * * *", tz="UTC"), apply_from="2026-11-21T01:00:00Z")
    asleep(begun)
    begun.until("01:00")
    assert begun.states() == ["succeeded"]


def test_what_cannot_be_claimed_ahead_is_looked_at_ahead_once(story: Begin) -> None:
    begun = story(lasting("90s", every("1m"), overlap="skip"))
    turns = asleep(begun)
    begun.until("00:10")
    assert max(Counter(turns).values()) == 1


def test_a_crowd_that_finds_no_slot_ahead_is_looked_at_ahead_once(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> Lasting:
            return Lasting("10m")

        for place in range(3 * CROWD):
            bell.add_schedule(f"schedule {place}", work, cron("0 * * * *", tz="UTC"))

    begun = story(declare, slots={"thread": 10, "process": 1, "async": 1, "command": 1, "http": 1})
    turns = asleep(begun)
    begun.until("01:00")
    assert len(turns) < 10
    begun.until("06:00")


def test_ends_are_written_later_though_what_goes_back_could_not_be_written(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        lasting("5m", cron("0 * * * *", tz="UTC"))(bell)

        @bell.schedule(cron("0 1 * * *", tz="UTC"))
        def other() -> Lasting:
            return Lasting("10m")

    begun = story(declare)
    begun.until("01:00")
    bell, store = begun.node._bell, begun.node.house.store
    held = begun.node.house.desk.held()
    write = store.write

    def away(_work: Any) -> Any:
        raise StoreUnavailable("the server is away")

    begun.clock.advance(300_000_000)
    for lane in begun.node.lanes.values():
        lane.pass_time()
    returned = next(
        claim for claim in held if claim.job == begun.value("SELECT id FROM job WHERE name = 'other'")
    )
    bell.report([Report(returned.run, returned.epoch, None)])  # its executor could not begin it
    store.write = away  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreUnavailable):
        bell._turn_while_there_is_more()
    store.write = write  # type: ignore[method-assign]
    begun.until("01:06")
    assert "succeeded" in begun.states("work")


def test_a_turn_that_was_taken_back_has_its_slots_again(story: Begin) -> None:
    begun = story(lasting("1s", cron("0 * * * *", tz="UTC")), slots={"thread": 1})
    asleep(begun)
    store = begun.node.house.store
    write = store.write

    def twice(work: Callable[[Tx], Any]) -> Any:
        def undone(tx: Tx) -> None:
            work(tx)
            raise TakenBack

        with pytest.raises(TakenBack):
            write(undone)
        return write(work)

    store.write = twice  # type: ignore[method-assign]
    begun.until("01:00")
    store.write = write  # type: ignore[method-assign]
    assert begun.states() == ["going"]

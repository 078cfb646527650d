"""A transaction that is undone leaves nothing behind in memory either: what it has read, told or let go of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, cron, every
from watchbell.core.instants import HOUR
from watchbell.errors import StoreUnavailable
from watchbell.services import clock as service
from watchbell.store.revision import raise_catalog
from watchbell.store.tx import Tx
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class Undoing:
    """A store that lets somebody write `before` in the same transaction, and undoes the first one that `when` is true of."""

    def __init__(self, store: Any, when: Callable[[Tx], bool], before: Callable[[Tx], None]) -> None:
        self._store = store
        self._when = when
        self._before = before
        self.undone = False

    def write(self, work: Callable[[Tx], Any]) -> Any:
        def carried_out(tx: Tx) -> Any:
            if self.undone:
                return work(tx)
            self._before(tx)
            result = work(tx)
            if self._when(tx):
                self.undone = True
                raise StoreUnavailable("The server has ended the transaction; nothing was changed.")
            return result

        return self._store.write(carried_out)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def undo_one(
    begun: Story,
    act: Callable[[], object],
    when: Callable[[Tx], bool] = lambda _tx: True,
    before: Callable[[Tx], None] = lambda _tx: None,
) -> None:
    """Let a node act once, and one of its transactions be undone."""
    house = begun.node.house
    store = Undoing(house.store, when, before)
    house.store = store  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        act()
    house.store = store._store


def test_what_was_read_in_a_transaction_that_was_undone_is_forgotten(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(cron("*/10 * * * *"))
        def train() -> None: ...

    def asks_for_a_label(tx: Tx) -> None:
        tx.run("UPDATE job SET options = ?", (json.dumps({"on": ["gpu"]}),))
        raise_catalog(tx)

    begun = story(declare)
    begun.until("00:05")
    undo_one(begun, begun.node._trouble.step, before=asks_for_a_label)
    begun.node.house.store.write(raise_catalog)
    begun.until("00:11")
    assert begun.states() == ["succeeded"]


def test_a_held_backlog_whose_release_was_undone_is_released_all_the_same(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"))
        def work() -> None: ...

    begun = story(declare)
    begun.until("03:30")
    begun.clock.step(30 * HOUR)
    begun.node.advance("40m")
    assert begun.value("SELECT standing FROM clock_trust") == "holding"
    service.confirm(begun.bell._open(), now=begun.now, actor="anna")
    held = "SELECT 1 FROM span WHERE ending = 'held'"
    assert begun.value(held)
    undo_one(begun, begun.node._trouble.step, when=lambda tx: tx.value(held) is None)
    assert begun.value(held)
    begun.node.advance("1m")
    assert begun.rows(held) == []


def test_what_was_told_in_a_transaction_that_was_undone_is_told_again(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("2h"), grace="5m")
        def work() -> Lasting:
            return Lasting("1m")

    begun = story(declare)
    begun.change(
        "INSERT INTO channel (id, name, kind, options, created_at) VALUES (1, 'ops', 'webhook', '{}', 0)"
    )
    begun.change(
        "INSERT INTO alert_rule (id, scope, events, channel, created_at) VALUES (1, 'workspace', '[\"late\"]', 1, 0)"
    )
    begun.node.set_slots(thread=0)
    begun.until("02:04")
    late = "SELECT event FROM alert"
    begun.clock.advance(120_000_000)
    undo_one(begun, begun.node._watcher.step, when=lambda tx: tx.value(late) is not None)
    assert begun.rows(late) == []
    begun.until("02:08")
    assert begun.rows(late) == [("late",)]
    begun.node.set_slots(thread=1)
    begun.until("02:10")

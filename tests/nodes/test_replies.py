"""A server whose replies are lost is no broken disk: the node goes on as soon as it answers again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.nodes.several import Several
from watchbell import Watchbell, cron
from watchbell.errors import CommitUnknown


class Mumbling:
    """A store whose every commit may or may not have happened, for a while."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.mumbles = True

    def write(self, work: Callable[[Any], Any]) -> Any:
        if self.mumbles:
            raise CommitUnknown("The reply to a commit was lost.")
        return self._store.write(work)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def declare(bell: Watchbell) -> None:
    @bell.schedule(cron("*/10 * * * *"))
    def work() -> None: ...


def test_a_minute_of_lost_replies_ends_no_engine(several: Several) -> None:
    node = several.node(declare, "one")
    several.live(2)
    store = Mumbling(node.house.store)
    node.house.store = store  # type: ignore[assignment]
    for _ in range(20):
        with pytest.raises(CommitUnknown):
            node._trouble.step()
        several.clock.advance(1_000_000)
    assert node._trouble.kind is not None
    store.mumbles = False
    several.live(2)
    assert node._trouble.kind is None
    assert several.seen() == [("00:10", "succeeded", None)]

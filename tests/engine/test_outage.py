"""An outage of the database is said in a few lines by the whole node; whatever else goes wrong is said as it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.store.house import T0
from tests.store.house import House as Ledger
from watchbell.clock import ManualClock
from watchbell.core.instants import SECOND
from watchbell.engine.desk import Slots
from watchbell.engine.handlers import Handlers
from watchbell.engine.hooks import Hooks
from watchbell.engine.house import House
from watchbell.engine.keeper import Keeper
from watchbell.engine.lease_end import LeaseEnd
from watchbell.engine.loop import Loop
from watchbell.engine.notes import Notes
from watchbell.engine.outage import Outage
from watchbell.errors import StoreUnavailable

GONE = "The database bell cannot be reached: Connection refused."


class Ill:
    """Loops of one node, with a database that is away as long as `error` is set."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        log.set_level(logging.INFO, "watchbell.engine")
        self.clock = ManualClock(T0)
        self.outage = Outage(self.clock, "bell")
        self.error: Exception | None = StoreUnavailable(GONE)
        self.loops = [
            Loop(name, self.act, self.clock, self.outage) for name in ("keeper", "peers", "watcher")
        ]
        self._log = log

    def act(self) -> int:
        if self.error is not None:
            raise self.error
        return SECOND

    def live(self, seconds: int) -> None:
        for _ in range(seconds):
            for loop in self.loops:
                loop._turn()
            self.clock.advance(SECOND)

    @property
    def said(self) -> list[str]:
        found = self._log.messages[:]
        self._log.clear()
        return found


@pytest.fixture
def ill(caplog: pytest.LogCaptureFixture) -> Ill:
    return Ill(caplog)


def test_an_outage_is_said_by_one_loop_each_half_minute(ill: Ill) -> None:
    ill.outage.begins()
    ill.live(29)
    assert ill.said == []
    ill.live(32)
    assert ill.said == [f"engine.store_refused: still, after {age}: {GONE}" for age in ("30 s", "1 min")]


def test_a_loop_waits_for_the_engines_own_word_and_says_it_if_that_does_not_come(ill: Ill) -> None:
    ill.live(2)
    assert ill.said == []
    ill.live(20)
    assert ill.said == [f"engine.step_failed: keeper: {GONE.rstrip('.')}; next try in 0.8 s"]


def test_what_was_no_outage_after_all_is_said(ill: Ill) -> None:
    ill.live(1)
    ill.error = None
    ill.live(1)
    assert len(ill.said) == 3


def test_what_was_the_outage_is_not_said_after_it(ill: Ill) -> None:
    ill.live(1)
    ill.outage.begins()
    ill.error = None
    ill.outage.ends()
    ill.live(1)
    assert ill.said == []


def test_an_error_of_another_kind_is_said_each_time_it_comes(ill: Ill) -> None:
    ill.outage.begins()
    ill.error = ValueError("nothing of the database's.")
    ill.live(2)
    said = ill.said
    assert len(said) == 6
    assert said[0] == "engine.step_failed: keeper: nothing of the database's; next try in 0.2 s"


# --- a database that refuses nothing and answers nothing ----------------------------------------------------------------


class Standing:
    """A store that answers a write only when it is let go on."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.stands, self.goes_on = threading.Event(), threading.Event()

    def write(self, work: Callable[[Any], Any]) -> Any:
        self.stands.set()
        assert self.goes_on.wait(60)
        return self._store.write(lambda _tx: [])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def house() -> Iterator[House]:
    ledger = Ledger()
    store: Any = Standing(ledger.store)
    yield House(ManualClock(T0), store, Handlers(), Hooks(), Slots({}), bytes, lambda: 0.5, lambda: None)
    ledger.store.close()


def test_a_database_that_stands_still_is_said_once_before_the_lease_is_over_and_once_that_it_goes_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "watchbell.engine")
    store: Any = house.store
    keeper = Keeper(house, Notes(house.clock, store, lambda: None))
    watch = LeaseEnd(house, keeper.trusted)
    asking = threading.Thread(target=keeper.step)
    asking.start()
    assert store.stands.wait(60)
    clock: Any = house.clock
    for _ in range(11):
        watch.step()
        clock.advance(SECOND // 2)
    assert caplog.messages == []
    for _ in range(4):
        clock.advance(SECOND // 2)
        watch.step()
    name = store.where
    assert caplog.messages == [
        f"engine.store_slow: the database {name} has not answered for 6 s; nothing starts meanwhile"
    ]
    assert keeper.trusted()
    store.goes_on.set()
    asking.join(60)
    watch.step()
    assert caplog.messages[1:] == [f"engine.store_answers: the database {name} answers again, after 7 s"]


def test_a_database_that_is_known_to_be_away_is_not_called_slow_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock(T0)
    outage = Outage(clock, "bell")
    outage.asks()
    outage.begins()
    clock.advance(10 * SECOND)
    outage.look()
    assert caplog.messages == []


def test_a_loop_rests_after_failures_no_longer_than_it_may() -> None:
    """The keeper's: a lease must not run out because it waits to try again."""

    def fails() -> int:
        raise StoreUnavailable("away")

    loop = Loop("keeper", fails, ManualClock(0), longest_us=1_000_000)
    assert [loop._turn() for _ in range(8)] == [200_000, 400_000, 800_000] + [1_000_000] * 5

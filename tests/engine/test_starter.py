"""From the desk to an executor: nothing is lost on the way where the database cannot be read, and nothing is handed over
once the node's trust has run out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.house import T0
from tests.store.house import House as Ledger
from watchbell.clock import ManualClock
from watchbell.engine.desk import Slots
from watchbell.engine.handlers import Handler, Handlers
from watchbell.engine.hooks import Hooks
from watchbell.engine.house import House
from watchbell.engine.starter import Starter
from watchbell.errors import StoreUnavailable
from watchbell.executors.base import Assignment


class Started(list[Assignment]):
    """An executor that is only told what to carry out."""

    def start(self, assignments: list[Assignment]) -> None:
        self += assignments


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    found = Ledger()
    yield found
    found.store.close()


@pytest.fixture
def house(ledger: Ledger) -> House:
    """A node that holds one claim whose instant has come, and has forgotten all it knew of its job."""
    ledger.ask(ledger.job("job"))
    handlers = Handlers()
    handlers.add(Handler("job", "thread", print))
    clock = ManualClock(T0)
    made = House(
        clock, ledger.store, handlers, Hooks(), Slots({"thread": 3}), bytes, lambda: 0.5, lambda: None
    )
    made.executors["thread"] = Started()  # type: ignore[assignment]
    made.desk.take(ledger.claim())
    return made


def test_a_claim_whose_job_cannot_be_read_just_now_is_begun_when_it_can_be(
    house: House, ledger: Ledger
) -> None:
    read, starter = ledger.store.read, Starter(house)

    def gone(_work: object) -> None:
        raise StoreUnavailable("The database cannot be reached.")

    ledger.store.read = gone  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreUnavailable):
        starter.begin(lambda: True)
    ledger.store.read = read  # type: ignore[method-assign]
    assert starter.begin(lambda: True) == ([], [])
    assert [one.job for one in house.executors["thread"]] == ["job"]  # type: ignore[attr-defined]


def test_what_took_so_long_to_read_that_the_lease_is_over_is_not_begun(house: House) -> None:
    assert Starter(house).begin(lambda: False) == ([], [])
    assert house.executors["thread"] == []
    assert house.desk.next_start() is not None

"""A node that cannot renew its lease ends what would be begun again elsewhere, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.store.house import T0
from tests.store.house import House as Ledger
from watchbell.clock import ManualClock
from watchbell.core.claim import Claim
from watchbell.core.outcome import Ending, Outcome
from watchbell.core.policies import OnLost
from watchbell.engine.desk import Slots
from watchbell.engine.handlers import Handlers
from watchbell.engine.hooks import Hooks
from watchbell.engine.house import House
from watchbell.engine.lease_end import LeaseEnd, as_it_is


class Asked(list[tuple[int, int, str, bool]]):
    """An executor that is only told what to end, and has `running`."""

    running: tuple[tuple[int, int], ...] = ()

    def in_progress(self) -> dict[tuple[int, int], int]:
        return dict.fromkeys(self.running, T0)

    def cancel(self, run: int, epoch: int, reason: str, hard: bool = False) -> None:
        self.append((run, epoch, reason, hard))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    found = Ledger()
    yield found
    found.store.close()


def holding(ledger: Ledger, *claims: Claim) -> House:
    made = House(
        ManualClock(T0), ledger.store, Handlers(), Hooks(), Slots({}), bytes, lambda: 0.5, lambda: None
    )
    for lane in ("async", "thread", "process", "command", "http"):
        made.executors[lane] = Asked()  # type: ignore[assignment]
    made.desk.take(claims)
    return made


def claim_in(ledger: Ledger, lane: str, rerun: bool) -> Claim:
    ledger.ask(
        ledger.job(
            f"job {len(ledger.node.held)}", on_lost=OnLost.RERUN if rerun else OnLost.SKIP, may_overlap=rerun
        )
    )
    (claim,) = ledger.claim()
    return replace(claim, lane=lane)


@pytest.mark.parametrize("kind", ["async", "process", "command"])
def test_a_run_that_is_begun_again_when_it_is_lost_is_ended_once_with_its_nodes_trust(
    ledger: Ledger, kind: str
) -> None:
    claim = claim_in(ledger, kind, rerun=True)
    house = holding(ledger, claim)
    watch = LeaseEnd(house, lambda: False)
    watch.step()
    watch.step()
    assert house.executors[kind] == [(claim.run, claim.epoch, "begun", True)]


def test_as_long_as_the_node_is_trusted_everything_goes_on(ledger: Ledger) -> None:
    house = holding(ledger, claim_in(ledger, "async", rerun=True))
    LeaseEnd(house, lambda: True).step()
    assert house.executors["async"] == []


@pytest.mark.parametrize(
    ("kind", "rerun"), [("async", False), ("command", False), ("thread", True), ("http", True)]
)
def test_what_nobody_begins_again_or_nobody_can_end_goes_on(ledger: Ledger, kind: str, rerun: bool) -> None:
    house = holding(ledger, claim_in(ledger, kind, rerun))
    LeaseEnd(house, lambda: False).step()
    assert house.executors[kind] == []


@pytest.mark.parametrize("running", [True, False])
def test_that_a_run_is_ended_is_said_only_of_one_that_has_not_ended_by_itself(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, running: bool
) -> None:
    claim = claim_in(ledger, "async", rerun=True)
    house = holding(ledger, claim)
    if running:
        house.executors["async"].running = ((claim.run, claim.epoch),)  # type: ignore[attr-defined]
    LeaseEnd(house, lambda: False).step()
    said = [f"run.ended_with_lease: run_{claim.run}: this node's lease has run out"]
    assert caplog.messages == (said if running else [])


def test_what_was_ended_so_waits_for_another_attempt_and_is_not_called_cancelled(ledger: Ledger) -> None:
    claim = claim_in(ledger, "async", rerun=True)
    outcome = as_it_is(Outcome(Ending.CANCELLED, T0, T0 + 1, reason="begun"))
    assert outcome.ending is Ending.LOST
    ledger.settle([claim], Ending.LOST, reason=outcome.reason, note=outcome.note)
    assert ledger.states() == ["retrying"]
    assert as_it_is(Outcome(Ending.CANCELLED, T0, T0 + 1, reason="by_request")).ending is Ending.CANCELLED

"""The pytest plugin as its users meet it: in a suite of their own, found by its entry point."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watchbell import Watchbell, cron, every
from watchbell.errors import BadInput, Conflict, NotFound
from watchbell.testing import BellClock, Lasting, ManualClock, StepNode, in_memory
from watchbell.testing.at_hand import AssertEnqueued

pytest_plugins = ["pytester"]


def test_the_clock_of_a_test_stands_still_until_it_is_moved(bell_clock: BellClock) -> None:
    assert bell_clock.now == datetime(2026, 1, 1, tzinfo=UTC)
    bell_clock.advance("90m")
    bell_clock.advance(timedelta(minutes=30))
    assert bell_clock.now == datetime(2026, 1, 1, 2, tzinfo=UTC)
    bell_clock.move_to("2026-03-29 03:30", tz="Europe/Berlin")
    assert bell_clock.now == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    with pytest.raises(BadInput, match="behind the clock of this test"):
        bell_clock.move_to(datetime(2026, 1, 1, tzinfo=UTC))
    assert bell_clock.now == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_what_is_due_while_the_clock_moves_is_carried_out_at_its_instant(
    bell: Watchbell, bell_clock: BellClock, bell_node: StepNode
) -> None:
    seen = []

    @bell.schedule(every("1h"))
    @bell.job
    def look() -> None:
        seen.append(bell_clock.now)

    bell_clock.advance("3h")
    assert seen == [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3)]
    assert [state for _, state, _ in bell_node.occurrences("look")] == ["succeeded"] * 3


def test_a_job_declared_after_the_node_is_carried_out_too(
    bell: Watchbell, bell_clock: BellClock, bell_node: StepNode
) -> None:
    @bell.job
    def late() -> str:
        return "done"

    bell_clock.advance("1s")
    handle = late.enqueue()
    bell_clock.advance("1s")
    assert handle.state() == "succeeded"


def test_without_a_node_time_passes_and_nothing_is_carried_out(
    bell: Watchbell, bell_clock: BellClock
) -> None:
    @bell.job
    def send() -> None:
        raise AssertionError("nobody carries this out")

    handle = send.enqueue()
    bell_clock.advance("1d")
    assert handle.state() == "queued"


def test_a_machine_that_was_down_is_told_by_the_same_clock(
    bell: Watchbell, bell_clock: BellClock, bell_node: StepNode
) -> None:
    @bell.schedule(every("1h"))
    @bell.job
    def look() -> None: ...

    bell_clock.advance("1h")
    bell_node.die()
    bell_clock.advance("5h")
    bell_clock.carry_out_with(StepNode(bell))
    bell_clock.advance("1h")
    states = [state for _, state, _ in bell_node.occurrences("look")]
    assert states[0] == "succeeded"
    assert "coalesced" in states or bell.audit().spans
    assert bell.audit().ok


def test_occurrences_are_those_of_the_rule_whatever_was_carried_out(
    bell: Watchbell, bell_clock: BellClock
) -> None:
    @bell.schedule(cron("30 2 * * 1-5", tz="Europe/Berlin"))
    @bell.job
    def nightly() -> None: ...

    found = bell_clock.occurrences("nightly", between=("2026-03-26", "2026-03-31"))
    assert [one.isoformat() for one in found] == [
        "2026-03-26T02:30:00+01:00",
        "2026-03-27T02:30:00+01:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert bell_clock.occurrences(nightly) == []
    bell_clock.advance("2d")
    assert [one.day for one in bell_clock.occurrences(nightly)] == [1, 2]
    with pytest.raises(NotFound, match="nightl"):
        bell_clock.occurrences("nightl")


def test_more_occurrences_than_a_test_can_want_are_refused(bell: Watchbell, bell_clock: BellClock) -> None:
    bell.add_job("often", 1, lambda: None)
    with pytest.raises(BadInput, match="more than 100,000 times"):
        bell_clock.occurrences("often", between=("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"))


def test_what_was_enqueued_is_asserted_by_job_arguments_and_count(
    bell: Watchbell, assert_enqueued: AssertEnqueued
) -> None:
    @bell.job
    def invoice(customer: str, amount: float = 1.0) -> None: ...

    bell.add_schedule("to bob", invoice, "manual", args={"customer": "bob"})
    assert_enqueued(invoice, count=0)
    invoice.enqueue("alice", 12.5)
    invoice.enqueue_in("1h", "alice", 3.0)
    bell.run_now("to bob")
    assert_enqueued(invoice)
    assert_enqueued("invoice", count=3)
    assert_enqueued(invoice, args={"customer": "alice"}, count=2)
    assert_enqueued(invoice, args={"customer": "alice", "amount": 12.5}, count=1)
    assert_enqueued(invoice, args={"customer": "bob"}, count=1)
    with pytest.raises(AssertionError, match=r"2 runs of invoice.* was 1\.(.|\n)*12\.5(.|\n)*alice"):
        assert_enqueued(invoice, args={"amount": 3.0}, count=2)
    with pytest.raises(AssertionError, match="at least one run of invoice"):
        assert_enqueued(invoice, args={"customer": "carol"})
    with pytest.raises(NotFound, match="no job named 'invoise'"):
        assert_enqueued("invoise")


def test_an_applications_own_watchbell_is_borrowed_and_given_back(bell_clock: BellClock) -> None:
    own = Watchbell("/nowhere/that/exists/shop.db", tz="Europe/Berlin")
    ran = []

    @own.schedule(every("1h"))
    @own.job
    def look() -> Lasting:
        ran.append(1)
        return Lasting("5m")

    system = own._clock
    for _ in range(2):  # the second is as empty as the first
        with in_memory(own, bell_clock) as borrowed:
            assert borrowed is own
            assert own.runs().items == ()
            node = StepNode(own)
            node.advance("61m")
            assert own.runs().items[0].state == "running"
    assert len(ran) == 2
    assert own._clock is system
    assert own._url == "/nowhere/that/exists/shop.db"
    assert own._store is None


def test_what_was_used_before_keeps_its_own_database(bell_clock: BellClock, tmp_path: Path) -> None:
    own = Watchbell(str(tmp_path / "own.db"))
    own.add_job("look", 60, lambda: None)
    own.run_now("look")
    with in_memory(own, bell_clock):
        assert [one.name for one in own.schedules().items] == ["look"]
        assert own.runs().items == ()
        own.pause("look")
    assert len(own.runs().items) == 1
    assert own.schedules().items[0].standing == "on"
    own.stop()


def test_a_watchbell_whose_engine_runs_is_not_borrowed() -> None:
    own = Watchbell("sqlite://").start()
    try:
        with pytest.raises(Conflict, match=r"stop\(\) it"), in_memory(own, ManualClock(0)):
            pass
    finally:
        own.stop()


SUITE = """
import pytest
from watchbell import every
from watchbell.testing import in_memory
import shop

@pytest.fixture
def bell(bell_clock):
    with in_memory(shop.bell, bell_clock) as found:
        yield found

def test_own(bell, bell_clock, bell_node, assert_enqueued):
    bell_clock.advance("2h")
    assert len(bell_node.occurrences("look")) == 2
    assert_enqueued(shop.mail, count=2)
    assert len(bell_clock.occurrences("look")) == 2

def test_again(bell, bell_clock):
    assert bell.runs().items == ()
    assert bell_clock.occurrences("look") == []
"""
SHOP = """
from watchbell import Watchbell, every
bell = Watchbell("no/such/folder/shop.db")

@bell.job
def mail(): ...

@bell.schedule(every("1h"))
@bell.job
def look():
    mail.enqueue()
"""


def test_a_suite_overrides_bell_with_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP, test_shop=SUITE)
    pytester.syspathinsert()
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_entry_point_brings_the_fixtures_into_any_suite(pytester: pytest.Pytester) -> None:
    reply = pytester.runpytest_inprocess("--fixtures", "-p", "no:cacheprovider")
    for name in ("bell", "bell_clock", "bell_node", "assert_enqueued"):
        assert any(line.startswith(f"{name} --") for line in reply.outlines), name


def test_a_suite_that_has_no_use_for_it_does_not_pay_for_the_engine() -> None:
    program = (
        "import sys, watchbell.testing.plugin; print([m for m in sys.modules if m.startswith('watchbell.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert eval(loaded) == ["watchbell._version", "watchbell.testing", "watchbell.testing.plugin"]

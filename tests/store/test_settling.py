"""SETTLE in the store: guarded by state, epoch and node; what follows from an end is in its transaction (PROTOCOL §6)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.house import T0, House
from watchbell.core.instants import DAY, MINUTE, SECOND
from watchbell.core.outcome import Ending, Outcome
from watchbell.core.policies import Overlap, Retry
from watchbell.core.triggers import every
from watchbell.store.claims import hand_back
from watchbell.store.settling import Ended, settle, write_lines


@pytest.fixture
def house() -> House:
    return House(nodes_=2)


def test_a_success_that_has_nothing_to_say_writes_its_two_instants(house: House) -> None:
    house.ask(house.job())
    house.settle(house.claim())
    row = house.rows("SELECT state, began_at, ended_at, result, error, note FROM occurrence")
    assert row == [("succeeded", T0, T0, None, None, None)]
    assert house.rows("SELECT count(*) FROM attempt") == [(0,)]


def test_everything_an_outcome_says_is_kept(house: House) -> None:
    house.ask(house.job())
    said: dict[str, Any] = {
        "result": '{"rows": 3}',
        "exit_code": 0,
        "peak_memory": 4096,
        "cpu_us": 17,
        "note": "Well.",
    }
    house.settle(house.claim(), **said)
    columns = ", ".join(said)
    assert house.rows(f"SELECT {columns} FROM occurrence") == [tuple(said.values())]


def test_a_success_after_a_failure_leaves_nothing_of_the_failure_in_the_row(house: House) -> None:
    house.ask(house.job(retry=Retry(max_attempts=2, delay_us=0)))
    house.settle(house.claim(), Ending.FAILED, error="boom", traceback="…", exit_code=3, reason="begun")
    house.settle(house.claim())
    row = house.rows("SELECT state, reason, error, traceback, exit_code, ready_at FROM occurrence")
    assert row == [("succeeded", None, None, None, None, None)]
    assert house.rows("SELECT number, ending, error FROM attempt") == [
        (1, "failed", "boom"),
        (2, "succeeded", None),
    ]


@pytest.mark.parametrize("wrong", ["node", "epoch"])
def test_an_end_from_anybody_but_the_owner_changes_nothing_and_is_recorded(house: House, wrong: str) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    if wrong == "epoch":
        claim.epoch += 1
    settled = house.settle([claim], node=house.nodes[1] if wrong == "node" else house.node)
    assert (settled.done, len(settled.refused)) == ([], 1)
    assert house.states() == ["claimed"]
    assert house.rows("SELECT action FROM audit_event") == [("report.refused",)]


def test_an_end_after_a_hand_back_is_refused(house: House) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    house.store.write(lambda tx: hand_back(tx, house.node.id, [claim]))
    assert len(house.settle([claim]).refused) == 1
    assert house.states() == ["queued"]


def test_I19_the_same_end_twice_counts_once_and_is_no_claim_of_somebody_else(house: House) -> None:
    house.ask(house.job(limits=(("db", 2),)))
    (claim,) = house.claim()
    first, second = house.settle([claim]), house.settle([claim])
    assert (len(first.done), len(second.done), len(second.refused)) == (1, 0, 0)
    assert house.rows("SELECT action FROM audit_event") == []
    assert house.rows("SELECT active FROM gate") == [(0,)]


@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.FAILED])
def test_the_truth_after_lost_is_kept_once(house: House, ending: Ending) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    house.settle([claim], Ending.LOST, reason="begun")
    assert len(house.settle([claim], Ending.LOST).refused) == 1
    assert len(house.settle([claim], ending).resolved) == 1
    assert len(house.settle([claim], ending).refused) == 1
    text = f"{ending} at 2026-11-21T00:00:00Z"
    assert house.rows("SELECT state, resolved FROM occurrence") == [("lost", text)]


def test_a_retry_keeps_its_gates_and_an_end_gives_them_to_the_next_by_priority(house: House) -> None:
    job = house.job(limits=(("db", 1),), retry=Retry(max_attempts=2, delay_us=MINUTE, jitter=False))
    first = house.ask(job).run
    low, high = house.ask(job, priority=9).run, house.ask(job, priority=1).run
    house.settle(house.claim(), Ending.FAILED)
    assert house.states() == ["retrying", "held", "held"]
    house.now += MINUTE
    settled = house.settle(house.claim(), Ending.FAILED)
    assert settled.admitted == 1
    states = dict(house.rows("SELECT id, state FROM occurrence"))
    assert states == {first: "failed", low: "held", high: "queued"}
    assert house.rows("SELECT active FROM gate") == [(1,)]


def test_the_first_one_held_behind_its_schedule_is_let_in_when_nothing_is_before_it(house: House) -> None:
    house.schedule(overlap=Overlap.QUEUE_ALL)
    house.now += 10 * MINUTE
    house.plan()
    for _ in range(2):
        house.now += 10 * MINUTE
        house.plan()
    assert house.states() == ["claimed", "held", "held"]
    assert house.settle(house.node.held).admitted == 1
    assert house.states() == ["succeeded", "queued", "held"]


def test_one_let_in_by_its_schedule_may_still_be_held_by_a_gate(house: House) -> None:
    job = house.job(limits=(("db", 1),))
    house.schedule(job=job, overlap=Overlap.QUEUE_ONE)
    house.now += 10 * MINUTE
    (claim,) = house.plan().claims
    house.now += 10 * MINUTE
    house.plan()
    other = house.ask(job).run
    assert house.rows("SELECT state, held_by FROM occurrence ORDER BY id")[1:] == [
        ("held", "overlap"),
        ("held", "key:db"),
    ]
    house.settle([claim])
    admitted = house.rows("SELECT state FROM occurrence WHERE state = 'queued'")
    assert len(admitted) == 1
    house.settle(house.claim())
    house.settle(house.claim())
    assert house.states() == ["succeeded"] * 3
    assert other == 3


def test_a_chain_gets_its_next_instant_from_the_end(house: House) -> None:
    house.schedule(trigger=every("10m", after_completion=True))
    house.now += 10 * MINUTE
    house.plan()
    assert house.value("SELECT next_due FROM cursor") is None
    house.now += 7 * MINUTE
    house.settle(house.node.held)
    assert house.value("SELECT next_due FROM cursor") == T0 + 27 * MINUTE


def test_a_business_key_begins_to_expire_with_the_end_of_its_run(house: House) -> None:
    house.ask(house.job(), key="invoice-7")
    assert house.rows("SELECT expires_at FROM business_key") == [(None,)]
    house.settle(house.claim(), Ending.FAILED)
    assert house.rows("SELECT expires_at FROM business_key") == [(T0 + 30 * DAY,)]


def test_whoever_asked_a_run_to_end_is_heard_even_if_only_the_ledger_knows(house: House) -> None:
    house.ask(house.job(retry=Retry(max_attempts=5, delay_us=0)))
    claims = house.claim()
    house.run("UPDATE occurrence SET revoke = 'Cancelled by anna.'")
    house.settle(claims, Ending.FAILED)
    assert house.rows("SELECT state, note FROM occurrence") == [("cancelled", "Cancelled by anna.")]


def test_log_lines_are_written_with_the_end_and_never_twice(house: House) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    line = (1, T0, "log", "info", "hello")
    house.store.write(lambda tx: write_lines(tx, [(claim.run, *line)]))
    ended = Ended(claim, Outcome(Ending.SUCCEEDED, T0, T0), [line, (2, T0, "stdout", "info", "bye")])
    house.store.write(lambda tx: settle(tx, house.node.id, [ended], T0, lambda: 0.5))
    assert house.rows("SELECT seq, text FROM run_log") == [(1, "hello"), (2, "bye")]


def test_a_batch_is_one_transaction_whose_order_does_not_matter(house: House) -> None:
    job = house.job(concurrency=50)
    for _ in range(40):
        house.ask(job)
    claims = house.claim()
    house.now += SECOND
    settled = house.settle(list(reversed(claims)))
    assert len(settled.done) == 40
    assert house.rows("SELECT active FROM gate") == [(0,)]
    house.audit()

"""CLAIM in the store: at most one claim of an attempt, always; only the owner gives it back (PROTOCOL §4)."""

from __future__ import annotations

import pytest

from tests.store.house import T0, House
from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.core.outcome import Ending
from watchbell.core.plan import Capacity
from watchbell.core.policies import Retry
from watchbell.store.claiming import ASKED_SHARE, Claimed, Moment, claim_asked, claim_ready
from watchbell.store.claims import hand_back, mark_running, owned, owned_by_others, revoked
from watchbell.store.runs import enqueue_many, request_cancel
from watchbell.store.tx import Tx


@pytest.fixture
def house() -> House:
    return House(nodes_=2)


def test_a_row_is_claimed_by_one_node_only(house: House) -> None:
    house.ask(house.job())
    first, second = house.claim(house.nodes[0]), house.claim(house.nodes[1])
    assert (len(first), second) == (1, [])
    assert house.rows("SELECT state, node, epoch, attempt FROM occurrence") == [
        ("claimed", house.nodes[0].id, 1, 1)
    ]


def test_rows_are_claimed_by_priority_then_time_then_number(house: House) -> None:
    job = house.job()
    later = house.ask(job, priority=1).run
    house.now += SECOND
    urgent = house.ask(job, priority=0).run
    second = house.ask(job, priority=0).run
    assert [claim.run for claim in house.claim(slots=2)] == [urgent, second]
    assert [claim.run for claim in house.claim(slots=2)] == [later]


def test_what_waits_for_its_time_is_claimed_a_little_ahead_and_begins_at_it(house: House) -> None:
    house.ask(house.job(), at=T0 + MINUTE)
    assert house.claim() == []
    house.now = T0 + MINUTE - 1000
    (claim,) = house.claim(ahead=2000)
    assert claim.start_at == T0 + MINUTE


def test_what_comes_due_competes_by_priority_with_what_is_queued(house: House) -> None:
    job = house.job()
    timed = house.ask(job, at=T0 + MINUTE, priority=0).run
    house.ask(job, priority=5)
    house.now += MINUTE
    assert [claim.run for claim in house.claim(slots=1)] == [timed]


def test_a_retry_keeps_its_wait_to_the_full(house: House) -> None:
    house.ask(house.job(retry=Retry(max_attempts=2, delay_us=MINUTE, jitter=False)))
    house.settle(house.claim(), Ending.FAILED)
    house.now += MINUTE - 1000
    assert house.claim(ahead=5000) == []
    house.now += 1000
    (claim,) = house.claim()
    assert (claim.attempt, claim.epoch) == (2, 2)


def test_the_next_instant_is_told_and_never_one_that_has_passed(house: House) -> None:
    job = house.job()
    house.ask(job, at=T0 + MINUTE)
    house.ask(job, at=T0 + HOUR, priority=2)

    def next_at(lane: str, now: int) -> int | None:
        full = Capacity({lane: 0}, 0)
        return house.store.write(lambda tx: claim_ready(tx, house.node.planner, full, Moment(now))).next_at

    assert next_at("thread", T0) == T0 + MINUTE
    assert next_at("thread", T0 + MINUTE) == T0 + HOUR
    assert next_at("thread", T0 + HOUR) is None
    assert next_at("process", T0) is None


def test_jobs_that_this_node_does_not_know_are_left_for_another(house: House) -> None:
    unknown, known = house.job("unknown"), house.job("known")
    house.ask(unknown)
    house.ask(known)

    def claim(tx: Tx) -> Claimed:
        return claim_ready(tx, house.node.planner, Capacity({"thread": 9}, 9), Moment(house.now), {unknown})

    assert [claim.job for claim in house.store.write(claim).claims] == [known]


def test_a_share_of_the_slots_is_for_what_was_asked_for_by_hand_whatever_else_is_queued(house: House) -> None:
    job = house.job()
    for number in range(3):
        house.schedule(f"due {number}", job=job)
    house.now += HOUR
    house.plan(slots=0)
    asked = [house.ask(job).run for _ in range(3)]

    def claim(tx: Tx) -> Claimed:
        free = Capacity({"thread": 2 * ASKED_SHARE + 1}, 9)
        return claim_asked(tx, house.node.planner, free, Moment(house.now))

    assert [claim.run for claim in house.store.write(claim).claims] == asked[:2]
    few = Capacity({"thread": ASKED_SHARE - 1}, 9)
    assert (
        house.store.write(lambda tx: claim_asked(tx, house.node.planner, few, Moment(house.now))).claims == []
    )


def test_a_hand_back_gives_the_attempt_back_and_the_next_claim_has_another_epoch(house: House) -> None:
    house.ask(house.job(limits=(("db", 1),)))
    (claim,) = house.claim()
    assert house.store.write(lambda tx: hand_back(tx, house.node.id, [claim])) == [claim.run]
    assert house.rows("SELECT state, node, attempt, token_hash FROM occurrence") == [
        ("queued", None, 0, None)
    ]
    assert house.rows("SELECT active FROM gate") == [(1,)]
    (again,) = house.claim(house.nodes[1])
    assert (again.epoch, again.attempt) == (2, 1)


def test_a_hand_back_of_a_later_attempt_leaves_a_run_that_has_begun(house: House) -> None:
    """It waits for its attempt, and is no waiting row that a newer occurrence of its schedule may stand for."""
    house.ask(house.job(limits=(("db", 1),)))
    (claim,) = house.claim()
    house.store.write(
        lambda tx: tx.run("UPDATE occurrence SET state = 'retrying', ready_at = ?, node = NULL", (T0,))
    )
    (second,) = house.claim()
    assert (second.epoch, second.attempt) == (2, 2)
    assert house.store.write(lambda tx: hand_back(tx, house.node.id, [second])) == [claim.run]
    assert house.rows("SELECT state, node, attempt, token_hash FROM occurrence") == [
        ("retrying", None, 1, None)
    ]
    assert house.rows("SELECT active FROM gate") == [(1,)]
    (third,) = house.claim(house.nodes[1])
    assert (third.epoch, third.attempt) == (3, 2)


@pytest.mark.parametrize("thief", ["another node", "an older epoch", "after it has begun"])
def test_nobody_but_the_owner_gives_a_claim_back_and_only_before_it_has_begun(
    house: House, thief: str
) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    node = house.nodes[1 if thief == "another node" else 0].id
    if thief == "an older epoch":
        claim.epoch -= 1
    if thief == "after it has begun":
        house.store.write(lambda tx: mark_running(tx, node, [(claim.run, 1, T0, 77, 5)]))
    assert house.store.write(lambda tx: hand_back(tx, node, [claim])) == []
    assert house.states() == ["running" if thief == "after it has begun" else "claimed"]


def test_begun_for_certain_is_written_once_with_its_process(house: House) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    house.store.write(lambda tx: mark_running(tx, house.node.id, [(claim.run, 1, T0, 77, 5)]))
    house.store.write(lambda tx: mark_running(tx, house.node.id, [(claim.run, 1, T0, 78, 5)]))
    assert house.rows("SELECT state, began_at, pid FROM occurrence") == [("running", T0, 77)]
    assert house.store.read(lambda tx: owned(tx, house.node.id)) == [(claim.run, 1, "running")]
    others = house.store.read(lambda tx: owned_by_others(tx, house.nodes[1].planner))
    assert [(node, item.run, certain) for node, item, certain in others] == [(house.node.id, claim.run, True)]


def test_a_request_to_end_is_seen_by_the_owner_alone(house: House) -> None:
    house.ask(house.job())
    (claim,) = house.claim()
    said = house.store.write(lambda tx: request_cancel(tx, claim.run, "Cancelled by anna.", house.doer))
    assert said == "asked"
    assert house.store.read(lambda tx: revoked(tx, house.node.id)) == [(claim.run, 1, "Cancelled by anna.")]
    assert house.store.read(lambda tx: revoked(tx, house.nodes[1].id)) == []
    assert house.states() == ["claimed"]


def test_a_row_with_gates_that_comes_due_takes_its_places_or_is_held(house: House) -> None:
    job = house.job(limits=(("a", 1), ("b", 2)))
    runs = house.store.write(
        lambda tx: enqueue_many(tx, house.catalog.job(tx, job), [("{}", T0 + MINUTE)] * 3, house.doer)
    )
    house.now += MINUTE
    assert [claim.run for claim in house.claim()] == runs[:1]
    assert house.rows("SELECT state, held_by FROM occurrence ORDER BY id") == [
        ("claimed", None),
        ("held", "key:a"),
        ("held", "key:a"),
    ]
    assert house.rows("SELECT key, active FROM gate") == [("key:a", 1), ("key:b", 1)]
    house.settle(house.node.held)
    assert [claim.run for claim in house.claim()] == runs[1:2]


def test_a_version_that_cannot_be_read_any_more_takes_nobodys_slot_or_gate(house: House) -> None:
    job = house.job(limits=(("db", 1),))
    house.schedule("bad", job=job)
    house.now += 10 * MINUTE
    house.plan(slots=0)
    good = house.ask(job).run
    assert house.states() == ["queued", "held"]
    house.run("UPDATE schedule_version SET policies = '{'")
    house.node.planner.catalog._definitions.clear()
    house.claim(slots=1)
    assert house.rows("SELECT state, reason FROM occurrence ORDER BY id") == [
        ("skipped", "set_aside"),
        ("queued", None),
    ]
    assert [claim.run for claim in house.claim(slots=1)] == [good]
    assert house.rows("SELECT active FROM gate") == [(1,)]

"""Gates: limits that several schedules share; the counter is what the ledger says, always (PROTOCOL §5)."""

from __future__ import annotations

import pytest

from tests.store.house import House
from watchbell.core.instants import MINUTE
from watchbell.store import gates
from watchbell.store.claims import owned_by_others
from watchbell.store.runs import request_cancel


@pytest.fixture
def house() -> House:
    house = House()
    house.store.write(lambda tx: gates.declare(tx, [("a", 2), ("b", 1)]))
    return house


def test_a_gate_has_room_up_to_its_limit_and_an_unknown_one_has_none(house: House) -> None:
    assert house.store.read(lambda tx: gates.room(tx, ["b", "a", "zzz"])) == {"a": 2, "b": 1, "zzz": 0}
    house.store.write(lambda tx: gates.change(tx, {"a": 2, "b": 1}))
    assert house.store.read(lambda tx: gates.room(tx, ["a", "b"])) == {"a": 0, "b": 0}


def test_passing_by_more_than_the_limit_is_a_bug_and_raises(house: House) -> None:
    with pytest.raises(AssertionError, match="gate a was passed by more than its limit"):
        house.store.write(lambda tx: gates.change(tx, {"b": 1, "a": 3}))
    assert house.store.read(lambda tx: gates.room(tx, ["a", "b"])) == {"a": 2, "b": 1}


def test_a_lowered_limit_lets_what_is_active_end_and_a_raised_one_lets_more_in(house: House) -> None:
    house.store.write(lambda tx: gates.change(tx, {"a": 2}))
    house.store.write(lambda tx: gates.declare(tx, [("a", 1)]))
    assert house.store.read(lambda tx: gates.room(tx, ["a"])) == {"a": 0}
    house.store.write(lambda tx: gates.change(tx, {"a": -1}))
    assert house.store.read(lambda tx: gates.room(tx, ["a"])) == {"a": 0}
    house.store.write(lambda tx: gates.declare(tx, [("a", 5)]))
    assert house.store.read(lambda tx: gates.room(tx, ["a"])) == {"a": 4}


def test_recount_says_what_was_wrong_and_sets_it_right() -> None:
    house = House()
    job = house.job(limits=(("db", 3),))
    for _ in range(2):
        house.ask(job)
    house.run("UPDATE gate SET active = 3")
    assert house.store.write(gates.recount) == [("key:db", 3, 2)]
    assert house.store.write(gates.recount) == []
    assert house.rows("SELECT active FROM gate") == [(2,)]


def test_one_that_passes_two_gates_is_relabelled_and_never_forgotten() -> None:
    house = House()
    both, only_a, only_b = (
        house.job("both", limits=(("a", 1), ("b", 1))),
        house.job("only a", limits=(("a", 1),)),
        house.job("only b", limits=(("b", 1),)),
    )
    house.ask(only_a)
    house.ask(only_b)
    waiting = house.ask(both).run
    first, second = house.claim()
    assert house.value("SELECT held_by FROM occurrence WHERE id = ?", waiting) == "key:a"
    house.settle([first])
    assert house.value("SELECT held_by FROM occurrence WHERE id = ?", waiting) == "key:b"
    house.settle([second])
    assert house.value("SELECT state FROM occurrence WHERE id = ?", waiting) == "queued"
    assert house.rows("SELECT active FROM gate") == [(1,), (1,)]


# --- what is stored in a row and cannot be read -----------------------------------------------------------------------

STRANGE = ["{", "5", "[1]", '{"key:db": 1}', "[" * 100_000, "null"]


def ends(house: House) -> list[tuple[str, str | None]]:
    return [(row[0], row[1]) for row in house.rows("SELECT state, reason FROM occurrence ORDER BY id")]


def spoil(house: House, run: int, stored: str) -> None:
    house.run("UPDATE occurrence SET gates = ? WHERE id = ?", stored, run)


@pytest.mark.parametrize("stored", STRANGE)
def test_a_row_whose_gates_cannot_be_read_is_set_aside_by_name_and_the_others_go_on(
    stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    house = House()
    job = house.job(limits=(("db", 3),))
    strange, sound = house.ask(job).run, house.ask(job).run
    spoil(house, strange, stored)
    assert house.store.write(gates.recount) == [("key:db", 2, 1)]
    assert [claim.run for claim in house.claim()] == [sound]
    assert ends(house) == [("skipped", "set_aside"), ("claimed", None)]
    assert [one.getMessage().split(":")[:2] for one in caplog.records] == [
        ["occurrence.set_aside", f" run_{strange}"]
    ]
    house.settle(house.node.held)
    house.audit()


def test_one_that_waits_behind_a_gate_is_set_aside_when_its_turn_comes() -> None:
    house = House()
    job = house.job(limits=(("db", 1),))
    first, strange, sound = (house.ask(job).run for _ in range(3))
    (claim,) = house.claim()
    assert claim.run == first
    spoil(house, strange, "{")
    house.settle([claim])
    (claim,) = house.claim()
    assert claim.run == sound
    assert ends(house)[1] == ("skipped", "set_aside")
    house.settle([claim])
    house.audit()


def test_one_that_is_behind_another_of_its_schedule_or_is_to_be_cancelled_is_in_nobodys_way() -> None:
    house = House()
    house.schedule(job=house.job(limits=(("db", 5),)), overlap="queue_all")
    for _ in range(3):
        house.now += 10 * MINUTE
        house.plan()
    (second, third) = [
        row[0] for row in house.rows("SELECT id FROM occurrence WHERE state = 'held' ORDER BY id")
    ]
    spoil(house, second, "{")
    spoil(house, third, "{")
    assert house.store.write(lambda tx: request_cancel(tx, third, "anna", house.doer)) == "cancelled"
    house.settle(house.node.held)
    assert house.claim() == []
    assert [state for state, _ in ends(house)] == ["succeeded", "skipped", "cancelled"]
    house.audit()


def test_what_another_node_has_claimed_can_be_settled_without_its_gates() -> None:
    house = House(nodes_=2)
    house.ask(house.job(limits=(("db", 1),)))
    (claim,) = house.claim()
    spoil(house, claim.run, "{")
    planner = house.nodes[1].planner
    ((node, found, _),) = house.store.read(lambda tx: owned_by_others(tx, planner))
    assert (node, found.run, found.gates) == (house.nodes[0].id, claim.run, ())
    assert house.store.write(gates.recount) == [("key:db", 1, 0)]

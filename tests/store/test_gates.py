"""Gates: limits that several schedules share; the counter is what the ledger says, always (PROTOCOL §5)."""

from __future__ import annotations

import pytest

from tests.store.house import House
from watchbell.store import gates


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

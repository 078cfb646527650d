"""Sources in the store: reconciled by key in one transaction, whole or not at all (S0.1, S0.7)."""

from __future__ import annotations

import pytest

from tests.engine.test_declare import Statements
from tests.store.house import House
from watchbell.core.triggers import every
from watchbell.store.schedules.put import ScheduleSpec
from watchbell.store.schedules.sources import Reconciled, note_failure, note_success, reconcile
from watchbell.store.tx import Tx

Given = list[tuple[str, ScheduleSpec | str, int]]


@pytest.fixture
def house() -> House:
    return House()


def wish(house: House, key: str, minutes: int = 10, **more: object) -> tuple[str, ScheduleSpec, int]:
    job = house.job()
    name = str(more.pop("name", f"web:{key}"))
    return key, ScheduleSpec(name, job, every(60 * minutes), **more), job  # type: ignore[arg-type]


def read(house: House, given: Given, source: str = "web") -> Reconciled:
    return house.store.write(lambda tx: reconcile(tx, house.catalog, source, given, house.doer))


def counts(found: Reconciled) -> tuple[int, int, int, int]:
    return (found.added, found.changed, found.ended, found.unchanged)


def test_added_changed_ended_unchanged(house: House) -> None:
    assert counts(read(house, [wish(house, key) for key in "abc"])) == (3, 0, 0, 0)
    assert counts(read(house, [wish(house, "a"), wish(house, "b", 5), wish(house, "d")])) == (1, 1, 1, 1)
    assert house.rows("SELECT source_key FROM schedule WHERE ended_at IS NULL ORDER BY 1") == [
        ("a",),
        ("b",),
        ("d",),
    ]


def test_a_reading_that_fails_half_way_changes_nothing(house: House) -> None:
    read(house, [wish(house, "a")])

    def work(tx: Tx) -> None:
        reconcile(tx, house.catalog, "web", [wish_b], house.doer)
        raise OSError("the table went away")

    wish_b = wish(house, "b")
    with pytest.raises(OSError, match="went away"):
        house.store.write(work)
    assert house.rows("SELECT source_key FROM schedule WHERE ended_at IS NULL") == [("a",)]


def test_two_sources_do_not_touch_each_other_and_none_touches_what_code_declares(house: House) -> None:
    house.schedule("by code")
    read(house, [wish(house, "a")])
    read(house, [wish(house, "a", name="mail:a")], "mail")
    assert counts(read(house, [], "mail")) == (0, 0, 1, 0)
    assert house.rows("SELECT name FROM schedule WHERE ended_at IS NULL ORDER BY 1") == [
        ("by code",),
        ("web:a",),
    ]


def test_a_name_that_code_has_declared_is_refused_and_kept_apart(house: House) -> None:
    house.schedule("nightly", every("1h"))
    found = read(house, [wish(house, "a", name="nightly")])
    assert found.errors == {"a": "There is another schedule named 'nightly'; give it another name=."}
    assert house.rows("SELECT name, standing, source FROM schedule ORDER BY id") == [
        ("nightly", "on", None),
        ("web:a", "set_aside", "web"),
    ]
    assert counts(read(house, [wish(house, "a", name="daily")])) == (0, 1, 0, 0)
    assert house.rows("SELECT name, standing FROM schedule ORDER BY id") == [
        ("nightly", "on"),
        ("daily", "on"),
    ]


def test_what_is_set_aside_keeps_its_rule_its_anchor_and_its_tags(house: House) -> None:
    read(house, [wish(house, "a", tags=("x",))])
    before = house.rows("SELECT trigger FROM schedule_version")
    house.now += 60_000_000
    found = read(house, [("a", "no such zone", house.job())])
    assert (found.changed, found.errors) == (1, {"a": "no such zone"})
    assert counts(read(house, [("a", "no such zone", house.job())])) == (0, 0, 0, 1)
    read(house, [wish(house, "a", tags=("x",))])
    assert set(house.rows("SELECT trigger FROM schedule_version")) == set(before)
    assert house.rows("SELECT standing, tags FROM schedule") == [("on", '["x"]')]


def test_an_older_process_that_reads_its_source_once_more_is_no_error(house: House) -> None:
    read(house, [wish(house, "a", 10, app="shop", revision=7)])
    assert counts(read(house, [wish(house, "a", 20, app="shop", revision=6)])) == (0, 0, 0, 1)


def test_errors_in_a_row_are_counted_and_forgotten_by_a_success(house: House) -> None:
    def fail(tx: Tx) -> int:
        return note_failure(tx, "web", 60, 5, "gone", house.now)

    assert [house.store.write(fail) for _ in range(3)] == [1, 2, 3]
    assert house.store.write(lambda tx: note_success(tx, "web", 60, 5, Reconciled(added=2), house.now)) == 3
    assert house.rows("SELECT errors, last_error FROM source") == [(0, None)]
    assert house.store.write(fail) == 1


def test_a_new_row_that_cannot_be_scheduled_and_bears_a_name_of_its_source_takes_nothing(
    house: House,
) -> None:
    read(house, [wish(house, "a", name="web:b")])
    found = read(house, [("b", "it cannot be read", house.job()), wish(house, "a", name="web:b")])
    assert found.errors == {"b": "it cannot be read"}
    assert house.rows("SELECT name, source_key, set_aside, version FROM schedule") == [
        ("web:b", "a", None, 1)
    ]


def test_a_name_is_taken_by_the_row_that_is_renamed_to_it_and_refused_to_a_new_one(house: House) -> None:
    read(house, [wish(house, "a", name="one")])
    found = read(house, [wish(house, "a", name="two"), wish(house, "b", name="two")])
    assert list(found.errors) == ["b"]
    assert house.rows("SELECT name, source_key, standing FROM schedule ORDER BY id") == [
        ("two", "a", "on"),
        ("web:b", "b", "set_aside"),
    ]


def test_two_new_rows_of_which_one_bears_the_name_that_is_left_to_the_other(house: House) -> None:
    found = read(house, [wish(house, "a", name="web:b"), ("b", "it cannot be read", house.job())])
    assert found.errors == {"b": "it cannot be read"}
    assert house.rows("SELECT name, source_key FROM schedule") == [("web:b", "a")]


def test_a_second_reading_asks_as_much_for_many_as_for_few(house: House) -> None:
    asked = []
    for number in (3, 300):
        rows = [wish(house, f"{number}-{place}") for place in range(number)]
        source = f"of {number}"
        read(house, rows, source)
        with Statements() as statements:
            assert counts(read(house, rows, source)) == (0, 0, 0, number)
        asked.append(len(statements))
    assert asked[0] == asked[1]

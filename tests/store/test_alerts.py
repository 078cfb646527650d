"""The outbox is written with what it tells of: streaks over batches, once per transition, crowds, lost and resolved runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests import databases
from watchbell.core.alert import BAD, EVENTS, Happening, sentence
from watchbell.store import alerts
from watchbell.store.base import Store
from watchbell.store.open import open_store
from watchbell.store.tx import Row, Tx


@pytest.fixture
def store() -> Iterator[Store]:
    opened = databases.opened(0)
    yield opened
    opened.close()


def add_rule(store: Store, events: tuple[str, ...] = EVENTS, streak: int = 1, **more: Any) -> int:
    """A rule on the whole workspace, or on `scope` and `target`."""

    def work(tx: Tx) -> int:
        rule = tx.next_id("alert_rule")
        tx.run(
            "INSERT INTO alert_rule (id, workspace, scope, target, events, streak, channel, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (
                rule,
                more.get("workspace", 1),
                more.get("scope", "workspace"),
                more.get("target", ""),
                json.dumps(events),
                streak,
                more.get("channel", 1),
            ),
        )
        return rule

    return store.write(work)


def observe(store: Store, happened: list[Happening], now: int = 1) -> int:
    return store.write(lambda tx: alerts.observe(tx, happened, now))


def rows(store: Store, sql: str = "SELECT rule, event, subject, run FROM alert ORDER BY id") -> list[Row]:
    return store.read(lambda tx: tx.rows(sql))


def events(store: Store) -> list[str]:
    return [row[1] for row in rows(store)]


def ended(*names: str, subject: str = "backup", first: int = 1) -> list[Happening]:
    """These endings of a subject, one run after the other."""
    return [Happening(name, 1, subject, run=first + n, due_at=first + n) for n, name in enumerate(names)]


def test_S0_12_an_alert_has_all_that_its_delivery_needs(store: Store) -> None:
    rule = add_rule(store, channel=7)
    failed = Happening("failed", 1, "backup", ("db",), 12, 0, detail="exit code 2")
    assert observe(store, [failed], 99) == 1
    columns = "rule, channel, event, subject, run, text, raised_at, state, tries, next_at, ended_at"
    assert rows(store, f"SELECT {columns} FROM alert") == [
        (rule, 7, "failed", "backup", 12, sentence("failed", failed), 99, "pending", 0, 99, None)
    ]


def test_a_streak_counts_over_batches(store: Store) -> None:
    add_rule(store, streak=3)
    assert [observe(store, ended("failed", first=n), n) for n in range(1, 6)] == [0, 0, 1, 0, 0]
    assert rows(store, "SELECT streak, firing, since FROM alert_state") == [(5, 1, 3)]
    assert observe(store, ended("succeeded", first=6), 6) == 1
    assert rows(store, "SELECT streak, firing, since FROM alert_state") == [(0, 0, 6)]
    assert events(store) == ["failed", "recovered"]


def test_a_batch_that_fails_recovers_and_fails_tells_of_all_three(store: Store) -> None:
    add_rule(store)
    assert observe(store, ended("failed", "failed", "succeeded", "lost"), 5) == 3
    assert [(row[1], row[3]) for row in rows(store)] == [("failed", 1), ("recovered", 3), ("lost", 4)]


def test_since_is_the_newest_turn_even_within_one_batch(store: Store) -> None:
    add_rule(store)
    observe(store, ended("failed"), 5)
    observe(store, ended("succeeded", "failed", first=2), 9)
    assert rows(store, "SELECT streak, firing, since FROM alert_state") == [(1, 1, 9)]


def test_a_backlog_is_one_alert(store: Store) -> None:
    add_rule(store)
    backlog = Happening("missed", 1, "sync", due_at=60, count=4320, detail="downtime")
    assert observe(store, [backlog]) == 1
    assert observe(store, [replace(backlog, due_at=120)], 2) == 0
    assert "4320 times" in rows(store, "SELECT text FROM alert")[0][0]


def test_a_success_with_nothing_wrong_writes_nothing(store: Store) -> None:
    add_rule(store)
    assert observe(store, ended("succeeded", "cancelled", "skipped")) == 0
    assert rows(store, "SELECT * FROM alert_state") == []


def test_a_rule_that_is_added_while_it_fails_tells_of_the_next_failure(store: Store) -> None:
    add_rule(store)
    observe(store, ended("failed"), 1)
    late = add_rule(store, ("failed", "recovered"), 2)
    observe(store, ended("failed", first=2), 2)
    assert late not in {row[0] for row in rows(store)}
    observe(store, ended("failed", first=3), 3)
    assert [row[0] for row in rows(store)] == [1, late]


def test_a_rule_that_is_added_while_it_fails_does_not_tell_of_the_recovery(store: Store) -> None:
    add_rule(store, ("failed",))
    observe(store, ended("failed"), 1)
    late = add_rule(store)
    observe(store, ended("succeeded", first=2), 2)
    assert late not in {row[0] for row in rows(store)}


def test_a_removed_rule_tells_nothing_more_and_what_it_has_told_stays(store: Store) -> None:
    rule = add_rule(store)
    observe(store, ended("failed"), 1)
    assert store.read(alerts.wanted)
    store.write(lambda tx: tx.run("UPDATE alert_rule SET ended_at = 2 WHERE id = ?", (rule,)))
    assert not store.read(alerts.wanted)
    assert observe(store, ended("succeeded", "failed", first=2), 3) == 0
    assert rows(store, "SELECT state FROM alert") == [("pending",)]


def test_rules_and_subjects_do_not_disturb_each_other(store: Store) -> None:
    everything = add_rule(store)
    one = add_rule(store, scope="schedule", target="sync", streak=2)
    tagged = add_rule(store, scope="tag", target="db")
    add_rule(store, workspace=2)
    happened = [
        *ended("failed", subject="backup", first=1),
        *ended("failed", "failed", subject="sync", first=10),
        Happening("lost", 1, "dump", ("db", "nightly"), 20),
    ]
    observe(store, happened)
    assert sorted((row[0], row[2], row[3]) for row in rows(store)) == [
        (everything, "backup", 1),
        (everything, "dump", 20),
        (everything, "sync", 10),
        (one, "sync", 11),
        (tagged, "dump", 20),
    ]


@pytest.mark.parametrize("event", ["late", "running_long"])
def test_what_is_about_one_run_is_told_once_for_it_however_often_it_is_seen(store: Store, event: str) -> None:
    add_rule(store)
    seen = ended(event, event)
    assert [observe(store, seen, now) for now in (1, 2, 3)] == [2, 0, 0]
    assert rows(store, "SELECT * FROM alert_state") == []


def test_what_has_neither_run_nor_instant_is_still_told_each_time_it_turns(store: Store) -> None:
    add_rule(store)
    for now, event in enumerate(("failed", "succeeded", "failed", "late", "late")):
        observe(store, [Happening(event, 1, "source websites")], now)
    assert events(store) == ["failed", "recovered", "failed", "late", "late"]


def test_a_subject_that_names_itself_like_a_key_is_told_of_all_the_same(store: Store) -> None:
    add_rule(store)
    observe(store, [Happening("late", 1, "a", run=5), Happening("late", 1, "a:late:5", run=7)])
    observe(store, [Happening("failed", 1, "a:failed:5", run=7), Happening("failed", 1, "a", run=5)])
    assert len(rows(store)) == 4


def test_many_at_once_are_one_alert_and_every_standing_is_kept(store: Store) -> None:
    add_rule(store)
    many = [Happening("lost", 1, f"job {n:03}", run=n) for n in range(1, 101)]
    assert observe(store, many, 1) == 1
    ((_, _, subject, run),) = rows(store)
    assert (subject, run) == ("job 001 and 99 more", None)
    text = rows(store, "SELECT text FROM alert")[0][0].splitlines()
    assert (text[0], text[1], text[20], text[21]) == (
        "100 at once:",
        "job 001 was lost.",
        "job 020 was lost.",
        "… and 80 more.",
    )
    assert observe(store, many, 2) == 0
    fine = [replace(one, event="succeeded", run=500 + (one.run or 0)) for one in many]
    assert observe(store, fine, 3) == 1
    assert events(store) == ["lost", "recovered"]


def test_up_to_ten_at_once_are_told_one_by_one(store: Store) -> None:
    add_rule(store)
    many = [Happening("failed", 1, f"job {n}", run=n) for n in range(alerts.CROWD)]
    assert observe(store, many) == alerts.CROWD


def test_the_truth_about_a_lost_run_closes_the_alert_that_its_loss_raised(store: Store) -> None:
    add_rule(store)
    lost = ended("lost")
    observe(store, lost, 1)
    assert store.write(lambda tx: alerts.resolve(tx, lost, 2)) == 1
    assert store.write(lambda tx: alerts.resolve(tx, lost, 3)) == 0
    assert events(store) == ["lost", "recovered"]
    assert rows(store, "SELECT streak, firing, since FROM alert_state") == [(0, 0, 2)]
    assert observe(store, ended("failed", first=2), 4) == 1


def test_the_truth_about_a_lost_run_excuses_no_other_failure(store: Store) -> None:
    add_rule(store)
    observe(store, ended("lost", "failed"), 1)
    assert store.write(lambda tx: alerts.resolve(tx, ended("lost"), 2)) == 0
    observe(store, ended("succeeded", "failed", first=3), 3)
    assert store.write(lambda tx: alerts.resolve(tx, ended("lost"), 4)) == 0
    assert rows(store, "SELECT streak, firing FROM alert_state") == [(1, 1)]


def test_a_subject_that_was_deleted_while_it_failed_starts_afresh(store: Store) -> None:
    add_rule(store)
    observe(store, ended("failed"), 1)
    store.write(lambda tx: alerts.forget(tx, "backup"))
    assert observe(store, ended("failed", first=2), 2) == 1


def test_what_is_rolled_back_was_never_told(store: Store) -> None:
    add_rule(store)

    def torn(tx: Tx) -> None:
        alerts.observe(tx, ended("failed"), 1)
        raise RuntimeError("the transaction fails after it")

    with pytest.raises(RuntimeError):
        store.write(torn)
    assert rows(store) == []
    assert observe(store, ended("failed"), 2) == 1


STORY = st.lists(
    st.tuples(st.sampled_from(("a", "b")), st.sampled_from((*BAD, "succeeded", "succeeded", "cancelled")), st.integers(1, 3)),
    max_size=25,
)  # fmt: skip


@databases.holds_for(
    STORY,
    st.lists(st.integers(1, 6), min_size=25, max_size=25),
    st.integers(1, 4),
    sqlite=100,
    postgresql=5,
)
def test_how_endings_fall_into_batches_changes_nothing(
    story: list[tuple[str, str, int]], cuts: list[int], streak: int
) -> None:
    happened = [
        Happening(event, 1, subject, run=run, count=count)
        for run, (subject, event, count) in enumerate(story)
    ]
    # A row of zeros and no row are the same standing.
    standing = "SELECT rule, subject, streak, firing FROM alert_state WHERE streak > 0 OR firing = 1"
    found = []
    for batches in (happened[n : n + 1] for n in range(len(happened))), _cut(happened, cuts):
        store = databases.opened(0)
        add_rule(store, streak=streak)
        add_rule(store, ("failed",), scope="schedule", target="b")
        for now, batch in enumerate(batches):
            observe(store, batch, now)
        found.append((sorted(rows(store)), sorted(rows(store, standing))))
        store.close()
    assert found[0] == found[1]


def _cut(happened: list[Happening], sizes: list[int]) -> Iterator[list[Happening]]:
    at = 0
    for size in sizes:
        yield happened[at : at + size]
        at += size


def test_a_standing_outlives_the_process(tmp_path: Path) -> None:
    url = databases.at(tmp_path / "bell.db")
    store = open_store(url, 0)
    add_rule(store, streak=2)
    observe(store, ended("failed"), 1)
    store.close()
    store = open_store(url, 0)
    assert observe(store, ended("failed", first=2), 2) == 1
    store.close()

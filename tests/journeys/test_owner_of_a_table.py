"""The journey of somebody whose own table says what is to be run: the schedules follow it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.people import wait_for
from watchbell import Declared, Watchbell

pytestmark = [pytest.mark.journey]


class Websites:
    """Their table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("CREATE TABLE website (id INTEGER PRIMARY KEY, url TEXT, every_s INTEGER, active INTEGER)")
        for number, url in enumerate(("one", "two", "three"), 1):
            self.run("INSERT INTO website VALUES (?, ?, 3600, 1)", number, url)

    def run(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.path) as db:
            rows = db.execute(sql, values).fetchall()
        db.close()
        return rows


@pytest.fixture
def table(tmp_path: Path) -> Websites:
    return Websites(tmp_path / "websites.db")


@pytest.fixture
def bell(tmp_path: Path, table: Websites) -> Iterator[Watchbell]:
    bell = Watchbell(str(tmp_path / "watchbell.db"))

    @bell.job
    def check(url: str) -> str:
        return f"checked {url}"

    @bell.source(
        "websites", every="1h"
    )  # so that whatever follows a change within this test is reload()'s doing
    def websites() -> Iterator[Declared]:
        for number, url, period in table.run("SELECT id, url, every_s FROM website WHERE active"):
            yield Declared(
                key=str(number),
                job=check,
                trigger=f"every {period}s",
                args={"url": url},
                tags=("website",),
            )

    bell.start()
    yield bell
    bell.stop()


def followed(bell: Watchbell, fact: Callable[[], bool]) -> None:
    """What a change asks for is so within a second of `reload()`."""
    began = time.monotonic()
    bell.reload()
    while not fact():
        assert time.monotonic() - began < 1, "the schedules did not follow within a second"
        threading.Event().wait(0.02)


def names(bell: Watchbell) -> list[str]:
    return [one.name for one in bell.schedules().items]


def test_three_active_rows_are_three_schedules(bell: Watchbell) -> None:
    wait_for(lambda: bell.status().scheduled == 3, "three schedules")
    status = bell.status()
    assert (status.active_jobs, status.scheduled_websites, status.thread_alive) == (3, 3, True)
    assert status.next_run is not None
    assert names(bell) == ["websites:1", "websites:2", "websites:3"]


def test_insert_change_and_delete_are_followed_within_a_second_of_reload(
    bell: Watchbell, table: Websites
) -> None:
    wait_for(lambda: bell.status().scheduled == 3, "three schedules")

    table.run("INSERT INTO website VALUES (4, 'four', 3600, 1)")
    followed(bell, lambda: bell.status().scheduled == 4)

    table.run("UPDATE website SET every_s = 1 WHERE id = 2")
    followed(bell, lambda: bell.schedules().items[1].rule.startswith("every 1 s"))
    wait_for(lambda: bell.runs(schedule="websites:2", states=("succeeded",)).items, "a run at the new period")

    table.run("DELETE FROM website WHERE id = 1")
    followed(bell, lambda: names(bell) == ["websites:2", "websites:3", "websites:4"])

    table.run("UPDATE website SET active = 0 WHERE id = 2")
    followed(bell, lambda: names(bell) == ["websites:3", "websites:4"])

    counts = bell.reload()["websites"]
    assert (counts.added, counts.changed, counts.ended, counts.unchanged) == (0, 0, 0, 2)
    report = bell.audit()
    assert (report.unaccounted, report.invented, report.stuck, report.contradicted) == (0, 0, 0, 0)


def test_a_row_that_cannot_be_scheduled_does_not_stop_the_others(bell: Watchbell, table: Websites) -> None:
    wait_for(lambda: bell.status().scheduled == 3, "three schedules")
    table.run("INSERT INTO website VALUES (4, 'four', -5, 1)")
    table.run("INSERT INTO website VALUES (5, 'five', 0, 1)")
    found = bell.reload()["websites"]
    assert (found.added, found.unchanged, list(found.errors)) == (2, 3, ["4"])
    assert bell.status().scheduled == 3  # a period of 0 means: not by itself
    assert bell.run_now("websites:5").new
    wait_for(lambda: bell.runs(schedule="websites:5", states=("succeeded",)).items, "the run by hand")


def test_a_table_that_cannot_be_read_changes_nothing(bell: Watchbell, table: Websites) -> None:
    wait_for(lambda: bell.status().scheduled == 3, "three schedules")
    table.run("ALTER TABLE website RENAME TO gone")
    with pytest.raises(sqlite3.OperationalError):
        bell.reload()
    assert bell.status().scheduled == 3
    assert bell.status().consecutive_errors == 1
    table.run("ALTER TABLE gone RENAME TO website")
    assert bell.reload()["websites"].unchanged == 3
    assert bell.status().consecutive_errors == 0

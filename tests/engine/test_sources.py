"""Sources told as stories: the application's own table says what is scheduled (S0.1, S0.7, S3.4, S3.13)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.story import Story, all_of
from watchbell import Declared, Watchbell, every
from watchbell.core.instants import SECOND
from watchbell.errors import Conflict
from watchbell.testing import Lasting

Begin = Callable[..., Story]


class Table:
    """The application's table of websites: key → what is wanted. It may refuse to be read."""

    def __init__(self, **periods: Any) -> None:
        self.rows: list[Declared] = [
            Declared(key, "check", every(period), args={"url": f"https://{key}.test"})
            for key, period in periods.items()
        ]
        self.error: Exception | None = None
        self.read = 0

    def declare(self, bell: Watchbell) -> None:
        @bell.job
        def check(url: str) -> None: ...

        @bell.source("websites", every="60s", max_consecutive_errors=3)
        def websites() -> Iterable[Declared]:
            self.read += 1
            if self.error is not None:
                raise self.error
            return list(self.rows)

    def put(self, key: str, **changes: Any) -> None:
        self.rows = [replace(row, **changes) if row.key == key else row for row in self.rows]

    def delete(self, key: str) -> None:
        self.rows = [row for row in self.rows if row.key != key]


def counts(begun: Story) -> tuple[int, int, int, int]:
    found = begun.bell.reload()["websites"]
    return (found.added, found.changed, found.ended, found.unchanged)


def names(begun: Story) -> list[str]:
    return [row[0] for row in begun.rows("SELECT name FROM schedule WHERE ended_at IS NULL ORDER BY name")]


def test_S0_1_three_active_rows_are_three_schedules(story: Begin) -> None:
    table = Table(one="10m", two="20m", three="30m")
    begun = story(table.declare)
    assert counts(begun) == (3, 0, 0, 0)
    begun.until("00:30")
    assert len(begun.states()) == 3 + 1 + 1
    status = begun.bell.status().to_json()
    assert begun.rows("SELECT count(*), count(next_due) FROM cursor") == [(3, 3)]
    assert status is not None


def test_S0_7_insert_change_and_delete_are_followed_and_the_counts_say_so(story: Begin) -> None:
    table = Table(one="10m", two="10m")
    begun = story(table.declare)
    begun.bell.reload()
    begun.until("00:15")
    table.rows.append(Declared("three", "check", every("10m"), args={"url": "https://three.test"}))
    table.put("two", trigger=every("5m"))
    table.delete("one")
    assert counts(begun) == (1, 1, 1, 0)
    assert counts(begun) == (0, 0, 0, 2)
    begun.until("00:31")
    assert begun.seen("websites:two") == all_of("succeeded", ["00:10", "00:20", "00:25", "00:30"])
    assert begun.seen("websites:three") == all_of("succeeded", ["00:25"])
    assert begun.seen("websites:one") == all_of("succeeded", ["00:10"])


def test_S0_7_the_same_rows_again_write_no_version(story: Begin) -> None:
    begun = story(Table(one="10m").declare)
    begun.bell.reload()
    before = (
        begun.rows("SELECT count(*) FROM schedule_version"),
        begun.rows("SELECT count(*) FROM audit_event"),
    )
    begun.bell.reload()
    assert (
        begun.rows("SELECT count(*) FROM schedule_version"),
        begun.rows("SELECT count(*) FROM audit_event"),
    ) == before


def test_a_row_that_is_switched_off_is_kept_disabled(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    begun.bell.reload()
    table.put("one", enabled=False)
    assert counts(begun) == (0, 1, 0, 0)
    begun.until("00:35")
    assert begun.seen() == []
    table.put("one", enabled=True)
    begun.bell.reload()
    begun.until("00:41")
    assert begun.seen() == all_of("succeeded", ["00:40"])


def test_the_operators_pause_stays_whatever_the_table_says(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    begun.bell.reload()
    begun.bell.pause("websites:one")
    table.put("one", trigger=every("5m"))
    begun.bell.reload()
    begun.until("00:31")
    assert begun.seen() == []


def test_S3_13_frequency_0_is_kept_and_not_scheduled(story: Begin) -> None:
    table = Table(one=0, two="10m")
    begun = story(table.declare)
    assert counts(begun) == (2, 0, 0, 0)
    begun.until("00:15")
    assert begun.seen("websites:one") == []
    assert begun.rows("SELECT count(*), count(next_due) FROM cursor") == [(2, 1)]


@pytest.mark.parametrize(
    "broken", [{"trigger": "every 10 minuts"}, {"args": {"uri": "x"}}, {"options": {"catchup": "al"}}]
)
def test_S3_4_what_cannot_be_scheduled_is_set_aside_and_mended_by_the_next_reading(
    story: Begin, broken: dict[str, Any]
) -> None:
    table = Table(one="10m", two="10m")
    begun = story(table.declare)
    begun.may_be_unknown = True
    good = table.rows[0]
    begun.bell.reload()
    table.put("one", **broken)
    found = begun.bell.reload()["websites"]
    assert list(found.errors) == ["one"]
    assert begun.rows(
        "SELECT name, standing, set_aside = ? FROM schedule ORDER BY name", found.errors["one"]
    ) == [
        ("websites:one", "set_aside", 1),
        ("websites:two", "on", None),
    ]
    begun.until("00:15")
    begun.bell.run_now("websites:one")
    begun.until("00:16")
    table.rows[0] = good
    assert begun.bell.reload()["websites"].errors == {}
    begun.until("00:21")
    assert begun.seen("websites:one") == all_of("succeeded", ["00:15", "00:20"])
    assert begun.seen("websites:two") == all_of("succeeded", ["00:10", "00:20"])


def test_S3_4_what_could_never_be_scheduled_is_kept_as_well(story: Begin) -> None:
    table = Table(two="10m")
    table.rows.insert(0, Declared("one", "check", "cron 99 * * * *", args={"url": "x"}))
    begun = story(table.declare)
    begun.may_be_unknown = True
    found = begun.bell.reload()["websites"]
    assert (found.added, list(found.errors)) == (2, ["one"])
    assert names(begun) == ["websites:one", "websites:two"]


def test_a_key_given_twice_counts_once_and_is_reported(story: Begin) -> None:
    table = Table(one="10m")
    table.rows.append(Declared("one", "check", every("5m"), args={"url": "other"}))
    begun = story(table.declare)
    for expected in ((1, 0, 0, 0), (0, 0, 0, 1)):
        found = begun.bell.reload()["websites"]
        assert (found.added, found.changed, found.ended, found.unchanged) == expected
        assert found.errors == {"one": "The key 'one' was given more than once; the first of them counts."}
    begun.until("00:12")
    assert begun.seen() == all_of("succeeded", ["00:10"])


def test_a_key_is_the_same_schedule_under_another_name(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    begun.bell.reload()
    begun.until("00:11")
    table.put("one", name="front page")
    begun.bell.reload()
    begun.until("00:21")
    assert names(begun) == ["front page"]
    assert begun.seen("front page") == all_of("succeeded", ["00:10", "00:20"])
    table.delete("one")
    assert counts(begun) == (0, 0, 1, 0)


def test_a_name_that_another_schedule_has_is_refused_and_that_one_is_left_alone(story: Begin) -> None:
    table = Table(one="10m", two="10m")
    table.put("two", name="websites:one")

    begun = story(table.declare)
    begun.may_be_unknown = True
    found = begun.bell.reload()["websites"]
    assert found.errors == {"two": "There is another schedule named 'websites:one'; give it another name=."}
    begun.until("00:11")
    assert begun.seen("websites:one") == all_of("succeeded", ["00:10"])


def test_a_row_that_goes_while_its_schedule_runs_lets_the_run_end(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def check() -> Lasting:
            return Lasting("5m")

        @bell.source("websites")
        def websites() -> Iterable[Declared]:
            return rows

    rows = [Declared("one", "check", every("10m"))]
    begun = story(declare)
    begun.bell.reload()
    begun.until("00:12")
    rows.clear()
    begun.bell.reload()
    begun.until("00:40")
    assert begun.rows("SELECT state FROM occurrence") == [("succeeded",)]


# --- readings that fail -------------------------------------------------------------------------------------------------


def test_S0_4_a_source_that_raises_changes_nothing_and_reload_says_why(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    begun.bell.reload()
    table.rows.clear()
    table.error = OSError("no such table: websites")
    with pytest.raises(OSError, match="no such table"):
        begun.bell.reload()
    assert names(begun) == ["websites:one"]
    assert begun.rows("SELECT errors, last_error FROM source") == [(1, "OSError: no such table: websites")]


def test_a_source_that_asks_for_a_job_nobody_knows_changes_nothing(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    table.put("one", job="chekc")
    with pytest.raises(Exception, match="asks for the job 'chekc', which nobody has declared"):
        begun.bell.reload()
    assert names(begun) == []


def test_a_key_that_no_index_holds_is_refused_and_nothing_changes(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    table.rows = [replace(table.rows[0], key="k" * 201)]
    with pytest.raises(Exception, match="The key of a schedule of source 'websites' has 201 characters"):
        begun.bell.reload()
    assert names(begun) == []


def step(begun: Story, seconds: float) -> None:
    """Let the sources' own loop do what it does in this time."""
    end = begun.now + int(seconds * SECOND)
    sources = begun.bell._sources
    while begun.now < end:
        begun.clock.advance(min(sources.step(), end - begun.now))
    sources.step()


def test_S4_3_it_is_read_again_every_so_often(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    step(begun, 300)
    assert table.read == 6


def test_S0_4_after_an_error_it_is_tried_again_with_growing_waits(story: Begin) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    table.error = OSError("gone")
    reads = []
    for _ in range(100):
        step(begun, 1)
        reads.append(table.read)
    grown = [
        second + 1
        for second, (before, after) in enumerate(zip([1, *reads], reads, strict=False))
        if after > before
    ]
    assert grown == [1, 3, 7, 15, 31, 63]
    assert begun.bell.status().to_json()["consecutive_errors"] == 7


def test_S0_4_after_max_consecutive_errors_it_alerts_once_and_again_only_after_a_recovery(
    story: Begin,
) -> None:
    table = Table(one="10m")
    begun = story(table.declare)
    told: list[Any] = []
    begun.bell.on("source.failed")(told.append)
    begun.bell.on("source.recovered")(told.append)
    begun.change(
        "INSERT INTO channel (id, name, kind, options, created_at) VALUES (1, 'ops', 'webhook', '{}', 0)"
    )
    begun.change(
        "INSERT INTO alert_rule (id, scope, events, channel, created_at) VALUES (1, 'workspace', ?, 1, 0)",
        json.dumps(["failed", "recovered"]),
    )
    for _ in range(2):
        table.error = OSError("gone")
        step(begun, 90)
        table.error = None
        step(begun, 90)
    assert (
        begun.rows("SELECT event, subject FROM alert ORDER BY id")
        == [
            ("failed", "source websites"),
            ("recovered", "source websites"),
        ]
        * 2
    )
    assert "3 times in a row: OSError: gone; nothing was changed" in begun.value("SELECT text FROM alert")
    begun.bell._hooks.drain()
    assert [item["errors"] for item in told if "error" not in item] == [7, 7]


def test_S0_7_two_readings_at_once_are_refused(story: Begin) -> None:
    table = Table(one="10m")
    refused: list[str] = []

    def declare(bell: Watchbell) -> None:
        table.declare(bell)

        @bell.source("nosy")
        def nosy() -> Iterable[Declared]:
            with pytest.raises(Conflict) as error:
                bell.reload()
            refused.append(str(error.value))
            return []

    begun = story(declare)
    begun.bell.reload("nosy")
    assert refused == ["The sources are being read at this moment; try again in a second."]

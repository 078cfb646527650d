"""Declarations from code, again at each start: the same writes nothing, an older one changes nothing (PROTOCOL §12)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import apsw
import psycopg
import pytest

from tests import databases
from tests.engine.story import Declare, Story, all_of
from watchbell import Watchbell, calendar, every, manual
from watchbell.core.instants import DAY, to_text
from watchbell.errors import BadDeclaration, BadPolicy
from watchbell.testing import Lasting

Begin = Callable[..., Story]


def wanting(*names: str, period: str = "1h", **options: Any) -> Declare:
    """An application that declares schedules of these names."""

    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        for name in names:
            bell.add_schedule(name, work, every(period), **options)

    return declare


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "watchbell.db"


class Statements(list[str]):
    """What is asked of every connection that is opened from here on."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, Any] = {}
        """What each was asked with, the last time."""

    def __enter__(self) -> Self:
        apsw.connection_hooks.append(self._hook)
        self._patch = pytest.MonkeyPatch()
        for name in ("execute", "executemany", "copy"):
            self._patch.setattr(
                psycopg.Cursor, name, self._noting(getattr(psycopg.Cursor, name), name == "executemany")
            )
        return self

    def __exit__(self, *exc: object) -> None:
        apsw.connection_hooks.remove(self._hook)
        self._patch.undo()

    def _noting(self, ask: Callable[..., Any], many: bool) -> Callable[..., Any]:
        def noted(cursor: psycopg.Cursor[Any], sql: Any, *rest: Any, **options: Any) -> Any:
            self.append(str(sql))
            params = list(rest[0]) if rest and rest[0] is not None else []
            self.told[str(sql)] = params[0] if many and params else params
            return ask(cursor, sql, *rest, **options)

        return noted

    def _hook(self, conn: apsw.Connection) -> None:
        conn.exec_trace = self._trace

    def _trace(self, cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        self.append(sql)
        self.told[sql] = bindings or ()
        return True

    @property
    def writes(self) -> list[str]:
        words = ("INSERT", "UPDATE", "DELETE", "REPLACE", "COPY")
        return [sql for sql in self if sql.lstrip().upper().startswith(words)]


def test_S1_1_declaring_the_same_again_writes_nothing(story: Begin, file: Path) -> None:
    begun = story(wanting("a", "b", "c"), file=file)
    begun.die("5m")
    with Statements() as asked:
        begun.bell = Watchbell(databases.at(file), clock=begun.clock)
        begun.declare(begun.bell)
        begun.bell._open()
    assert asked.writes == []
    begun.bell.stop()
    begun.open()


def test_declaring_the_same_again_asks_as_much_for_many_as_for_few(tmp_path: Path) -> None:
    asked = []
    for number in (3, 300):
        declare, file = wanting(*(f"s{place}" for place in range(number))), tmp_path / f"{number}.db"
        for _ in range(2):
            bell = Watchbell(databases.at(file))
            declare(bell)
            with Statements() as statements:
                bell._open()
            bell.stop()
        assert statements.writes == []
        asked.append(len(statements))
    assert asked[0] == asked[1]


def test_S1_14_the_anchor_of_an_interval_survives_restarts(story: Begin, file: Path) -> None:
    begun = story(wanting("a", period="1h"), at="2026-11-21T00:07:00Z", file=file)
    for _ in range(5):
        begun.restart("17m")
        begun.node.step()
    begun.until("03:30")
    assert begun.seen()[-2:] == all_of("succeeded", ["02:07", "03:07"])
    assert begun.rows("SELECT count(*) FROM schedule_version") == [(1,)]


def test_S1_14_the_start_of_a_calendar_interval_survives_restarts(story: Begin, file: Path) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        bell.add_schedule("a", work, calendar("2 days", at="09:00"))

    begun = story(declare, at="2026-11-21T00:07:00Z", file=file)
    for _ in range(3):
        begun.restart("20h")
        begun.node.step()
    begun.until("2026-11-26T00:00:00Z")
    due = begun.rows("SELECT due_at FROM occurrence ORDER BY due_at")
    assert [to_text(at) for (at,) in due] == [
        "2026-11-21T09:00:00Z",
        "2026-11-23T09:00:00Z",
        "2026-11-25T09:00:00Z",
    ]
    assert begun.rows("SELECT count(*) FROM schedule_version") == [(1,)]


def test_S4_3_different_content_is_an_edit_from_the_start_on(story: Begin, file: Path) -> None:
    begun = story(wanting("a", period="1h"), file=file)
    begun.until("01:30")
    begun.restart("0s", wanting("a", period="30m"))
    begun.until("02:40")
    assert begun.seen() == all_of("succeeded", ["01:00", "02:00", "02:30"])
    assert begun.rows("SELECT max(version) FROM schedule_version") == [(2,)]


def test_the_operators_pause_stays_over_a_start_with_the_same_or_with_different_content(
    story: Begin, file: Path
) -> None:
    begun = story(wanting("a"), file=file)
    begun.bell.pause("a")
    begun.restart("1m")
    begun.restart("1m", wanting("a", period="10m"))
    begun.until("02:00")
    assert begun.seen() == []
    assert begun.rows("SELECT standing FROM schedule") == [("paused",)]


def test_what_code_disables_stands_still_until_code_enables_it(story: Begin, file: Path) -> None:
    begun = story(wanting("a", enabled=False), file=file)
    begun.until("02:30")
    assert begun.seen() == []
    begun.restart("0s", wanting("a"))
    begun.until("03:10")
    assert begun.seen() == all_of("succeeded", ["03:00"])
    assert [row[2:] for row in begun.spans()] == [(2, "skipped", "disabled")]


def test_an_older_revision_changes_nothing(story: Begin, file: Path) -> None:
    begun = story(wanting("a", period="30m"), file=file, revision=7)
    begun.restart("0s", wanting("a", "old only", period="1h"), revision=6)
    assert begun.rows("SELECT name, version FROM schedule ORDER BY name") == [("a", 1), ("old only", 1)]
    assert '"period_us":1800000000' in begun.value("SELECT trigger FROM schedule_version WHERE schedule = 1")


def test_what_is_no_longer_declared_is_flagged_and_keeps_running(story: Begin, file: Path) -> None:
    begun = story(wanting("a", "b"), file=file, revision=1)
    begun.restart("1m", wanting("a"), revision=2)
    begun.until("01:10")
    assert begun.rows("SELECT name, undeclared_at IS NOT NULL FROM schedule ORDER BY name") == [
        ("a", 0),
        ("b", 1),
    ]
    assert begun.states("b") == ["succeeded"]
    begun.restart("1m", wanting("a", "b"), revision=3)
    assert begun.rows("SELECT undeclared_at FROM schedule WHERE name = 'b'") == [(None,)]


def test_in_a_rolling_deploy_an_old_process_does_not_take_the_flag_away_again(
    story: Begin, file: Path
) -> None:
    begun = story(wanting("a", "b"), file=file, revision=1)
    begun.restart("1m", wanting("a"), revision=2)
    for revision in (1, 2, 1):
        begun.restart("1m", wanting("a", "b") if revision == 1 else wanting("a"), revision=revision)
        assert begun.rows("SELECT undeclared_at IS NOT NULL FROM schedule WHERE name = 'b'") == [(1,)]


def test_another_application_flags_nothing_of_this_one(story: Begin, file: Path) -> None:
    begun = story(wanting("a"), file=file, app="shop")

    def other(bell: Watchbell) -> None:
        @bell.schedule(every("1h"))
        def stock() -> None: ...

    begun.restart("1m", other, app="stock")
    assert begun.rows("SELECT count(*) FROM schedule WHERE undeclared_at IS NOT NULL") == [(0,)]


def test_two_declarations_of_one_name_are_refused_with_both_places() -> None:
    bell = Watchbell("sqlite://")

    @bell.job
    def first() -> None: ...

    @bell.job(name="other")
    def second() -> None: ...

    bell.add_schedule("nightly", first, every("1h"))
    with pytest.raises(
        BadDeclaration, match=r"Two schedules are named 'nightly': .*first.* and .*second.*another name="
    ):
        bell.add_schedule("nightly", second, every("2h"))
    with pytest.raises(BadDeclaration, match=r"Two jobs are named 'first': .*first.* and .*lambda"):
        bell.job(name="first")(lambda: None)


@pytest.mark.parametrize("catchup", ["all", "earliest"])
def test_S1_4_what_would_drop_silently_is_refused_where_it_is_declared(catchup: str) -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(BadPolicy, match="Use overlap=queue_all"):

        @bell.schedule(every("1h"), catchup=catchup)
        def work() -> None: ...


def test_run_at_start_is_one_run_by_hand_at_creation_and_never_again(story: Begin, file: Path) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h", run_at_start=True))
        def warm() -> None: ...

    begun = story(declare, file=file)
    begun.until("00:01")
    begun.restart("1m")
    begun.until("01:01")
    assert begun.seen() == all_of("succeeded", ["00:00", "01:00"])
    assert begun.rows("SELECT origin FROM occurrence ORDER BY id") == [("manual",), ("scheduled",)]


@pytest.mark.many_turns
def test_S4_2_add_job_declares_a_job_and_its_interval(story: Begin) -> None:
    called: list[str] = []

    async def cleanup() -> None:
        called.append("async")

    def due_tests() -> None:
        called.append("sync")

    def declare(bell: Watchbell) -> None:
        bell.add_job("cleanup", 86_400, cleanup, True)
        bell.add_job("due tests", 60, due_tests, False)
        with pytest.raises(BadDeclaration, match="is a plain function, but is_async=True"):
            bell.add_job("third", 60, due_tests, True)

    begun = story(declare)
    begun.until("2026-11-22T00:00:30Z")
    assert (called.count("sync"), called.count("async")) == (1440, 1)


def test_S3_13_frequency_0_exists_without_being_scheduled_and_runs_by_hand(story: Begin) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def probe() -> None: ...

        bell.add_schedule("off", probe, every(0))
        bell.add_schedule("by hand", probe, manual())

    begun = story(declare)
    begun.until("06:00")
    assert begun.seen() == []
    assert begun.rows("SELECT next_due FROM cursor") == [(None,), (None,)]
    begun.bell.run_now("off")
    begun.until("06:01")
    assert begun.seen() == [("06:00", "succeeded", None)]


def test_S1_14_a_fixed_delay_counts_from_each_end_also_from_failures_and_over_a_death(
    story: Begin, file: Path
) -> None:
    ends: list[Any] = [Lasting("5m"), ValueError("no"), Lasting("20m"), Lasting("1m")]

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m", after_completion=True))
        def sync() -> Any:
            what = ends.pop(0)
            if isinstance(what, Exception):
                raise what
            return what

    begun = story(declare, file=file)
    begun.live("2026-11-21T00:40:00Z")
    assert begun.seen() == [("00:10", "succeeded", None), ("00:25", "failed", None), ("00:35", "going", None)]
    begun.restart("5m")
    begun.live("2026-11-21T01:00:00Z")
    assert begun.seen()[2:] == [("00:35", "lost", "begun"), ("00:55", "succeeded", None)]


@pytest.mark.many_turns
@pytest.mark.parametrize("days", [60, pytest.param(365, marks=pytest.mark.release)])
def test_S1_14_one_hourly_schedule_for_a_year(story: Begin, days: int) -> None:
    # A run takes a millisecond here, however many there were before: the year is for a release.
    begun = story(wanting("a"))
    begun.node.run_until(begun.now + days * DAY)
    assert begun.rows("SELECT state, count(*) FROM occurrence GROUP BY 1") == [("succeeded", 24 * days)]
    assert begun.audit().occurrences == 24 * days


def test_what_waits_while_its_function_becomes_async_is_carried_out_as_that(story: Begin, file: Path) -> None:
    def before(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), name="work")
        def work() -> None: ...

    def after(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), name="work")
        async def work() -> None: ...

    begun = story(before, file=file)
    begun.node.set_slots(thread=0)
    begun.until("00:11")
    assert begun.rows("SELECT lane, state FROM occurrence") == [("thread", "queued")]
    begun.restart(declare=after)
    begun.until("00:12")
    assert begun.rows("SELECT lane, state FROM occurrence") == [("async", "succeeded")]

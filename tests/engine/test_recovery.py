"""Deaths and new engines told as stories: what each kind of row becomes (S1.1, S1.14, S3.8, PROTOCOL §6, §8)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.engine.story import Story, all_of
from tests.engine.test_declare import Statements
from watchbell import Watchbell, every, retry
from watchbell.core.instants import HOUR, SECOND, parse_duration
from watchbell.errors import EngineReplaced
from watchbell.testing import Lasting, StepNode

Begin = Callable[..., Story]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "watchbell.db"


def lasting(span: str, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), **options)
        def work() -> Lasting:
            return Lasting(span)

    return declare


def test_S1_14_what_was_claimed_ahead_and_not_begun_is_lost_without_a_guess(story: Begin, file: Path) -> None:
    begun = story(lasting("1m"), file=file)
    begun.until("00:09")
    begun.clock.advance(60 * SECOND - 1000)
    begun.node.step()
    begun.restart("30s")
    begun.until("00:15")
    assert begun.seen() == [("00:10", "lost", "begin_unknown")]
    note = begun.value("SELECT note FROM occurrence")
    assert note == "Its node died after it had claimed the run: it may not have begun at all."


def test_S1_14_what_had_begun_for_certain_is_lost_and_says_so(story: Begin, file: Path) -> None:
    begun = story(lasting("5m"), file=file)
    begun.live("2026-11-21T00:12:00Z")
    begun.restart("30s")
    assert begun.seen() == [("00:10", "lost", "begun")]
    assert (
        begun.value("SELECT note FROM occurrence")
        == "Its node died while it ran: how far it came is not known."
    )
    assert begun.node.found.lost == 1


def test_S1_14_what_waited_for_its_next_attempt_is_tried_by_the_next_engine(story: Begin, file: Path) -> None:
    calls: list[int] = []

    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("1h"), retry=retry(3, delay="10m", jitter=False))
        def work() -> None:
            calls.append(1)
            if len(calls) == 1:
                raise OSError("no")

    begun = story(declare, file=file)
    begun.live("2026-11-21T01:05:00Z")
    begun.restart("1m")
    assert begun.states() == ["retrying"]
    begun.until("01:11")
    assert begun.rows("SELECT state, attempt FROM occurrence") == [("succeeded", 2)]


def test_S1_14_what_waited_for_its_time_and_what_was_queued_run_under_the_next_engine(
    story: Begin, file: Path
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def mail(to: str) -> None: ...

        begun_jobs.append(mail)

    begun_jobs: list[Any] = []
    begun = story(declare, file=file)
    begun_jobs[-1].enqueue_in("10m", to="anna")
    begun_jobs[-1].enqueue(to="ben")
    begun.restart("1m")
    begun.until("00:02")
    assert sorted(begun.states()) == ["succeeded", "waiting"]
    begun.restart("20m")
    begun.until("00:22")
    assert begun.states() == ["succeeded", "succeeded"]


def test_S1_14_what_was_held_behind_the_lost_one_goes_on(story: Begin, file: Path) -> None:
    begun = story(lasting("35m", overlap="queue_all"), file=file)
    begun.live("2026-11-21T00:25:00Z")
    assert begun.seen() == [("00:10", "going", None), ("00:20", "held", None)]
    begun.restart("1m")
    begun.until("00:27")
    assert begun.seen() == [("00:10", "lost", "begun"), ("00:20", "going", None)]
    begun.until("00:29")


def test_S1_14_gates_of_lost_runs_are_free_again_and_let_the_next_in(story: Begin, file: Path) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(concurrency=1)
        def page() -> Lasting:
            return Lasting("30m")

        bell.add_schedule("a", page, every("10m"))
        bell.add_schedule("b", page, every("10m"))

    begun = story(declare, file=file)
    begun.live("2026-11-21T00:12:00Z")
    assert sorted(begun.states()) == ["going", "held"]
    begun.restart("1m")
    begun.until("00:14")
    assert sorted(begun.states()) == ["going", "lost"]
    assert begun.rows("SELECT key, active FROM gate") == [("job:page", 1)]


def test_a_gate_that_counted_wrong_is_counted_anew_and_lets_in_what_it_held(story: Begin, file: Path) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job(concurrency=1)
        def page() -> None: ...

        bell.add_schedule("a", page, every("10m"))

    begun = story(declare, file=file)
    begun.live("2026-11-21T00:05:00Z")
    begun.change("UPDATE gate SET active = 1")
    begun.live("2026-11-21T00:12:00Z")
    assert begun.states() == ["held"]
    begun.restart("1m")
    begun.until("00:14")
    assert begun.states() == ["succeeded"]


def test_S2_10_a_drain_hands_back_what_has_not_begun_and_ends_the_rest_as_shutdown(
    story: Begin, file: Path
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> Lasting:
            return Lasting("30m")

        bell.add_schedule("runs", work, every("10m"))
        bell.add_schedule("is claimed", work, every("10m", start_at="2026-11-20T23:55:00Z"))

    begun = story(declare, file=file)
    begun.until("00:14")
    begun.clock.advance(60 * SECOND - 1000)
    begun.node.step()
    begun.node.drain()
    assert begun.seen("runs") == [("00:10", "cancelled", "shutdown")]
    assert begun.rows("SELECT state FROM node") == [("stopped",)]
    begun.restart("1m")
    begun.until("00:17")
    assert begun.states("is claimed")[-1] == "going"
    assert begun.rows("SELECT max(attempt) FROM occurrence") == [(1,)]


def test_S2_10_after_a_clean_stop_nothing_is_lost_and_the_outage_begins_at_the_stop(
    story: Begin, file: Path
) -> None:
    begun = story(lasting("1m"), file=file)
    begun.until("00:15")
    begun.node.drain()
    begun.restart("1h")
    assert begun.rows("SELECT kind, to_at - from_at FROM outage") == [("downtime", HOUR)]
    assert begun.node.found.lost == 0
    assert begun.node.found.down_us == HOUR


@pytest.mark.sqlite
def test_S4_1_an_engine_that_was_replaced_does_nothing_more(story: Begin, file: Path) -> None:
    begun = story(lasting("1m"), file=file)
    begun.until("00:05")
    other = Watchbell(databases.at(file), clock=begun.clock)
    begun.declare(other)
    newer = StepNode(other)
    begun.clock.advance(parse_duration("5m"))
    with pytest.raises(EngineReplaced, match="Another engine has taken over this database"):
        begun.node.step()
    with pytest.raises(EngineReplaced):
        begun.node._bell.step()
    assert begun.states() == []
    newer.step()
    assert begun.seen() == [("00:10", "going", None)]
    newer.advance("2m")
    newer.die()
    other.stop()


@pytest.mark.sqlite
def test_a_watcher_takes_only_what_has_outlived_its_lease(story: Begin, file: Path) -> None:
    """A stalled engine may wake up: what it holds is its own until its lease and the same time again are over."""
    from watchbell.engine.recovery import settle_abandoned

    begun = story(lasting("1h"), file=file)
    begun.live("2026-11-21T00:12:00Z")
    begun.node.die()
    begun.bell.stop()
    other = Watchbell(databases.at(file), clock=begun.clock)
    begun.declare(other)
    begun.bell = other
    store = other._open()
    house = begun.node.house
    house.store = store
    house.node += 1
    store.write(lambda tx: tx.run("INSERT INTO node SELECT id + 1, name, host, pid, boot_id, version, state, slots, "
                                  "handlers, labels, started_at, heartbeat_at, lease_until, stopped_at, engine_epoch, boot_us, "
                                  "process, skew_us FROM node WHERE id = 1"))  # fmt: skip
    assert settle_abandoned(house, False) == (0, 0)
    begun.clock.advance(31 * SECOND)
    assert settle_abandoned(house, False) == (0, 1)
    store.write(lambda tx: tx.run("UPDATE node SET state = 'dead'"))


@pytest.mark.parametrize("outage", ["10s", "3h", "400h"])
def test_S1_1_after_any_outage_every_schedule_goes_on_without_being_restored(
    story: Begin, file: Path, outage: str
) -> None:
    begun = story(lasting("1m"), file=file)
    begun.live("2026-11-21T00:15:00Z")
    begun.restart(outage)
    begun.node.advance("30m")
    assert begun.states()[-1] == "succeeded"


def test_S1_5_death_after_death_loses_no_occurrence(story: Begin, file: Path) -> None:
    begun = story(lasting("3m", overlap="queue_all", catchup="all"), file=file)
    for cycle in range(12):
        begun.node.advance(f"{7 + cycle}m")
        begun.restart(f"{cycle * 3}m")
        begun.audit()
    begun.node.advance("2h")
    dues = [due for due, _, _ in begun.node.occurrences()]
    assert len(dues) == len(set(dues))


# --- what a start costs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["function", "command"])
def test_S3_8_a_start_asks_no_more_statements_with_many_schedules_than_with_few(
    tmp_path: Path, kind: str
) -> None:
    asked = []
    for number in (5, 300):
        begun = Story(_many(number, kind), file=tmp_path / f"{number}.db")
        _commands(begun, number if kind == "command" else 0)
        begun.die("1m")
        with Statements() as statements:
            begun.open(lambda bell: None)
            begun.node.step()
        asked.append(len(statements))
        begun.bell.stop()
    assert asked[0] == asked[1]


def _many(number: int, kind: str) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job
        def work() -> None: ...

        for place in range(number if kind == "function" else 0):
            bell.add_schedule(f"schedule {place}", work, every("1h"))

    return declare


def _commands(begun: Story, number: int) -> None:
    from watchbell.services.commands import Command
    from watchbell.services.schedules import add_command_schedule

    for place in range(number):
        name, store = f"command {place}", begun.bell._open()
        add_command_schedule(store, name, every("1h"), Command(argv=("true",)), now=begun.now, actor="anna")


def test_S1_1_nothing_is_held_only_in_memory(story: Begin, file: Path) -> None:
    begun = story(lasting("1m"), file=file)
    begun.until("00:25")
    begun.restart("0s", lambda bell: None)
    begun.until("00:30")
    assert begun.seen() == [*all_of("succeeded", ["00:10", "00:20"]), ("00:30", "queued", None)]
    begun.restart("30s", lasting("1m"))
    begun.until("00:38")
    assert begun.states() == ["succeeded"] * 3


def test_code_that_does_not_come_back_within_a_minute_is_a_miss_and_the_definition_stays(
    story: Begin, file: Path
) -> None:
    begun = story(lasting("1m"), file=file)
    begun.until("00:15")
    begun.restart("0s", lambda bell: None)
    begun.until("00:25")
    assert begun.seen()[1:] == [("00:20", "missed", "handler_missing")]
    begun.restart("0s", lasting("1m"))
    begun.until("00:35")
    assert begun.seen()[2:] == all_of("succeeded", ["00:30"])


def test_code_that_was_renamed_is_found_by_its_alias(story: Begin, file: Path) -> None:
    def renamed(bell: Watchbell) -> None:
        @bell.job(name="effort", aliases=["work"])
        def effort() -> None: ...

    begun = story(lasting("1m"), file=file)
    begun.until("00:15")
    begun.restart("0s", renamed)
    begun.until("00:25")
    assert begun.seen() == all_of("succeeded", ["00:10", "00:20"])

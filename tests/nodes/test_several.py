"""Several nodes told as stories: how they share, what becomes of one that dies, freezes, drains or has other code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.nodes.several import Several
from watchbell import Watchbell, cron
from watchbell.core.instants import MINUTE, SECOND
from watchbell.engine.clockwatch import Jump
from watchbell.testing import Lasting, StepNode


def lasting(span: str, count: int = 1, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job(**options)
        def work() -> Lasting:
            return Lasting(span)

        for number in range(count):
            bell.add_schedule(f"work {number}", work, cron("*/10 * * * *"))

    return declare


def owners(several: Several) -> set[int]:
    return {row[0] for row in several.rows("SELECT node FROM occurrence WHERE node IS NOT NULL")}


def id_of(node: StepNode) -> int:
    return node.house.node


# --- sharing ----------------------------------------------------------------------------------------------------------


def test_what_one_node_has_no_slot_for_begins_on_another_at_the_same_instant(several: Several) -> None:
    one = several.node(lasting("10s", 4), "one", slots={"async": 2, "thread": 2})
    two = several.node(lasting("10s", 4), "two", slots={"async": 2, "thread": 2})
    several.until("00:10")
    assert several.seen() == [("00:10", "going", None)] * 4
    assert owners(several) == {id_of(one), id_of(two)}
    several.live(11)
    assert several.seen() == [("00:10", "succeeded", None)] * 4


def test_no_occurrence_is_planned_twice_and_no_epoch_is_raised(several: Several) -> None:
    for name in ("one", "two", "three"):
        several.node(lasting("1s", 3), name)
    several.live(21)
    several.clock.advance(10 * MINUTE - 21 * SECOND)
    several.live(15)
    assert several.seen() == [(f"00:{ten}0", "succeeded", None) for ten in (1, 2) for _ in range(3)]
    assert several.rows("SELECT value FROM meta WHERE key = 'engine_epoch'") == [("1",)]
    assert several.states() == {"one": "up", "two": "up", "three": "up"}


def test_a_node_that_joins_others_records_no_downtime_and_takes_nothing_from_them(several: Several) -> None:
    one = several.node(lasting("5m"), "one")
    several.until("00:10")
    two = several.node(lasting("5m"), "two")
    assert (two.found.lost, two.found.down_us) == (0, 0)
    several.live(30)
    assert several.seen() == [("00:10", "going", None)]
    assert owners(several) == {id_of(one)}
    assert several.rows("SELECT kind FROM outage") == []


# --- death ------------------------------------------------------------------------------------------------------------


def test_a_node_that_died_elsewhere_is_declared_dead_when_its_lease_is_over_and_what_it_ran_is_lost(
    several: Several,
) -> None:
    one = several.node(lasting("5m"), "one")
    several.node(lasting("5m"), "two")
    several.until("00:10")
    several.live(6)
    assert owners(several) == {id_of(one)}
    one.die(seen=False)
    last = several.rows("SELECT heartbeat_at FROM node WHERE id = ?", id_of(one))[0][0]
    while several.states()["one"] == "up":
        several.live(1)
    silent = several.clock.wall_us() - last
    assert 15 * SECOND < silent <= 18 * SECOND
    assert several.seen() == [("00:10", "lost", "begun")]
    assert several.refused() == 0


def test_a_node_whose_process_is_gone_from_this_machine_is_dead_at_the_next_look(several: Several) -> None:
    one = several.node(lasting("5m"), "one")
    several.node(lasting("5m"), "two")
    several.until("00:10")
    several.live(6)
    one.die()
    several.live(1)
    assert several.states()["one"] == "dead"
    assert several.seen() == [("00:10", "lost", "begun")]


def test_what_may_be_run_again_is_taken_up_by_another_node(several: Several) -> None:
    declare = lasting("20s", on_lost="rerun", may_overlap=True)
    one = several.node(declare, "one")
    two = several.node(declare, "two")
    several.until("00:10")
    one.die()
    several.live(15)
    assert several.rows("SELECT state, node, attempt FROM occurrence") == [("running", id_of(two), 2)]
    several.live(30)
    assert several.seen() == [("00:10", "succeeded", None)]


def test_all_three_see_a_death_and_one_of_them_settles_it(several: Several) -> None:
    one = several.node(lasting("5m", 5), "one")
    for name in ("two", "three", "four"):
        several.node(lasting("5m", 5), name)
    several.until("00:10")
    several.live(6)
    one.die(seen=False)
    several.live(20)
    assert several.seen() == [("00:10", "lost", "begun")] * 5
    assert several.refused() == 0


def test_after_the_death_of_all_of_them_the_next_one_counts_the_downtime(several: Several) -> None:
    one = several.node(lasting("1m"), "one")
    several.live(5)
    one.die(seen=False)
    several.clock.advance(60 * MINUTE)
    several.node(lasting("1m"), "two")
    ((kind, span),) = several.rows("SELECT kind, to_at - from_at FROM outage")
    assert kind == "downtime"
    assert 60 * MINUTE <= span <= 60 * MINUTE + 5 * SECOND
    several.live(18)
    assert several.states()["one"] == "dead"


# --- frozen, and back -------------------------------------------------------------------------------------------------


def test_a_node_that_was_frozen_past_its_lease_ends_what_it_runs_and_its_late_word_is_kept(
    several: Several,
) -> None:
    one = several.node(lasting("30s"), "one")
    several.node(lasting("30s"), "two")
    several.until("00:10")
    several.live(6)
    several.frozen.append(one)
    several.live(20)
    assert several.seen() == [("00:10", "lost", "begun")]
    several.live(15)
    several.frozen.clear()
    several.live(1)
    assert several.replaced == [one]
    assert several.states()["one"] == "dead"
    assert several.rows("SELECT state, resolved IS NOT NULL FROM occurrence") == [("lost", True)]
    assert several.refused() == 0


def test_the_late_word_of_a_node_whose_machine_has_slept_past_its_lease_is_kept_too(several: Several) -> None:
    one = several.node(lasting("30s"), "one")
    several.node(lasting("30s"), "two")
    several.until("00:10")
    several.live(6)
    several.frozen.append(one)
    several.live(35)
    now = several.clock.wall_us()
    one._bell._clocks._jumps.append(Jump("suspend", now - 35 * SECOND, now, 35 * SECOND))
    several.frozen.clear()
    several.live(1)
    assert several.replaced == [one]
    assert several.rows("SELECT state, resolved IS NOT NULL FROM occurrence") == [("lost", True)]


def test_the_report_of_a_stale_node_comes_before_its_death_is_settled(several: Several) -> None:
    """The other order: what it says of its own run is the truth, and nothing is left for the others to settle."""
    one = several.node(lasting("12s"), "one")
    two = several.node(lasting("12s"), "two")
    several.until("00:10")
    several.frozen.append(one)
    several.live(14)
    for lane in one.lanes.values():
        lane.pass_time()
    one._bell._settle()
    several.live(10)
    assert several.states()["one"] == "dead"
    assert several.rows("SELECT state, resolved FROM occurrence") == [("succeeded", None)]
    assert owners(several) == {id_of(one)} != {id_of(two)}


def test_the_late_word_of_a_claim_that_was_given_to_another_is_refused(several: Several) -> None:
    declare = lasting("30s", on_lost="rerun", may_overlap=True)
    one = several.node(declare, "one")
    several.node(declare, "two")
    several.until("00:10")
    several.frozen.append(one)
    several.live(35)
    several.frozen.clear()
    several.live(35)
    assert several.seen() == [("00:10", "succeeded", None)]
    assert several.refused() == 1


def test_a_renewal_and_a_declaration_of_death_come_one_after_the_other(several: Several) -> None:
    from watchbell.store import nodes

    one = several.node(lasting("1m"), "one")
    two = several.node(lasting("1m"), "two")
    several.live(6)
    store = two.house.store
    (looked,) = store.read(lambda tx: nodes.others_up(tx, id_of(two)))
    several.live(6)
    assert not store.write(lambda tx: nodes.declare_dead(tx, looked)), "it has renewed since it was looked at"
    assert several.states()["one"] == "up"
    (looked,) = store.read(lambda tx: nodes.others_up(tx, id_of(two)))
    assert store.write(lambda tx: nodes.declare_dead(tx, looked))
    several.live(6)
    assert several.replaced == [one]


def test_when_nobody_could_reach_the_store_nobody_is_declared_dead(several: Several) -> None:
    one = several.node(lasting("5m"), "one")
    two = several.node(lasting("5m"), "two")
    several.until("00:10")
    several.live(6)
    several.frozen += [one, two]
    several.live(60)
    several.frozen.remove(two)
    several.live(10)
    several.frozen.clear()
    several.live(10)
    assert several.states() == {"one": "up", "two": "up"}
    assert several.seen() == [("00:10", "going", None)]


def test_a_node_whose_trust_has_run_out_begins_nothing_of_what_it_holds(several: Several) -> None:
    one = several.node(lasting("1s"), "one")
    several.live(3)
    several.clock.advance(13 * SECOND)
    assert not one._keeper.trusted()
    assert not any(one._bell._capacity().slots.values())


# --- leaving and joining ----------------------------------------------------------------------------------------------


def test_what_a_leaving_node_hands_back_begins_on_another_at_once(several: Several) -> None:
    one = several.node(lasting("1m", 2), "one")
    two = several.node(lasting("1m", 2), "two")
    several.live(9)
    several.clock.advance(SECOND - 1000)
    one.step()
    assert several.rows("SELECT state, node FROM occurrence") == [("claimed", id_of(one))] * 2
    one.drain()
    several.clock.advance(1000)
    several.step()
    assert owners(several) == {id_of(two)}
    assert several.rows("SELECT DISTINCT attempt FROM occurrence") == [(1,)]
    assert several.states() == {"one": "stopped", "two": "up"}


def test_what_outlives_a_leaving_node_is_ended_by_itself_and_not_lost(several: Several) -> None:
    one = several.node(lasting("5m"), "one")
    several.node(lasting("5m"), "two")
    several.until("00:10")
    one.drain()
    several.live(30)
    assert several.seen() == [("00:10", "cancelled", "shutdown")]


def old_code(bell: Watchbell) -> None:
    @bell.job
    def known() -> None: ...

    bell.add_schedule("known to both", known, cron("*/10 * * * *"))


def new_code(bell: Watchbell) -> None:
    old_code(bell)

    @bell.job
    def added() -> None: ...

    bell.add_schedule("only new", added, cron("*/10 * * * *"))


def test_jobs_that_only_new_code_knows_wait_for_it_and_nothing_is_doubled(several: Several) -> None:
    old = several.node(old_code, "old", revision=1)
    new = several.node(new_code, "new", revision=2)
    several.frozen.append(new)  # the old ones are always first
    several.live(1)
    several.frozen.clear()
    several.until("00:10")
    several.live(5)
    assert several.seen() == [("00:10", "succeeded", None)] * 2
    ran = dict(several.rows("SELECT s.name, o.node FROM occurrence o JOIN schedule s ON s.id = o.schedule"))
    assert ran == {"known to both": id_of(old), "only new": id_of(new)}
    versions = several.rows("SELECT name, version, undeclared_at FROM schedule ORDER BY name")
    old.drain()
    several.node(old_code, "old again", revision=1)
    several.live(5)
    assert several.rows("SELECT name, version, undeclared_at FROM schedule ORDER BY name") == versions


def test_a_job_that_no_node_knows_is_missed_a_minute_after_the_last_one_that_knew_it(
    several: Several,
) -> None:
    several.node(old_code, "old", revision=1)
    new = several.node(new_code, "new", revision=2)
    several.live(5)
    new.die(seen=False)
    several.live(5 + 70)
    assert sorted(several.seen()) == [("00:10", "missed", "handler_missing"), ("00:10", "succeeded", None)]


def test_what_a_node_learns_while_it_runs_is_known_to_the_others(several: Several) -> None:
    several.node(old_code, "old", revision=1)
    new = several.node(old_code, "new", revision=2)
    new.bell.job(_later)
    several.live(10)
    announced = dict(several.rows("SELECT name, handlers FROM node"))
    assert "_later" in announced["new"]
    assert "_later" not in announced["old"]


def _later() -> None: ...


def test_a_function_that_became_async_is_called_by_code_that_knows_it_as_that(several: Several) -> None:
    def before(bell: Watchbell) -> None:
        @bell.schedule(cron("*/10 * * * *"), name="work")
        def work() -> None: ...

    def after(bell: Watchbell) -> None:
        @bell.schedule(cron("*/10 * * * *"), name="work")
        async def work() -> None: ...

    several.node(before, "old")
    several.node(after, "new", revision=2)
    several.until("00:11")
    sql = "SELECT n.name, o.lane, o.state FROM occurrence o JOIN node n ON n.id = o.node"
    assert several.rows(sql) == [("new", "async", "succeeded")]

"""PLAN in the store: one transaction, a compare-and-set on each cursor, and no leader (PROTOCOL §3)."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import pytest
from hypothesis import strategies as st

from tests import databases
from tests.store.house import T0, House
from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.core.outcome import Ending
from watchbell.core.plan import Capacity
from watchbell.core.policies import CatchUp, Overlap, Policies, Retry
from watchbell.core.triggers import every
from watchbell.store import nodes
from watchbell.store.claims import mark_running
from watchbell.store.planning import Planner, next_due, plan_due
from watchbell.store.schedules.put import ScheduleSpec
from watchbell.store.tx import Tx


def test_plan_and_claim_are_one_write_with_node_epoch_and_the_hash_of_a_token() -> None:
    house = House()
    house.schedule()
    house.now += 10 * MINUTE
    (claim,) = house.plan().claims
    row = house.rows(
        "SELECT id, state, node, epoch, attempt, length(token_hash), claimed_at, origin FROM occurrence"
    )
    assert row == [(claim.run, "claimed", house.node.id, 1, 1, 16, house.now, "scheduled")]
    assert house.rows("SELECT next_due, planned_until FROM cursor") == [(T0 + 20 * MINUTE, house.now)]


def test_a_second_planner_at_the_same_instant_finds_nothing_to_plan() -> None:
    house = House(nodes_=2)
    house.schedule()
    house.now += 10 * MINUTE
    assert house.plan(house.nodes[0]).rows == 1
    assert house.plan(house.nodes[1]).rows == 0


def test_the_same_instant_twice_is_a_bug_that_the_database_refuses() -> None:
    house = House()
    house.schedule()
    house.now += 10 * MINUTE
    house.plan()
    house.run("UPDATE cursor SET next_due = ?, planned_until = ?", T0 + 10 * MINUTE, T0)
    with pytest.raises(
        Exception,
        match=r"UNIQUE constraint failed: occurrence.schedule, occurrence.due_at|occurrence_identity",
    ):
        house.plan()


def test_without_a_node_rows_are_queued_for_whoever_runs() -> None:
    house = House()
    house.schedule()
    house.now += 10 * MINUTE
    planned = house.store.write(
        lambda tx: plan_due(tx, Planner(house.catalog), Capacity({"thread": 9}, 9), house.now, 0)
    )
    assert (planned.claims, planned.queued, house.states()) == ([], 1, ["queued"])


def test_planned_until_never_moves_back() -> None:
    house = House()
    house.schedule()
    house.now += 10 * MINUTE - 1000
    house.plan(ahead=2000)
    assert house.value("SELECT planned_until FROM cursor") == T0 + 10 * MINUTE
    house.now -= HOUR
    assert house.plan().rows == 0
    assert house.value("SELECT planned_until FROM cursor") == T0 + 10 * MINUTE


def test_next_due_is_the_earliest_of_all() -> None:
    house = House()
    assert house.store.read(next_due) is None
    house.schedule("a", every("1h"))
    house.schedule("b", every("20m"))
    assert house.store.read(next_due) == T0 + 20 * MINUTE


def test_the_reason_is_looked_up_only_where_there_is_a_gap_worth_it() -> None:
    house = House()
    house.schedule(catchup=CatchUp.NONE)
    house.store.write(lambda tx: nodes.record_outage(tx, "suspend", T0, T0 + HOUR, 1))
    house.now += HOUR
    house.plan()
    assert house.rows("SELECT reason, count FROM span") == [("suspend", 5)]


def test_the_batch_is_bounded_and_says_that_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchbell.store.planning.BATCH", 3)
    house = House()
    job = house.job()
    for number in range(5):
        house.schedule(f"s{number}", job=job)
    house.now += 10 * MINUTE
    first, second = house.plan(), house.plan()
    assert [(first.rows, first.full_batch), (second.rows, second.full_batch)] == [(3, True), (2, False)]


# --- any two planners, one database -------------------------------------------------------------------------------------

LIMITS = {"a": 1, "b": 2, "c": 3}
schedules = st.lists(
    st.tuples(
        st.integers(1, 9),  # period in minutes
        st.sets(st.sampled_from(sorted(LIMITS)), max_size=2),
        st.sampled_from([
            Policies(),
            Policies(catchup=CatchUp.NONE),
            Policies(overlap=Overlap.QUEUE_ONE),
            Policies(overlap=Overlap.REPLACE),
            Policies(overlap=Overlap.QUEUE_ALL, overlap_max=2, catchup=CatchUp.ALL, catchup_limit=3),
            Policies(overlap=Overlap.ALLOW, overlap_max=2),
            Policies(overlap=Overlap.ALLOW, catchup=CatchUp.EARLIEST),
        ]),
        st.integers(0, 2),  # priority
        st.booleans(),  # retries
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip
steps = st.lists(
    st.tuples(
        st.sampled_from(["plan", "plan", "claim", "settle", "settle", "by hand"]),
        st.integers(0, 1),
        st.sampled_from([0, SECOND, MINUTE, 5 * MINUTE, 12 * MINUTE]),
        st.integers(0, 10**6),
    ),
    min_size=5,
    max_size=40,
)


def _mark(node: int, begun: list[tuple[int, int, int, int | None, int | None]], tx: Tx) -> None:
    mark_running(tx, node, begun)


class TwoPlanners:
    """Two nodes with caches of their own take turns on one database, and after every step everything is checked."""

    def __init__(self, wanted: list[tuple[int, set[str], Policies, int, bool]]) -> None:
        self.house = House(nodes_=2)
        self.policies: dict[int, Policies] = {}
        self.jobs: list[int] = []
        for number, (period, keys, policies, priority, retries) in enumerate(wanted):
            job = self.house.job(
                f"job {number}",
                limits=tuple((key, LIMITS[key]) for key in sorted(keys)),
                priority=priority,
                retry=Retry(max_attempts=2, delay_us=MINUTE) if retries else None,
            )
            self.jobs.append(job)
            spec = ScheduleSpec(f"s{number}", job, every(60 * period), policies)
            self.policies[self.house.put(spec).id] = policies
        for node in self.house.nodes:
            node.slots = 3

    def step(self, act: str, turn: int, passes: int, chance: int) -> None:
        house, node = self.house, self.house.nodes[turn]
        house.now += passes
        match act:
            case "plan":
                house.plan(node, ahead=chance % 3 * 10_000)
            case "claim":
                house.claim(node)
            case "settle" if node.held:
                some = node.held[: 1 + chance % len(node.held)]
                house.settle(some, (Ending.SUCCEEDED, Ending.FAILED, Ending.LOST)[chance % 3], node)
            case "by hand":
                house.ask(self.jobs[chance % len(self.jobs)])
        for owner in house.nodes:
            begun: list[tuple[int, int, int, int | None, int | None]] = [
                (c.run, c.epoch, c.start_at, None, None) for c in owner.held if c.start_at <= house.now
            ]
            house.store.write(partial(_mark, owner.id, begun))
        self.check()

    def check(self) -> None:
        house = self.house
        admitted: Counter[str] = Counter()
        for (keys,) in house.rows(
            "SELECT gates FROM occurrence WHERE gates IS NOT NULL AND state IN ('queued', 'claimed', 'running', 'retrying')"
        ):
            admitted.update(json.loads(keys))
        for key, limit, active in house.rows("SELECT key, lim, active FROM gate"):
            assert active == admitted[key] <= limit
        for keys, held_by in house.rows(
            "SELECT gates, held_by FROM occurrence WHERE state = 'held' AND held_by <> 'overlap'"
        ):
            full = [key for key in json.loads(keys) if admitted[key] >= LIMITS[key.removeprefix("key:")]]
            assert full != [], f"held by {held_by}, and there is room"
        for schedule, policies in self.policies.items():
            live = house.rows(
                "SELECT state, held_by FROM occurrence WHERE schedule = ? AND state IN "
                "('waiting', 'queued', 'held', 'claimed', 'running', 'retrying')",
                schedule,
            )
            behind = sum(held_by == "overlap" for _, held_by in live)
            going = len(live) - behind
            match policies.overlap:
                case Overlap.SKIP:
                    assert (going <= 1, behind) == (True, 0)
                case Overlap.QUEUE_ONE | Overlap.REPLACE:
                    assert going <= 1
                    assert behind <= 1
                    assert not behind or going
                case Overlap.QUEUE_ALL:
                    assert going <= 1
                    assert behind <= 2
                    assert not behind or going
                case Overlap.ALLOW:
                    assert behind == 0
                    assert policies.overlap_max is None or going <= policies.overlap_max


@databases.holds_for(schedules, steps, sqlite=60, postgresql=5)
def test_two_planners_that_take_turns_never_pass_a_limit_lose_an_instant_or_write_one_twice(
    wanted: list[tuple[int, set[str], Policies, int, bool]], acts: list[tuple[str, int, int, int]]
) -> None:
    two = TwoPlanners(wanted)
    for act in acts:
        two.step(*act)
    for node in two.house.nodes:
        two.step("plan", two.house.nodes.index(node), MINUTE, 0)
        two.step("claim", two.house.nodes.index(node), 0, 0)
        assert (
            len(node.held) == node.slots
            or two.house.value("SELECT count(*) FROM occurrence WHERE state = 'queued'") == 0
        )
    two.house.audit()

"""Plan as a decision: a batch of schedules that have come due × what is free × now → everything that must be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.core.plan import ROWS_BEFORE_SPAN, Capacity, Due, Plan, Standing, decide
from watchbell.core.policies import CatchUp, Overlap, Policies
from watchbell.core.states import LIVE, UNSTARTED, Reason, State
from watchbell.core.triggers import Trigger, cron, every

T0 = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
HOURLY = every("1h").bound("UTC", T0)


def due(schedule: int = 1, trigger: Trigger = HOURLY, **more: Any) -> Due:
    """A schedule of the lane `thread`, planned up to midnight."""
    base = Due(
        schedule=schedule,
        workspace=1,
        version=1,
        job=1,
        lane="thread",
        next_due=trigger.next_after(T0) or 0,
        planned_until=T0,
        trigger=trigger,
        policies=Policies(),
    )
    return base._replace(**more)


def free(slots: int = 9, catchup: int | None = None, **gates: int) -> Capacity:
    return Capacity({"thread": slots}, slots if catchup is None else catchup, dict(gates))


def brief(plan: Plan) -> list[tuple[float, str, str | None]]:
    """(hour, state, reason) of each new row by due time."""
    rows = sorted(plan.rows, key=lambda row: (row.due.schedule, row.due_at))
    return [((row.due_at - T0) / HOUR, str(row.state), row.reason and str(row.reason)) for row in rows]


def standing(run: int, state: State, **more: object) -> Standing:
    return Standing(run, state, T0, **more)  # type: ignore[arg-type]


def test_what_is_due_and_has_a_slot_is_planned_and_claimed_in_one_write() -> None:
    plan = decide([due()], free(), T0 + HOUR, 7)
    assert brief(plan) == [(1, "claimed", None)]
    assert plan.rows[0].id == 7
    assert [(move.planned_until, move.next_due) for move in plan.moves] == [(T0 + HOUR, T0 + 2 * HOUR)]


def test_without_a_slot_it_is_queued_and_behind_a_full_gate_it_is_held() -> None:
    assert brief(decide([due()], free(0), T0 + HOUR, 1)) == [(1, "queued", None)]
    plan = decide([due(gates=("key:db",))], free(**{"key:db": 0}), T0 + HOUR, 1)
    assert brief(plan) == [(1, "held", None)]
    assert plan.rows[0].held_by == "key:db"
    assert plan.gates == {}


def test_a_queued_row_has_a_place_behind_its_gates_so_that_it_can_be_claimed_at_once() -> None:
    plan = decide([due(gates=("key:a", "key:b"))], free(0, **{"key:a": 1, "key:b": 1}), T0 + HOUR, 1)
    assert brief(plan) == [(1, "queued", None)]
    assert plan.gates == {"key:a": 1, "key:b": 1}


def test_the_tenth_sees_the_first_by_priority_then_due_time_then_id() -> None:
    """One gate with two places, five schedules: the first two of the order get them."""
    batch = [due(number, gates=("k",), priority=5 - number) for number in range(1, 6)]
    plan = decide(batch, free(k=2), T0 + HOUR, 1)
    claimed = [row.due.schedule for row in plan.rows if row.state is State.CLAIMED]
    assert claimed == [5, 4]
    assert [row.due.schedule for row in plan.rows if row.state is State.HELD] == [3, 2, 1]


def test_S3_8_a_backlog_takes_no_more_slots_than_the_catch_up_budget() -> None:
    batch = [due(1, why=Reason.DOWNTIME), due(2, why=Reason.DOWNTIME), due(3)]
    plan = decide(batch, free(9, catchup=1), T0 + HOUR, 1)
    assert [(row.due.schedule, str(row.state), row.catchup) for row in plan.rows] == [
        (1, "claimed", True),
        (2, "queued", True),
        (3, "claimed", False),
    ]


def test_what_comes_due_within_the_claim_ahead_is_claimed_if_nothing_is_in_its_way() -> None:
    soon = T0 + HOUR - 5000
    plan = decide([due()], free(), soon, 1)
    assert brief(plan) == [(1, "claimed", None)]
    assert [(move.planned_until, move.next_due) for move in plan.moves] == [(T0 + HOUR, T0 + 2 * HOUR)]


@pytest.mark.parametrize(
    "in_the_way",
    [
        {"live": (standing(3, State.RUNNING),)},
        {"gates": ("k",)},
        {"may_claim": False},
        {"lane": "process"},
    ],
)
def test_instants_later_than_now_are_never_missed_skipped_or_coalesced(in_the_way: dict[str, Any]) -> None:
    plan = decide([due(**in_the_way)], free(k=0), T0 + HOUR - 5000, 1)
    assert plan == Plan()


def test_S1_4_a_skip_names_the_run_that_was_in_its_way() -> None:
    plan = decide([due(live=(standing(3, State.RUNNING),))], free(), T0 + HOUR, 9)
    assert brief(plan) == [(1, "skipped", "overlap")]
    assert plan.rows[0].into == 3


def test_S1_4_an_older_one_that_never_got_a_slot_is_coalesced_into_the_newer_and_gives_its_gate_back() -> (
    None
):
    waiting = standing(3, State.QUEUED, gates=("k",))
    plan = decide([due(live=(waiting,), gates=("k",))], free(0, k=0), T0 + HOUR, 9)
    assert brief(plan) == [(1, "queued", None)]
    assert [(end.id, end.state, end.into) for end in plan.ends] == [(3, State.COALESCED, 9)]
    assert plan.gates == {"k": 0}


def test_S1_4_a_run_by_hand_that_has_not_begun_is_in_the_way_and_nothing_stands_for_it() -> None:
    plan = decide([due(live=(standing(3, State.QUEUED, by_hand=True),))], free(), T0 + HOUR, 9)
    assert brief(plan) == [(1, "skipped", "overlap")]
    assert plan.ends == []


def test_S1_4_replace_asks_the_running_one_to_end_and_holds_the_newest() -> None:
    policies = Policies(overlap=Overlap.REPLACE)
    plan = decide([due(policies=policies, live=(standing(3, State.RUNNING),))], free(), T0 + HOUR, 9)
    assert brief(plan) == [(1, "held", None)]
    assert (plan.cancels, plan.rows[0].held_by) == ([(3, 9)], "overlap")


def test_S1_4_replace_ends_what_waits_for_its_next_attempt_at_once_and_takes_its_place() -> None:
    policies = Policies(overlap=Overlap.REPLACE)
    between = standing(3, State.RETRYING, gates=("k",))
    plan = decide([due(policies=policies, live=(between,), gates=("k",))], free(k=0), T0 + HOUR, 9)
    assert brief(plan) == [(1, "claimed", None)]
    assert [(end.id, end.before, end.state) for end in plan.ends] == [(3, State.RETRYING, State.CANCELLED)]
    assert (plan.cancels, plan.gates) == ([], {"k": 0})


def test_S1_4_replace_over_a_backlog_leaves_the_newest() -> None:
    policies = Policies(overlap=Overlap.REPLACE, catchup=CatchUp.ALL)
    plan = decide([due(policies=policies)], free(), T0 + 4 * HOUR, 1)
    assert brief(plan) == [
        (1, "claimed", None),
        (2, "skipped", "replaced"),
        (3, "skipped", "replaced"),
        (4, "held", None),
    ]
    assert {run for run, _ in plan.cancels} == {1}


@pytest.mark.parametrize("missed", [1, 2, 3, 4, 4999])
def test_S1_5_a_short_gap_is_written_row_by_row_and_a_long_one_costs_one_span(missed: int) -> None:
    plan = decide([due(policies=Policies(catchup=CatchUp.NONE))], free(), T0 + (missed + 1) * HOUR, 1)
    rows = [row for row in plan.rows if row.state is State.MISSED]
    if missed <= ROWS_BEFORE_SPAN:
        assert [row.due_at for row in rows] == [T0 + hour * HOUR for hour in range(1, missed + 1)]
        assert plan.spans == []
    else:
        assert rows == []
        assert [(span.gap.count, span.gap.ending) for span in plan.spans] == [(missed, State.MISSED)]


def test_S1_5_coalesced_ones_point_at_the_row_that_stands_for_them() -> None:
    short = decide([due()], free(), T0 + 3 * HOUR, 50)
    runs = {row.due_at: row for row in short.rows}
    assert [runs[T0 + hour * HOUR].into for hour in (1, 2)] == [runs[T0 + 3 * HOUR].id] * 2
    long = decide([due()], free(), T0 + 9 * HOUR, 50)
    assert [span.into for span in long.spans] == [long.rows[0].id]


def test_S3_4_a_rule_that_cannot_be_followed_is_named_and_every_other_schedule_goes_on() -> None:
    class Broken:
        def last_in(self, after: int, upto: int) -> int:
            raise ZeroDivisionError("no such day")

        def next_after(self, at: int) -> int:
            raise ZeroDivisionError("no such day")

    broken = due(1)._replace(trigger=Broken())  # type: ignore[arg-type]
    plan = decide([broken, due(2)], free(), T0 + HOUR, 1)
    assert [(bad.schedule, text) for bad, text in plan.broken] == [(1, "ZeroDivisionError: no such day")]
    assert [row.due.schedule for row in plan.rows] == [2]
    assert [move.due.schedule for move in plan.moves] == [2]


def test_S1_3_several_nominal_times_on_one_instant_are_one_occurrence_that_lists_them() -> None:
    """2027-03-28 in Berlin: 02:00 to 03:00 does not exist, so that 02:00, 02:30 and 03:00 are the same instant."""
    trigger = cron("0,30 2,3 * * *", tz="Europe/Berlin").bound("UTC", T0)
    spring = 1_806_195_600_000_000  # 2027-03-28T01:00:00Z, when it becomes 03:00
    plan = decide([due(trigger=trigger, planned_until=spring - HOUR, next_due=spring)], free(), spring, 1)
    assert [row.due_at for row in plan.rows] == [spring]
    assert len(plan.rows[0].stands_for) == 3


def test_a_chain_waits_for_the_end_of_its_run_and_goes_on_from_a_link_that_did_not_run() -> None:
    chain = every("10m", after_completion=True).bound("UTC", T0)
    link = due(trigger=chain, next_due=T0 + 10 * MINUTE, chain_us=10 * MINUTE)
    plan = decide([link], free(), T0 + HOUR, 1)
    assert [row.due_at for row in plan.rows] == [T0 + 10 * MINUTE]
    assert [move.next_due for move in plan.moves] == [None]
    busy = link._replace(live=(standing(3, State.RUNNING, by_hand=True),))
    plan = decide([busy], free(), T0 + HOUR, 1)
    assert [str(row.state) for row in plan.rows] == ["skipped"]
    assert [move.next_due for move in plan.moves] == [T0 + HOUR + 10 * MINUTE]


# --- any batch ----------------------------------------------------------------------------------------------------------

KEYS = ("a", "b", "c")


@dataclass(frozen=True)
class Scene:
    batch: list[Due]
    capacity: Capacity
    now: int
    limits: dict[str, int]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    now = T0 + draw(st.integers(0, 400)) * MINUTE
    limits = {key: draw(st.integers(1, 4)) for key in KEYS}
    taken = dict.fromkeys(KEYS, 0)
    batch, run = [], 0
    for schedule in range(1, draw(st.integers(1, 8)) + 1):
        trigger = every(draw(st.integers(1, 120)) * 60, start_at="2026-11-20T22:00:00Z").bound("UTC", T0)
        gates = tuple(sorted(draw(st.sets(st.sampled_from(KEYS), max_size=2))))
        policies = draw(all_policies)
        live = []
        if draw(st.booleans()) and all(taken[key] < limits[key] for key in gates):
            run += 1
            state = draw(st.sampled_from([State.QUEUED, State.CLAIMED, State.RUNNING, State.RETRYING]))
            live = [Standing(run, state, T0 - HOUR, gates)]
            taken = {key: count + (key in gates) for key, count in taken.items()}
        batch.append(
            due(
                schedule,
                trigger,
                policies=policies,
                gates=gates,
                live=tuple(live),
                priority=draw(st.integers(0, 2)),
                may_claim=draw(st.booleans()),
                why=draw(st.sampled_from([None, Reason.DOWNTIME])),
            )
        )
    batch = [item for item in batch if item.next_due <= now + SECOND]
    room = {key: limits[key] - taken[key] for key in KEYS}
    slots = draw(st.integers(0, 6))
    return Scene(batch, Capacity({"thread": slots}, draw(st.integers(0, 6)), dict(room)), now, room)


all_policies = st.one_of(
    st.builds(
        Policies,
        catchup=st.sampled_from([CatchUp.LATEST, CatchUp.NONE]),
        overlap=st.sampled_from([Overlap.SKIP, Overlap.QUEUE_ONE, Overlap.REPLACE]),
    ),
    st.builds(
        Policies,
        catchup=st.sampled_from(list(CatchUp)),
        catchup_limit=st.integers(1, 5),
        overlap=st.sampled_from([Overlap.QUEUE_ALL, Overlap.ALLOW]),
        overlap_max=st.integers(1, 3),
        start_deadline_us=st.none() | st.just(30 * MINUTE),
    ),
)


@settings(max_examples=300)
@given(scenes())
def test_any_batch_admits_as_many_as_the_limits_allow_and_never_one_more(scene: Scene) -> None:
    slots, budget = dict(scene.capacity.slots), scene.capacity.catchup
    plan = decide(scene.batch, scene.capacity, scene.now, 1000)
    admitted = [row for row in plan.rows if row.state in (State.QUEUED, State.CLAIMED)]
    given_back = [row for item in scene.batch for row in item.live if row.id in {end.id for end in plan.ends}]
    for key in KEYS:
        taken = sum(key in row.due.gates for row in admitted) - sum(key in row.gates for row in given_back)
        assert plan.gates.get(key, 0) == taken
        assert taken <= scene.limits[key]
    for row in plan.rows:
        if row.held_by in KEYS:
            assert any(plan.gates.get(key, 0) >= scene.limits[key] for key in row.due.gates)
    claimed = [row for row in admitted if row.state is State.CLAIMED]
    assert len(claimed) <= slots["thread"]
    assert sum(row.catchup for row in claimed) <= budget
    for row in admitted:
        if row.state is State.QUEUED and row.due.may_claim:
            full = len(claimed) == slots["thread"]
            assert full or (row.catchup and sum(other.catchup for other in claimed) == budget)


@settings(max_examples=300)
@given(scenes())
def test_any_batch_gives_every_implied_instant_one_row_or_span_and_none_twice(scene: Scene) -> None:
    plan = decide(scene.batch, scene.capacity, scene.now, 1000)
    assert plan.broken == []
    for item in scene.batch:
        rows = [row.due_at for row in plan.rows if row.due.schedule == item.schedule]
        assert len(rows) == len(set(rows))
        spans = [span.gap for span in plan.spans if span.due.schedule == item.schedule]
        at, implied = T0, []
        while (found := item.trigger.next_after(at)) is not None and found <= scene.now:
            implied.append(at := found)
        left = set(implied) - set(rows)
        for gap in spans:
            inside = {instant for instant in left if gap.after < instant <= gap.upto}
            assert len(inside) == gap.count
            left -= inside
        assert left == set()
        assert all(instant in implied or instant > scene.now for instant in rows)
        moved = [move for move in plan.moves if move.due.schedule == item.schedule]
        assert len(moved) == bool(implied or rows)
        assert all(move.next_due == item.trigger.next_after(max(scene.now, *rows, T0)) for move in moved)


@settings(max_examples=300)
@given(scenes())
def test_any_batch_keeps_the_overlap_policy_of_each_schedule(scene: Scene) -> None:
    plan = decide(scene.batch, scene.capacity, scene.now, 1000)
    ended = {end.id for end in plan.ends}
    for item in scene.batch:
        old = [row for row in item.live if row.id not in ended]
        new = [row for row in plan.rows if row.due.schedule == item.schedule and row.state in LIVE]
        held = [row for row in new if row.held_by == "overlap"]
        going = [row for row in new if row not in held] + old
        most = item.policies.overlap_max or 10**9
        match item.policies.overlap:
            case Overlap.SKIP:
                assert len(going) <= 1
                assert held == []
            case Overlap.QUEUE_ONE | Overlap.REPLACE:
                assert len(going) <= 1
                assert len(held) <= 1
            case Overlap.QUEUE_ALL:
                assert len(going) <= 1
                assert len(held) <= most
            case Overlap.ALLOW:
                assert held == []
                assert len(going) <= most or going == old
        if held:
            assert min(row.due_at for row in held) > max(
                (row.due_at for row in new if row not in held), default=0
            )
        assert all(row.state not in UNSTARTED for row in old) or len(old) == 1

"""Ids that turn out otherwise than a plan has counted: what points at a row goes on pointing at it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.planned import End, NewRow, NewSpan, Plan
from watchbell.core.states import State

FIRST = 100
OLD = st.integers(1, FIRST - 1)
ANY: Any = None  # a schedule, a gap: nothing here looks into them


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, list[int]]:
    """A plan whose rows, spans, ends and cancels point at its new rows and at old ones; and the ids that were taken."""
    count = draw(st.integers(0, 8))
    new = st.integers(FIRST, FIRST + count - 1) if count else OLD
    run = st.one_of(OLD, new)
    into = st.one_of(st.none(), run)
    plan = Plan(
        rows=[NewRow(FIRST + place, ANY, place, State.QUEUED, into=draw(into)) for place in range(count)],
        spans=[NewSpan(ANY, ANY, draw(into)) for _ in range(draw(st.integers(0, 3)))],
        ends=[
            End(draw(run), 1, State.QUEUED, State.COALESCED, None, draw(into))
            for _ in range(draw(st.integers(0, 3)))
        ],
        cancels=draw(st.lists(st.tuples(run, run), max_size=3)),
    )
    steps = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    return plan, [FIRST - 1 + sum(steps[: place + 1]) for place in range(count)]


def pointers(plan: Plan) -> list[int | None]:
    ends = [number for end in plan.ends for number in (end.id, end.into)]
    cancels = [number for pair in plan.cancels for number in pair]
    return [*[row.into for row in plan.rows], *[span.into for span in plan.spans], *ends, *cancels]


@given(plans())
def test_whatever_points_at_a_row_goes_on_pointing_at_it(drawn: tuple[Plan, list[int]]) -> None:
    plan, ids = drawn
    before, due = pointers(plan), [row.due_at for row in plan.rows]
    plan.renumber(ids)
    assert [row.id for row in plan.rows] == ids
    assert [row.due_at for row in plan.rows] == due
    for was, now in zip(before, pointers(plan), strict=True):
        assert now == (was if was is None or was < FIRST else ids[was - FIRST])

"""What a plan tells: the occurrences that were missed, counted by schedule, for alert rules and hooks."""

from __future__ import annotations

from ..core.alert import Happening
from ..core.definition import Definition
from ..core.plan import Due, Plan
from ..core.states import State


def happenings(plan: Plan, definitions: dict[tuple[int, int], Definition]) -> list[Happening]:
    """What an alert rule or a hook may want to know: everything that did not run and was not asked not to."""
    missed: dict[int, Happening] = {}
    for row in plan.rows:
        if row.state is State.MISSED:
            _count(missed, row.due, definitions, 1, str(row.reason), row.due_at, row.id)
    for span in plan.spans:
        if span.gap.ending is State.MISSED:
            _count(missed, span.due, definitions, span.gap.count, str(span.gap.reason), span.gap.upto, None)
    return list(missed.values())


def _count(
    into: dict[int, Happening],
    due: Due,
    definitions: dict[tuple[int, int], Definition],
    count: int,
    reason: str,
    due_at: int,
    run: int | None,
) -> None:
    before = into.get(due.schedule)
    definition = definitions[due.schedule, due.version]
    into[due.schedule] = Happening(
        event="missed",
        workspace=due.workspace,
        subject=definition.name,
        tags=(*definition.tags, *definition.job.tags),
        run=run,
        due_at=due_at,
        count=count + (before.count if before else 0),
        detail=reason,
    )

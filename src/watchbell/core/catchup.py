"""Which of the occurrences that came due while nobody planned still run (SEMANTICS §3).

An occurrence is *missed* when its successor is due as well; the newest one due is merely late and is never missed.
The answer is in spans, so that a backlog of any length costs one row and never delays the present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .blackout import Thinned
from .policies import CatchUp, Policies
from .states import Reason, State

if TYPE_CHECKING:
    from .spread import Spread
    from .triggers import Trigger


@dataclass(frozen=True, slots=True)
class Gap:
    """`count` occurrences after `after`, up to and with `upto`, that do not run.

    `into` names the due instant of the occurrence that stands for them (of coalesced ones).
    """

    after: int
    upto: int
    count: int
    ending: State
    reason: Reason | None
    into: int | None = None


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What runs, in due order, and what does not."""

    runs: tuple[int, ...]
    gaps: tuple[Gap, ...] = ()


def catch_up(
    trigger: Trigger,
    policies: Policies,
    after: int,
    now: int,
    why: Reason | None,
    spread: Spread | None = None,
) -> CaughtUp:
    """Decide what becomes of every occurrence in (after, now]; `why` says what kept them from being planned. What is
    missed goes by the due instants; a start deadline counts from the starts, which `spread` puts later."""
    latest = trigger.last_in(after, now)
    if latest is None:
        return CaughtUp(())
    first = trigger.first_in(after, latest)
    assert first is not None
    start = latest if spread is None else spread.start_at(latest)
    if policies.start_deadline_us is not None and now > start + policies.start_deadline_us:
        count = 1 if first == latest else trigger.count(after, latest)
        return CaughtUp((), (Gap(after, latest, count, State.MISSED, Reason.START_DEADLINE),))
    if first == latest:
        return CaughtUp((latest,))
    match policies.catchup:
        case CatchUp.LATEST:
            return _into_the_latest(trigger, policies, after, latest, now, why)
        case CatchUp.NONE:
            count = trigger.count(after, latest) - 1
            reason = Reason.CATCHUP_NONE if why in (None, Reason.PAUSED) else why
            return CaughtUp((latest,), (Gap(after, latest - 1, count, State.MISSED, reason),))
        case CatchUp.EARLIEST | CatchUp.ALL:
            return _from_the_window(
                trigger, policies, after, now, why, 0 if spread is None else spread.most_us
            )


def blacked_out(trigger: Trigger, after: int, upto: int) -> tuple[Gap, ...]:
    """What would have been due in (after, upto] and falls into a blackout."""
    count = trigger.dark_count(after, upto) if isinstance(trigger, Thinned) else 0
    return (Gap(after, upto, count, State.SKIPPED, Reason.BLACKOUT),) if count else ()


def _into_the_latest(
    trigger: Trigger, policies: Policies, after: int, latest: int, now: int, why: Reason | None
) -> CaughtUp:
    """`latest`: what is within the catch-up window is coalesced into it."""
    gaps = []
    if policies.catchup_window_us is not None:
        edge = min(now - policies.catchup_window_us - 1, latest - 1)
        if edge > after and (cut := trigger.count(after, edge)):
            gaps.append(Gap(after, edge, cut, State.MISSED, Reason.CATCHUP_WINDOW))
            after = edge
    if count := trigger.count(after, latest) - 1:
        gaps.append(Gap(after, latest - 1, count, State.COALESCED, why, latest))
    return CaughtUp((latest,), tuple(gaps))


def _from_the_window(
    trigger: Trigger, policies: Policies, after: int, now: int, why: Reason | None, later_us: int
) -> CaughtUp:
    """`earliest` and `all`, both within the catch-up window and the start deadline; the newest one due, which is within
    its deadline here, is never outside of the window. Starts are up to `later_us` behind the due instants."""
    gaps = []
    latest = trigger.last_in(after, now)
    assert latest is not None
    start = after
    for span, reason in (
        (policies.catchup_window_us, Reason.CATCHUP_WINDOW),
        (_later(policies.start_deadline_us, later_us), Reason.START_DEADLINE),
    ):
        edge = start if span is None else min(now - span - 1, latest - 1)
        if edge > start and (cut := trigger.count(start, edge)):
            gaps.append(Gap(start, edge, cut, State.MISSED, reason))
            start = edge
    count = trigger.count(start, latest)
    if policies.catchup is CatchUp.EARLIEST:
        first = trigger.first_in(start, latest)
        assert first is not None
        if count > 1:
            gaps.append(Gap(first, latest, count - 1, State.COALESCED, why, first))
        return CaughtUp((first,), tuple(gaps))
    runs = [latest]
    while len(runs) < min(count, policies.catchup_limit):
        earlier = trigger.last_in(start, runs[-1] - 1)
        assert earlier is not None
        runs.append(earlier)
    runs.reverse()
    if count > len(runs):
        gaps.append(Gap(start, runs[0] - 1, count - len(runs), State.MISSED, Reason.CATCHUP_LIMIT))
    return CaughtUp(tuple(runs), tuple(gaps))


def _later(span: int | None, by: int) -> int | None:
    return None if span is None else span + by

"""Dispositions against their evidence: does what is stored bear out what a row or a span says became of it?

Each check reads stored facts only and gives the rest of a sentence ("is skipped for an overlap, but …"), or None. Where
evidence may rightly be gone (retention) or may differ by the time that a commit takes, nothing is held against a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..instants import MINUTE, SECOND, human_duration, to_text
from .evidence import LedgerRow, Other, Pause, Present, SpanRow, Window
from .recount_blackout import dark_of

SETTLING_US = MINUTE
"""A run's end is written after it has ended; until then it is rightly taken for active."""
LATE_BY_US = 5 * MINUTE
"""What falls due just after an outage is still late because of it."""
_OUTAGES = {kind: kind for kind in ("downtime", "suspend", "clock_jump", "store_full", "restored")}
_STILL = ("paused", "disabled")
_CATCHUP = {
    "catchup_none": ("none",),
    "catchup_window": ("all", "earliest", "latest"),
    "catchup_limit": ("all", "earliest"),
}
_BY_HAND = ("manual", "dependency")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a row is judged before. `gaps` says from which due instant on each planning (by its instant) had to catch up:
    the planner gives one reason to a whole gap, that of the outage which covers most of it."""

    window: Window
    present: Present
    gaps: Mapping[int, int]


def scene_of(window: Window, present: Present) -> Scene:
    """The scene for the rows of a window."""
    gaps: dict[int, int] = {}
    if any(row.reason in _OUTAGES for row in window.rows):
        for row in window.rows:
            gaps.setdefault(row.planned_at, row.due_at)
        for span in window.spans:
            gaps[span.planned_at] = min(span.from_at, gaps.get(span.planned_at, span.from_at))
    return Scene(window, present, gaps)


def row_contradiction(row: LedgerRow, scene: Scene) -> str | None:
    """What the ledger says against a row's disposition."""
    if scene.window.pauses and (said := _planned_while_still(row, scene.window.pauses)) is not None:
        return said
    if (said := _in_the_dark(row, scene.window)) is not None:
        return said
    if row.start_at not in (None, row.due_at) and (said := _start(row, scene.window)) is not None:
        return said
    check = _CHECKS.get(row.state)
    return None if check is None else check(row, scene)


def _start(row: LedgerRow, window: Window) -> str | None:
    """A start later than the due instant, against what its version says that may put it later."""
    assert row.start_at is not None
    later = row.start_at - row.due_at
    if row.origin != "scheduled":
        return None
    if later < 0:
        return "starts before it is due"
    version = next((v for v in window.versions if v.number == row.version), None)
    if version is None or "H" in version.trigger:  # how far H reaches is for its rule to say
        return None
    most = int(version.policies.get("spread_us", 0)) + int(version.policies.get("jitter_us", 0))
    return None if later <= most else f"starts {human_duration(later)} late, which its version does not say"


def _planned_while_still(row: LedgerRow, pauses: Sequence[Pause]) -> str | None:
    """While a schedule stands still nothing of that time is planned; its resumption may do so, later."""
    if row.origin != "scheduled":
        return None
    for pause in pauses:
        end = pause.until_at
        if (
            pause.kind not in _STILL
        ):  # what is planned while it is set aside follows from no rule: it is invented
            continue
        if pause.from_at < min(row.due_at, row.planned_at) and (
            end is None or max(row.due_at, row.planned_at) < end
        ):
            return f"was planned although the schedule was {pause.kind} from {to_text(pause.from_at)} on"
    return None


def _in_the_dark(row: LedgerRow, window: Window) -> str | None:
    """A blackout that is named has to be there, and what is due in one is not planned. What a person has asked for again
    has been claimed before, or is a backfill."""
    if row.origin != "scheduled" or row.state == "superseded":
        return None
    version = next((v for v in window.versions if v.number == row.version), None)
    dark = None if version is None else dark_of(version.policies, version.zones)
    named = row.state == "skipped" and row.reason == "blackout"
    if dark is None:
        return (
            "was skipped for a blackout, but its version has none" if named and version is not None else None
        )
    found = dark.around(row.due_at)
    if named:
        return None if found is not None else "was skipped for a blackout, but it was due in none"
    if found is None or row.claimed_at is None or row.epoch != 1:
        return None
    return f"was claimed although it was due in the blackout up to {to_text(found[1])}"


def span_contradiction(span: SpanRow, window: Window, present: Present) -> str | None:
    """What the ledger says against a span's disposition; its count is checked by the audit."""
    if span.count < 0:
        return f"stands for {span.count} occurrences"
    if span.count == 0:  # every one of them has been taken out
        return None
    if span.ending == "held":
        doubts = (start for kind, start, _ in present.outages if kind == "clock_doubt")
        if any(start <= span.planned_at for start in doubts):
            return None
        return "is held for a clock in doubt, but none is recorded before it"
    if span.ending == "coalesced" and (said := _stands(span.into_id, window)) is not None:
        return said
    if span.reason in _OUTAGES and not _was_out(span.reason, span.from_at, span.planned_at, present):
        return f"names {span.reason} as its reason, but no outage of that kind is recorded then"
    if span.ending == "skipped" and span.reason in _STILL:
        if not _stood_still(span.reason, window.pauses, span.from_at + 1, span.to_at):
            return f"says {span.reason}, but the schedule was not {span.reason} then"
        return None
    if span.reason == "blackout" and not (_policies(window, span.version) or {}).get("blackouts"):
        return "says blackout, but its version has none"
    if span.ending == "missed":
        return _policy(span.reason, span.to_at, span.planned_at, _policies(window, span.version))
    return None


def _succeeded(row: LedgerRow, scene: Scene) -> str | None:
    if row.began_at is None:
        return "has succeeded without having begun"
    if row.start_at is not None and row.began_at < row.start_at:
        return f"began before its start at {to_text(row.start_at)}"
    if row.ended_at is None:
        return "has succeeded without an end"
    return None


def _skipped(row: LedgerRow, scene: Scene) -> str | None:
    window = scene.window
    if row.reason in _STILL:
        # What had been due before may have been dropped when the schedule was stopped.
        ended = row.ended_at if row.ended_at is not None else row.planned_at
        dropped = any(
            p.kind == row.reason
            and p.from_at <= ended + SECOND
            and (p.until_at is None or p.until_at >= ended)
            for p in window.pauses
        )
        if dropped or _stood_still(row.reason, window.pauses, row.due_at, row.due_at):
            return None
        return f"was skipped because it was {row.reason}, but the schedule was not {row.reason} then"
    if row.reason == "condition":
        return _unasked(row, window)
    if row.reason != "overlap":
        return None
    if row.into_id is None:
        return "was skipped for an overlap, but no run is named that was in its way"
    blocker = window.others.get(row.into_id)
    if blocker is None:
        if _may_be_gone(row.into_id, window):
            return None
        return f"was skipped for an overlap with run_{row.into_id}, which does not exist"
    if blocker.schedule != window.schedule or blocker.id == row.id:
        return f"was skipped for an overlap with run_{blocker.id}, which is no other run of this schedule"
    overlap = (_policies(window, row.version) or {}).get("overlap", "skip")
    from_at, until = _in_the_way(blocker, overlap)
    # What waits for its start is decided then, long after it was planned.
    waited = row.start_at not in (None, row.due_at) and row.ended_at is not None
    decided = row.ended_at if waited and row.ended_at is not None else row.planned_at
    # Who writes reads the clock before it waits its turn; of two rows the one with the lower id was there first.
    there_first = blocker.id < row.id and from_at == blocker.planned_at
    # One that ended before it was planned saw the clock set back: its instants say nothing of that of the skip.
    if blocker.ended_at is not None and blocker.ended_at < blocker.planned_at:
        return None
    if (decided < from_at and not there_first) or (until is not None and decided > until + SETTLING_US):
        return (
            f"was skipped at {to_text(decided)} for an overlap with run_{blocker.id}, "
            "which was not active then"
        )
    return None


def _unasked(row: LedgerRow, window: Window) -> str | None:
    """A condition is asked under a claim, before anything has begun."""
    if row.began_at is not None:
        return f"was skipped by its condition, but it had begun at {to_text(row.began_at)}"
    if row.claimed_at is None:
        return "was skipped by its condition, but nobody had claimed it to ask"
    policies = _policies(window, row.version)
    if policies is not None and policies.get("condition") is None:
        return "was skipped by its condition, but its version has none"
    return None


def _in_the_way(blocker: Other, overlap: str) -> tuple[int, int | None]:
    """From when to when a row was in the way of others. Only the latest claim is stored in a row, and runs by hand, like
    queued ones under the policies that queue, are in the way before they are claimed."""
    claimed = blocker.claimed_at
    first_claim = blocker.epoch <= 1 and blocker.origin not in _BY_HAND and overlap == "skip"
    return (claimed if first_claim and claimed is not None else blocker.planned_at), blocker.ended_at


def _coalesced(row: LedgerRow, scene: Scene) -> str | None:
    if row.into_id == row.id:
        return "is coalesced into itself"
    said = _stands(row.into_id, scene.window)
    return _outage(row, scene) if said is None and row.reason in _OUTAGES else said


def _stands(into: int | None, window: Window) -> str | None:
    """What is wrong with the row that is said to stand for this one."""
    if into is None:
        return "is coalesced into nothing"
    other = window.others.get(into)
    if other is None:
        return None if _may_be_gone(into, window) else f"is coalesced into run_{into}, which does not exist"
    if other.schedule != window.schedule:
        return f"is coalesced into run_{into}, which belongs to another schedule"
    if other.state == "superseded":
        return f"is coalesced into run_{into}, which was superseded"
    return None


def _missed(row: LedgerRow, scene: Scene) -> str | None:
    if row.reason in _OUTAGES:
        return _outage(row, scene)
    decided = row.ended_at if row.ended_at is not None else row.planned_at
    return _policy(row.reason, row.due_at, decided, _policies(scene.window, row.version))


def _outage(row: LedgerRow, scene: Scene) -> str | None:
    since = min(row.due_at, scene.gaps.get(row.planned_at, row.due_at))
    decided = row.planned_at
    if (
        row.reason == "restored" and row.ended_at is not None
    ):  # what a backup held unbegun ends at the restore
        decided = max(decided, row.ended_at)
    if row.reason is None or _was_out(row.reason, since, decided, scene.present):
        return None
    return f"names {row.reason} as its reason, but no outage of that kind is recorded between it and its planning"


def _policy(reason: str | None, due_at: int, decided: int, policies: Mapping[str, Any] | None) -> str | None:
    """A miss that a policy has asked for, against that policy."""
    if policies is None:
        return None
    if reason == "start_deadline":
        deadline = policies.get("start_deadline_us")
        if deadline is None:
            return "was missed for its start deadline, but its version has none"
        if decided + SECOND < due_at + int(deadline):
            return "was missed for its start deadline before that had passed"
    if reason in _CATCHUP and policies.get("catchup", "latest") not in _CATCHUP[reason]:
        return f"was missed by {reason}, which its version's catch-up policy does not say"
    return None


def _was_out(kind: str, from_at: int, planned_at: int, present: Present) -> bool:
    return any(
        each == _OUTAGES[kind] and start <= planned_at and end >= from_at - LATE_BY_US
        for each, start, end in present.outages
    )


def _stood_still(kind: str, pauses: Sequence[Pause], first: int, last: int) -> bool:
    """Whether pauses of that kind, one after the other, cover [first, last]."""
    reached = first - 1
    mine = sorted((p for p in pauses if p.kind == kind), key=lambda p: p.from_at)
    for pause in mine:
        if pause.from_at > reached:
            continue
        if pause.until_at is None:
            return True
        reached = max(reached, pause.until_at)
    return reached >= last


def _policies(window: Window, version: int | None) -> Mapping[str, Any] | None:
    return next((v.policies for v in window.versions if v.number == version), None)


def _may_be_gone(run: int, window: Window) -> bool:
    return window.retained is not None and run < window.retained


_Check = Callable[[LedgerRow, Scene], "str | None"]
_CHECKS: Mapping[str, _Check] = {
    "succeeded": _succeeded,
    "skipped": _skipped,
    "coalesced": _coalesced,
    "missed": _missed,
}

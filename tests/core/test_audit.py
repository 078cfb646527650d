"""The audit over values: valid histories give zeros, and each way of being wrong raises its own figure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.core.audit import Verdict, audit_window
from watchbell.core.audit.evidence import (
    KINDS,
    LedgerRow,
    LiveRow,
    Node,
    Other,
    Pause,
    Present,
    SpanRow,
    Version,
    Window,
)
from watchbell.core.audit.recount import implied
from watchbell.core.audit.stuck import JobFacts, stuck
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND, parse_instant
from watchbell.errors import BadTrigger

T0 = parse_instant("2026-11-21T00:00:00Z")
NOW = T0 + 6 * HOUR + 30 * MINUTE
HOURLY = json.dumps({"kind": "cron", "expression": "0 * * * *", "tz": "UTC"})
HALF_PAST = json.dumps({"kind": "cron", "expression": "30 * * * *", "tz": "UTC"})
MANUAL = json.dumps({"kind": "manual"})
DELAY = json.dumps({"kind": "interval", "period_us": HOUR, "start_at": T0, "after_completion": True})
UP = Node(1, "bell", "up", T0 - DAY, NOW, NOW + 10 * SECOND, handlers=frozenset({"job"}))
ENGINE = Present(NOW, {1: UP})
NO_ENGINE = Present(NOW, {1: replace(UP, lease_until=NOW - HOUR)})


def row(number: int, due_at: int, state: str = "succeeded", **more: Any) -> LedgerRow:
    ended = (
        due_at + MINUTE
        if state not in ("waiting", "queued", "held", "claimed", "running", "retrying")
        else None
    )
    ran = state in ("succeeded", "failed", "timed_out", "cancelled", "lost", "running")
    base = LedgerRow(
        id=number, due_at=due_at, state=state, reason=None, origin="scheduled", into_id=None, planned_at=due_at,
        version=1, epoch=1 if ran else 0, claimed_at=due_at if ran else None, began_at=due_at if ran else None,
        ended_at=ended,
    )  # fmt: skip
    return base._replace(**more)


def ran(*hours: float) -> list[LedgerRow]:
    return [row(int(hour * 10), T0 + round(hour * HOUR)) for hour in hours]


def span(hours: tuple[float, float], count: int, ending: str = "skipped", **more: Any) -> SpanRow:
    from_at, to_at = (T0 + round(hour * HOUR) for hour in hours)
    return replace(SpanRow(7, from_at, to_at, count, ending, None, None, to_at, 1), **more)


def other(of: LedgerRow, schedule: int = 1) -> Other:
    return Other(of.id, schedule, of.state, of.origin, of.planned_at, of.epoch, of.claimed_at, of.ended_at)


def history(rows: list[LedgerRow], **more: Any) -> Window:
    """An hourly schedule since midnight, planned up to now."""
    base: dict[str, Any] = {
        "schedule": 1, "name": "backup", "after": 0, "upto": NOW, "last": True, "planned_until": NOW,
        "versions": [Version(1, T0, None, HOURLY)], "rows": sorted(rows, key=lambda r: r.due_at),
        "others": {each.id: other(each) for each in rows},
    }  # fmt: skip
    return Window(**base | more)


def paused(kind: str, start: float, end: float | None) -> Pause:
    return Pause(kind, T0 + round(start * HOUR), None if end is None else T0 + round(end * HOUR))


def figures(verdict: Verdict) -> dict[str, int]:
    found = dict.fromkeys(KINDS, 0)
    for finding in verdict.findings:
        found[finding.kind] += finding.count
        assert finding.sentence.endswith(".")
        assert "backup" in finding.sentence
    return {kind: count for kind, count in found.items() if count}


ALL = ran(1, 2, 3, 4, 5, 6)
LONG = [row(10, T0 + HOUR, ended_at=T0 + 2 * HOUR + 10 * MINUTE)]
EDITED = [
    Version(1, T0, T0 + 3 * HOUR + 10 * MINUTE, HOURLY),
    Version(2, T0 + 3 * HOUR + 10 * MINUTE, None, HALF_PAST),
]
OUT = Present(NOW, {1: UP}, [("downtime", T0 + round(0.5 * HOUR), T0 + round(3.5 * HOUR))])


def policies(**values: Any) -> list[Version]:
    return [Version(1, T0, None, HOURLY, policies=values)]


VALID: dict[str, Window] = {
    "everything ran": history(ALL),
    "nothing was due yet": history([], versions=[Version(1, NOW - MINUTE, None, HOURLY)]),
    "manual": history([], versions=[Version(1, T0, None, MANUAL)]),
    "failed, timed out, lost and cancelled are endings too": history(
        [row(i, T0 + i * HOUR, state) for i, state in enumerate(["failed", "timed_out", "lost", "cancelled", "failed", "lost"], 1)]
    ),
    "a row planned ahead": history([*ALL, *ran(7)], planned_until=T0 + 7 * HOUR),
    "an edit": history(ran(1, 2, 3, 3.5, 4.5, 5.5, 6.5), versions=EDITED),
    "superseded rows count for nothing": history([*ALL, row(65, T0 + round(6.6 * HOUR), "superseded")]),
    "a backfill of an instant that nothing implied": history([*ALL, row(1, T0 - DAY, origin="backfill")]),
    "a span": history(ran(4, 5, 6), spans=[span((0, 3.5), 3, "missed", reason="catchup_none")], versions=policies(catchup="none")),
    "an instant taken out of a span": history(
        ran(2, 4, 5, 6), spans=[span((0, 3.5), 2, "missed", reason="catchup_none")], versions=policies(catchup="none")
    ),
    "a span of which all has been taken out": history(ALL, spans=[span((0, 3.5), 0, "coalesced")]),
    "a pause that is over": history(
        ran(1, 2, 5, 6), pauses=[paused("paused", 2.2, 4.1)], spans=[span((2.2, 4.1), 2, reason="paused")]
    ),
    "a pause that lasts": history(ran(1, 2), pauses=[paused("paused", 2.2, None)], planned_until=T0 + round(2.2 * HOUR)),
    "disabled, edited meanwhile": history(
        ran(1, 2),
        pauses=[paused("disabled", 2.2, None)],
        planned_until=EDITED[1].from_at,
        versions=EDITED,
        spans=[replace(span((2.2, 3.2), 1, reason="disabled"), to_at=EDITED[1].from_at)],
    ),
    "set aside for a while": history(ran(1, 2, 5, 6), pauses=[paused("set_aside", 2.2, 4.1)]),
    "set aside now": history(ran(1, 2), pauses=[paused("set_aside", 2.2, None)], planned_until=T0 + round(2.2 * HOUR)),
    "deleted": history(ran(1, 2, 3), versions=[replace(EDITED[0])], planned_until=None),
    "retention has taken the first hours": history(ran(4, 5, 6), after=T0 + round(3.5 * HOUR)),
    "in flight": history(ran(1, 2, 3, 4, 5), versions=[Version(1, T0, None, HOURLY)], planned_until=T0 + 5 * HOUR, upto=T0 + 6 * HOUR),
    "skipped for an overlap": history([*LONG, row(20, T0 + 2 * HOUR, "skipped", reason="overlap", into_id=10), *ran(3, 4, 5, 6)]),
    "skipped for an overlap whose blocker still runs": history(
        [*ran(1, 2, 3, 4), row(50, T0 + 5 * HOUR, "running"), row(60, T0 + 6 * HOUR, "skipped", reason="overlap", into_id=50)]
    ),
    "skipped behind a queued one, as queue_one says": history(
        [
            *ran(1, 2, 3, 4),
            row(50, T0 + 5 * HOUR, "held"),
            row(60, T0 + 6 * HOUR, "skipped", reason="overlap", into_id=50),
        ],
        versions=policies(overlap="queue_one"),
    ),
    "skipped by a blocker in its second attempt": history(
        [
            row(10, T0 + HOUR, epoch=2, claimed_at=T0 + 2 * HOUR + 5 * MINUTE, ended_at=T0 + 2 * HOUR + 10 * MINUTE),
            row(20, T0 + 2 * HOUR, "skipped", reason="overlap", into_id=10),
            *ran(3, 4, 5, 6),
        ]
    ),
    "coalesced": history([row(10, T0 + HOUR, "coalesced", into_id=20), *ran(2, 3, 4, 5, 6)]),
    "coalesced into what retention has removed": history(
        [row(50, T0 + 5 * HOUR, "coalesced", into_id=3), *ran(6)], after=T0 + round(4.5 * HOUR), retained=50
    ),
    "dropped when it was paused": history(
        [*ran(1, 2), row(30, T0 + 3 * HOUR, "skipped", reason="paused", ended_at=T0 + round(3.2 * HOUR))],
        pauses=[paused("paused", 3.2, None)],
        planned_until=T0 + round(3.2 * HOUR),
    ),
    "too late to start": history(
        [*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, "missed", reason="start_deadline", ended_at=T0 + 6 * HOUR + 2 * MINUTE)],
        versions=policies(start_deadline_us=MINUTE),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_a_valid_history_gives_zeros(name: str) -> None:
    present = ENGINE
    if name == "in flight":
        present = Present(T0 + 6 * HOUR + 2 * SECOND, {1: replace(UP, lease_until=NOW)})
    verdict = audit_window(VALID[name], present)
    assert figures(verdict) == {}
    assert verdict.pending == 0


VIOLATED: dict[str, tuple[Window, dict[str, int]]] = {
    "a row is missing": (history(ran(1, 2, 4, 5, 6)), {"unaccounted": 1}),
    "several in a row are missing": (history(ran(1, 6)), {"unaccounted": 4}),
    "the first and the last are missing": (history(ran(2, 3, 4, 5)), {"unaccounted": 2}),
    "nothing is there at all": (history([]), {"unaccounted": 6}),
    "only a superseded row": (history([*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, "superseded")]), {"unaccounted": 1}),
    "the planner has stopped": (history(ran(1, 2), planned_until=T0 + 2 * HOUR), {"unaccounted": 4}),
    "a pause that is over left no span": (history(ran(1, 2, 5, 6), pauses=[paused("paused", 2.2, 4.1)]), {"unaccounted": 2}),
    "the tail of a deleted schedule": (history(ran(1, 2), versions=[EDITED[0]], planned_until=None), {"unaccounted": 1}),
    "the old rule after an edit": (history(ALL, versions=EDITED), {"invented": 3, "unaccounted": 4}),
    "a row off the beat": (history([*ALL, *ran(2.5)]), {"invented": 1}),
    "a row before the schedule was there": (history([*ALL, *ran(-1)]), {"invented": 1}),
    "a row after its end": (history(ran(1, 2, 3, 4), versions=[EDITED[0]], planned_until=None), {"invented": 1}),
    "a row while it was set aside": (history(ran(1, 2, 3, 5, 6), pauses=[paused("set_aside", 2.2, 4.1)]), {"invented": 1}),
    "a row of a manual schedule": (history(ran(1), versions=[Version(1, T0, None, MANUAL)]), {"invented": 1}),
    "a row far in the future": (history([*ALL, *ran(8.5)]), {"invented": 1}),
    "an invented row within a span": (
        history(ran(2.5, 4, 5, 6), spans=[span((0, 3.5), 3, "coalesced", into_id=40)]),
        {"invented": 1},
    ),
    "a span that counts too much": (history(ran(4, 5, 6), spans=[span((0, 3.5), 4, "coalesced", into_id=40)]), {"contradicted": 1}),
    "a span that counts too little": (history(ran(4, 5, 6), spans=[span((0, 3.5), 2, "coalesced", into_id=40)]), {"contradicted": 1}),
    "a row taken out without lowering the count": (
        history(ran(2, 4, 5, 6), spans=[span((0, 3.5), 3, "coalesced", into_id=40)]),
        {"contradicted": 1},
    ),
    "spans that overlap": (
        history(ran(4, 5, 6), spans=[span((0, 3.5), 3, "coalesced", into_id=40), span((2.5, 3.6), 0, "coalesced", id=8)]),
        {"contradicted": 1},
    ),
    "a span below zero": (history(ALL, spans=[span((0, 0.5), -1)]), {"contradicted": 1}),
    "a span coalesced into nothing": (history(ran(4, 5, 6), spans=[span((0, 3.5), 3, "coalesced")]), {"contradicted": 1}),
    "a span paused without a pause": (history(ran(4, 5, 6), spans=[span((0, 3.5), 3, reason="paused")]), {"contradicted": 1}),
    "a span missed by a policy that it has not": (
        history(ran(4, 5, 6), spans=[span((0, 3.5), 3, "missed", reason="catchup_limit")]),
        {"contradicted": 1},
    ),
    "succeeded without having begun": (history([*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, began_at=None)]), {"contradicted": 1}),
    "succeeded without an end": (history([*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, ended_at=None)]), {"contradicted": 1}),
    "coalesced into nothing": (history([row(10, T0 + HOUR, "coalesced"), *ran(2, 3, 4, 5, 6)]), {"contradicted": 1}),
    "coalesced into a row that is not there": (
        history([row(10, T0 + HOUR, "coalesced", into_id=99), *ran(2, 3, 4, 5, 6)]),
        {"contradicted": 1},
    ),
    "coalesced into another schedule's row": (
        history(
            [row(10, T0 + HOUR, "coalesced", into_id=99), *ran(2, 3, 4, 5, 6)],
            others={99: other(row(99, T0), schedule=2)},
        ),
        {"contradicted": 1},
    ),
    "coalesced into itself": (history([row(10, T0 + HOUR, "coalesced", into_id=10), *ran(2, 3, 4, 5, 6)]), {"contradicted": 1}),
    "coalesced into a superseded row": (
        history([*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, "coalesced", into_id=66), row(66, NOW - 1, "superseded")]),
        {"contradicted": 1},
    ),
    "an overlap with nobody": (
        history([*ran(1), row(20, T0 + 2 * HOUR, "skipped", reason="overlap"), *ran(3, 4, 5, 6)]),
        {"contradicted": 1},
    ),
    "an overlap with a run that had ended": (
        history([*ran(1), row(20, T0 + 2 * HOUR, "skipped", reason="overlap", into_id=10), *ran(3, 4, 5, 6)]),
        {"contradicted": 1},
    ),
    "an overlap with a run that had not been claimed": (
        history([*ran(1), row(20, T0 + 2 * HOUR, "skipped", reason="overlap", into_id=30), *ran(3, 4, 5, 6)]),
        {"contradicted": 1},
    ),
    "an overlap with a run that is not there": (
        history([*ran(1), row(20, T0 + 2 * HOUR, "skipped", reason="overlap", into_id=99), *ran(3, 4, 5, 6)]),
        {"contradicted": 1},
    ),
    "missed in a downtime that nobody recorded": (
        history([row(10, T0 + HOUR, "missed", reason="downtime", planned_at=T0 + 2 * HOUR), *ran(2, 3, 4, 5, 6)]),
        {"contradicted": 1},
    ),
    "disabled while it was not": (
        history([*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, "skipped", reason="disabled")], pauses=[paused("paused", 5.5, None)]),
        {"contradicted": 1},
    ),
    "planned while it was paused": (
        history(ran(1, 2, 3), pauses=[paused("paused", 2.2, None)], planned_until=T0 + 3 * HOUR),
        {"contradicted": 1},
    ),
    "missed by a start deadline that it has not": (
        history([*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, "missed", reason="start_deadline")]),
        {"contradicted": 1},
    ),
    "missed by a start deadline before it passed": (
        history(
            [*ran(1, 2, 3, 4, 5), row(60, T0 + 6 * HOUR, "missed", reason="start_deadline", ended_at=T0 + 6 * HOUR)],
            versions=policies(start_deadline_us=MINUTE),
        ),
        {"contradicted": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VIOLATED)
def test_a_violated_history_is_flagged(name: str) -> None:
    window, expected = VIOLATED[name]
    assert figures(audit_window(window, ENGINE)) == expected


def test_a_recorded_outage_bears_out_what_names_it() -> None:
    late = T0 + round(3.5 * HOUR)
    rows = [
        row(i * 10, T0 + i * HOUR, "coalesced", reason="downtime", into_id=30, planned_at=late)
        for i in (1, 2)
    ]
    window = history([*rows, row(30, T0 + 3 * HOUR, planned_at=late), *ran(4, 5, 6)])
    assert figures(audit_window(window, OUT)) == {}
    assert figures(audit_window(window, ENGINE)) == {"contradicted": 2}
    suspended = Present(NOW, {1: UP}, [("suspend", *OUT.outages[0][1:])])
    assert figures(audit_window(window, suspended)) == {"contradicted": 2}
    missed = history(ran(3, 4, 5, 6), spans=[span((0, 2.9), 2, "missed", reason="downtime", planned_at=late)])
    assert figures(audit_window(missed, OUT)) == {}
    assert figures(audit_window(missed, ENGINE)) == {"contradicted": 1}


def test_it_counts_to_now_and_calls_what_nobody_could_plan_pending() -> None:
    window = history(ran(1, 2), planned_until=T0 + 2 * HOUR)
    verdict = audit_window(window, NO_ENGINE)
    assert (figures(verdict), verdict.pending, verdict.occurrences) == ({}, 4, 6)


def test_a_missing_row_is_unaccounted_with_or_without_an_engine() -> None:
    verdict = audit_window(history(ran(1, 3), planned_until=T0 + 3 * HOUR), NO_ENGINE)
    assert (figures(verdict), verdict.pending) == ({"unaccounted": 1}, 3)


@pytest.mark.parametrize(
    ("age", "up_for", "expected"),
    [
        (2, 3600, (0, 0)),
        (30, 3600, (0, 1)),
        (90, 3600, (1, 0)),
        (90, 20, (0, 1)),
        (90, 70, (1, 0)),
    ],
)
def test_an_instant_beyond_the_planners_reach_ripens(
    age: int, up_for: int, expected: tuple[int, int]
) -> None:
    now = T0 + HOUR + age * SECOND
    node = replace(UP, started_at=now - up_for * SECOND, lease_until=now + SECOND)
    verdict = audit_window(history([], planned_until=T0, upto=now), Present(now, {1: node}))
    assert (figures(verdict).get("unaccounted", 0), verdict.pending) == expected


def test_an_open_pause_is_counted_as_paused_so_far() -> None:
    verdict = audit_window(VALID["a pause that lasts"], ENGINE)
    assert (verdict.paused, verdict.occurrences) == (4, 6)


def test_stored_zone_rules_decide_and_not_todays() -> None:
    trigger = json.dumps({"kind": "cron", "expression": "0 5 * * *", "tz": "Europe/Berlin"})
    odd = json.dumps({"name": "Europe/Berlin", "first_offset_s": 7200, "transitions": []})
    rows = ran(3)
    assert figures(audit_window(history(rows, versions=[Version(1, T0, None, trigger, odd)]), ENGINE)) == {}
    assert figures(audit_window(history(rows, versions=[Version(1, T0, None, trigger)]), ENGINE)) == {
        "invented": 1,
        "unaccounted": 1,
    }


def test_a_rule_that_cannot_be_read_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(BadTrigger):
        audit_window(history([], versions=[Version(1, T0, None, '{"kind": "cron"}')]), ENGINE)


# --- fixed delay ------------------------------------------------------------------------------------------------------


def chain(*lengths: int, start: int = T0 + HOUR) -> list[LedgerRow]:
    """Runs of these lengths (minutes), each due an hour after the end of the one before."""
    rows, due = [], start
    for number, length in enumerate(lengths, 1):
        rows.append(row(number, due, ended_at=due + length * MINUTE))
        due += length * MINUTE + HOUR
    return rows


def delayed(rows: list[LedgerRow], **more: Any) -> Window:
    return history(rows, **{"versions": [Version(1, T0, None, DELAY)]} | more)


LINKS = chain(10, 50, 20, 5)  # ends at 1:10, 3:00, 4:20, 5:25; the next is due at 6:25
LAST = row(9, T0 + 6 * HOUR + 25 * MINUTE, "running")


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (delayed([*LINKS, LAST]), {}),
        (delayed([*LINKS[:3], LINKS[3]._replace(state="running", ended_at=None)]), {}),
        (delayed(LINKS), {"unaccounted": 1}),
        (delayed(LINKS, planned_until=T0 + 6 * HOUR), {"unaccounted": 1}),
        (delayed([LINKS[0], *LINKS[2:], LAST]), {"unaccounted": 1}),
        (delayed([*LINKS[:2], LINKS[2]._replace(due_at=LINKS[2].due_at - MINUTE), LINKS[3], LAST]), {"invented": 1}),
        (delayed([]), {"unaccounted": 1}),
        (delayed(LINKS[:2], pauses=[paused("paused", 3.1, None)], planned_until=T0 + round(3.1 * HOUR)), {}),
        (delayed([*LINKS[:2], *chain(200, start=T0 + 5 * HOUR)], pauses=[paused("paused", 3.1, 4)]), {}),
        (delayed(LINKS[:2], pauses=[paused("paused", 3.1, 4)]), {"unaccounted": 1}),
        (delayed([LINKS[0], *chain(200, start=T0 + 4 * HOUR)], by_hand=[T0 + 3 * HOUR], by_hand_live=False), {"unaccounted": 0}),
        (delayed(LINKS[:2], by_hand_live=True), {}),
        (delayed([*LINKS[:1], row(5, T0 + round(13 / 6 * HOUR), "skipped", reason="paused", ended_at=T0 + round(2.2 * HOUR))], planned_until=None,
                 pauses=[paused("paused", 2.2, 3)],
                 versions=[Version(1, T0, T0 + 3 * HOUR, DELAY)]), {}),
    ],
)  # fmt: skip
def test_a_fixed_delay_is_followed_as_a_chain(window: Window, expected: Mapping[str, int]) -> None:
    assert figures(audit_window(window, ENGINE)) == {kind: count for kind, count in expected.items() if count}


# --- stuck ------------------------------------------------------------------------------------------------------------

JOB = JobFacts("job", frozenset({"job"}))


def live(state: str, age: int, **more: Any) -> LiveRow:
    at = NOW - age
    base = LiveRow(5, 1, 1, state, at, at, None, at, None, None, 1, None)
    return base._replace(**more)


@pytest.mark.parametrize(
    ("row", "present", "told"),
    [
        (live("running", HOUR, node=1), ENGINE, None),
        (live("running", HOUR, node=1), NO_ENGINE, "last seen"),
        (live("running", HOUR, node=2), ENGINE, "unknown"),
        (live("claimed", HOUR), ENGINE, "no node at all"),
        (live("running", HOUR, node=1), Present(NOW, {1: replace(UP, state="dead", stopped_at=NOW - HOUR), 2: UP}), "last seen"),
        (live("running", HOUR, node=1), Present(NOW, {1: replace(UP, state="dead", stopped_at=NOW - SECOND), 2: UP}), None),
        (live("claimed", MINUTE, node=1), ENGINE, None),
        (live("claimed", HOUR, node=1), ENGINE, "has not begun"),
        (live("claimed", HOUR, node=1, claimed_at=NOW - MINUTE), ENGINE, None),
        (live("waiting", HOUR, ready_at=NOW + HOUR), ENGINE, None),
        (live("waiting", HOUR, ready_at=NOW - 9 * MINUTE), ENGINE, None),
        (live("waiting", HOUR, ready_at=NOW - 11 * MINUTE), ENGINE, "nobody has taken it"),
        (live("retrying", HOUR, ready_at=NOW - 11 * MINUTE), ENGINE, "nobody has taken it"),
        (live("retrying", HOUR, ready_at=NOW - 11 * MINUTE), NO_ENGINE, None),
        (live("queued", 10 * HOUR), ENGINE, None),
        (live("held", 10 * HOUR, held_by="key:x"), ENGINE, None),
    ],
)  # fmt: skip
def test_a_live_row_needs_a_live_owner_or_a_future(row: LiveRow, present: Present, told: str | None) -> None:
    why = stuck(row, JOB, present)
    assert why is None if told is None else why is not None and told in why


@pytest.mark.parametrize(
    ("age", "job", "told"),
    [
        (10 * MINUTE, JobFacts("other", frozenset({"other"})), False),
        (12 * MINUTE, JobFacts("other", frozenset({"other"})), True),
        (12 * MINUTE, JobFacts("other", frozenset({"other", "job"})), False),
        (12 * MINUTE, JobFacts("other", frozenset({"other"}), hold_if_missing=True), False),
        (12 * MINUTE, JobFacts("a command"), False),
        (12 * MINUTE, None, True),
    ],
)
def test_a_queued_row_of_a_missing_handler_is_stuck_after_its_grace(
    age: int, job: JobFacts | None, told: bool
) -> None:
    assert (stuck(live("queued", age), job, ENGINE) is not None) == told


def test_a_queued_row_far_past_its_start_deadline_is_stuck() -> None:
    assert stuck(live("queued", 20 * MINUTE), JOB, ENGINE, deadline_us=15 * MINUTE) is None
    assert stuck(live("queued", 20 * MINUTE), JOB, ENGINE, deadline_us=MINUTE)


@pytest.mark.parametrize("kind", ["suspend", "clock_jump"])
def test_S3_1_nothing_is_stuck_at_the_moment_at_which_the_machine_wakes(kind: str) -> None:
    """Found by the simulation: an audit right after three days of sleep called a passed start deadline stuck."""
    row = live("queued", 3 * 24 * HOUR)
    woken = replace(ENGINE, outages=[(kind, NOW - 3 * 24 * HOUR, NOW)])
    awake = replace(ENGINE, outages=[(kind, NOW - 3 * 24 * HOUR, NOW - HOUR)])
    assert stuck(row, JOB, woken, deadline_us=HOUR) is None
    assert stuck(row, JOB, awake, deadline_us=HOUR)


def test_a_row_held_behind_nothing_is_stuck() -> None:
    held = live("held", HOUR, held_by="overlap")
    assert stuck(held, JOB, ENGINE) is None
    assert stuck(held, JOB, ENGINE, alone_since=NOW - MINUTE) is None
    assert stuck(held, JOB, ENGINE, alone_since=NOW - HOUR)


# --- any history ------------------------------------------------------------------------------------------------------

TRIGGERS = [
    HOURLY,
    HALF_PAST,
    json.dumps({"kind": "interval", "period_us": 17 * MINUTE, "start_at": T0 - DAY}),
    json.dumps({"kind": "cron", "expression": "*/20 2,5 * * *", "tz": "Asia/Kolkata", "dst": "wall"}),
]


@st.composite
def histories(draw: st.DrawFn) -> Window:
    """A valid history with edits, pauses that are over, and spans, built stretch by stretch."""
    versions: list[Version] = []
    pauses: list[Pause] = []
    rows: list[LedgerRow] = []
    spans: list[SpanRow] = []
    at, trigger, ids = T0, draw(st.sampled_from(TRIGGERS)), 100
    version_from = at
    while at < NOW:
        end = min(NOW, at + draw(st.integers(1, 150)) * MINUTE + draw(st.integers(0, 5)))
        due = list(implied(trigger, at, end))
        number = len(versions) + 1
        kind = draw(st.sampled_from(["rows", "rows", "paused", "missed", "set_aside"]))
        if kind == "set_aside":
            pauses.append(Pause("set_aside", at, end))
        elif kind in ("paused", "missed"):
            taken = draw(st.lists(st.sampled_from(due), unique=True, max_size=2)) if due else []
            rows += [row(ids := ids + 1, each, origin="backfill", version=number) for each in taken]
            if kind == "paused":
                pauses.append(Pause("paused", at, end))
            reason = "paused" if kind == "paused" else "no_capacity"
            ending = "skipped" if kind == "paused" else "missed"
            if due:
                spans.append(
                    SpanRow(ids := ids + 1, at, end, len(due) - len(taken), ending, reason, None, end, number)
                )
        else:
            state = st.sampled_from(["succeeded", "failed", "lost"])
            rows += [row(ids := ids + 1, each, draw(state), version=number) for each in due]
        at = end
        if at < NOW and draw(st.booleans()):
            versions.append(Version(number, version_from, at, trigger))
            version_from, trigger = at, draw(st.sampled_from(TRIGGERS))
    versions.append(Version(len(versions) + 1, version_from, None, trigger))
    return history(rows, versions=versions, pauses=pauses, spans=spans)


@given(histories())
def test_every_valid_history_gives_zeros(window: Window) -> None:
    verdict = audit_window(window, ENGINE)
    assert figures(verdict) == {}
    assert verdict.occurrences == len(window.rows) + sum(each.count for each in window.spans)


def without_a_row(window: Window, pick: int) -> tuple[Window, str]:
    rows = list(window.rows)
    gone = rows.pop(pick % len(rows))
    in_span = any(s.from_at < gone.due_at <= s.to_at for s in window.spans)
    return replace(window, rows=rows), "contradicted" if in_span else "unaccounted"


def with_a_row_moved(window: Window, pick: int) -> tuple[Window, str]:
    rows = list(window.rows)
    i = pick % len(rows)
    rows[i] = rows[i]._replace(due_at=rows[i].due_at + SECOND, origin="scheduled")
    return replace(window, rows=rows), "invented"


def with_a_row_superseded(window: Window, pick: int) -> tuple[Window, str]:
    i = pick % len(window.rows)
    rest, kind = without_a_row(window, pick)
    return replace(
        rest, rows=[*rest.rows[:i], window.rows[i]._replace(state="superseded"), *rest.rows[i:]]
    ), kind


def with_a_wrong_count(window: Window, pick: int) -> tuple[Window, str]:
    spans = list(window.spans)
    i = pick % len(spans)
    spans[i] = replace(spans[i], count=spans[i].count + (1 if pick % 2 else -1))
    return replace(window, spans=spans), "contradicted"


def without_a_span(window: Window, pick: int) -> tuple[Window, str]:
    spans = [each for each in window.spans if each.count > 0]
    spans.pop(pick % len(spans))
    return replace(window, spans=spans), "unaccounted"


@settings(max_examples=200)
@given(
    histories(),
    st.sampled_from(
        [without_a_row, with_a_row_moved, with_a_row_superseded, with_a_wrong_count, without_a_span]
    ),
    st.integers(0, 1000),
)
def test_every_corruption_of_a_valid_history_is_flagged(
    window: Window, corrupt: Callable[[Window, int], tuple[Window, str]], pick: int
) -> None:
    needed = window.rows if "row" in corrupt.__name__ else [each for each in window.spans if each.count > 0]
    if corrupt is with_a_wrong_count:
        needed = window.spans
    if not needed:
        return
    changed, kind = corrupt(window, pick)
    assert figures(audit_window(changed, ENGINE)).get(kind, 0) > 0


@settings(max_examples=60)
@given(histories(), st.integers(1, 389))
def test_two_windows_find_what_one_finds(window: Window, minute: int) -> None:
    cut = T0 + minute * MINUTE
    within = next((s for s in window.spans if s.from_at < cut < s.to_at), None)
    if within is not None:
        cut = within.to_at
    first = replace(
        window,
        upto=cut,
        last=False,
        rows=[r for r in window.rows if r.due_at <= cut],
        spans=[s for s in window.spans if s.to_at <= cut],
    )
    second = replace(
        window,
        after=cut,
        rows=[r for r in window.rows if r.due_at > cut],
        spans=[s for s in window.spans if s.to_at > cut],
    )
    whole, parts = audit_window(window, ENGINE), [audit_window(each, ENGINE) for each in (first, second)]
    assert figures(parts[0]) == figures(parts[1]) == {}
    assert whole.occurrences == sum(part.occurrences for part in parts)


@pytest.mark.parametrize(("blocker", "contradicted"), [(15, 0), (25, 1)])
def test_of_two_rows_written_in_one_instant_the_lower_id_was_there_first(
    blocker: int, contradicted: int
) -> None:
    """Another process reads its clock, waits for its turn to write, and may be the first to write all the same."""
    at = T0 + 2 * HOUR
    asked_for = Other(blocker, 1, "succeeded", "manual", at + 14_000, 1, at + 15_000, at + MINUTE)
    rows = [*ran(1, 3, 4, 5, 6), row(20, at, "skipped", reason="overlap", into_id=blocker)]
    known = {each.id: other(each) for each in rows} | {blocker: asked_for}
    verdict = audit_window(history(rows, others=known), ENGINE)
    assert figures(verdict) == ({"contradicted": 1} if contradicted else {})

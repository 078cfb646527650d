"""Explanations over values: a sentence for every ending and reason, and where a schedule stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from watchbell.core.audit.evidence import Node, Present
from watchbell.core.explain.case import KnownPause
from watchbell.core.explain.outlook import Outlook, standing_sentence
from watchbell.core.explain.words import Around, Clock, RunFacts, row_sentence, span_sentence
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND, parse_instant
from watchbell.core.states import LIVE, NEVER_RAN, Reason, State
from watchbell.core.triggers import cron, every, manual, once

T0 = parse_instant("2026-11-21T00:00:00Z")
NOW = T0 + 6 * HOUR
UTC = Clock("UTC", NOW)
BERLIN = Clock("Europe/Berlin", NOW)
THREE = T0 + 3 * HOUR


def run(state: str = "succeeded", **more: Any) -> RunFacts:
    ended = None if state in LIVE else THREE + 10 * MINUTE
    began = THREE if state not in ("waiting", "queued", "held", "claimed", *NEVER_RAN) else None
    values: dict[str, Any] = {
        "id": 8, "due_at": THREE, "state": state, "origin": "scheduled", "planned_at": THREE, "start_at": THREE,
        "claimed_at": THREE, "began_at": began, "ended_at": ended, "attempt": 1, "node": "bell",
    }  # fmt: skip
    return RunFacts(**values | more)


BLOCKER = run("succeeded", id=7, due_at=T0 + 2 * HOUR, claimed_at=T0 + 2 * HOUR, began_at=T0 + 2 * HOUR)
LATER = run("succeeded", id=9, due_at=T0 + 4 * HOUR, ended_at=T0 + 4 * HOUR + MINUTE)
OUT = Around(outage=("downtime", T0 + HOUR, T0 + 4 * HOUR), catchup="none")

SENTENCES: list[tuple[RunFacts, Around, str]] = [
    (run(), Around(), "03:00 UTC ran: it began at 03:00 UTC and succeeded at 03:10 UTC."),
    (
        run(began_at=THREE + 5 * MINUTE),
        Around(),
        "03:00 UTC ran: it began at 03:05 UTC, 5 min late, and succeeded at 03:10 UTC.",
    ),
    (
        run(attempt=2),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and succeeded at 03:10 UTC after 2 attempts.",
    ),
    (
        run("failed", attempt=3, error="Traceback (most recent call last):\n  …\nOSError: disk"),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and failed at 03:10 UTC after 3 attempts: OSError: disk.",
    ),
    (
        run("failed", exit_code=2),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and failed at 03:10 UTC: exit code 2.",
    ),
    (
        run("failed", error="The program ended with exit code 3."),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and failed at 03:10 UTC: The program ended with exit code 3.",
    ),
    (
        run("failed"),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and failed at 03:10 UTC: it left no error.",
    ),
    (
        run("failed", began_at=None),
        Around(),
        "03:00 UTC did not begin: it failed at 03:10 UTC: it left no error.",
    ),
    (
        run("timed_out"),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and reached its timeout and was ended at 03:10 UTC.",
    ),
    (
        run("cancelled", reason="shutdown"),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and was cancelled at 03:10 UTC, as the engine shut down and it outlived the grace.",
    ),
    (
        run("cancelled", reason="by_request", began_at=None, note="Asked by anna."),
        Around(),
        "03:00 UTC did not begin: it was cancelled at 03:10 UTC: Asked by anna.",
    ),
    (
        run("cancelled", reason="by_request"),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and was cancelled at 03:10 UTC by request.",
    ),
    (
        run("lost", reason="begun"),
        Around(),
        "03:00 UTC ran: it began at 03:00 UTC and was lost: it had begun, and how far it came is unknown (node bell died).",
    ),
    (
        run("lost", reason="begin_unknown", began_at=None, resolved="succeeded at 2026-11-21T03:09:00Z"),
        Around(),
        (
            "03:00 UTC may or may not have begun: it was lost (node bell died); "
            "later it became known that it succeeded at 2026-11-21T03:09:00Z."
        ),
    ),
    (
        run("skipped", reason="overlap"),
        Around(other=BLOCKER),
        "03:00 UTC did not run: the job was still running since 02:00 UTC and its overlap policy is skip.",
    ),
    (
        run("skipped", reason="overlap"),
        Around(other=replace(BLOCKER, claimed_at=None, began_at=None), overlap="queue_one"),
        "03:00 UTC did not run: run_7, due at 02:00 UTC, still waited to run and its overlap policy is queue_one.",
    ),
    (
        run("skipped", reason="overlap"),
        Around(),
        "03:00 UTC did not run: an earlier run was still there and its overlap policy is skip.",
    ),
    (
        run("skipped", reason="paused"),
        Around(pause="the schedule was paused from 02:00 UTC to 04:00 UTC, by anna"),
        "03:00 UTC did not run: the schedule was paused from 02:00 UTC to 04:00 UTC, by anna.",
    ),
    (run("skipped", reason="disabled"), Around(), "03:00 UTC did not run: the schedule was disabled."),
    (
        run("skipped", reason="replaced"),
        Around(),
        "03:00 UTC did not run: a later occurrence replaced it, as its overlap policy replace says.",
    ),
    (run("skipped", reason="set_aside"), Around(), "03:00 UTC did not run: the schedule was set aside."),
    (run("skipped", reason="blackout"), Around(), "03:00 UTC did not run: it fell into a blackout."),
    (run("skipped", reason="condition"), Around(), "03:00 UTC did not run: its condition was not met."),
    (run("skipped", reason="quota"), Around(), "03:00 UTC did not run: its quota was used up."),
    (
        run("missed", reason="downtime"),
        OUT,
        "03:00 UTC did not run: no engine was running from 01:00 UTC to 04:00 UTC, and its catch-up policy is none.",
    ),
    (
        run("missed", reason="suspend"),
        Around(catchup="none"),
        "03:00 UTC did not run: the machine was asleep, and its catch-up policy is none.",
    ),
    (
        run("missed", reason="clock_jump"),
        Around(catchup="none"),
        "03:00 UTC did not run: the clock jumped over it, and its catch-up policy is none.",
    ),
    (
        run("missed", reason="start_deadline"),
        Around(),
        "03:00 UTC did not run: its start deadline passed before it could begin.",
    ),
    (
        run("missed", reason="no_capacity"),
        Around(),
        "03:00 UTC did not run: no slot became free before the next one fell due.",
    ),
    (
        run("missed", reason="handler_missing"),
        Around(),
        "03:00 UTC did not run: no node had the handler of its job.",
    ),
    (
        run("missed", reason="catchup_none"),
        Around(catchup="none"),
        "03:00 UTC did not run: it was planned too late, and its catch-up policy is none.",
    ),
    (
        run("missed", reason="catchup_window"),
        Around(),
        "03:00 UTC did not run: it was older than the catch-up window.",
    ),
    (
        run("missed", reason="catchup_limit"),
        Around(),
        "03:00 UTC did not run: more had been missed than the catch-up limit allows.",
    ),
    (
        run("missed", reason="restored"),
        Around(outage=("restored", T0 + 2 * HOUR, T0 + 4 * HOUR)),
        (
            "03:00 UTC did not run: the database was restored from an older backup, and what may have run since that was "
            "made is not run again; the backup knows nothing of the time from 02:00 UTC to 04:00 UTC."
        ),
    ),
    (
        run("missed", reason="store_full"),
        Around(outage=("store_full", T0 + 2 * HOUR, T0 + 4 * HOUR), catchup="none"),
        (
            "03:00 UTC did not run: there was no room left to write the database from 02:00 UTC to 04:00 UTC, and its "
            "catch-up policy is none."
        ),
    ),
    (
        run("coalesced", reason="downtime"),
        Around(other=LATER),
        "03:00 UTC did not run by itself: no engine was running, and 04:00 UTC (run_9) stands for it, which succeeded at 04:01 UTC.",
    ),
    (
        run("coalesced"),
        Around(other=run("running", id=9)),
        "03:00 UTC did not run by itself: 03:00 UTC (run_9) stands for it, which is running since 03:00 UTC.",
    ),
    (
        run("coalesced"),
        Around(),
        "03:00 UTC did not run by itself: another occurrence stands for it, which is no longer in the ledger.",
    ),
    (
        run("superseded"),
        Around(),
        "03:00 UTC does not count: the schedule was edited before its instant came.",
    ),
    (run("waiting", ready_at=T0 + 7 * HOUR), Around(), "03:00 UTC is waiting for 07:00 UTC."),
    (run("queued"), Around(), "03:00 UTC is queued and waits for a free slot."),
    (
        run("queued"),
        Around(stuck="no node has the label gpu"),
        "03:00 UTC is queued: no node has the label gpu.",
    ),
    (
        run("held", held_by="overlap"),
        Around(other=run("running", id=7), overlap="queue_all"),
        "03:00 UTC is held behind run_7, running since 03:00 UTC, as its overlap policy queue_all says.",
    ),
    (run("held", held_by="key:db"), Around(), "03:00 UTC is held: there is no room behind key:db."),
    (run("claimed"), Around(), "03:00 UTC has been claimed by bell at 03:00 UTC and is about to begin."),
    (run("running"), Around(), "03:00 UTC is running since 03:00 UTC."),
    (
        run("retrying", attempt=2, ready_at=T0 + 7 * HOUR, error="OSError: disk"),
        Around(),
        "03:00 UTC failed 2 times and will be tried again at 07:00 UTC: OSError: disk.",
    ),
]


@pytest.mark.parametrize(("row", "around", "sentence"), SENTENCES)
def test_every_ending_has_its_sentence(row: RunFacts, around: Around, sentence: str) -> None:
    assert row_sentence(row, around, UTC) == sentence


def test_no_state_and_no_reason_is_left_without_a_sentence() -> None:
    told = {row.state for row, _, _ in SENTENCES}
    assert told == {str(state) for state in State}
    reasons = {row.reason for row, _, _ in SENTENCES if row.reason}
    assert reasons == {str(reason) for reason in Reason}
    for reason in Reason:
        assert "no reason" not in row_sentence(run("missed", reason=str(reason)), Around(), UTC) or reason in (
            Reason.BEGUN, Reason.BEGIN_UNKNOWN, Reason.SHUTDOWN, Reason.BY_REQUEST,
        )  # fmt: skip


def test_an_instant_within_a_span_has_the_span_s_sentence() -> None:
    said = span_sentence(THREE, ("missed", "catchup_limit", 240), Around(), UTC)
    assert (
        said
        == "03:00 UTC did not run: more had been missed than the catch-up limit allows (one of 240 like it)."
    )


def test_times_are_local_with_utc_where_it_differs() -> None:
    assert row_sentence(run(), Around(), BERLIN).startswith(
        "04:00 Europe/Berlin (03:00 UTC) ran: it began at 04:00 Europe/Berlin"
    )
    assert BERLIN.full(T0 - 30 * MINUTE) == "2026-11-21 00:30 Europe/Berlin (2026-11-20 23:30 UTC)"
    assert Clock("Europe/London", NOW).subject(THREE) == "03:00 Europe/London"
    assert UTC.short(T0 - DAY + 90 * SECOND) == "2026-11-20 00:01:30 UTC"


# --- where a schedule stands ------------------------------------------------------------------------------------------

UP = Present(NOW, {1: Node(1, "bell", "up", T0, NOW, NOW + MINUTE)})
DOWN = Present(NOW, {1: Node(1, "bell", "dead", T0, T0 + 5 * HOUR, T0 + 5 * HOUR, T0 + 5 * HOUR)})
HOURLY = cron("0 * * * *", tz="UTC")
BASE = Outlook(
    "backup", "UTC", HOURLY, T0 - DAY, NOW + HOUR, job="job", lane="thread", last=LATER, slots=4, busy=1
)
BEHIND = run("queued", due_at=NOW - 12 * MINUTE, start_at=NOW - 12 * MINUTE)


def still(kind: str, note: str = "") -> KnownPause:
    return KnownPause(kind, T0 + HOUR, None, "anna", note)


@pytest.mark.parametrize(
    ("outlook", "present", "sentence"),
    [
        (BASE, UP, "next due at 07:00 UTC; the one of 04:00 UTC succeeded at 04:01 UTC."),
        (
            replace(BASE, next_due=NOW - 12 * MINUTE),
            DOWN,
            "overdue by 12 min: no engine has been running since 05:00 UTC.",
        ),
        (
            replace(BASE, next_due=NOW - 12 * MINUTE),
            Present(NOW),
            "overdue by 12 min: no engine has ever been running.",
        ),
        (
            replace(BASE, next_due=NOW - 12 * MINUTE),
            UP,
            "overdue by 12 min: the engine has not planned it yet.",
        ),
        (
            replace(BASE, live=[BEHIND], busy=4),
            UP,
            "overdue by 12 min: all 4 slots for thread jobs are busy.",
        ),
        (
            replace(BASE, live=[BEHIND], slots=0, busy=0),
            UP,
            "overdue by 12 min: no node has slots for thread jobs.",
        ),
        (replace(BASE, live=[BEHIND]), UP, "overdue by 12 min: it waits for a free slot."),
        (
            replace(BASE, live=[BEHIND], handler=False),
            UP,
            "overdue by 12 min: handler missing: no node knows the job job.",
        ),
        (
            replace(BASE, live=[replace(BEHIND, state="held", held_by="overlap"), run("running", id=3)]),
            UP,
            "overdue by 12 min: held by run_3, which is running since 03:00 UTC (overlap).",
        ),
        (
            replace(BASE, live=[replace(BEHIND, state="held", held_by="key:db")], active={"key:db": (2, 2)}),
            UP,
            "overdue by 12 min: held by key:db, which has no room (2 of 2 are taken).",
        ),
        (replace(BASE, live=[run("running")]), UP, "running since 03:00 UTC; next due at 07:00 UTC."),
        (
            replace(BASE, trigger=every("1h", after_completion=True), next_due=None, live=[run("running")]),
            UP,
            "running since 03:00 UTC, and due again after its end.",
        ),
        (
            replace(BASE, last=None, created_at=NOW - 10 * MINUTE),
            UP,
            "never ran: created 10 min ago, first due at 07:00 UTC.",
        ),
        (
            replace(BASE, trigger=manual(), next_due=None, last=None),
            UP,
            "not scheduled: manual.",
        ),
        (
            replace(BASE, next_due=None, pause=still("disabled")),
            UP,
            "not scheduled: disabled since 01:00 UTC by anna.",
        ),
        (
            replace(BASE, next_due=None, pause=still("paused", "moving house")),
            UP,
            "not scheduled: paused since 01:00 UTC by anna (moving house).",
        ),
        (
            replace(BASE, next_due=None, pause=still("set_aside"), set_aside="its zone is gone."),
            UP,
            "not scheduled: set aside since 01:00 UTC: its zone is gone.",
        ),
        (
            replace(BASE, trigger=once(THREE), next_due=None),
            UP,
            "not due again; the one of 04:00 UTC succeeded at 04:01 UTC.",
        ),
    ],
)
def test_S1_17_where_a_schedule_stands_is_said_with_its_reason(
    outlook: Outlook, present: Present, sentence: str
) -> None:
    assert standing_sentence(outlook, present) == sentence


def test_a_time_has_its_zone_and_its_date_where_that_is_another_than_the_subjects() -> None:
    clock = Clock("UTC", NOW, T0 - HOUR)
    assert clock.subject(T0 - HOUR) == "2026-11-20 23:00 UTC"
    assert clock.short(T0 - MINUTE) == "23:59 UTC"
    assert clock.short(T0 + MINUTE) == "2026-11-21 00:01 UTC"
    over = run(due_at=T0 - HOUR, start_at=T0 - HOUR, began_at=T0 - HOUR, ended_at=T0 + MINUTE)
    assert row_sentence(over, Around(), UTC) == (
        "2026-11-20 23:00 UTC ran: it began at 23:00 UTC and succeeded at 2026-11-21 00:01 UTC."
    )

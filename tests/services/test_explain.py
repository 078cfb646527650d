"""Explain on a real database: the chain of checks for any instant, past or future, and one closing sentence."""

from __future__ import annotations

import json
import re
import socket
import subprocess

import pytest

from tests.services.ledger import T0, Ledger
from watchbell.clock import SystemClock
from watchbell.core.instants import DAY, HOUR, MINUTE, Instant, parse_instant
from watchbell.core.triggers import cron, every, manual
from watchbell.errors import NotFound
from watchbell.services.explain import Explanation, explain, standing, zone_of

HOURLY = cron("0 * * * *", tz="UTC")


@pytest.fixture
def ledger() -> Ledger:
    """A database with an engine that is up."""
    made = Ledger()
    made.node()
    return made


def at(ledger: Ledger, hours: float, name: str = "backup") -> Explanation:
    return explain(ledger.store, name, T0 + round(hours * HOUR), ledger.now)


def test_a_skip_names_the_run_that_was_in_its_way(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    blocker = ledger.row(schedule, T0 + 2 * HOUR, ended_at=T0 + 3 * HOUR + 10 * MINUTE)
    ledger.row(schedule, T0 + 3 * HOUR, "skipped", reason="overlap", into_id=blocker)
    found = at(ledger, 3)
    assert found.sentence == (
        "03:00 UTC did not run: the job was still running since 02:00 UTC and its overlap policy is skip."
    )
    texts = [check.text for check in found.checks]
    assert texts[0].startswith("version 1 holds, from 2026-11-21 00:00 UTC, still in force: ")
    assert texts[1] == "the rule matches 2026-11-21 03:00 UTC"
    assert texts[2] == "the schedule was not paused, disabled or set aside"
    assert texts[3] == "the ledger holds run_2: skipped: overlap"
    assert texts[-1] == "run_1, due at 2026-11-21 02:00 UTC, was in its way; it succeeded at 03:10 UTC"


def test_a_run_in_place_of_its_schedule_is_explained_at_its_instant(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.row(schedule, T0 + HOUR)
    run = ledger.row(schedule, T0 + 2 * HOUR, "skipped", reason="overlap")
    assert explain(ledger.store, f"run_{run}", None, ledger.now) == at(ledger, 2)
    assert zone_of(ledger.store, f"run_{run}", ledger.now) == "UTC"


def test_what_is_no_schedule_and_no_run_of_one_is_refused_with_the_command_that_helps(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.job("my report")
    by_hand = ledger.row(schedule, T0 + HOUR, origin="manual")
    for name, helps in (
        (f"run_{by_hand}", f"`watchbell run show run_{by_hand}` shows what became of it"),
        ("run_99", "There is no run_99; `watchbell run list` shows"),
        ("my report", "`watchbell run list --job 'my report'` the job's runs"),
        ("run", "There is no schedule named 'run'"),
    ):
        with pytest.raises(NotFound, match=re.escape(helps)):
            explain(ledger.store, name, None, ledger.now)


def test_a_run_is_told_from_its_claim_to_its_end(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.row(schedule, T0 + HOUR, "failed", error="OSError: disk", ended_at=T0 + HOUR + 5 * MINUTE)
    found = at(ledger, 1)
    assert found.sentence == "01:00 UTC ran: it began at 01:00 UTC and failed at 01:05 UTC: OSError: disk."
    assert [check.text for check in found.checks][4:] == [
        "planned at 2026-11-21 01:00 UTC",
        "claimed at 2026-11-21 01:00 UTC by bell, attempt 1",
        "began at 2026-11-21 01:00 UTC",
        "ended at 2026-11-21 01:05 UTC, 5 min after it began",
        "error: OSError: disk",
    ]


def test_the_pointer_is_followed_to_the_row_that_stands(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.row(schedule, T0 + HOUR, "coalesced", into_id=2)
    ledger.row(schedule, T0 + 2 * HOUR, "coalesced", into_id=3)
    ledger.row(schedule, T0 + 3 * HOUR)
    assert at(ledger, 1).sentence == (
        "01:00 UTC did not run by itself: 03:00 UTC (run_3) stands for it, which succeeded at 03:00:01 UTC."
    )


def test_a_span_accounts_for_an_instant_and_the_outage_is_told(ledger: Ledger) -> None:
    schedule = ledger.schedule(cron("* * * * *", tz="UTC"), policies={"catchup": "none"})
    ledger.outage("downtime", T0 + HOUR, T0 + 4 * HOUR)
    ledger.span(schedule, T0 + HOUR, T0 + 4 * HOUR - 1, 179, "missed", reason="downtime")
    found = at(ledger, 3)
    assert found.sentence == (
        "03:00 UTC did not run: no engine was running from 01:00 UTC to 04:00 UTC, and its catch-up policy is none "
        "(one of 179 like it)."
    )
    assert any("no engine was running from" in check.text for check in found.checks)
    ledger.row(schedule, T0 + 3 * HOUR, origin="backfill")
    assert at(ledger, 3).sentence.startswith("03:00 UTC ran: ")


def test_before_it_was_there_after_it_was_gone_and_between(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    assert at(ledger, -2).sentence == (
        "2026-11-20 22:00 UTC was not due: backup was created only at 2026-11-21 00:00 UTC."
    )
    ledger.run("UPDATE schedule SET ended_at = ?", T0 + 2 * HOUR)
    ledger.run("UPDATE schedule_version SET effective_to = ?", T0 + 2 * HOUR)
    ledger.run("DELETE FROM cursor")
    assert at(ledger, 3).sentence == "03:00 UTC was not due: backup was removed at 02:00 UTC."
    ledger.row(schedule, T0 + HOUR)
    assert at(ledger, 1).sentence.startswith("01:00 UTC ran: ")
    with pytest.raises(NotFound):
        at(ledger, 1, "nobody")


def test_the_version_of_that_time_is_the_one_that_counts(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.version(schedule, cron("30 * * * *", tz="UTC"), T0 + 3 * HOUR, 2)
    ledger.row(schedule, T0 + 2 * HOUR)
    assert at(ledger, 2).checks[0].text.startswith("version 1 holds")
    later = at(ledger, 4)
    assert later.checks[0].text.startswith("version 2 holds")
    assert later.sentence == (
        "04:00 UTC was not due: its rule does not match it. The one before is 03:30 UTC and the next is 04:30 UTC."
    )


@pytest.mark.parametrize(("kind", "until"), [("paused", 5), ("disabled", None)])
def test_a_schedule_that_stood_still(ledger: Ledger, kind: str, until: int | None) -> None:
    schedule = ledger.schedule(HOURLY)
    end = None if until is None else T0 + until * HOUR
    ledger.pause(schedule, kind, T0 + 2 * HOUR, end, note="moving")
    if end is not None:
        ledger.span(schedule, T0 + 2 * HOUR, end, 3, "skipped", reason=kind)
        assert at(ledger, 3).sentence == (
            "03:00 UTC did not run: the schedule was paused from 02:00 UTC to 05:00 UTC, by anna (moving) (one of 3 like it)."
        )
        return
    assert (
        at(ledger, 3).sentence
        == "03:00 UTC did not run: the schedule is disabled since 02:00 UTC, by anna (moving)."
    )
    assert at(ledger, 9).sentence == (
        "09:00 UTC will not run as things stand: the schedule is disabled since 02:00 UTC, by anna (moving)."
    )


def test_a_schedule_set_aside_did_not_run_and_says_why(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY, set_aside="its rule is broken.")
    ledger.pause(schedule, "set_aside", T0 + 2 * HOUR)
    assert (
        at(ledger, 3).sentence
        == "03:00 UTC did not run: backup is set aside since 02:00 UTC: its rule is broken."
    )
    assert at(ledger, 9).sentence == (
        "09:00 UTC will not run as things stand: backup is set aside since 02:00 UTC: its rule is broken."
    )


def test_that_it_is_set_aside_is_said_before_what_is_overdue(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY, set_aside="its rule is broken.")
    ledger.row(schedule, T0 + 5 * HOUR, "queued")
    ledger.pause(schedule, "set_aside", T0 + 5 * HOUR + MINUTE)
    ledger.run("UPDATE node SET state = 'stopped', stopped_at = ?", T0 + 5 * HOUR)
    assert standing(ledger.store, "backup", ledger.now) == (
        "not scheduled: set aside since 05:01 UTC: its rule is broken; "
        "run_1 is overdue by 1 h: no engine has been running since 05:00 UTC."
    )
    ledger.run("UPDATE occurrence SET state = 'running', began_at = ?", T0 + 5 * HOUR)
    assert standing(ledger.store, "backup", ledger.now) == (
        "not scheduled: set aside since 05:01 UTC: its rule is broken; run_1 is running since 05:00 UTC."
    )


def test_a_rule_that_cannot_be_read_is_said_so(ledger: Ledger) -> None:
    ledger.schedule(HOURLY)
    ledger.run("UPDATE schedule_version SET trigger = '{}'")
    assert at(ledger, 3).sentence == "03:00 UTC is unknown: the rule of backup cannot be evaluated."


BERLIN = [
    (
        "30 2 * * *",
        {},
        "2026-03-29T01:00:00Z",
        "2026-03-29 03:00 Europe/Berlin (2026-03-29 01:00 UTC) was due and is unaccounted",
    ),
    (
        "30 2 * * *",
        {"gap": "skip"},
        "2026-03-29T01:00:00Z",
        "the times from 02:00 to 03:00 did not exist (gap=skip)",
    ),
    (
        "30 2 * * *",
        {},
        "2026-10-25T01:30:00Z",
        "02:30 came twice, this is the second of the two (fold=first)",
    ),
]


@pytest.mark.parametrize(("expression", "options", "instant", "told"), BERLIN)
def test_a_change_of_the_clocks_is_told(
    expression: str, options: dict[str, str], instant: str, told: str
) -> None:
    ledger = Ledger()
    ledger.node()
    trigger = cron(expression, tz="Europe/Berlin", **options)  # type: ignore[arg-type]
    ledger.schedule(trigger, at=parse_instant("2026-01-01T00:00:00Z"))
    found = explain(ledger.store, "backup", parse_instant(instant), ledger.now)
    assert told in found.sentence
    assert any("the clocks went" in check.text for check in found.checks)


def test_past_instants_that_the_ledger_does_not_hold(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    assert (
        at(ledger, 3).sentence == "03:00 UTC was due and is unaccounted for: the ledger holds nothing for it."
    )
    ledger.run("UPDATE cursor SET planned_until = ?", T0 + 2 * HOUR)
    assert at(ledger, 3).sentence == "03:00 UTC is overdue by 3 h: the engine has not planned it yet."
    assert at(ledger, 6).sentence == "06:00 UTC is due now and about to be planned."
    ledger.run("UPDATE node SET state = 'dead', stopped_at = ?", T0 + 2 * HOUR)
    assert (
        at(ledger, 3).sentence == "03:00 UTC is overdue by 3 h: no engine has been running since 02:00 UTC."
    )
    ledger.run("UPDATE schedule SET closed_until = ? WHERE id = ?", T0 + 4 * HOUR, schedule)
    assert "removed by retention" in at(ledger, 3).sentence


def test_future_instants(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    assert at(ledger, 8).sentence == "08:00 UTC will be due in 2 h."
    assert at(ledger, 8.5).sentence == (
        "08:30 UTC is not due: its rule does not match it. The one before is 08:00 UTC and the next is 09:00 UTC."
    )
    ledger.row(schedule, T0 + 6 * HOUR, "running")
    assert at(ledger, 7).sentence == (
        "07:00 UTC will be due in 1 h; but run_1 is still running, and it is skipped if that goes on."
    )
    ledger.run("UPDATE node SET handlers = '[]'")
    assert at(ledger, 9).sentence == "09:00 UTC will be due in 3 h; but no node has the handler of job."
    ledger.run("UPDATE node SET lease_until = 0, heartbeat_at = ?", T0 + 5 * HOUR)
    assert (
        at(ledger, 9).sentence
        == "09:00 UTC will be due in 3 h; but no engine has been running since 05:00 UTC."
    )


def test_a_manual_schedule_is_never_due(ledger: Ledger) -> None:
    ledger.schedule(manual())
    assert at(ledger, 3).sentence == "03:00 UTC was not due: backup is only run by hand."
    found = explain(ledger.store, "backup", None, ledger.now)
    assert (found.at, found.sentence) == (None, "not scheduled: manual.")


def test_a_fixed_delay(ledger: Ledger) -> None:
    schedule = ledger.schedule(every("1h", start_at=T0, after_completion=True))
    ledger.row(schedule, T0 + HOUR, ended_at=T0 + 6 * HOUR - 10 * MINUTE)
    ledger.run("UPDATE cursor SET next_due = ?", T0 + 7 * HOUR - 10 * MINUTE)
    assert at(ledger, 3).sentence == "03:00 UTC was not due: no run ended one period before it."
    found = explain(ledger.store, "backup", None, ledger.now)
    assert [part.at for part in found.items] == [T0 + HOUR, T0 + 7 * HOUR - 10 * MINUTE]
    assert found.sentence.endswith("06:50 UTC will be due in 50 min.")


def test_an_instant_that_a_person_asked_for(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.row(schedule, T0 - DAY, origin="backfill")
    found = explain(ledger.store, "backup", T0 - DAY, ledger.now)
    assert found.sentence == "2026-11-20 00:00 UTC ran: it began at 00:00 UTC and succeeded at 00:00:01 UTC."


def test_without_an_instant_the_last_and_the_next_are_explained(ledger: Ledger) -> None:
    schedule = ledger.schedule(cron("0 5 * * *", tz="Europe/Berlin"))
    ledger.row(schedule, T0 + 4 * HOUR)
    found = explain(ledger.store, "backup", None, ledger.now)
    data = found.to_json()
    assert data["schedule"] == "backup"
    assert [(item["due_at"], item["local"], item["tz"]) for item in data["items"]] == [
        ("2026-11-21T04:00:00Z", "2026-11-21T05:00:00+01:00", "Europe/Berlin"),
        ("2026-11-22T04:00:00Z", "2026-11-22T05:00:00+01:00", "Europe/Berlin"),
    ]
    assert data["sentence"] == (
        "05:00 Europe/Berlin (04:00 UTC) ran: it began at 05:00 Europe/Berlin and succeeded at 05:00:01 Europe/Berlin. "
        "2026-11-22 05:00 Europe/Berlin (2026-11-22 04:00 UTC) will be due in 22 h."
    )
    assert data["items"][0]["checks"][0]["ok"] is True
    json.dumps(data)


def put(ledger: Ledger, next_due: Instant) -> None:
    ledger.run("UPDATE cursor SET next_due = ?", next_due)


def test_S1_17_no_next_run_in_the_past(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    assert (
        standing(ledger.store, "backup", ledger.now) == "never ran: created 6 h ago, first due at 07:00 UTC."
    )
    ledger.row(schedule, T0 + 5 * HOUR)
    assert (
        standing(ledger.store, "backup", ledger.now)
        == "next due at 07:00 UTC; the one of 05:00 UTC succeeded at 05:00:01 UTC."
    )
    queued = ledger.row(schedule, T0 + 6 * HOUR - 12 * MINUTE, "queued")
    assert standing(ledger.store, "backup", ledger.now) == "overdue by 12 min: it waits for a free slot."
    for _ in range(4):
        ledger.row(None, T0, "running", origin="manual")
    assert (
        standing(ledger.store, "backup", ledger.now)
        == "overdue by 12 min: all 4 slots for thread jobs are busy."
    )
    ledger.run("UPDATE occurrence SET state = 'held', held_by = 'key:db' WHERE id = ?", queued)
    ledger.add("gate", key="key:db", lim=2, active=2)
    assert "held by key:db, which has no room (2 of 2 are taken)" in standing(
        ledger.store, "backup", ledger.now
    )
    ledger.run("UPDATE node SET state = 'stopped', stopped_at = ?", T0 + 5 * HOUR)
    put(ledger, T0 + 5 * HOUR + 30 * MINUTE)
    assert standing(ledger.store, "backup", ledger.now) == (
        "overdue by 30 min: no engine has been running since 05:00 UTC."
    )


def test_a_whole_second_stands_for_the_instant_within_it(ledger: Ledger) -> None:
    """What `run list` prints can be asked about, though an interval is counted from a fraction of a second."""
    schedule = ledger.schedule(every("2s", start_at=T0 + 250_000))
    ledger.row(schedule, T0 + HOUR + 250_000)
    found = explain(ledger.store, "backup", T0 + HOUR, ledger.now)
    assert found.at == T0 + HOUR + 250_000
    assert found.sentence.startswith("01:00 UTC ran: ")
    assert "was not due" in explain(ledger.store, "backup", T0 + HOUR + 1_000_000, ledger.now).sentence
    assert "was not due" in explain(ledger.store, "backup", T0 + HOUR + 1, ledger.now).sentence


def test_what_is_queued_names_what_it_waits_for(ledger: Ledger) -> None:
    schedule = ledger.schedule(HOURLY)
    ledger.row(schedule, T0 + 3 * HOUR, "queued")
    assert at(ledger, 3).sentence == "03:00 UTC is queued and waits for a free slot."
    ledger.run("UPDATE node SET handlers = '[]'")
    assert at(ledger, 3).sentence == "03:00 UTC is queued: no node has the handler of job."
    ledger.run("UPDATE job SET options = ?", json.dumps({"on": ["gpu"]}))
    ledger.run("UPDATE node SET handlers = ?", json.dumps(["job"]))
    assert at(ledger, 3).sentence == "03:00 UTC is queued: no node has the label gpu."
    ledger.run("UPDATE node SET state = 'stopped', stopped_at = ?", T0 + 5 * HOUR)
    assert at(ledger, 3).sentence == "03:00 UTC is queued: no engine has been running since 05:00 UTC."


def test_an_engine_that_was_killed_is_not_said_to_be_up_while_its_lease_lasts() -> None:
    made = Ledger()
    dead = subprocess.Popen(["true"])
    dead.wait()
    made.node(host=socket.gethostname(), pid=dead.pid, boot_id=SystemClock().boot_id())
    made.schedule(HOURLY)
    found = at(made, 7)
    assert found.checks[-1].text == "no engine has been running since 06:00 UTC"
    assert found.sentence == "07:00 UTC will be due in 1 h; but no engine has been running since 06:00 UTC."

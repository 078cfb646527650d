"""`watchbell clock`: shown, confirmed and repaired by a person; each act is recorded."""

from __future__ import annotations

import json

from tests.cli.conftest import NOW, Call
from tests.services.ledger import Ledger
from watchbell.clock import ManualClock
from watchbell.core.clock_trust import ClockStanding, Trust
from watchbell.core.instants import DAY, HOUR
from watchbell.core.triggers import every
from watchbell.store.clocks.trust import write_trust
from watchbell.store.sqlite import SqliteStore

SUSPECT = Trust(ClockStanding.SUSPECT, "the clock was set forward by 2 h", NOW, NOW - 2 * HOUR, 2 * HOUR)


def doubt(store: SqliteStore) -> None:
    store.write(lambda tx: write_trust(tx, SUSPECT))


def events(store: SqliteStore) -> list[tuple[str, ...]]:
    return store.read(
        lambda tx: tx.rows("SELECT action, detail FROM audit_event WHERE action LIKE 'clock.%'")
    )


def test_S3_1_the_clock_is_shown(call: Call, clock: ManualClock, store: SqliteStore) -> None:
    reply = call("clock", "status")
    assert reply.code == 0
    for word in ("2026-11-21 08:00:00 UTC", "the kernel does not say", "believed", "Zone data"):
        assert word in reply.out
    shown = json.loads(call("clock", "status", "--json").out)
    assert shown["standing"] == "trusted"
    assert shown["synchronised"] is None
    assert shown["moves"] == []


def test_S3_1_status_says_that_the_clock_is_in_doubt_and_what_to_do(call: Call, store: SqliteStore) -> None:
    doubt(store)
    assert "The clock is in doubt: the clock was set forward by 2 h." in call("status").out
    assert call("status", "--json").json()["clock"]["standing"] == "suspect"
    assert "watchbell clock confirm" in call("clock", "status").out


def test_S3_1_a_confirmation_is_recorded_and_a_second_one_has_nothing_to_do(
    call: Call, store: SqliteStore
) -> None:
    doubt(store)
    assert call("clock", "confirm").out.startswith("The clock is confirmed: 2026-11-21T08:00:00Z is right.")
    assert [event[0] for event in events(store)] == ["clock.confirmed"]
    again = call("clock", "confirm", "--json").json()
    assert again == {"changed": False, "sentence": "The clock is not in doubt; there is nothing to confirm."}
    assert len(events(store)) == 1


def test_S3_1_a_repair_shows_first_and_is_recorded(call: Call, store: SqliteStore) -> None:
    call("schedule", "add", "tidy", "--every", "1h", "--", "true")
    assert "nothing to repair" in call("clock", "repair").out
    store.write(
        lambda tx: tx.run("UPDATE cursor SET planned_until = ?, next_due = ?", (NOW + DAY, NOW + 2 * DAY))
    )
    assert "1 planned beyond now" in call("clock", "status").out
    said = call("clock", "repair").out
    assert said.startswith("1 schedule would be planned anew from now on; 0 rows")
    assert said.strip().endswith("Nothing was changed: add --apply.")
    assert events(store) == []
    done = call("clock", "repair", "--apply", "--json").json()
    assert (done["schedules"], done["dry_run"]) == (1, False)
    assert store.read(lambda tx: tx.rows("SELECT planned_until, next_due FROM cursor")) == [(NOW, NOW + HOUR)]
    assert [event[0] for event in events(store)] == ["clock.repaired"]


def test_retention_by_hand_rests_while_the_clock_is_in_doubt(call: Call, store: SqliteStore) -> None:
    """What is removed does not come back when the clock is set right: the engine waits for that, and so does a person."""
    doubt(store)
    reply = call("retention")
    assert reply.code == 6
    assert "Retention rests, because the clock is in doubt: the clock was set forward by 2 h." in reply.err
    assert "watchbell clock confirm" in reply.err
    assert call("retention", "--dry-run").code == 0
    call("clock", "confirm")
    assert call("retention").out == "Nothing was old enough to be removed.\n"


def test_retention_by_hand_rests_where_the_clock_was_set_forward_and_no_engine_has_seen_it(
    call: Call, clock: ManualClock, store: SqliteStore
) -> None:
    story = Ledger(NOW, store)
    story.node(boot_id=clock.boot_id(), boot_us=clock.boot_ns() // 1000, stopped_at=NOW, state="stopped")
    schedule = story.schedule(every("1d", start_at=NOW - 10 * DAY))
    story.row(schedule, NOW - DAY)
    clock.step(500 * DAY)
    reply = call("retention")
    assert (reply.code, "the clock was set forward by 500 d" in reply.err) == (6, True)
    assert "no engine has judged it yet" in reply.err
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM occurrence")) == 1
    clock.step(-500 * DAY)
    clock.advance(10 * DAY)  # time that really passes is no doubt
    assert call("retention").code == 0

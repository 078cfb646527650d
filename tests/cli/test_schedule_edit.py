"""`watchbell schedule edit`: what is given is changed, everything else stays, and both sides are shown."""

from __future__ import annotations

import pytest

from tests.cli.conftest import NOW, Call
from watchbell import Watchbell, cron
from watchbell.clock import ManualClock
from watchbell.core.instants import HOUR
from watchbell.store.sqlite import SqliteStore


@pytest.fixture
def backup(call: Call, store: SqliteStore) -> Call:
    """A call, where there is a schedule to edit."""
    call(
        *("schedule", "add", "backup", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--gap", "skip"),
        *("--timeout", "1h", "--retry", "2", "--tag", "nightly", "--cwd", "/", "--", "true"),
    )
    return call


def shown(call: Call, name: str = "backup") -> dict[str, object]:
    found: dict[str, object] = call("schedule", "show", name, "--json").json()
    return found


def test_a_dry_run_shows_both_sides_and_writes_nothing(backup: Call) -> None:
    before = shown(backup)
    reply = backup("schedule", "edit", "backup", "--cron", "0 4 * * *", "--timeout", "2h", "--dry-run")
    assert reply.out.splitlines() == [
        "rule: at 02:30 every day, Europe/Berlin, left out where the clocks skip a time",
        "   →  at 04:00 every day, Europe/Berlin, left out where the clocks skip a time",
        "timeout: 1h  →  2h",
        "next, before: 2026-11-22 02:30:00 +01:00, 2026-11-23 02:30:00 +01:00, 2026-11-24 02:30:00 +01:00",
        "next, after:  2026-11-22 04:00:00 +01:00, 2026-11-23 04:00:00 +01:00, 2026-11-24 04:00:00 +01:00",
        "Nothing was written (--dry-run).",
    ]
    assert shown(backup) == before


def test_what_is_not_given_stays_as_it_is(backup: Call) -> None:
    reply = backup("schedule", "edit", "backup", "--cron", "0 4 * * *")
    assert "backup is changed from now on" in reply.out
    after = shown(backup)
    assert after["trigger"] == "cron 0 4 * * * tz=Europe/Berlin gap=skip"
    assert after["version"] == 2
    assert after["policies"]["timeout_us"] == HOUR  # type: ignore[index]
    assert after["tags"] == ["nightly"]

    backup("schedule", "edit", "backup", "--tz", "Asia/Tokyo", "--gap", "end", "--about", "of the shop")
    after = shown(backup)
    assert (after["trigger"], after["about"]) == ("cron 0 4 * * * tz=Asia/Tokyo", "of the shop")
    assert (
        "as you asked already; nothing was written"
        in backup("schedule", "edit", "backup", "--tz", "Asia/Tokyo").out
    )


def test_a_policy_goes_back_to_its_default_by_name(backup: Call) -> None:
    reply = backup(
        "schedule", "edit", "backup", "--default", "timeout", "--default", "retry", "--overlap", "queue_one"
    )
    assert "timeout: 1h  →  the default" in reply.out
    assert "overlap: the default  →  queue_one" in reply.out
    assert shown(backup)["policies"] == {"overlap": "queue_one"}
    assert backup("schedule", "edit", "backup", "--default", "colour").code == 2


def test_one_part_of_a_retry_keeps_the_other(backup: Call) -> None:
    backup("schedule", "edit", "backup", "--retry-delay", "1m")
    retry = shown(backup)["policies"]["retry"]  # type: ignore[index]
    assert (retry["max_attempts"], retry["delay_us"]) == (3, 60_000_000)


def test_an_interval_keeps_its_anchor(call: Call, clock: ManualClock, store: SqliteStore) -> None:
    call("schedule", "add", "often", "--every", "1h", "--cwd", "/", "--", "true")
    clock.advance(HOUR // 2)
    reply = call("schedule", "edit", "often", "--every", "20m", "--json").json()
    assert reply["after"]["trigger"] == "every 20m start_at=2026-11-21T08:00:00Z"
    assert reply["after"]["next"][0]["due_at"] == "2026-11-21T08:40:00Z"
    assert reply["changed"]
    assert not reply["dry_run"]
    call("schedule", "edit", "often", "--after-completion")
    assert "after_completion=true" in str(shown(call, "often")["trigger"])


def test_an_instant_moves_with_its_zone(call: Call, store: SqliteStore) -> None:
    call(
        "schedule",
        "add",
        "feast",
        "--at",
        "2026-12-24 18:00",
        "--tz",
        "Europe/Berlin",
        "--cwd",
        "/",
        "--",
        "true",
    )
    call("schedule", "edit", "feast", "--tz", "America/New_York")
    assert shown(call, "feast")["due_at"] == "2026-12-24T23:00:00Z"


def test_arguments_are_set_one_by_one(
    call: Call, store: SqliteStore, database: object, clock: ManualClock
) -> None:
    bell = Watchbell(str(database), clock=clock, app="shop")

    @bell.schedule(cron("0 8 * * MON"), args={"to": "alice", "copies": 1})
    @bell.job
    def report(to: str, copies: int) -> None: ...

    bell.schedules()
    reply = call("schedule", "edit", "report", "--arg", "copies=3")
    assert "argument copies: 1  →  3" in reply.out
    assert "declared by the application 'shop', whose next start brings back" in reply.out
    assert shown(call, "report")["args"] == {"to": "alice", "copies": 3}
    reply = call("schedule", "edit", "report", "--arg", "copys=3")
    assert (reply.code, "copys" in reply.err) == (2, True)
    bell.stop()


def test_an_edit_may_wait_for_its_instant_and_be_taken_back(backup: Call) -> None:
    reply = backup("schedule", "edit", "backup", "--cron", "0 5 * * *", "--apply-from", "2026-12-01 00:00")
    assert "is changed from 2026-11-30T23:00:00Z on" in reply.out
    assert "next, after:  2026-12-01 05:00:00 +01:00" in reply.out
    assert "02:30" in str(shown(backup)["rule"])
    assert "taken back" in backup("schedule", "edit", "backup", "--take-back").out
    assert "no edit that waits" in backup("schedule", "edit", "backup", "--take-back").out


def test_what_waits_is_dropped_on_request(backup: Call) -> None:
    backup("run", "now", "backup")
    reply = backup("schedule", "edit", "backup", "--drop-waiting")
    assert reply.code == 0
    reply = backup("schedule", "edit", "backup", "--cron", "0 5 * * *", "--drop-waiting", "--json").json()
    assert reply["changed"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "Say what is to be another"),
        (("--apply-from", "+1h"), 2, "Say what is to be another"),
        (("--cron", "0 4 * * *", "--every", "1h"), 2, "together"),
        (("--cron", "0 0 30 2 *"), 2, "matches no date"),
        (("--cron", "61 * * * *"), 2, "--cron"),
        (("--at", "2020-01-01"), 2, "not due any more"),
        (("--start-at", "2026-01-01"), 2, "--start-at says nothing about a rule"),
        (("--arg", "a=1"), 2, "a command has its arguments in itself"),
        (("--run-at-start",), 2, "watchbell run now"),
        (("--catchup", "all"), 2, "overlap=queue_all"),
        (("--tz", "Mars/Base"), 2, "Mars/Base"),
        (("--job", "nothing"), 5, "no job named 'nothing'"),
        (("--take-back", "--cron", "0 4 * * *"), 2, "goes with nothing else"),
        (("--tz", "UTC", "--apply-from", "2020-01-01"), 2, "ago"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    backup: Call, words: tuple[str, ...], code: int, said: str
) -> None:
    before = shown(backup)
    for dry in ((), ("--dry-run",)):
        if dry and "--take-back" in words:
            continue
        reply = backup("schedule", "edit", "backup", *words, *dry)
        if not dry or "--apply-from" not in words:
            assert (reply.code, said in reply.err) == (code, True), reply.err
    assert shown(backup) == before


def test_an_unknown_name_is_said_with_the_nearest(backup: Call) -> None:
    reply = backup("schedule", "edit", "bakup", "--tz", "UTC")
    assert (reply.code, "'backup'" in reply.err) == (5, True)


def test_the_ledger_holds_over_an_edit(backup: Call, clock: ManualClock) -> None:
    assert clock.wall_us() == NOW
    backup("schedule", "edit", "backup", "--cron", "*/5 * * * *")
    clock.advance(HOUR)
    assert backup("audit").code == 0

"""`schedule next` with phrases and suppositions, `schedule lint`, `schedule add --when`, as a person types them."""

from __future__ import annotations

from tests.cli.conftest import Call
from watchbell.store.sqlite import SqliteStore


def test_a_phrase_is_read_back_in_words_and_as_what_it_became(call: Call) -> None:
    reply = call("schedule", "next", "every weekday at 9:00", "--tz", "Europe/Berlin", "--count", "1")
    assert reply.out.splitlines() == [
        "Understood as: cron 0 9 * * 1-5 tz=Europe/Berlin",
        "at 09:00 on Monday to Friday, Europe/Berlin:",
        "  2026-11-23 09:00:00 +01:00",
    ]
    unclear = call("schedule", "next", "twice a day")
    assert (unclear.code, unclear.out) == (2, "")
    assert "write 'every day at 09:00 and 21:00'" in unclear.err


def test_a_schedule_can_be_added_in_words(call: Call) -> None:
    reply = call(
        "schedule", "add", "x", "--when", "every weekday at 9:00", "--tz", "Europe/Berlin", "--", "true"
    )
    assert (reply.code, reply.err) == (0, "")
    assert reply.out.startswith(
        "x: at 09:00 on Monday to Friday, Europe/Berlin (cron 0 9 * * 1-5 tz=Europe/Berlin)"
    )
    rule = "rrule FREQ=MONTHLY;BYDAY=-1FR start=2026-11-21T09:00:00 tz=Europe/Berlin"
    assert call("schedule", "add", "y", "--when", rule, "--json", "--", "true").json()["trigger"] == rule
    ended = call(
        "schedule", "add", "z", "--when", "rrule FREQ=DAILY;COUNT=2 start=2020-01-01T09:00:00", "--", "true"
    )
    assert ended.code == 2
    assert "has ended and would never come due again" in ended.err


def test_what_is_odd_is_said_and_added_all_the_same(call: Call) -> None:
    reply = call("schedule", "add", "x", "--cron", "* 3 * * *", "--tz", "UTC", "--", "true")
    assert reply.code == 0
    assert "is due 60 times" in reply.err
    assert "write '0 3 * * *'" in reply.err
    found = call("schedule", "lint", "--json")
    assert found.code == 1
    assert [(item["subject"], item["code"]) for item in found.json()["items"]] == [("x", "every-minute")]
    assert call("schedule", "lint", "x").code == 1
    assert call("schedule", "lint", "0 3 * * *", "--tz", "UTC").out == "Nothing was found in 1 rule.\n"
    typo = call("schedule", "lint", "nigthly")
    assert (typo.code, "There is no schedule named 'nigthly'" in typo.err) == (5, True)
    refused = call("schedule", "lint", "0 0 30 2 *")
    assert (refused.code, "matches no date of the calendar" in refused.out) == (1, True)


def test_what_would_happen_is_told_by_the_schedules_own_policies(call: Call) -> None:
    call("schedule", "add", "x", "--cron", "0 * * * *", "--tz", "UTC", "--catchup", "none", "--", "true")
    words = ("schedule", "next", "x", "--if-down", "09:00-11:30", "--if-takes", "70m", "--count", "4")
    assert call(*words).out.splitlines() == [
        "every hour, on the hour, UTC; each run takes 1 h 10 min:",
        "  2026-11-21 09:00:00 UTC  does not run: missed (downtime)",
        "  2026-11-21 10:00:00 UTC  does not run: missed (downtime)",
        "  2026-11-21 11:00:00 UTC  runs late, at 11:30 (30 min behind), ends at 12:40",
        "  2026-11-21 12:00:00 UTC  does not run: skipped (overlap): the one of 11:00 is still there",
        "The clocks of UTC do not change.",
    ]
    data = call(*words, "--json").json()
    assert [item["state"] for item in data["items"]] == ["missed", "missed", "succeeded", "skipped"]
    assert data["items"][3]["into"] == "2026-11-21T11:00:00Z"
    rule = call("schedule", "next", "30 2 * * *", "--tz", "Europe/Berlin", "--if-takes", "1m", "--count", "1")
    assert "02:30 does not exist: due once, at 03:00." in rule.out
    wrong = call("schedule", "next", "x", "--if-down", "soon")
    assert (wrong.code, "write 01:00-09:00" in wrong.err) == (2, True)


def test_a_schedule_that_cannot_be_read_does_not_hide_the_others_from_the_linter(
    call: Call, store: SqliteStore
) -> None:
    for name in ("a", "b"):
        call("schedule", "add", name, "--cron", "* 3 * * *", "--tz", "UTC", "--", "true")
    broken = '{"kind":"cron","expression":"* 3 * * *","tz":"Mars/Olympus"}'
    store.write(lambda tx: tx.run("UPDATE schedule_version SET trigger = ? WHERE schedule = 1", (broken,)))
    items = call("schedule", "lint", "--json").json()["items"]
    assert [(item["subject"], item["code"]) for item in items] == [
        ("a", "cannot-be-read"),
        ("b", "every-minute"),
    ]
    store.write(
        lambda tx: tx.run("UPDATE schedule_version SET policies = '{\"catchup\": 3}' WHERE schedule = 2")
    )
    assert [item["code"] for item in call("schedule", "lint", "--json").json()["items"]] == [
        "cannot-be-read"
    ] * 2


def test_the_text_of_a_calendar_is_a_rule_as_it_stands(call: Call) -> None:
    alone = call("schedule", "next", "FREQ=MONTHLY;BYDAY=-1FR", "--count", "1")
    assert (alone.code, "every month on the last Friday" in alone.out) == (0, True), alone.err
    assert call("schedule", "next", "rrule:freq=monthly;byday=-1fr", "--count", "1").out == alone.out
    assert (
        call("schedule", "add", "payday", "--when", "RRULE:FREQ=MONTHLY;BYDAY=-1FR", "--", "true").code == 0
    )
    refused = call("schedule", "next", "FREQ=HARDLY")
    assert (refused.code, "HARDLY" in refused.err) == (2, True)

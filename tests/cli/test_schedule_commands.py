"""`watchbell schedule …` as a person types it: what it writes, what it refuses, and what to write instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import NOW, Call
from tests.services.people import end, function_job
from watchbell.clock import ManualClock
from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.store.sqlite import SqliteStore


def test_the_cron_users_first_line(call: Call, store: SqliteStore, tmp_path: Path) -> None:
    reply = call("schedule", "add", "hello", "--every", "2s", "--", "sh", "-c", "date >> out")
    assert (reply.code, reply.err) == (0, "")
    assert reply.out.startswith("hello: every 2 s")
    command = json.loads(store.read(lambda tx: tx.value("SELECT command FROM job")))
    assert command == {"argv": ["sh", "-c", "date >> out"], "cwd": str(tmp_path)}


def test_every_option_of_a_schedule_is_written_down(call: Call, tmp_path: Path) -> None:
    reply = call(
        "schedule", "add", "x", "--cron", "30 2 * * 1-5", "--tz", "Europe/Berlin", "--dst", "wall", "--gap", "shift",
        "--fold", "both", "--catchup", "all", "--catchup-limit", "5", "--catchup-window", "2d", "--overlap", "queue_all",
        "--overlap-max", "3", "--timeout", "10m", "--retry", "3", "--retry-delay", "5s", "--start-deadline", "1h",
        "--grace", "90s", "--priority", "-2", "--limit", "db=2", "--tag", "a", "--tag", "b", "--tag", "a", "--about", "text",
        "--cwd", str(tmp_path), "--env", "A=b=c", "--inherit-env", "--success-codes", "0,3", "--shell", "echo $A", "--json",
    )  # fmt: skip
    assert reply.code == 0, reply.err
    data = reply.json()
    assert data["trigger"] == "cron 30 2 * * 1-5 tz=Europe/Berlin dst=wall gap=shift fold=both"
    assert data["policies"] == {
        "catchup": "all", "catchup_limit": 5, "catchup_window_us": 2 * 24 * HOUR, "overlap": "queue_all", "overlap_max": 3,
        "timeout_us": 10 * MINUTE, "start_deadline_us": HOUR, "grace_us": 90_000_000, "priority": -2,
        "retry": {"max_attempts": 4, "delay_us": 5_000_000, "factor": 2.0, "cap_us": HOUR, "jitter": True, "on": [],
                  "exit_codes": []},
    }  # fmt: skip
    assert (data["tags"], data["about"]) == (["a", "b"], "text")
    assert data["command"] == {
        "cwd": str(tmp_path), "env": {"A": "***"}, "inherit_env": True, "shell": "echo $A", "success_codes": [0, 3]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "trigger"),
    [
        (("--at", "2026-12-24 18:00", "--tz", "Europe/Berlin"), "once 2026-12-24T18:00:00 tz=Europe/Berlin"),
        (("--at", "+10m"), "once 2026-11-21T08:10:00Z"),
        (("--manual",), "manual"),
        (
            ("--calendar", "every 3 months on the last business day at 9:00", "--tz", "Europe/Berlin"),
            "calendar every 3 months on last business day at 09:00 tz=Europe/Berlin start=2026-11-21",
        ),
        (
            ("--calendar", "month on 31", "--from", "2026-01-01", "--short-month", "skip", "--gap", "shift"),
            "calendar every month on day 31 at 00:00 tz=UTC start=2026-01-01 short_month=skip gap=shift",
        ),
        (("--every", "0s"), "manual"),
        (("--every", "1h", "--start-at", "2026-11-21T07:30:00Z"), "every 1h start_at=2026-11-21T07:30:00Z"),
        (
            ("--every", "1h", "--after-completion"),
            "every 1h start_at=2026-11-21T08:00:00Z after_completion=true",
        ),
        (("--cron", "@hourly"), None),
    ],
)
def test_rules_of_time(call: Call, words: tuple[str, ...], trigger: str | None) -> None:
    data = call("schedule", "add", "x", *words, "--json", "--", "true").json()
    assert trigger is None or data["trigger"] == trigger


REFUSED = [
    ((), 2, "one of --cron, --every, --calendar, --when, --at or --manual; there is none"),
    (("--every", "1m", "--cron", "@daily"), 2, "not --cron and --every together"),
    (("--every", "1 minut"), 2, "no unit of time"),
    (("--every", "90"), 2, "write '90s' for seconds"),
    (("--every", "1us"), 2, "the shortest is 1ms"),
    (("--cron", "61 * * * *"), 2, "61 is not in 0-59"),
    (("--cron", "0 0 30 2 *"), 2, "would never be due"),
    (("--cron", "@daily", "--tz", "Mars/Olympus"), 2, "Mars/Olympus"),
    (("--cron", "@daily", "--after-completion"), 2, "--after-completion goes with --every, not with --cron"),
    (("--every", "1m", "--dst", "wall"), 2, "--dst goes with --cron"),
    (("--every", "1m", "--tz", "UTC"), 2, "--tz says nothing with --every"),
    (("--at", "yesterday"), 2, "is no time; write"),
    (("--at", "2020-01-01T00:00:00Z"), 2, "would never come due"),
    (("--every", "1m", "--catchup", "some"), 2, "'latest'"),
    (("--every", "1m", "--catchup", "all"), 2, "Use overlap=queue_all"),
    (("--every", "1m", "--overlap-max", "2"), 2, "overlap_max goes with"),
    (("--every", "1m", "--timeout", "soon"), 2, "write a number and a unit"),
    (("--every", "1m", "--retry", "-1"), 2, "--retry"),
    (("--every", "1m", "--retry-delay", "1s"), 2, "--retry-delay goes with --retry N"),
    (("--every", "1m", "--limit", "db"), 2, "write --limit database=2"),
    (("--every", "1m", "--limit", "db=x"), 2, "no whole number"),
    (("--every", "1m", "--limit", "db=0"), 2, "must be at least 1"),
    (("--every", "1m", "--env", "A"), 2, "write --env NAME=value"),
    (("--every", "1m", "--env", "A=1", "--env", "A=2"), 2, "written twice"),
    (("--every", "1m", "--success-codes", "a"), 2, "write --success-codes 0,3"),
    (("--every", "1m", "--cwd", "no/such/folder"), 2, "cannot be used"),
    (("--every", "1m", "--shell", "date"), 2, "not both"),
    (("--every", "1m", "--arg", "a=1"), 2, "--arg goes with --job"),
    (("--every", "1m", "--job", "x"), 2, "either --job NAME or a command"),
    (("--every", "1m", "--wat"), 2, "No such option"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
def test_a_wrong_option_is_refused_with_what_to_write(
    call: Call, store: SqliteStore, words: tuple[str, ...], code: int, said: str
) -> None:
    reply = call("schedule", "add", "x", *words, "--", "true")
    assert (reply.code, reply.out) == (code, "")
    assert reply.err.startswith("watchbell: ")
    assert said in reply.err
    assert len(reply.err.strip().splitlines()) == 1
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM schedule")) == 0


def test_a_command_without_its_dashes_is_told_of_them(call: Call) -> None:
    reply = call("schedule", "add", "x", "--every", "1m", "sh", "-c", "date")
    assert reply.code == 2
    assert "stand behind `--`" in reply.err


def test_nothing_to_run_is_refused(call: Call) -> None:
    assert "There is nothing to run" in call("schedule", "add", "x", "--every", "1m").err


def test_a_declared_job_gets_its_arguments_by_its_signature(call: Call, store: SqliteStore) -> None:
    schema = {
        "properties": {"to": {"type": "string"}, "n": {"type": "integer"}},
        "additionalProperties": False,
    }
    function_job(store, "mail", json.dumps(schema))
    reply = call(
        "schedule", "add", "m", "--every", "1h", "--job", "mail", "--arg", "to=7", "--arg", "n=7", "--json"
    )
    assert reply.json()["args"] == {"n": 7, "to": "7"}
    wrong = call("schedule", "add", "n", "--every", "1h", "--job", "mail", "--arg", "cc=x")
    assert (wrong.code, "no argument 'cc'" in wrong.err) == (2, True)
    unknown = call("schedule", "add", "n", "--every", "1h", "--job", "male")
    assert unknown.code == 5
    both = call("schedule", "add", "n", "--every", "1h", "--job", "mail", "--cwd", "/")
    assert "--cwd goes with a command" in both.err


def test_a_name_that_is_taken_is_exit_6(call: Call) -> None:
    call("schedule", "add", "a", "--manual", "--", "true")
    reply = call("schedule", "add", "a", "--manual", "--", "true")
    assert reply.code == 6
    assert "watchbell schedule rm a" in reply.err


def test_schedules_are_listed_aligned_and_as_json(call: Call) -> None:
    assert "There is no schedule" in call("database", "migrate").out + call("schedule", "list").out
    for name in ("a", "longer name"):
        call("schedule", "add", name, "--cron", "0 3 * * *", "--", "true")
    lines = call("schedule", "list").out.splitlines()
    assert lines[0].startswith("NAME         RULE")
    assert [line.index("at 03:00") for line in lines[1:]] == [13, 13]
    data = call("schedule", "list", "--json").json()
    assert [item["name"] for item in data["items"]] == ["a", "longer name"]
    assert {"due_at", "local", "tz"} <= set(data["items"][0])
    assert call("--json", "schedule", "list", "--limit", "1").json()["next"] == "a"
    assert "--after" in call("schedule", "list", "--limit", "1").out
    assert "No schedule is like that" in call("schedule", "list", "--tag", "x").out


def test_a_schedule_is_shown_with_why_it_never_ran(call: Call) -> None:
    call("schedule", "add", "a", "--cron", "0 3 * * *", "--retry", "2", "--", "echo", "two words")
    out = call("schedule", "show", "a").out
    assert "never: it was created 2026-11-21 08:00:00 UTC" in out
    assert "echo 'two words'" in out
    assert "retry: at most 3 attempts" in out
    assert call("schedule", "show", "b").code == 5


def test_pause_resume_and_rm_say_what_they_did(call: Call, clock: ManualClock) -> None:
    call("schedule", "add", "a", "--every", "1h", "--", "true")
    paused = call("schedule", "pause", "a", "--note", "holiday").out
    assert "a is paused: it does not come due until `watchbell schedule resume a`." in paused
    again = call("schedule", "pause", "a")
    assert (again.code, "paused already" in again.out) == (0, True)
    assert "holiday" in call("schedule", "show", "a").out
    clock.advance(90 * MINUTE)
    assert "a is resumed" in call("schedule", "resume", "a").out
    assert "it is not paused" in call("schedule", "resume", "a").out
    assert "a is removed" in call("schedule", "rm", "a").out
    for verb in ("pause", "resume", "rm"):
        assert call("schedule", verb, "a").code == 5


def test_next_needs_no_database(call: Call, database: Path) -> None:
    data = call(
        "schedule",
        "next",
        "30 2 * * 1-5",
        "--tz",
        "Europe/Berlin",
        "--from",
        "2026-03-27",
        "--count",
        "2",
        "--json",
    )
    assert [item["due_at"] for item in data.json()["items"]] == [
        "2026-03-27T01:30:00Z",
        "2026-03-30T00:30:00Z",
    ]
    assert data.json()["items"][0]["local"] == "2026-03-27T02:30:00+01:00"
    assert not database.exists()


def test_next_of_an_expression_does_not_mind_a_broken_database(call: Call, database: Path) -> None:
    database.write_text("this is no database" * 100)
    assert call("schedule", "next", "@daily").code == 0
    assert call("schedule", "next", "backup").code == 69


def test_next_of_a_name_is_the_schedules(call: Call) -> None:
    call("schedule", "add", "@daily", "--every", "1h", "--", "true")
    data = call("schedule", "next", "@daily", "--json").json()
    assert data["schedule"] == "@daily"
    assert data["items"][0]["due_at"] == "2026-11-21T09:00:00Z"


def test_next_says_which_times_one_instant_stands_for(call: Call) -> None:
    out = call(
        "schedule", "next", "*/15 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-03-29", "--count", "1"
    ).out
    assert "stands for" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nope",), 5, "no schedule named 'nope', and it is no rule"),
        (("30 2 * *",), 2, "has 4 fields"),
        (("@dayly",), 2, "@dayly"),
        (("@daily", "--count", "0"), 2, "--count"),
        (("@daily", "--tz", "Mars/Olympus"), 2, "Mars"),
        (("@daily", "--from", "soon"), 2, "--from"),
    ],
)
def test_next_refuses_what_is_no_rule(call: Call, words: tuple[str, ...], code: int, said: str) -> None:
    reply = call("schedule", "next", *words)
    assert reply.code == code
    assert said in reply.err


def test_an_overdue_schedule_shows_no_next_run_in_the_past(call: Call, clock: ManualClock) -> None:
    call("schedule", "add", "a", "--every", "1h", "--", "true")
    clock.advance(HOUR + 12 * MINUTE)
    data = call("schedule", "show", "a", "--json").json()
    assert (data["due_at"], data["overdue_us"]) == (None, 12 * MINUTE)
    assert data["sentence"].startswith("overdue by 12 min")
    assert clock.wall_us() > NOW


def test_a_schedule_that_was_only_run_by_hand_says_so(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    call("schedule", "add", "a", "--cron", "0 3 * * *", "--", "true")
    call("run", "now", "a")
    end(store, 1)
    clock.advance(3 * SECOND)
    told = "never came due by itself; run by hand 3 s ago: succeeded (run_1)"
    shown = call("schedule", "show", "a").out
    assert shown.count(told) == 2
    assert "succeeded (by hand)" in call("schedule", "list").out
    last = call("schedule", "show", "a", "--json").json()["last"]
    assert (last["run"], last["state"], last["origin"]) == ("run_1", "succeeded", "manual")
    call("schedule", "add", "b", "--manual", "--", "true")
    call("run", "now", "b")
    end(store, 2, "failed")
    assert call("schedule", "show", "b").out.count("run by hand just now: failed (run_2)") == 2


def test_the_run_at_start_is_called_so_and_one_by_hand_is_not(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    call("schedule", "add", "warm", "--every", "1h", "--run-at-start", "--", "true")
    clock.advance(3_000_000)
    call("schedule", "add", "cold", "--every", "1h", "--", "true")
    clock.advance(3_000_000)
    call("run", "now", "cold")
    end(store, 1)
    end(store, 2)
    clock.advance(3_000_000)
    at_start, by_hand = (
        "run at its start 9 s ago: succeeded (run_1)",
        "run by hand 3 s ago: succeeded (run_2)",
    )
    assert call("schedule", "show", "warm").out.count(at_start) == 2
    assert call("schedule", "show", "cold").out.count(by_hand) == 2
    listed = call("schedule", "list").out
    assert "succeeded (at its start)" in listed
    assert "succeeded (by hand)" in listed
    shown = call("schedule", "show", "warm", "--json").json()["last"]
    assert (shown["origin"], shown["at_start"]) == ("manual", True)

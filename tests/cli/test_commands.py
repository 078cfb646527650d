"""The other verbs as a person types them: status, run, explain, audit, alert, migrate, version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import NOW, Call
from tests.services.people import end, plan
from watchbell.clock import ManualClock
from watchbell.core.instants import HOUR, MINUTE, SECOND, parse_instant
from watchbell.store import nodes
from watchbell.store.nodes import NodeInfo
from watchbell.store.settling import write_lines
from watchbell.store.sqlite import SqliteStore


def engine(store: SqliteStore, at: int = NOW) -> None:
    info = NodeInfo("bell", "elsewhere", 7, "boot", "1.0", {"command": 4})
    store.write(lambda tx: nodes.register(tx, info, at))


def test_status_without_a_database_names_the_place_and_creates_nothing(call: Call, database: Path) -> None:
    reply = call("status")
    assert reply.code == 3
    assert str(database) in reply.out
    assert call("status", "--json").json() == {
        "database": str(database),
        "running": False,
        "thread_alive": False,
        "sentence": "there is no database yet; `watchbell serve` or `watchbell schedule add` creates it",
    }
    assert not database.exists()


def test_status_is_3_without_an_engine_and_0_with_one(call: Call, store: SqliteStore) -> None:
    assert call("status").code == 3
    engine(store)
    reply = call("status")
    assert reply.code == 0
    assert "the engine is running (process 7 on elsewhere" in reply.out
    assert "nobody is told of anything" in reply.out


def test_status_shows_what_is_overdue_and_why(call: Call, clock: ManualClock) -> None:
    call("schedule", "add", "a", "--every", "1h", "--tag", "website", "--", "true")
    clock.advance(HOUR + 12 * MINUTE)
    out = call("status").out
    assert "a is overdue by 12 min: no engine has ever run" in out
    assert "a: due since 12 min; no engine runs" in out
    data = call("status", "--json").json()
    assert (data["next_run"], data["overdue"]["total"], data["scheduled_websites"]) == (None, 1, 1)


def test_status_names_what_is_due_as_soon_as_it_is_where_no_engine_runs(
    call: Call, clock: ManualClock
) -> None:
    call("schedule", "add", "a", "--every", "10s", "--", "true")
    clock.advance(11_000_000)
    assert "a: due since 1 s; no engine runs" in call("status").out


def test_run_now_says_when_nobody_will_begin_it(call: Call) -> None:
    call("schedule", "add", "a", "--manual", "--", "true")
    reply = call("run", "now", "a")
    assert (reply.code, reply.out) == (0, "run_1 of a is queued.\n")
    assert "no engine has ever run" in reply.err
    assert call("run", "now", "a").code == 6
    assert call("run", "now", "b").code == 5
    assert call("run", "now", "a", "--arg", "x").code == 2


def test_run_now_with_a_key_is_one_run(call: Call, store: SqliteStore) -> None:
    engine(store)
    call("schedule", "add", "a", "--manual", "--", "true")
    first = call("run", "now", "a", "--key", "k", "--json").json()
    again = call("run", "now", "a", "--key", "k", "--json").json()
    assert (first["new"], again["new"], first["id"]) == (True, False, again["id"])


def test_waiting_too_long_is_exit_8(call: Call) -> None:
    call("schedule", "add", "a", "--manual", "--", "true")
    reply = call("run", "now", "a", "--wait", "--timeout", "5s")
    assert reply.code == 8
    assert "still queued after 5 s; it goes on" in reply.err
    assert call("run", "now", "a", "--timeout", "5s").code == 2


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 9), ("skipped", 9), ("lost", 9)])
def test_waiting_gives_the_fate_of_the_run(call: Call, store: SqliteStore, state: str, code: int) -> None:
    call("schedule", "add", "a", "--manual", "--", "true")
    made = call("run", "now", "a", "--key", "k", "--json").json()
    end(store, int(made["id"].removeprefix("run_")), state)
    reply = call("run", "now", "a", "--key", "k", "--wait", "--json")
    assert (reply.code, reply.json()["state"]) == (code, state)


def test_the_ledger_is_listed_with_spans_and_page_by_page(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    assert "Nothing is in the ledger" in call("run", "list").out
    call("schedule", "add", "a", "--every", "10s", "--", "true")
    plan(store, NOW + 10 * MINUTE)
    clock.advance(10 * MINUTE)
    out = call("run", "list").out
    assert "× 59" in out
    assert "run_1" in out
    assert [item["kind"] for item in call("run", "list", "--json", "--no-spans").json()["items"]] == ["run"]
    first = call("run", "list", "--limit", "1", "--json").json()
    rest = call("run", "list", "--limit", "1", "--json", "--before", first["next"]).json()
    assert {first["items"][0]["kind"], rest["items"][0]["kind"]} == {"run", "span"}
    assert rest["next"] is None
    assert len(call("run", "list", "--since", "1h", "--state", "queued", "--json").json()["items"]) == 1
    assert call("run", "list", "--since", "soon").code == 2
    assert call("run", "list", "--state", "done").code == 2
    assert call("run", "list", "--schedule", "b").code == 5


def test_one_run_is_shown_with_its_log(call: Call, store: SqliteStore) -> None:
    call("schedule", "add", "a", "--manual", "--", "true")
    call("run", "now", "a")
    lines = [(1, 0, NOW, "stdout", "info", "hello \x1b[31mred"), (1, 1, NOW + 1, "log", "warning", "careful")]
    store.write(lambda tx: write_lines(tx, lines))
    end(store, 1, "failed", exit_code=3, error="exit code 3", peak_memory=3 * 2**20)
    shown = call("run", "show", "run_1").out
    assert "failed after 2 s: exit code 3" in shown
    assert "3.0 MiB" in shown
    assert "2 log lines" in shown
    out = call("run", "logs", "1", "-f").out
    assert "\x1b" not in out, "what a job printed must not command the terminal"
    assert out.splitlines()[1] == "2026-11-21 08:00:00 UTC log warning | careful"
    data = call("run", "logs", "1", "--json", "--after", "0").json()
    assert ([line["seq"] for line in data["items"]], data["ended"]) == ([1], True)
    assert call("run", "logs", "1", "-f", "--json").code == 2
    assert call("run", "logs", "9").code == 5
    assert call("run", "show", "wat").code == 2


def test_a_run_is_cancelled_once(call: Call) -> None:
    call("schedule", "add", "a", "--manual", "--", "true")
    call("run", "now", "a")
    assert "run_1 is cancelled" in call("run", "cancel", "run_1", "--why", "wrong one").out
    assert call("run", "cancel", "run_1").code == 6
    assert "wrong one" in call("run", "show", "1").out


def test_explain_says_why_check_by_check(call: Call, clock: ManualClock) -> None:
    call("schedule", "add", "a", "--every", "1h", "--", "true")
    clock.advance(HOUR + 12 * MINUTE)
    reply = call("explain", "a", "--at", "2026-11-21T09:00:00Z")
    assert reply.code == 0
    assert "no engine has ever been running" in reply.out
    data = call("explain", "a", "--json").json()
    assert {"sentence", "items", "schedule"} <= set(data)
    assert call("explain", "b").code == 5
    assert call("explain", "a", "--at", "whenever").code == 2


def test_audit_gives_its_four_figures_and_1_if_any_is_not_0(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    call("schedule", "add", "a", "--every", "10s", "--", "true")
    engine(store)
    plan(store, NOW + 10 * SECOND)
    due = NOW + 10 * SECOND
    end(store, 1, claimed_at=due, began_at=due, ended_at=due + SECOND)
    clock.advance(11 * SECOND)
    reply = call("audit", "--json")
    assert reply.code == 0
    figures = ("unaccounted", "invented", "stuck", "contradicted")
    assert [reply.json()[name] for name in figures] == [0, 0, 0, 0]
    assert call("audit").out.startswith("unaccounted: 0\ninvented: 0\nstuck: 0\ncontradicted: 0\n")
    store.write(lambda tx: tx.run("DELETE FROM occurrence"))
    broken = call("audit", "--json")
    assert (broken.code, broken.json()["unaccounted"]) == (1, 1)
    assert call("audit", "--from", "2026-11-22").code in (0, 2)
    assert call("audit", "--from", "soon").code == 2


def test_alert_rules_come_and_go_and_no_secret_is_printed(
    call: Call, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a secret of some length"
    monkeypatch.setenv("HOOK_SECRET", secret)
    made = call(
        "alert",
        "add",
        "--webhook",
        "https://example.org/hook",
        "--secret-env",
        "HOOK_SECRET",
        "--on",
        "failed",
    )
    assert (made.code, "Alert rule 1: failed of every schedule" in made.out) == (0, True)
    call("alert", "add", "--email", "ops@example.org", "--smtp", "mail.example.org:2525", "--smtp-user", "u",
         "--smtp-password-env", "HOOK_SECRET", "--tag", "x")  # fmt: skip
    listed = call("alert", "list", "--json")
    assert [item["channel"] for item in listed.json()["items"]] == ["webhook", "email"]
    assert listed.json()["items"][1]["options"]["port"] == 2525
    assert secret not in listed.out + call("alert", "list").out + made.out
    test = call("alert", "test", "1")
    assert "waits for delivery" in test.out
    assert "delivered when an engine runs" in test.err
    assert call("alert", "log", "--json").json()["items"][0]["event"] == "test"
    assert "rule 1 is removed" in call("alert", "rm", "1").out
    assert call("alert", "rm", "1").code == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "goes one way"),
        (("--email", "a@b.org", "--webhook", "https://x"), "goes one way"),
        (("--email", "a@b.org"), "needs a mail server"),
        (("--email", "a@b.org", "--smtp", "h:x"), "no port"),
        (("--email", "a@b.org", "--smtp", "h", "--secret-env", "X"), "goes with --webhook"),
        (("--webhook", "https://x"), "--secret-env"),
        (("--webhook", "https://x", "--secret-env", "NOT_SET"), "not set"),
        (("--webhook", "https://x", "--smtp", "h"), "--smtp goes with --email"),
        (
            ("--email", "a@b.org", "--smtp", "h", "--tag", "a", "--schedule", "b"),
            "one --schedule, or one --tag",
        ),
        (("--email", "a@b.org", "--smtp", "h", "--on", "sneezed"), "'failed'"),
        (("--email", "a@b.org", "--smtp", "h", "--streak", "0"), "--streak"),
    ],
)
def test_an_alert_that_cannot_be_meant_is_refused(call: Call, words: tuple[str, ...], said: str) -> None:
    reply = call("alert", "add", *words)
    assert reply.code == 2
    assert said in reply.err


def test_migrate_creates_and_then_has_nothing_to_do(call: Call, database: Path) -> None:
    assert "was created with schema" in call("database", "migrate").out
    assert "nothing was changed" in call("database", "migrate").out
    assert call("database", "migrate", "--json").json()["applied"] == []
    assert database.exists()


def test_a_file_that_is_no_database_is_exit_69(call: Call, database: Path) -> None:
    database.write_text("this is no database" * 100)
    for words in (("status",), ("database", "migrate"), ("run", "list")):
        reply = call(*words)
        assert (reply.code, str(database) in reply.err) == (69, True)


def test_a_newer_schema_is_exit_78(call: Call, store: SqliteStore) -> None:
    store.exclusive(lambda conn: conn.execute("PRAGMA user_version = 999").fetchall())
    reply = call("status")
    assert (reply.code, "written by a newer watchbell" in reply.err) == (78, True)


def test_version(call: Call) -> None:
    assert call("version").out.startswith("watchbell ")
    assert set(call("version", "--json").json()) == {"version", "python"}


def test_a_database_is_named_behind_the_verb_as_well(call: Call, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    call("schedule", "add", "a", "--manual", "--database", str(other), "--", "true")
    assert other.exists()
    assert call("--database", str(other), "schedule", "show", "a").code == 0
    assert call("schedule", "show", "a").code == 69


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("stauts",), 2, "did you mean `watchbell status`?"),
        (("schedule", "lst"), 2, "did you mean `watchbell schedule list`?"),
        (("schedule", "remove", "a"), 2, "did you mean `watchbell schedule rm`?"),
        (("xyz",), 2, "it has serve, demo, status"),
        (("run", "show"), 2, "Missing argument"),
        (("--wat",), 2, "No such option"),
        (("status", "--database", "mysql://x/y"), 78, "is not a database this watchbell can use"),
        (("status", "--database", "postgresql://127.0.0.1:1/y"), 69, "cannot be reached"),
        (("backup", "--database", "postgresql://127.0.0.1:1/y"), 2, "pg_dump makes a backup"),
        (("status", "--database", ""), 78, "The database URL is empty"),
        (("database", "migrate", "--database", "no/such/folder/a.db"), 78, "The folder"),
        (("serve", "--app", "x"), 78, "write --app module:name"),
        (("serve", "--app", "no_such_module:bell"), 78, "There is no module 'no_such_module'"),
        (("serve", "--app", "app.py:bell"), 78, "is a file"),
        (("serve", "--for", "soon"), 2, "--for"),
        (("exec",), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_and_an_exit_code(
    call: Call, words: tuple[str, ...], code: int, said: str
) -> None:
    reply = call(*words)
    assert (reply.code, reply.out) == (code, "")
    assert reply.err.startswith("watchbell: ")
    assert said in reply.err
    assert "Traceback" not in reply.err


@pytest.mark.parametrize(
    ("text", "attribute", "said"),
    [
        ("bell = 3", "bell", "is a int, not a Watchbell"),
        ("from watchbell import Watchbell\nmine = Watchbell()", "bell", "has no 'bell'; it has mine"),
        ("import nothing_like_it", "bell", "needs 'nothing_like_it'"),
        ("1 / 0", "bell", "could not be imported: ZeroDivisionError"),
    ],
)
def test_an_application_that_cannot_be_loaded_says_why(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, attribute: str, said: str
) -> None:
    import sys

    name = f"shop_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    reply = call("serve", "--app", f"{name}:{attribute}")
    assert (reply.code, said in reply.err) == (78, True), reply.err


def test_status_lists_what_is_set_aside_with_its_reason(call: Call, store: SqliteStore) -> None:
    call("schedule", "add", "a", "--every", "1h", "--", "true")
    store.write(lambda tx: tx.run("UPDATE schedule SET standing = 'set_aside', set_aside = 'no such zone'"))
    assert "a is set aside: no such zone." in call("status").out.splitlines()
    assert call("status", "--json").json()["set_aside"]["items"][0]["reason"] == "no such zone"


@pytest.mark.parametrize(
    ("words", "due"),
    [
        (("2026-11-21 07:30",), "2026-11-21T06:30:00Z"),
        (("2026-11-21 07:30", "--tz", "UTC"), "2026-11-21T07:30:00Z"),
        (("2026-11-21T07:30:00Z",), "2026-11-21T07:30:00Z"),
        (("07:30",), "2026-11-21T06:30:00Z"),
        (("7:30:00",), "2026-11-21T06:30:00Z"),
        (("09:00:00",), "2026-11-21T08:00:00Z"),
        (("09:30",), "2026-11-20T08:30:00Z"),
        (("23:30", "--tz", "Pacific/Auckland"), "2026-11-20T10:30:00Z"),
    ],
)
def test_explain_reads_a_time_in_the_schedules_own_zone(call: Call, words: tuple[str, ...], due: str) -> None:
    """It is 09:00 in Berlin: a time of day is the latest one, and never ahead."""
    call("schedule", "add", "a", "--cron", "30 7 * * *", "--tz", "Europe/Berlin", "--", "true")
    assert call("explain", "a", "--json", "--at", *words).json()["items"][0]["due_at"] == due


def test_of_a_time_that_came_twice_explain_takes_the_later(call: Call, clock: ManualClock) -> None:
    clock.step(parse_instant("2026-10-25T01:40:00Z") - NOW)
    call("schedule", "add", "a", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--", "true")
    assert (
        call("explain", "a", "--json", "--at", "02:30").json()["items"][0]["due_at"] == "2026-10-25T01:30:00Z"
    )
    assert call("run", "list", "--since", "2026-10-25").code == 0


def test_one_thing_is_told_in_the_singular(
    call: Call, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "a secret of some length")
    call("schedule", "add", "a", "--manual", "--", "true")
    call("alert", "add", "--webhook", "https://example.org/hook", "--secret-env", "HOOK_SECRET")
    out = call("status").out
    assert "(1 rule)" in out
    assert "The one enabled schedule has no instant to come." in out
    call("run", "now", "a")
    store.write(lambda tx: write_lines(tx, [(1, 0, NOW, "stdout", "info", "hello")]))
    end(store, 1)
    assert "1 log line: `watchbell run logs run_1`" in call("run", "show", "1").out
    assert " of 1 schedule " in call("audit").out

"""`schedule add --http`, `--memory`, `backfill`, `run retry` and `retention` on the command line."""

from __future__ import annotations

import json

from tests.services.people import NOW, plan
from watchbell.clock import ManualClock
from watchbell.core.instants import DAY, SECOND
from watchbell.store.sqlite import SqliteStore

from .conftest import Call


def test_a_request_is_added_and_shown_without_the_values_of_its_headers(
    call: Call, store: SqliteStore
) -> None:
    reply = call("schedule", "add", "hook", "--every", "1h", "--http", "https://example.org/hook", "--body", '{"a": 1}',
                 "--header", "Authorization: Bearer secret", "--expect-status", "200,204")  # fmt: skip
    assert reply.code == 0, reply.err
    shown = call("schedule", "show", "hook")
    assert "POST https://example.org/hook" in shown.out
    assert "secret" not in shown.out + call("schedule", "show", "hook", "--json").out
    kept = store.read(lambda tx: tx.row("SELECT lane, command FROM job WHERE name = 'hook'"))
    assert kept is not None
    assert kept[0] == "http"
    assert json.loads(kept[1])["http"]["headers"] == {"Authorization": "Bearer secret"}


def test_a_request_has_the_arguments_that_stand_in_it_or_is_refused(call: Call, store: SqliteStore) -> None:
    add = ("schedule", "add", "hook", "--http", "https://example.org/{shop}?day={day}",
           "--body", '{"to": ["{who}"], "n": 1}')  # fmt: skip
    said = call(*add, "--every", "1h", "--arg", "shop=one", "--arg", "day=3")
    assert (said.code, "needs the argument 'who'" in said.err) == (2, True), said.err
    assert call("schedule", "show", "hook").code == 5
    assert call(*add, "--every", "1h", "--arg", "shop=one", "--arg", "day=3", "--arg", "who=alice").code == 0
    kept = store.read(lambda tx: tx.value("SELECT v.args FROM schedule_version v"))
    assert json.loads(kept) == {"day": 3, "shop": "one", "who": "alice"}
    assert call("schedule", "edit", "hook", "--arg", "day=4").code == 0
    assert '"day": 4' in call("schedule", "show", "hook").out
    assert call("schedule", "rm", "hook").code == 0
    assert call(*add, "--manual").code == 0  # whoever runs it gives them


def test_what_makes_no_request_is_refused(call: Call) -> None:
    add = ("schedule", "add", "hook", "--every", "1h")
    for words, said in (
        (("--http", "ftp://example.org"), "no address of the web"),
        (("--http", "https://u:p@example.org"), "Authorization header"),
        (("--http", "https://example.org", "--", "true"), "one of them"),
        (("--http", "https://example.org", "--memory", "5M"), "--memory goes with a command"),
        (("--method", "PUT", "--", "true"), "--method goes with --http URL"),
        (("--http", "https://example.org", "--body", "{"), "is no JSON"),
        (("--memory", "lots", "--", "true"), "--memory is written like 512M"),
    ):
        reply = call(*add, *words)
        assert (reply.code, said in reply.err) == (2, True), reply.err


def test_memory_is_kept_with_the_job(call: Call, store: SqliteStore) -> None:
    assert call("schedule", "add", "big", "--every", "1h", "--memory", "512M", "--", "true").code == 0
    options = store.read(lambda tx: tx.value("SELECT options FROM job WHERE name = 'big'"))
    assert json.loads(options) == {"memory": 512 << 20}


def test_what_a_job_may_use_and_what_an_answer_has_to_be_are_shown(call: Call) -> None:
    call("schedule", "add", "big", "--every", "1h", "--memory", "512M", "--limit", "db=2", "--rate", "10/1m",
         "--rate", "api=100/1h", "--", "true")  # fmt: skip
    shown = call("schedule", "show", "big").out
    for said in ("memory: 512 MiB", "limit of db: 2", "rate: 10/1m", "rate of api: 100/1h"):
        assert said in shown
    call("schedule", "add", "hook", "--every", "1h", "--http", "https://example.org", "--expect-status", "204",
         "--expect-json", "a.b=1", "--expect-body", "ok")  # fmt: skip
    shown = call("schedule", "show", "hook").out
    for said in ("Request", "GET https://example.org", "status 204", "it holds 'ok'", "a.b is 1"):
        assert said in shown
    assert "Of its job" not in shown


def test_backfill_says_how_many_and_retry_what_it_did(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    call("schedule", "add", "a", "--every", "10s", "--catchup", "none", "--", "true")
    plan(store, NOW + 100 * SECOND)
    clock.advance(100 * SECOND)
    dry = call("backfill", "a", "--from", "2026-11-21T08:00:00Z", "--dry-run", "--json")
    assert json.loads(dry.out)["total"] == 9
    done = call("backfill", "a", "--from", "2026-11-21T08:00:00Z", "--limit", "2")
    assert "2 occurrences reopened, the oldest of 9: 9 missed" in done.out
    run = store.read(
        lambda tx: tx.value("SELECT id FROM occurrence WHERE origin = 'backfill' ORDER BY due_at LIMIT 1")
    )
    refused = call("run", "retry", f"run_{run}")
    assert (refused.code, "is not over" in refused.err) == (6, True)
    assert "reopened by" in call("run", "show", f"run_{run}").out


def test_retention_says_what_would_go_and_lets_it_go(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    call("schedule", "add", "a", "--every", "6h", "--", "true")
    plan(store, NOW + 500 * DAY)
    store.write(
        lambda tx: tx.run(
            "UPDATE occurrence SET state = 'cancelled', ended_at = due_at WHERE state = 'queued'"
        )
    )
    clock.advance(500 * DAY)
    assert call("retention", "--dry-run").out.startswith("At most 0 occurrences, 1 span,")
    clock.advance(401 * DAY)
    plan(store, NOW + 901 * DAY)
    dry = json.loads(call("retention", "--dry-run", "--json").out)
    assert (dry["spans"] >= 1, dry["keep"]["occurrences"]) == (True, "400d")
    assert "Removed" in call("retention").out
    assert json.loads(call("status", "--json").out)["retention"]["days"] > 400


def test_an_address_of_ones_own_network_is_refused_when_it_is_written_and_not_run_after_run(
    call: Call,
) -> None:
    add = ("schedule", "add", "hook", "--every", "1h", "--http")
    reply = call(*add, "http://192.168.1.7:8080/hook")
    assert reply.code == 2
    assert "192.168.1.7 is not of the public internet. --allow-private" in reply.err
    assert call("schedule", "list", "--json").json()["items"] == []
    assert call(*add, "http://169.254.169.254/latest", "--allow-private").code == 2
    assert call(*add, "http://192.168.1.7:8080/hook", "--allow-private").code == 0

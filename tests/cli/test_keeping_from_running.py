"""Blackouts, conditions, failures and edits that wait, as a person types them."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Call
from tests.services.people import function_job
from watchbell.clock import ManualClock
from watchbell.store.sqlite import SqliteStore

ADD = ("schedule", "add", "backup", "--cron", "0 * * * *", "--tz", "Europe/Berlin")


def test_S3_blackouts_conditions_and_failures_are_options_and_are_shown(
    call: Call, store: SqliteStore
) -> None:
    reply = call(
        *ADD, "--blackout", "2026-12-24T00:00/2026-12-27T00:00 Europe/Berlin", "--blackout", "cron 0 22 * * fri for 8h",
        "--only-if", "test -e /tmp/go", "--pause-after-failures", "3", "--json", "--", "true",
    )  # fmt: skip
    assert reply.code == 0, reply.err
    assert reply.json()["policies"] == {
        "blackouts": [
            {"from_at": 1798066800000000, "to_at": 1798326000000000, "tz": "Europe/Berlin"},
            {"cron": "0 22 * * fri", "length_us": 28_800_000_000, "tz": "Europe/Berlin"},
        ],
        "condition": "test -e /tmp/go",
        "pause_after_failures": 3,
    }
    shown = call("schedule", "show", "backup").out
    for said in (
        "blackout: 2026-12-24T00:00 to 2026-12-27T00:00 Europe/Berlin",
        "blackout: at 22:00 on Friday, Europe/Berlin, for 8 h",
        "condition: test -e /tmp/go",
        "pause after failures: 3",
    ):
        assert said in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--blackout", "weekends"), "is no blackout; write"),
        (("--blackout", "2026-12-24T00:00/2026-12-27T00:00"), "names no time zone"),
        (("--blackout", "cron * * * * * for 1h"), "Every occurrence falls into a blackout"),
        (("--pause-after-failures", "0"), "0 is not in the range"),
        (("--only-if", " "), "A condition is a function's name or, of a command, a text for /bin/sh"),
    ],
)
def test_S3_what_cannot_be_is_refused_and_nothing_is_written(
    call: Call, store: SqliteStore, words: tuple[str, ...], said: str
) -> None:
    reply = call(*ADD, *words, "--", "true")
    assert reply.code == 2
    assert said in reply.err
    assert store.read(lambda tx: tx.rows("SELECT name FROM schedule")) == []


def test_S3_only_if_goes_with_a_command(call: Call, store: SqliteStore) -> None:
    function_job(store, "report")
    reply = call("schedule", "add", "x", "--every", "1h", "--job", "report", "--only-if", "true")
    assert (reply.code, "--only-if goes with a command" in reply.err) == (2, True)


def test_S3_an_edit_waits_is_shown_and_is_taken_back(call: Call, store: SqliteStore) -> None:
    call(*ADD, "--", "true")
    reply = call("schedule", "edit", "backup", "--cron", "30 3 * * *", "--apply-from", "2026-12-01T00:00:00Z")
    assert "backup is changed from 2026-12-01T00:00:00Z on; until then it stays as it is." in reply.out
    shown = call("schedule", "show", "backup").out
    assert "Will change" in shown
    assert "2026-12-01 01:00" in shown  # as its zone has it
    past = call("schedule", "edit", "backup", "--cron", "5 * * * *", "--apply-from", "2026-11-01T00:00:00Z")
    assert past.code == 2
    assert "an edit never changes what has been due" in past.err
    back = call("schedule", "edit", "backup", "--take-back")
    assert "is taken back" in back.out
    assert "Will change" not in call("schedule", "show", "backup").out


def test_S3_a_preview_leaves_out_what_falls_into_a_blackout(call: Call, store: SqliteStore) -> None:
    call(*ADD, "--blackout", "2026-11-21T10:00/2026-11-21T12:00 Europe/Berlin", "--", "true")
    items = call("schedule", "next", "backup", "--count", "3", "--json").json()["items"]
    assert [item["due_at"] for item in items] == [f"2026-11-21T{hour}:00:00Z" for hour in ("11", "12", "13")]


def test_S3_resume_catches_up_where_it_is_asked_to(
    call: Call, store: SqliteStore, clock: ManualClock
) -> None:
    call(*ADD, "--", "true")
    call("schedule", "pause", "backup")
    clock.advance(3 * 3_600_000_000)
    assert call("schedule", "resume", "backup", "--catch-up").code == 0
    rows = store.read(lambda tx: tx.rows("SELECT state, reason FROM occurrence ORDER BY due_at"))
    assert rows == [("coalesced", "paused"), ("coalesced", "paused"), ("queued", None)]


def test_S3_an_edit_shows_the_blackouts_and_the_instants_without_them(call: Call, store: SqliteStore) -> None:
    call(*ADD, "--", "true")
    reply = call(
        "schedule",
        "edit",
        "backup",
        "--blackout",
        "2026-11-21T10:00/2026-11-21T12:00 Europe/Berlin",
        "--dry-run",
    )
    assert "blackouts: the default  →  2026-11-21T10:00/2026-11-21T12:00 Europe/Berlin" in reply.out
    assert "next, before: " in reply.out
    function_job(store, "report")
    call("schedule", "add", "x", "--every", "1h", "--job", "report")
    wrong = call("schedule", "edit", "x", "--only-if", "test -e /tmp/go")
    assert (wrong.code, "so its condition is one too" in wrong.err) == (2, True)

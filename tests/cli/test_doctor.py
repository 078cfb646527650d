"""`watchbell doctor`: each thing that can be out of order is broken once, and is found with a sentence."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import NOW, Call
from watchbell import Watchbell
from watchbell.clock import ManualClock, SystemClock
from watchbell.core.instants import DAY, HOUR, MINUTE
from watchbell.services import doctor, doctor_machine
from watchbell.store.sqlite import SqliteStore
from watchbell.store.sqlite import lock as locks
from watchbell.store.sqlite.lock import EngineLock


@pytest.fixture
def in_order(call: Call, database: Path) -> Call:
    """A call, where there is a database with one schedule that has just been added, and an alert rule."""
    call(
        "schedule",
        "add",
        "backup",
        "--cron",
        "30 2 * * *",
        "--tz",
        "Europe/Berlin",
        "--cwd",
        "/",
        "--",
        "true",
    )
    call("alert", "add", "--webhook", "https://example.org/hook", "--secret-env", "HOOK")
    return call


def checks(call: Call, *words: str) -> dict[str, Any]:
    return {one["name"]: one for one in call("doctor", "--json", *words).json()["checks"]}


def found(call: Call, name: str, *words: str) -> tuple[str, str]:
    one = checks(call, *words)[name]
    if one["level"] not in ("ok", "left_out") and name != "configuration":
        assert one["todo"], "a finding says what to do"
    return one["level"], one["sentence"]


@pytest.fixture
def write(store: SqliteStore) -> Callable[..., None]:
    """Put into the database what no command would."""
    return lambda sql, *params: store.write(lambda tx: tx.run(sql, params))  # type: ignore[func-returns-value]


def engine(write: Callable[..., None], now: int = NOW, **other: Any) -> None:
    """An engine, as far as its row goes: this process."""
    row = {"pid": os.getpid(), "handlers": "[]", "state": "up", "epoch": 1, "lease": now + MINUTE} | other
    write(
        "INSERT INTO node (id, name, host, pid, boot_id, version, state, slots, handlers, labels, started_at, heartbeat_at, "
        "lease_until, engine_epoch) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM node), 'n', ?, ?, ?, '1', ?, '{}', ?, '[]', "
        "?, ?, ?, ?)",
        *(socket.gethostname(), row["pid"], SystemClock().boot_id(), row["state"], row["handlers"]),
        *(now, now, row["lease"], row["epoch"]),
    )
    write("UPDATE meta SET value = 1 WHERE key = 'engine_epoch'")


def test_S1_10_a_house_in_order_is_found_so(
    in_order: Call, write: Callable[..., None], clock: ManualClock
) -> None:
    engine(write)
    clock.in_sync = True
    levels = {name: one["level"] for name, one in checks(in_order).items() if name not in ("disk", "alerts")}
    assert set(levels.values()) == {"ok"}, levels
    reply = in_order("doctor")
    assert reply.code == 0
    assert "0 broken." in reply.out


def test_every_check_of_the_table_is_made_in_its_order(in_order: Call) -> None:
    tables = (doctor.WITH_A_FILE, doctor.WITH_A_SOUND_FILE, doctor.WITH_A_LEDGER)
    names = [name for table in tables for name, _ in table]
    assert list(checks(in_order)) == ["configuration", "database", *names]


def test_without_a_database_it_says_what_creates_one(call: Call, database: Path) -> None:
    assert found(call, "database")[0] == "warning"
    assert not database.exists()
    assert found(call, "database", "--database", "sqlite://")[0] == "broken"


def test_a_wrong_configuration_is_a_finding_and_no_refusal(
    in_order: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "watchbell.toml"
    file.write_text("[slots]\nthreads = 3\n")
    level, text = found(in_order, "configuration")
    assert (level, f"{file}, line 2" in text) == ("broken", True)
    file.write_text("scheduler_enabled = true\n")
    assert found(in_order, "configuration")[0] == "warning"
    monkeypatch.delenv("WATCHBELL_DATABASE_URL")
    file.write_text("database = \n")
    assert list(checks(in_order)) == ["configuration"]
    assert in_order("doctor").code == 1


def test_a_file_that_is_no_database_is_broken_and_nothing_more_is_asked(call: Call, database: Path) -> None:
    database.write_bytes(b"this is no database at all, but a text" * 200)
    assert found(call, "database")[0] == "broken"
    assert "accounted" not in checks(call)
    assert call("doctor").code == 1


def test_an_older_schema_is_said_and_brought_up_on_request(
    in_order: Call, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchbell.store.sqlite import migrate

    real = doctor_machine.newest()
    monkeypatch.setattr(doctor_machine, "newest", lambda: real + 1)
    level, text = found(in_order, "database")
    assert (level, f"has schema {migrate.newest()}" in text) == ("warning", True)
    assert checks(in_order)["database"]["fix"] == "migrate"
    monkeypatch.setattr(doctor_machine, "newest", lambda: real)
    assert found(in_order, "database")[0] == "ok"


def test_damage_in_the_file_is_found(in_order: Call, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from watchbell.errors import StoreCorrupt

    def damaged(*_: object) -> bool:
        raise StoreCorrupt("bell.db is damaged: page 7.")

    monkeypatch.setattr(doctor_machine.soundness, "look", damaged)
    assert found(in_order, "soundness")[0] == "broken"


def test_S2_12_files_that_others_may_read_are_made_private_on_request(in_order: Call, database: Path) -> None:
    database.chmod(0o644)
    folder = database.with_name(f"{database.name}.lock")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    level, text = found(in_order, "files")
    assert (level, "0644" in text, "0755" in text) == ("warning", True, True)
    reply = in_order("doctor", "--fix", "--yes", "--json").json()
    assert reply["fixed"]["files"].startswith("2 places") or "places made private" in reply["fixed"]["files"]
    assert {one["name"]: one["level"] for one in reply["checks"]}["files"] == "ok"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_fix_is_asked_for_and_no_is_no(in_order: Call, database: Path) -> None:
    database.chmod(0o644)
    reply = in_order("doctor", "--fix")  # nobody answers
    assert stat.S_IMODE(database.stat().st_mode) == 0o644
    assert reply.code == 1  # as no engine runs
    assert "files: left as it is" in reply.out
    assert in_order("doctor", "--fix", "--json").code == 2
    assert in_order("doctor", "--yes").code == 2


@pytest.fixture
def held(in_order: Call, database: Path) -> Iterator[EngineLock]:
    lock = EngineLock(database)
    assert lock.take()
    yield lock
    lock.release()


def test_the_lock_says_who_holds_it(in_order: Call, held: EngineLock, database: Path) -> None:
    assert found(in_order, "lock") == ("ok", f"Process {os.getpid()} holds it.")
    held.let_go()
    assert found(in_order, "lock")[1].startswith("Nobody holds it")
    assert locks.look(database.with_name("other.db")) == locks.LockLook(False)


def test_looking_at_the_lock_takes_it_from_nobody(held: EngineLock, database: Path) -> None:
    assert locks.look(database).held is True
    held.let_go()
    assert locks.look(database).held is False
    assert held.take()


def test_somebody_who_acts_beside_a_stalled_holder_is_found(
    in_order: Call, held: EngineLock, database: Path
) -> None:
    other = os.getppid()
    (database.with_name(f"{database.name}.lock") / "progress").write_bytes(
        other.to_bytes(8, "little") + (7).to_bytes(8, "little")
    )
    level, text = found(in_order, "lock")
    assert (level, f"process {other} acts beside it" in text) == ("broken", True)


def test_no_engine_for_enabled_schedules_is_broken(in_order: Call, write: Callable[..., None]) -> None:
    assert found(in_order, "engine")[0] == "broken"
    assert "--fix can mend nothing of it." in in_order("doctor", "--fix").out
    assert in_order("doctor").out.count("`watchbell serve` starts one") == 1
    in_order("schedule", "rm", "backup")
    assert found(in_order, "engine")[0] == "warning"


def test_an_engine_that_was_taken_over_from_and_lives_on_is_found(
    in_order: Call, write: Callable[..., None]
) -> None:
    engine(write, pid=os.getppid(), epoch=0)
    write("UPDATE node SET engine_epoch = 1")
    engine(write, epoch=2)
    write("UPDATE meta SET value = 2 WHERE key = 'engine_epoch'")
    level, text = found(in_order, "second engine")
    assert (level, f"process {os.getppid()}" in text) == ("broken", True)


def test_a_clock_behind_the_ledger_or_without_a_time_server_is_found(
    in_order: Call, write: Callable[..., None], clock: ManualClock
) -> None:
    clock.in_sync = False
    assert found(in_order, "clock")[0] == "warning"
    clock.in_sync = True
    assert found(in_order, "clock")[0] == "ok"
    engine(write, now=NOW + HOUR)
    level, text = found(in_order, "clock")
    assert (level, "1 h ahead" in text) == ("broken", True)


def test_zones_without_rules_or_with_others_are_found(in_order: Call, write: Callable[..., None]) -> None:
    write("""UPDATE schedule_version SET zones = '[["Europe/Berlin","old"]]'""")
    assert found(in_order, "zones")[0] == "warning"
    write("""UPDATE schedule_version SET zones = '[["Mars/Base","old"]]'""")
    level, text = found(in_order, "zones")
    assert (level, "Mars/Base" in text) == ("broken", True)


def test_a_job_whose_function_no_engine_has_is_found(
    in_order: Call, write: Callable[..., None], database: Path, clock: ManualClock
) -> None:
    bell = Watchbell(str(database), clock=clock)
    bell.add_job("mail", 60, lambda: None)
    bell.schedules()
    bell.stop()
    assert found(in_order, "handlers")[0] == "ok"  # nobody to ask
    engine(write)
    level, text = found(in_order, "handlers")
    assert (level, "mail" in text) == ("broken", True)
    write("UPDATE node SET handlers = ?", json.dumps(["mail"]))
    assert found(in_order, "handlers")[0] == "ok"


def test_a_label_that_no_node_has_is_found_with_how_to_start_one(in_order: Call) -> None:
    in_order("schedule", "add", "train", "--every", "1h", "--on", "gpu", "--cwd", "/", "--", "true")
    check = checks(in_order)["labels"]
    assert check["sentence"] == "train: no node has the label gpu."
    assert check["todo"].startswith("`watchbell serve --label gpu` starts a node that has it")


def test_what_is_overdue_is_said_and_the_engine_is_told_to_look(
    in_order: Call, write: Callable[..., None], clock: ManualClock
) -> None:
    clock.advance(DAY)
    level, text = found(in_order, "overdue")
    assert (level, "backup" in text) == ("broken", True)
    assert text == "No engine runs, and what is due waits: backup."
    assert checks(in_order)["overdue"]["fix"] is None
    engine(write, now=NOW + DAY)
    assert checks(in_order)["overdue"]["fix"] == "wake"
    reply = in_order("doctor", "--fix", "--yes", "--json").json()
    assert "told to look" in reply["fixed"]["overdue"]


def test_S0_1_enabled_and_not_scheduled_is_found(in_order: Call, write: Callable[..., None]) -> None:
    in_order("schedule", "add", "by hand", "--manual", "--cwd", "/", "--", "true")
    level, text = found(in_order, "scheduled")
    assert (level, text) == ("ok", "Of 2 enabled, 1 have an instant to come; the rule of 1 has none.")
    write("UPDATE cursor SET next_due = NULL")
    level, text = found(in_order, "scheduled")
    assert (level, "not scheduled: backup." in text) == ("broken", True)


def test_a_schedule_that_is_set_aside_and_a_source_that_fails_are_found(
    in_order: Call, write: Callable[..., None]
) -> None:
    write("UPDATE schedule SET standing = 'set_aside', set_aside = 'no such zone'")
    level, text = found(in_order, "set aside")
    assert (level, "no such zone" in text) == ("broken", True)
    write(
        "INSERT INTO source (name, every_us, errors, max_errors, last_error) VALUES ('sites', 1, 3, 5, 'no table')"
    )
    level, text = found(in_order, "sources")
    assert (level, "sites has failed 3 times" in text) == ("broken", True)


def test_a_hole_in_the_ledger_is_found(
    in_order: Call, write: Callable[..., None], clock: ManualClock
) -> None:
    clock.advance(DAY)
    write("UPDATE cursor SET planned_until = ?, next_due = ?", NOW + DAY, NOW + 2 * DAY)
    level, text = found(in_order, "accounted")
    assert (level, "unaccounted: 1" in text) == ("broken", True)
    level, text = found(in_order, "accounted", "--quick")
    assert (level, "Not looked at (--quick); `watchbell audit` does." in text) == ("left_out", True)
    assert in_order("doctor").code == 1


def test_what_a_quick_look_leaves_out_is_not_counted_as_in_order(
    in_order: Call, write: Callable[..., None]
) -> None:
    engine(write)
    quick, whole = in_order("doctor", "--quick"), in_order("doctor")
    assert "– accounted" in quick.out
    assert quick.out.rstrip().endswith("broken, 1 left out.")
    assert "left out" not in whole.out
    counts = [[int(one) for one in re.findall(r"(\d+) (?:checks|ok)", reply.out)] for reply in (quick, whole)]
    assert counts[0] == [counts[1][0], counts[1][1] - 1]
    said, all_said = in_order("doctor", "--quick", "--json").json(), in_order("doctor", "--json").json()
    assert (said["whole"], all_said["whole"]) == (False, True)
    assert (quick.code, said["ok"]) == (0, True)  # of what was looked at nothing is broken


def test_little_room_is_found(in_order: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 0

    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda _: Usage)
    for free, level in ((50_000_000, "broken"), (500_000_000, "warning"), (5_000_000_000, "ok")):
        Usage.free = free
        assert found(in_order, "disk")[0] == level


def test_an_old_sqlite_and_nobody_to_tell_are_found(
    in_order: Call, monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    monkeypatch.setattr(doctor_machine, "SQLITE", (99, 0, 0))
    assert found(in_order, "sqlite")[0] == "broken"
    assert found(in_order, "alerts", "--quick")[0] in ("ok", "warning")


def test_a_check_that_cannot_be_made_is_a_finding_and_keeps_no_other_away(
    in_order: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> object:
        raise ZeroDivisionError("by zero")

    table = tuple((name, fails if name == "zones" else look) for name, look in doctor.WITH_A_LEDGER)
    monkeypatch.setattr(doctor, "WITH_A_LEDGER", table)
    made = checks(in_order)
    assert made["zones"]["level"] == "broken"
    assert "ZeroDivisionError: by zero" in made["zones"]["sentence"]
    assert made["accounted"]["level"] == "ok"

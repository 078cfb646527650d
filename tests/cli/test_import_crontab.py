"""`watchbell import crontab` and `export crontab`, as a person with a crontab uses them."""

from __future__ import annotations

import getpass
import json
import pwd
from pathlib import Path

import pytest

from tests.cli.conftest import NOW, Call
from tests.core.test_crontab import THIRTY
from watchbell import Watchbell, cron
from watchbell.clock import ManualClock
from watchbell.core.triggers.cron_trigger import Cron
from watchbell.services import crontab_files
from watchbell.store import listing
from watchbell.store.listing import Sought
from watchbell.store.schedules.trigger_texts import trigger_of
from watchbell.store.sqlite import SqliteStore

BERLIN = "--tz", "Europe/Berlin"
SMALL = """\
MAILTO=alice@example.org
30 2 * * 1-5 /usr/local/bin/backup --all
@reboot /usr/local/bin/start
*/20 2 * * * date +\\%F | mail -s report bob%Hello%there
SHELL=/bin/bash
GREETING=" hello "
0 9 13 * 5 ~/bin/friday
"""


@pytest.fixture
def tab(tmp_path: Path, database: Path) -> Path:
    found = tmp_path / "tab"
    found.write_text(SMALL)
    return found


def rules(store: SqliteStore) -> dict[str, str]:
    rows = store.read(lambda tx: listing.schedules(tx, Sought(), 1000))
    return {row.name: trigger_of(row.trigger).to_text() for row in rows}


def test_a_crontab_is_shown_before_anything_is_written(call: Call, tab: Path, database: Path) -> None:
    reply = call("import", "crontab", str(tab), *BERLIN)
    assert reply.code == 1  # one line cannot be taken over
    for text in (
        "backup  (",
        "30 2 * * 1-5  →  cron 30 2 * * 1-5 tz=Europe/Berlin",
        "at 02:30 on Monday to Friday, Europe/Berlin",
        "next: 2026-11-23 02:30:00 +01:00, 2026-11-24 02:30:00 +01:00, 2026-11-25 02:30:00 +01:00",
        "@reboot is no time",
        "MAILTO=alice@example.org",
        "next difference: 2027-03-28",
        "joined by OR",
        "carried out by /bin/bash",
        "3 schedules to add, 1 line that cannot be taken over.",
        "Nothing was written; --apply adds them.",
    ):
        assert text in reply.out, text
    assert not database.exists()


def test_applied_it_is_one_batch_and_the_same_again_is_unchanged(
    call: Call, tab: Path, store: SqliteStore
) -> None:
    reply = call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert "Batch 1: 3 schedules added." in reply.out
    assert rules(store) == {
        "backup": "cron 30 2 * * 1-5 tz=Europe/Berlin",
        "date": "cron */20 2 * * * tz=Europe/Berlin",
        "friday": "cron 0 9 13 * 5 tz=Europe/Berlin",
    }
    again = call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert "nothing was written" in again.out
    assert len(rules(store)) == 3
    tab.write_text(SMALL + "0 5 * * * /usr/local/bin/more\n")
    more = call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert "Batch 2: 1 schedule added, 3 were there already." in more.out


def test_an_imported_command_has_the_environment_of_cron(call: Call, tab: Path, store: SqliteStore) -> None:
    call("import", "crontab", str(tab), *BERLIN, "--apply")
    me = pwd.getpwnam(getpass.getuser())
    own = {"HOME": me.pw_dir, "LOGNAME": me.pw_name, "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    rows = store.read(lambda tx: listing.schedules(tx, Sought(), 10))
    found = {row.name: json.loads(row.command or "") for row in rows}
    assert found["backup"] == {"shell": "/usr/local/bin/backup --all", "cwd": me.pw_dir, "env": own}
    assert found["date"]["shell"] == "printf '%s' 'Hello\nthere\n' | {\ndate +%F | mail -s report bob\n}"
    assert found["friday"]["argv"] == ["/bin/bash", "-c", "~/bin/friday"]
    assert found["friday"]["env"] == own | {"SHELL": "/bin/bash", "GREETING": " hello "}


def test_a_batch_is_undone_as_one_and_can_be_applied_again(call: Call, tab: Path, store: SqliteStore) -> None:
    call("schedule", "add", "mine", "--every", "1h", "--", "true")
    call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert call("import", "list").out.splitlines()[1].endswith("3 of 3 schedules still there")
    reply = call("import", "crontab", "--undo")
    assert "Batch 1 is undone: 3 schedules removed" in reply.out
    assert list(rules(store)) == ["mine"]
    assert "undone" in call("import", "list").out
    assert call("import", "undo").code == 5
    assert "nothing was changed" in call("import", "undo", "1").out
    assert call("import", "undo", "7").code == 5
    assert "Batch 2: 3 schedules added." in call("import", "crontab", str(tab), *BERLIN, "--apply").out


def test_nothing_is_half_done_when_one_of_the_names_is_taken_meanwhile(
    call: Call, tab: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchbell.services import imports

    propose = imports.propose

    def and_somebody_is_faster(*args: object, **more: object) -> imports.Plan:
        plan = propose(*args, **more)  # type: ignore[arg-type]
        call("schedule", "add", "friday", "--every", "1h", "--", "true")
        return plan

    monkeypatch.setattr(imports, "propose", and_somebody_is_faster)
    reply = call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert reply.code == 6
    assert "'friday'" in reply.err
    assert list(rules(store)) == ["friday"]
    assert "Nothing was imported." in call("import", "list").out


def test_a_taken_name_gets_a_piece_of_the_lines_own(call: Call, tab: Path, store: SqliteStore) -> None:
    call("schedule", "add", "backup", "--every", "1h", "--", "true")
    call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert sum(name.startswith("backup-") for name in rules(store)) == 1


def test_the_same_line_twice_is_one_schedule_and_is_said(call: Call, tab: Path, store: SqliteStore) -> None:
    tab.write_text("0 1 * * * ls\n0  1 * * * ls\n")
    reply = call("import", "crontab", str(tab), *BERLIN, "--apply")
    assert "line 2 cannot be taken over: it is the same as line 1" in reply.out
    assert list(rules(store)) == ["ls"]


def test_thirty_lines_come_in_with_their_rules_and_go_out_as_they_came(
    call: Call, tmp_path: Path, store: SqliteStore
) -> None:
    tab = tmp_path / "thirty"
    tab.write_text(THIRTY)
    assert call("import", "crontab", str(tab), *BERLIN, "--apply").code == 0
    wanted = [
        line.split("/usr")[0].strip() for line in THIRTY.splitlines() if "/usr/" in line and "=" not in line
    ]
    found = rules(store)
    assert sorted(found.values()) == sorted(Cron(rule, "Europe/Berlin").to_text() for rule in wanted)

    exported = call("export", "crontab", *BERLIN)
    assert exported.err == ""
    tab.write_text(exported.out)
    again = call("import", "crontab", str(tab), *BERLIN)
    assert "0 schedules to add, 30 there already." in again.out


def test_what_was_imported_with_input_shells_and_zones_comes_out_the_same(
    call: Call, tab: Path, store: SqliteStore
) -> None:
    tab.write_text(SMALL + "CRON_TZ=Asia/Tokyo\nA=1\n0 7 * * * tea\n")
    call("import", "crontab", str(tab), *BERLIN, "--apply")
    exported = call("export", "crontab", *BERLIN)
    assert exported.err == ""
    tab.write_text(exported.out)
    assert "0 schedules to add, 4 there already." in call("import", "crontab", str(tab), *BERLIN).out


def test_what_a_crontab_cannot_say_stands_there_as_a_comment(
    call: Call, database: Path, tmp_path: Path
) -> None:
    for name, rule in (
        ("interval", ["--every", "15m"]),
        ("last", ["--cron", "0 1 L * *"]),
        ("seconds", ["--cron", "30 0 1 * * *"]),
        ("skips", ["--cron", "30 2 * * *", "--gap", "skip"]),
        ("around", ["--cron", "0 22-2 * * *"]),
        ("careful", ["--cron", "0 0 4 * * *", "--overlap", "queue_one", "--retry", "2", "--cwd", "/"]),
    ):
        call("schedule", "add", name, *rule, "--", "echo", "100%", "of it")
    call("schedule", "add", "still", "--cron", "0 5 * * *", "--cwd", "/", "--", "true")
    call("schedule", "pause", "still")
    reply = call("export", "crontab", "--tz", "UTC")
    jobs = [line for line in reply.out.splitlines() if line and not line.startswith("#")]
    assert jobs == ["HOME=/", "0 4 * * * echo 100\\% 'of it'"]
    assert "# careful (lost here: overlap, retry)" in reply.out
    assert "# it does not come due: 0 5 * * * true" in reply.out
    for name in ("interval", "last", "seconds", "skips", "around"):
        assert f"# {name} has no line: " in reply.out
        assert f"{name} has no line: " in reply.err
    assert call("export", "crontab", "nobody").code == 5
    assert call("export", "crontab", "interval", "--json").json()["lines"] == 0


def test_a_function_is_no_line_of_a_crontab(call: Call, database: Path, clock: ManualClock) -> None:
    bell = Watchbell(str(database), clock=clock)

    @bell.schedule(cron("0 8 * * *"))
    @bell.job
    def report() -> None: ...

    bell.schedules()
    bell.stop()
    assert (
        "report has no line: it carries out the job report, which is no command"
        in call("export", "crontab").err
    )


def test_a_variable_cannot_be_unset_so_who_must_not_see_it_is_left_out(call: Call, database: Path) -> None:
    for name, variable in (("one", "A=1"), ("two", "B=2")):
        call("schedule", "add", name, "--cron", "0 1 * * *", "--cwd", "/", "--env", variable, "--", "true")
    reply = call("export", "crontab", "--tz", "UTC")
    assert "two has no line: it would see A" in reply.err
    assert call("export", "crontab", "two", "--tz", "UTC").err == ""


def test_the_systems_crontabs_have_a_user_and_files_with_a_dot_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text("17 * * * * root run-hourly\n")
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d" / "php").write_text("0 1 * * * www clean\n")
    (tmp_path / "cron.d" / "php.dpkg-old").write_text("0 2 * * * www old\n")
    found = crontab_files.of_system(tmp_path)
    assert [(entry.user, entry.command) for entry in found.entries] == [
        ("root", "run-hourly"),
        ("www", "clean"),
    ]


def test_a_user_nobody_knows_is_refused_by_line(call: Call, tab: Path) -> None:
    tab.write_text("0 1 * * * nobody-of-this-name ls\n0 2 * * * root ls\n")
    reply = call("import", "crontab", str(tab), "--system", *BERLIN)
    assert "there is no account 'nobody-of-this-name'" in reply.out
    assert "1 schedule to add" in reply.out


def test_the_zone_of_the_machine_is_read_by_name(tmp_path: Path) -> None:
    zones = tmp_path / "usr" / "zoneinfo" / "Europe"
    zones.mkdir(parents=True)
    (zones / "Berlin").touch()
    etc = tmp_path / "etc"
    etc.mkdir()
    assert crontab_files.local_zone(etc) is None
    (etc / "timezone").write_text("Asia/Tokyo\n")
    assert crontab_files.local_zone(etc) == "Asia/Tokyo"
    (etc / "localtime").symlink_to(zones / "Berlin")
    assert crontab_files.local_zone(etc) == "Europe/Berlin"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("nowhere",), 5, "There is no file nowhere"),
        (("tab", "--user", "alice"), 2, "not both"),
        (("--user", "alice", "--system"), 2, "no column for the user"),
        (("tab", "--undo"), 2, "goes with nothing else"),
        (("tab", "--tz", "Mars/Base"), 2, "Mars/Base"),
        (("bytes",), 2, "no UTF-8 text"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(
    call: Call, tab: Path, tmp_path: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    (tmp_path / "bytes").write_bytes(b"0 1 * * * \xff\xfe")
    reply = call("import", "crontab", *words)
    assert (reply.code, text in reply.err) == (code, True), reply.err


def test_policies_are_given_to_all_and_the_ledger_of_an_import_holds(
    call: Call, tab: Path, clock: ManualClock, store: SqliteStore
) -> None:
    call("import", "crontab", str(tab), *BERLIN, "--apply", "--overlap", "allow", "--catchup", "none")
    policies = call("schedule", "show", "backup", "--json").json()["policies"]
    assert policies == {"overlap": "allow", "catchup": "none"}
    assert clock.wall_us() == NOW
    assert call("audit").code == 0


def test_a_file_without_an_end_is_no_crontab(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crontab_files, "MOST", 1000)
    endless = tmp_path / "endless"
    endless.write_bytes(b"\n" * 1001)
    reply = call("import", "crontab", str(endless))
    assert reply.code == 2
    assert "more than 1,000 bytes; a crontab is a few lines of text" in reply.err
    endless.write_bytes(b"\n" * 1000)
    assert call("import", "crontab", str(endless)).code == 0


def test_the_mark_that_some_editors_put_before_a_text_is_no_part_of_its_first_line(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "tab").write_bytes(b"\xef\xbb\xbf0 5 * * * /usr/bin/sync\n")
    reply = call("import", "crontab", str(tmp_path / "tab"), *BERLIN)
    assert reply.code == 0
    assert "1 schedule to add." in reply.out

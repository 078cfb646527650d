"""The command line as a process: what it loads, how it ends, what it leaves on the terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from watchbell.core.instants import parse_instant
from watchbell.core.triggers import manual
from watchbell.services import schedules
from watchbell.services.schedules import Command
from watchbell.store.settling import write_lines
from watchbell.store.sqlite.open import open_store

NOW = parse_instant("2026-11-21T08:00:00Z")


def watchbell(
    folder: Path, *words: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watchbell.cli", *words],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("words", [["--help"], ["status"], ["schedule", "next", "@daily"], ["run", "list"]])
def test_starting_loads_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    program = (
        "import sys\n"
        "from watchbell.cli.main import root, run\n"
        "code = run(root, sys.argv[1:])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    database = tmp_path / "bell.db"
    open_store(str(database), NOW).close()
    reply = subprocess.run(
        [sys.executable, "-c", program, "--database", str(database), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(reply.stderr.split())
    assert "watchbell" in loaded
    assert loaded & {"pydantic", "pydantic_core", "rich", "httpx2", "psutil", "fastapi", "jinja2"} == set()


def test_doctor_says_what_to_install_where_psycopg_is_missing(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"
        "from watchbell.cli.main import root, run\n"
        "sys.exit(run(root, ['--database', 'postgresql:///none', 'doctor']))"
    )
    reply = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (reply.returncode, reply.stderr) == (1, "")
    assert "`pip install 'watchbell[postgres]'`" in reply.stdout
    assert "ModuleNotFoundError" not in reply.stdout


def test_an_unknown_command_is_one_line_and_2(tmp_path: Path) -> None:
    reply = watchbell(tmp_path, "stauts")
    assert (reply.returncode, reply.stdout) == (2, "")
    assert reply.stderr == "watchbell: watchbell has no command 'stauts'; did you mean `watchbell status`?\n"


def test_no_command_shows_the_help_and_2(tmp_path: Path) -> None:
    for words in ((), ("schedule",)):
        reply = watchbell(tmp_path, *words)
        assert (reply.returncode, reply.stdout) == (2, "")
        assert reply.stderr.startswith("Usage: watchbell")


def test_the_help_names_every_verb_and_every_verb_has_one(tmp_path: Path) -> None:
    from watchbell.cli.alert import TABLE as ALERT
    from watchbell.cli.main import TABLE
    from watchbell.cli.run import TABLE as RUN
    from watchbell.cli.schedule import TABLE as SCHEDULE

    text = watchbell(tmp_path, "--help").stdout
    assert all(f"  {name} " in text for name in TABLE)
    from click.testing import CliRunner

    from watchbell.cli.main import root

    calls = [[name] for name in TABLE if name != "demo"]
    for noun, table in (("schedule", SCHEDULE), ("run", RUN), ("alert", ALERT)):
        calls += [[noun, verb] for verb in table]
    for words in calls:
        result = CliRunner().invoke(root, [*words, "--help"])
        assert (result.exit_code, result.output[:6]) == (0, "Usage:"), words


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "watchbell.db"), NOW)
    schedules.add_command_schedule(store, "a", manual(), Command(argv=("true",)), now=NOW, actor="x")
    lines = [(1, seq, NOW, "stdout", "info", "x" * 1000) for seq in range(500)]
    store.write(
        lambda tx: tx.run(
            "INSERT INTO occurrence (id, schedule, version, job, origin, due_at, start_at, state, lane, planned_at) "
            "VALUES (1, 1, 1, 1, 'manual', ?, ?, 'succeeded', 'command', ?)",
            (NOW, NOW, NOW),
        )
    )
    store.write(lambda tx: write_lines(tx, lines))
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "watchbell.cli", "run", "logs", "1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), said) == (141, b"")


def test_an_interrupt_is_130_and_no_traceback(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "watchbell.db"), NOW)
    schedules.add_command_schedule(store, "a", manual(), Command(argv=("true",)), now=NOW, actor="x")
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "watchbell.cli", "run", "now", "a", "--wait"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "begins when an engine runs" in process.stderr.readline()  # now it waits
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), said) == (130, "watchbell: interrupted\n")


def test_what_should_not_happen_is_a_sentence_too_and_a_traceback_on_request(tmp_path: Path) -> None:
    program = (
        "import sys, click\n"
        "from watchbell.cli.main import run\n"
        "@click.command()\n"
        "def broken(): raise RuntimeError('the sky is falling\\nin two lines')\n"
        "sys.exit(run(broken, []))"
    )
    replies = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                       env={**os.environ, **more}) for more in ({}, {"WATCHBELL_DEBUG": "1"})
    ]  # fmt: skip
    assert [reply.returncode for reply in replies] == [1, 1]
    assert replies[0].stderr == (
        "watchbell: something went wrong that should not have (RuntimeError: the sky is falling); "
        "WATCHBELL_DEBUG=1 shows where.\n"
    )
    assert "Traceback" in replies[1].stderr


def test_the_default_database_is_here_if_it_is_there_else_the_users_own(tmp_path: Path) -> None:
    state = tmp_path / "state"
    env = {"XDG_STATE_HOME": str(state)}
    own = state / "watchbell" / "watchbell.db"
    here = tmp_path / "here"
    here.mkdir()
    assert str(own) in watchbell(here, "status", env=env).stdout
    assert not state.exists(), "reading creates nothing"
    assert watchbell(here, "schedule", "add", "a", "--manual", "--", "true", env=env).returncode == 0
    assert own.exists()
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700
    open_store(str(here / "watchbell.db"), NOW).close()
    assert str(here / "watchbell.db") in watchbell(here, "status", env=env).stdout
    other = tmp_path / "other.db"
    env |= {"WATCHBELL_DATABASE_URL": f"sqlite:///{other}"}
    assert str(other) in watchbell(here, "status", env=env).stdout
    assert str(own) in watchbell(here, "--database", str(own), "status", env=env).stdout


def test_json_is_never_coloured_and_a_table_is_only_on_a_terminal(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "watchbell.db"), NOW)
    schedules.add_command_schedule(store, "a", manual(), Command(argv=("true",)), now=NOW, actor="x")
    store.close()
    env = {"TERM": "xterm-256color", "COLUMNS": "200"}
    assert json.loads(on_a_terminal(tmp_path, env, "schedule", "list", "--json"))["items"][0]["name"] == "a"
    assert "\x1b[" in on_a_terminal(tmp_path, env, "status")
    assert "─" in on_a_terminal(tmp_path, env, "schedule", "list")
    plain = on_a_terminal(tmp_path, {**env, "NO_COLOR": "1"}, "status")
    assert "\x1b[" not in plain
    piped = watchbell(tmp_path, "schedule", "list").stdout
    assert "─" not in piped
    assert "\x1b" not in piped


def on_a_terminal(folder: Path, env: Mapping[str, str], *words: str) -> str:
    """What a call writes when its output is a terminal."""
    main, side = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "watchbell.cli", *words],
        cwd=folder,
        env={**kept, **env},
        stdout=side,
        stderr=side,
    )
    os.close(side)
    found = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        found += piece
    os.close(main)
    process.wait(30)
    return found.decode()


def test_an_ascii_terminal_gets_no_traceback(tmp_path: Path) -> None:
    env = {"PYTHONIOENCODING": "ascii"}
    database = str(tmp_path / "a.db")
    added = watchbell(
        tmp_path, "schedule", "add", "größe", "--manual", "--database", database, "--", "true", env=env
    )
    assert added.returncode == 0, added.stderr
    shown = watchbell(tmp_path, "schedule", "list", "--database", database, "--json", env=env)
    assert json.loads(shown.stdout)["items"][0]["name"] == "größe"
    assert watchbell(tmp_path, "schedule", "list", "--database", database, env=env).returncode == 0


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    reply = watchbell(tmp_path, "schedule", "add", "a", "--manual", "--", "cat", os.fsdecode(b"/tmp/\xff"))
    assert (reply.returncode, "is no UTF-8 text" in reply.stderr) == (2, True), reply.stderr


def test_serve_runs_for_a_while_and_its_work_is_in_the_ledger(tmp_path: Path) -> None:
    assert watchbell(tmp_path, "database", "migrate", "--database", "watchbell.db").returncode == 0
    added = watchbell(
        tmp_path,
        "schedule",
        "add",
        "a",
        "--every",
        "1h",
        "--run-at-start",
        "--",
        "sh",
        "-c",
        "echo done >> out",
    )
    assert added.returncode == 0, added.stderr
    served = watchbell(tmp_path, "serve", "--for", "2s")
    assert served.returncode == 0, served.stderr
    assert "engine.ready" in served.stderr
    assert (tmp_path / "out").read_text() == "done\n"
    rows = json.loads(watchbell(tmp_path, "run", "list", "--json").stdout)["items"]
    assert [(row["state"], row["exit_code"]) for row in rows] == [("succeeded", 0)]
    audit = watchbell(tmp_path, "audit", "--json")
    assert (audit.returncode, json.loads(audit.stdout)["unaccounted"]) == (0, 0)


def test_exec_passes_its_command_through_and_keeps_what_it_did(tmp_path: Path) -> None:
    assert watchbell(tmp_path, "database", "migrate", "--database", "watchbell.db").returncode == 0
    done = watchbell(
        tmp_path, "exec", "--name", "by hand", "--", "sh", "-c", "echo out; echo err >&2; exit 3"
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    row = json.loads(watchbell(tmp_path, "run", "list", "--json").stdout)["items"][0]
    assert (row["job"], row["state"], row["exit_code"]) == ("exec:by hand", "failed", 3)
    lines = json.loads(watchbell(tmp_path, "run", "logs", row["id"], "--json").stdout)["items"]
    assert sorted((line["stream"], line["text"]) for line in lines) == [("stderr", "err"), ("stdout", "out")]
    assert "no engine has ever run" in watchbell(tmp_path, "status").stdout


def test_exec_changes_no_job_of_a_schedule_and_says_what_cannot_be_started(tmp_path: Path) -> None:
    words = ("schedule", "add", "sh", "--every", "1h", "--database", "watchbell.db", "--", "sh", "-c", "date")
    assert watchbell(tmp_path, *words).returncode == 0
    before = json.loads(watchbell(tmp_path, "schedule", "show", "sh", "--json").stdout)
    assert watchbell(tmp_path, "exec", "--", "sh", "-c", "exit 0").returncode == 0
    assert (
        json.loads(watchbell(tmp_path, "schedule", "show", "sh", "--json").stdout)["command"]
        == before["command"]
    )
    missing = watchbell(tmp_path, "exec", "--", "no-such-program")
    assert missing.returncode == 127
    assert "no-such-program" in missing.stderr
    assert "Traceback" not in missing.stderr

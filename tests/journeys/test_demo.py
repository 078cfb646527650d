"""The demo as a newcomer meets it: one command, an outage that is explained, and an audit that finds nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess

import pytest

from tests.journeys.people import WATCHBELL, Shell, wait_for

pytestmark = [pytest.mark.journey]

CLEAN = re.compile(
    r"Audit of [\d,]+ occurrences of \d+ schedules: unaccounted: 0, invented: 0, stuck: 0, contradicted: 0\."
)


@pytest.mark.kill9
def test_an_outage_is_explained_and_everything_is_accounted_for(shell: Shell) -> None:
    lines = shell.run("demo", "--for", "20s", "--outage", "7s", "--state", "state-of-demo").splitlines()
    assert CLEAN.fullmatch(lines[-1])
    text = "\n".join(lines)
    for name in ("site-check", "stocktaking", "orders-harbour", "disk-usage", "export-orders"):
        assert re.search(rf"^\d\d:\d\d:\d\d  {name} +run_\d+ +succeeded in ", text, re.MULTILINE), name
    assert re.search(
        r"stocktaking +run_\d+ +skipped: run_\d+ was still active and its overlap policy is skip", text
    )
    assert re.search(r"backup +run_\d+ +succeeded in .*: [\d,]+ KiB, integrity ok", text)
    assert re.search(r"prices +run_\d+ +succeeded in .*: 5 prices at attempt 2", text)
    assert re.search(r"^--- \d+ s: .*; no engine is running$", text, re.MULTILINE)
    assert "was killed with SIGKILL" in text
    told = text[text.index("What fell due or was running while nobody was there") :]
    assert "no engine was running" in told

    # What it has done is there to be looked at.
    folder = shell.folder / "state-of-demo"
    assert (folder / "exports" / "orders.csv").read_text().count("\n") > 40_000
    copies = sorted((folder / "backups").iterdir())
    assert copies
    with sqlite3.connect(copies[-1]) as copy:
        assert copy.execute("SELECT count(*) FROM occurrence").fetchone()[0] > 0
    copy.close()
    # And the commands that it prints work as they stand.
    printed = [line.strip() for line in lines if " --database " in line and line.startswith("  ")]
    assert len(printed) == 6
    for command in printed[1:4]:
        done = subprocess.run(
            ["sh", "-c", command], cwd=shell.folder, env=shell.env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip()


def test_a_second_demo_goes_on_and_a_fresh_one_forgets_only_its_own(shell: Shell) -> None:
    shell.run("demo", "--for", "3s", "--state", "mine")
    (shell.folder / "mine" / "notes.txt").write_text("kept")
    first = shell.ask("run", "list", "--limit", "1000", "--database", "mine/watchbell.db")["items"]
    shell.run("demo", "--for", "2s", "--state", "mine")
    second = shell.ask("run", "list", "--limit", "1000", "--database", "mine/watchbell.db")["items"]
    assert {row["id"] for row in first if row["kind"] == "run"} <= {row.get("id") for row in second}
    assert len(second) > len(first)
    shell.run("demo", "--for", "1s", "--fresh", "--state", "mine")
    nodes = shell.ask("status", "--database", "mine/watchbell.db", code=3)["engine"]
    assert "no engine is running" in nodes["sentence"]
    third = shell.ask("run", "list", "--limit", "1000", "--database", "mine/watchbell.db")["items"]
    assert len(third) < len(second)
    assert (shell.folder / "mine" / "notes.txt").read_text() == "kept"


def test_ctrl_c_drains_and_audits(shell: Shell) -> None:
    command = [*WATCHBELL, "demo", "--for", "5m"]
    with subprocess.Popen(
        command, cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        seen = []
        for line in demo.stdout:
            seen.append(line)
            if " succeeded in " in line:
                demo.send_signal(signal.SIGINT)
                break
        seen += demo.stdout
        assert demo.wait() == 0
    assert CLEAN.fullmatch(seen[-1].strip())
    pid = int(re.search(r"service +process (\d+)", "".join(seen))[1])  # type: ignore[index]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def refusal(shell: Shell, *words: str, code: int) -> str:
    done = subprocess.run(
        [*WATCHBELL, "demo", *words],
        cwd=shell.folder,
        env=shell.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_what_it_cannot_do_is_said_in_one_sentence(shell: Shell) -> None:
    (shell.folder / "file").touch()
    assert "cannot write to its folder" in refusal(shell, "--state", "file/demo", code=69)
    (shell.folder / "taxes").mkdir()
    (shell.folder / "taxes" / "watchbell.db").write_text("mine")
    assert "holds things that the demo has not made" in refusal(shell, "--state", "taxes", "--fresh", code=78)
    assert (shell.folder / "taxes" / "watchbell.db").read_text() == "mine"
    assert "at least 14 s" in refusal(shell, "--for", "5s", "--outage", "4s", code=2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 cannot be used" in refusal(shell, "--port", str(port), code=78)


def test_one_demo_a_folder(shell: Shell) -> None:
    with shell.background(*WATCHBELL, "demo", "--for", "5m") as demo:
        wait_for(
            lambda: any("ledger" in line for line in shell.lines("background.log")), "the demo's introduction"
        )
        assert f"Another demo (process {demo.pid}) is running" in refusal(shell, "--for", "1s", code=6)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(timeout=30) == 0


@pytest.mark.kill9
def test_a_service_that_was_left_behind_is_named(shell: Shell) -> None:
    with shell.background(*WATCHBELL, "demo", "--for", "5m") as demo:
        shell.hears("ledger")  # its introduction
        demo.kill()
        demo.wait()
    pid = shell.ask("status", "--database", "watchbell-demo/watchbell.db")["engine"]["node"]["pid"]
    try:
        assert f"End it with `kill {pid}`" in refusal(shell, "--for", "1s", "--fresh", code=6)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(pid), "the end of that service")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"

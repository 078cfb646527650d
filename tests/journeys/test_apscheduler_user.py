"""The journey of somebody with a plain script that starts a scheduler beside its own work, and is started again."""

from __future__ import annotations

import sys

import pytest

from tests.journeys.people import Shell, wait_for

pytestmark = [pytest.mark.journey]

SCRIPT = """
import signal, sys, threading
from watchbell import Watchbell, every

bell = Watchbell("sqlite:///jobs.db")

@bell.schedule(every("1s"))
@bell.job
def note(run):
    with open("out", "a") as file:
        file.write(f"{run.due_at.isoformat()} {run.run_key}\\n")

@bell.job
def greet(name: str) -> None:
    with open("greeted", "a") as file:
        file.write(f"{name}\\n")

if __name__ == "__main__":
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    bell.start()
    greet.enqueue("alice", key="greeting of alice")
    done.wait()
    bell.stop()
"""


def test_a_script_that_is_started_again_doubles_nothing_and_keeps_the_anchor(shell: Shell) -> None:
    (shell.folder / "jobs.py").write_text(SCRIPT)
    for start in (1, 2):
        with shell.background(sys.executable, "jobs.py") as script:
            wait_for(lambda least=2 * start: len(shell.lines("out")) >= least, f"lines of start {start}")
            shell.stop(script)
        rule = shell.ask("schedule", "show", "note", "--database", "jobs.db")
        if start == 1:
            first = rule
    assert rule["trigger"] == first["trigger"]
    assert "start_at=" in rule["trigger"]
    assert rule["version"] == first["version"] == 1

    due = [line.split()[0] for line in shell.lines("out")]
    assert len(due) == len(set(due))
    assert len({instant[-13:] for instant in due}) == 1  # all at the same fraction of a second: the anchor's
    assert shell.lines("greeted") == ["alice"]
    assert len(shell.ask("schedule", "list", "--database", "jobs.db")["items"]) == 1
    assert shell.ask("audit", "--database", "jobs.db")["unaccounted"] == 0


def test_two_copies_of_the_script_act_as_one(shell: Shell) -> None:
    (shell.folder / "jobs.py").write_text(SCRIPT)
    with (
        shell.background(sys.executable, "jobs.py") as first,
        shell.background(sys.executable, "jobs.py") as second,
    ):
        wait_for(lambda: len(shell.lines("out")) >= 4, "four lines")
        shell.stop(second)
        shell.stop(first)
    due = [line.split()[0] for line in shell.lines("out")]
    assert len(due) == len(set(due))
    assert shell.lines("greeted") == ["alice"]
    shell.run("audit", "--database", "jobs.db")

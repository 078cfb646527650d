"""One alert for each transition, through kill -9: judged by the ledger, with a walk of its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.store.settle_until_killed import SUBJECTS
from watchbell.store.sqlite import SqliteStore
from watchbell.store.sqlite.open import open_store
from watchbell.store.tx import Tx

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).resolve().parents[2]
LIVES = 25
RULES: list[tuple[str, str, list[str], int]] = [
    ("workspace", "", ["failed", "timed_out", "lost", "recovered"], 1),
    ("workspace", "", ["lost"], 1),
    ("schedule", "sync", ["failed", "recovered"], 3),
    ("tag", "db", ["failed", "timed_out", "lost", "recovered"], 2),
]

Told = tuple[int, str, str, int]


def live_and_be_killed(path: Path, words: int) -> None:
    """Let the program run until it has said so many words; where it is when the signal comes, nobody knows."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.settle_until_killed", str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(words):
            assert process.stdout.readline()
        threading.Event().wait(
            random.uniform(0, 0.004)
        )  # waits for nothing: the signal may come at any instant
        process.kill()


def add_rules(tx: Tx) -> None:
    tx.many(
        "INSERT INTO alert_rule (scope, target, events, streak, channel, created_at) VALUES (?, ?, ?, ?, 1, 0)",
        [(scope, target, json.dumps(events), streak) for scope, target, events, streak in RULES],
    )


def implied(ledger: list[tuple[int, int, str]]) -> list[Told]:
    """The alerts that these runs (id, job, state) imply, in order of their ids."""
    found: list[Told] = []
    for number, (scope, target, events, streak) in enumerate(RULES, 1):
        for job, (subject, tags) in SUBJECTS.items():
            if target not in {"workspace": ("",), "schedule": (subject,), "tag": tags}[scope]:
                continue
            bad = 0
            for run, _, state in (row for row in ledger if row[1] == job):
                if state == "succeeded":
                    if bad >= streak and "recovered" in events:
                        found.append((number, "recovered", subject, run))
                    bad = 0
                elif state in events:
                    bad += 1
                    if bad == streak:
                        found.append((number, state, subject, run))
    return sorted(found)


@pytest.mark.kill9
def test_S0_12_one_alert_per_transition_through_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "bell.db"
    store = open_store(str(path), 0)
    store.write(add_rules)
    store.close()
    for _ in range(LIVES):
        live_and_be_killed(path, random.randint(1, 60))
    store = open_store(str(path), 0)
    ledger = store.read(lambda tx: tx.rows("SELECT id, job, state FROM occurrence ORDER BY id"))
    states = {state for _, _, state in ledger}
    assert {"succeeded", "failed", "lost"} <= states, "the story has to have all three to prove anything"
    assert told(store) == implied([(row[0], row[1], row[2]) for row in ledger if row[2] != "claimed"])
    assert firing(store) == firing_implied([(row[0], row[1], row[2]) for row in ledger])
    store.close()


def told(store: SqliteStore) -> list[Told]:
    return sorted(
        (row[0], row[1], row[2], row[3])
        for row in store.read(lambda tx: tx.rows("SELECT rule, event, subject, run FROM alert"))
    )


def firing(store: SqliteStore) -> set[tuple[int, str]]:
    return {
        (row[0], row[1])
        for row in store.read(lambda tx: tx.rows("SELECT rule, subject FROM alert_state WHERE firing = 1"))
    }


def firing_implied(ledger: list[tuple[int, int, str]]) -> set[tuple[int, str]]:
    """Where the newest alert of a rule and subject is no recovery, nor has a success come since."""
    newest_success = {
        job: max((r for r, j, s in ledger if j == job and s == "succeeded"), default=0) for job in SUBJECTS
    }
    jobs = {subject: job for job, (subject, _) in SUBJECTS.items()}
    return {
        (rule, subject)
        for rule, event, subject, run in implied(ledger)
        if event != "recovered" and run > newest_success[jobs[subject]]
    }

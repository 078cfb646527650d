"""The run key names one occurrence and nothing else, so that whatever remembers it can refuse a second time."""

from __future__ import annotations

from dataclasses import replace

from watchbell.core.claim import Claim
from watchbell.core.definition import Job
from watchbell.engine.handlers import Handlers, assignment_of

DUE = 1_795_251_600_000_000
JOB = Job(id=3, workspace=1, name="backup", lane="command", target=None, command='{"argv":["true"]}')
CLAIM = Claim(
    run=12,
    epoch=1,
    token="t",
    workspace=1,
    schedule=5,
    version=1,
    job=3,
    lane="command",
    due_at=DUE,
    start_at=DUE,
    claimed_at=DUE,
)


def key_of(claim: Claim) -> str:
    made = assignment_of(claim, JOB, Handlers(), "nightly", "db")
    assert made is not None
    return made.run_key


def test_an_occurrence_has_the_same_key_in_every_attempt() -> None:
    assert key_of(CLAIM) == key_of(replace(CLAIM, epoch=4, attempt=3, token="u", version=2))


def test_a_run_by_hand_at_the_instant_of_an_occurrence_has_a_key_of_its_own() -> None:
    by_hand = replace(CLAIM, run=13, by_hand=True)
    keys = {
        key_of(CLAIM),
        key_of(by_hand),
        key_of(replace(by_hand, run=14)),
        key_of(replace(by_hand, schedule=None)),
    }
    assert len(keys) == 3
    assert key_of(by_hand) == key_of(replace(by_hand, schedule=None))

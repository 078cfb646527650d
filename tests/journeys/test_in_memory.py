"""A database in memory: what is asked for begins at once, though no other process can knock at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.journeys.people import wait_for
from watchbell import Run, Watchbell, every

pytestmark = [pytest.mark.journey]


@pytest.fixture
def bell() -> Iterator[Watchbell]:
    bell = Watchbell("sqlite://")
    begun = threading.Event()

    @bell.job
    def greet() -> str:
        return "hello"

    @bell.schedule(every("1h"))
    @bell.job
    def walk(run: Run) -> None:
        while not begun.wait(0.01):
            run.raise_if_cancelled()

    bell.start()
    yield bell
    begun.set()
    bell.stop()


def test_a_run_by_hand_begins(bell: Watchbell) -> None:
    bell.run_now("greet")
    wait_for(lambda: bell.runs(job="greet", states=("succeeded",)).items, "the run by hand")


def test_a_cancelled_run_ends(bell: Watchbell) -> None:
    assert bell._declared.jobs["walk"].enqueue().cancel() in ("asked", "cancelled")
    wait_for(lambda: bell.runs(job="walk", states=("cancelled",)).items, "the end of the cancelled run")


def test_an_edit_and_a_resume_are_followed(bell: Watchbell) -> None:
    bell.pause("walk")
    bell.resume("walk")
    bell.edit("walk", trigger=every("1s"))
    wait_for(
        lambda: bell.runs(schedule="walk", states=("claimed", "running")).items, "a run at the new period"
    )

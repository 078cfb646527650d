"""Conditions of commands under a real engine: asked in a process, and what is left when the engine dies or stops over it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.engines import House, alive, wait_for
from watchbell import every
from watchbell.clock import SystemClock
from watchbell.core.policies import Policies
from watchbell.services.commands import Command
from watchbell.services.schedules import Details, add_command_schedule

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc"),
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def add(house: House, condition: str) -> None:
    add_command_schedule(
        house.store,
        "guarded",
        every("200ms"),
        Command(shell=f"echo ran >> {house.folder}/ran"),
        details=Details(Policies(condition=condition)),
        now=SystemClock().wall_us(),
        actor="test",
    )


def states(house: House) -> set[tuple[str, str | None]]:
    return set(house.rows("SELECT state, reason FROM occurrence WHERE ended_at IS NOT NULL"))


def test_S3_a_command_runs_only_if_its_condition_ends_with_0(house: House) -> None:
    house.acting()
    add(house, f"test -e {house.folder}/go")
    wait_for(lambda: ("skipped", "condition") in states(house), "one was skipped")
    assert not (house.folder / "ran").exists()
    house.go()
    wait_for(lambda: ("succeeded", None) in states(house), "one has run")
    assert (
        house.rows(
            "SELECT 1 FROM occurrence WHERE state = 'skipped' AND reason = 'condition' AND began_at > 0"
        )
        == []
    )
    house.audited()


@pytest.mark.kill9
def test_S3_an_engine_that_dies_over_a_condition_leaves_a_run_that_may_not_have_begun(house: House) -> None:
    engine = house.acting()
    asking = house.folder / "asking"
    add(house, f"echo $$ > {asking}; sleep 60")
    wait_for(lambda: asking.exists() and asking.read_text().strip(), "the condition is asked")
    pid = int(asking.read_text())
    assert house.rows("SELECT state FROM occurrence WHERE state = 'running'") == []
    engine.signal(signal.SIGKILL)
    engine.ends()
    house.acting()
    wait_for(lambda: ("lost", "begin_unknown") in states(house), "it is lost")
    wait_for(lambda: not alive(pid), "its condition's process is gone")
    assert not (house.folder / "ran").exists()


def test_S3_an_engine_that_stops_gives_back_what_is_still_asking(house: House) -> None:
    engine = house.acting(grace="200ms")
    asking = house.folder / "asking"
    add(house, f"echo $$ > {asking}; test -e {house.folder}/go || sleep 60")
    wait_for(lambda: asking.exists() and asking.read_text().strip(), "the condition is asked")
    engine.signal(signal.SIGTERM)
    engine.ends()
    assert ("queued",) in house.rows("SELECT state FROM occurrence WHERE attempt = 0 AND node IS NULL")
    house.go()
    house.acting()
    wait_for(lambda: ("succeeded", None) in states(house), "it is asked again, and runs")
    house.audited()

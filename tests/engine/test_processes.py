"""Several processes on one file: who acts, who stands by, what ends with whom. Real processes, and no figure of time is
asserted: only facts of the ledger and their order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.engines import House, alive, wait_for
from watchbell.services.commands import Command
from watchbell.store.schedules.put import Doer, JobSpec, put_job

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc"),
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def command_job(house: House, name: str, shell: str) -> None:
    """A job that is a text for the shell."""
    spec = JobSpec(name, "command", command=Command(shell=shell).to_text())
    house.store.write(lambda tx: put_job(tx, spec, Doer("test", 0)))


def waiting_command(house: House, name: str = "waiting-command") -> str:
    text = f"echo $$ > {house.folder}/{name}; while [ ! -e {house.folder}/go ]; do sleep 0.05; done"
    command_job(house, name, text)
    return name


# --- one acts, the others stand by ------------------------------------------------------------------------------------


def test_S0_3_a_stand_by_takes_over_from_an_engine_that_was_killed(house: House) -> None:
    first = house.acting(ticking="200ms")
    second = house.engine(ticking="200ms")
    second.says("engine.standby")
    house.has_begun("tick")
    assert house.engine_pid() == first.pid
    first.signal(signal.SIGKILL)
    wait_for(lambda: house.engine_pid() == second.pid, "the second one acts")
    wait_for(lambda: any(int(line[2]) == second.pid for line in house.begun("tick")), "it begins what is due")
    assert house.rows("SELECT pid, state FROM node WHERE engine_epoch > 0 ORDER BY id") == [
        (first.pid, "dead"),
        (second.pid, "up"),
    ]
    house.audited()


def test_four_processes_that_start_at_once_on_no_database_are_one_engine_and_three_stand_bys(
    house: House,
) -> None:
    engines = [house.engine(ticking="200ms") for _ in range(4)]
    for engine in engines:
        wait_for(
            lambda engine=engine: "engine.ready" in engine.log or "engine.standby" in engine.log, engine.log
        )  # type: ignore[misc]
    house.has_begun("tick")
    assert sum("engine.ready" in engine.log for engine in engines) == 1
    assert house.value("SELECT count(*) FROM node WHERE engine_epoch > 0") == 1
    shown = "SELECT count(*) FROM node WHERE state = 'standby'"
    wait_for(lambda: house.value(shown) == 3, "each stand-by shows itself")
    house.audited()


def test_an_engine_that_was_stopped_finds_itself_replaced_and_starts_nothing_more(house: House) -> None:
    first = house.acting(ticking="200ms")
    second = house.engine(ticking="200ms", stall_us=1_500_000)
    second.says("engine.standby")
    held = house.run_now("waits")
    house.has_begun("waits", "tick")
    house.freeze(first)
    wait_for(lambda: house.engine_pid() == second.pid, "the second one acts")
    second.says("engine.stalled")
    taken_over = house.value("SELECT started_at FROM node WHERE pid = ? AND engine_epoch > 0", second.pid)
    first.signal(signal.SIGCONT)
    first.says("engine.replaced")
    assert house.ended(held) == ("cancelled", "shutdown")
    wait_for(lambda: first.log.count("engine.standby") == 1, "the first one stands by")
    epoch = house.value("SELECT value FROM meta WHERE key = 'engine_epoch'")
    ticks = len(house.begun("tick"))
    wait_for(lambda: len(house.begun("tick")) > ticks + 5, "the second one goes on")
    assert house.value("SELECT value FROM meta WHERE key = 'engine_epoch'") == epoch
    late = (
        "SELECT count(*) FROM occurrence o JOIN node n ON n.id = o.node WHERE n.pid = ? AND o.claimed_at > ?"
    )
    assert house.value(late, first.pid, taken_over) == 0
    house.audited()


def test_an_engine_that_was_replaced_takes_over_again_when_its_turn_comes(house: House) -> None:
    first = house.acting(ticking="200ms")
    second = house.engine(ticking="200ms", stall_us=1_500_000)
    second.says("engine.standby")
    house.freeze(first)
    wait_for(lambda: house.engine_pid() == second.pid, "the second one acts")
    first.signal(signal.SIGCONT)
    first.says("engine.standby")
    second.signal(signal.SIGKILL)
    wait_for(lambda: house.engine_pid() == first.pid, "the first one acts again")
    before = len(house.begun("tick"))
    wait_for(lambda: len(house.begun("tick")) > before, "and begins what is due")
    house.audited()


def test_a_long_drain_is_no_stall(house: House) -> None:
    first = house.acting()
    second = house.engine(stall_us=1_500_000)
    second.says("engine.standby")
    run = house.run_now("waits")
    house.has_begun("waits")
    first.signal(signal.SIGTERM)
    wait_for(lambda: house.value("SELECT state FROM node") == "draining", "it drains")
    started = os.times().elapsed
    wait_for(lambda: os.times().elapsed > started + 3, "twice the time of a stall has passed")
    assert house.engine_pid() == first.pid
    house.go()
    assert house.ended(run) == ("succeeded", None)
    assert first.ends() == 0
    wait_for(lambda: house.engine_pid() == second.pid, "the second one acts")


def test_what_no_engine_knows_is_not_claimed_until_one_does(house: House) -> None:
    run = house.run_now("tick")
    house.bell.stop()
    stranger = house.engine(database=str(house.folder / "bell.db"), only_commands=True)
    stranger.says("engine.ready")
    command_job(house, "known", "true")
    known = house.run_now("known")
    assert house.ended(known)[0] == "succeeded"
    assert house.rows("SELECT state, epoch FROM occurrence WHERE id = ?", run) == [("queued", 0)]
    stranger.signal(signal.SIGTERM)
    assert stranger.ends() == 0
    house.acting()
    assert house.ended(run)[0] == "succeeded"


# --- waking up --------------------------------------------------------------------------------------------------------


def test_an_engine_that_looks_once_a_minute_is_woken_by_another_process(house: House) -> None:
    house.acting(patient=True)
    for _ in range(3):
        run = house.run_now("tick")
        assert house.ended(run)[0] == "succeeded"
    began, asked = house.rows("SELECT began_at, planned_at FROM occurrence ORDER BY id DESC LIMIT 1")[0]
    assert began >= asked


# --- stopping ---------------------------------------------------------------------------------------------------------


def running_in_every_lane(house: House) -> dict[str, int]:
    names = ["waits", "waits_on_a_thread", "waits_isolated", waiting_command(house)]
    runs = {name: house.run_now(name) for name in names}
    house.has_begun("waits", "waits_on_a_thread", "waits_isolated")
    wait_for(lambda: (house.folder / "waiting-command").exists(), "the command has begun")
    return runs


def test_S0_5_what_runs_may_finish_after_sigterm_and_what_waits_is_left_for_the_next(house: House) -> None:
    engine = house.acting(slots={"thread": 1})
    runs = running_in_every_lane(house)
    left = house.run_now("waits_on_a_thread")
    engine.signal(signal.SIGTERM)
    wait_for(lambda: house.value("SELECT state FROM node") == "draining", "it drains")
    house.go()
    assert engine.ends() == 0, engine.log
    assert {name: house.ended(run) for name, run in runs.items()} == dict.fromkeys(runs, ("succeeded", None))
    assert house.rows("SELECT state FROM occurrence WHERE id = ?", left) == [("queued",)]
    assert house.value("SELECT state FROM node") == "stopped"
    house.acting()
    assert house.ended(left) == ("succeeded", None)
    house.audited()


def test_S0_5_what_outlives_the_grace_ends_as_cancelled_by_the_shutdown(house: House) -> None:
    engine = house.acting(grace="200ms")
    runs = running_in_every_lane(house)
    pid = int((house.folder / "waiting-command").read_text())
    engine.signal(signal.SIGTERM)
    assert engine.ends() == 0, engine.log
    ends = {name: house.ended(run) for name, run in runs.items()}
    assert ends == dict.fromkeys(runs, ("cancelled", "shutdown"))
    assert not alive(pid)
    house.audited()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_means_now(house: House, number: int) -> None:
    engine = house.acting(grace="10m")
    runs = running_in_every_lane(house)
    engine.signal(number)
    wait_for(lambda: house.value("SELECT state FROM node") == "draining", "it drains")
    engine.signal(number)
    assert engine.ends() == 0, engine.log
    ends = {name: house.ended(run) for name, run in runs.items()}
    assert ends == dict.fromkeys(runs, ("cancelled", "shutdown"))


# --- jobs that misbehave ----------------------------------------------------------------------------------------------


def test_jobs_that_crash_leave_eat_and_hang_take_nobody_with_them(house: House) -> None:
    engine = house.acting(ticking="200ms")
    neighbour = house.run_now("waits")
    ends = {
        name: house.ended(house.run_now(name))[0] for name in ("crashes", "leaves", "eats_memory", "hangs")
    }
    assert ends == {"crashes": "failed", "leaves": "failed", "eats_memory": "failed", "hangs": "timed_out"}
    errors = dict(
        house.rows(
            "SELECT j.name, o.error FROM occurrence o JOIN job j ON j.id = o.job WHERE o.error NOT NULL"
        )
    )
    assert "SIGSEGV" in errors["crashes"]
    assert "exit code 3" in errors["leaves"]
    assert "MemoryError" in errors["eats_memory"]
    hung = [int(line[2]) for line in house.begun("hangs")]
    wait_for(lambda: not any(alive(pid) for pid in hung), "what hung is gone")
    before = len(house.begun("tick"))
    wait_for(lambda: len(house.begun("tick")) > before, "the engine goes on")
    house.go()
    assert house.ended(neighbour) == ("succeeded", None)
    assert house.rows("SELECT pid, state FROM node") == [(engine.pid, "up")]
    house.audited()


def test_a_run_that_blocks_the_job_loop_is_named_and_the_others_go_on_without_it(house: House) -> None:
    engine = house.acting(loop_lag_limit_us=500_000)
    blocking = house.run_now("blocks")
    house.has_begun("blocks")
    beat = house.value("SELECT heartbeat_at FROM node")
    other = house.run_now("tick")
    assert house.ended(other) == ("succeeded", None)
    engine.says(f"engine.loop_blocked: run_{blocking} of blocks: it has blocked the job loop")
    assert "in blocks" in engine.log
    wait_for(lambda: house.value("SELECT heartbeat_at FROM node") > beat, "the lease is renewed all the same")
    state = "SELECT state FROM occurrence WHERE id = ?"
    wait_for(
        lambda: house.value(state, blocking) == "running", "the renewal says that it has begun for certain"
    )
    house.go()
    assert house.ended(blocking) == ("succeeded", None)
    assert engine.log.count("engine.loop_blocked") == 1
    house.audited()


# --- what dies with an engine -----------------------------------------------------------------------------------------


def test_processes_die_with_a_killed_engine_before_any_other_starts(house: House) -> None:
    engine = house.acting()
    isolated, command = house.run_now("waits_isolated"), house.run_now(waiting_command(house))
    house.has_begun("waits_isolated")
    wait_for(lambda: (house.folder / "waiting-command").exists(), "the command has begun")
    pids = [int(house.begun("waits_isolated")[0][2]), int((house.folder / "waiting-command").read_text())]
    assert all(alive(pid) for pid in pids)
    engine.signal(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in pids), "the processes are gone")
    house.acting()
    assert {house.ended(isolated)[0], house.ended(command)[0]} == {"lost"}
    house.audited()


def test_what_survives_engine_and_spawner_is_ended_by_the_next_engine(house: House) -> None:
    engine = house.acting()
    text = f"setsid sleep 1000 & echo $! > {house.folder}/left; wait"
    command_job(house, "leaves-something", text)
    run = house.run_now("leaves-something")
    left = int(
        wait_for(lambda: (house.folder / "left").exists() and (house.folder / "left").read_text(), "it began")
    )
    wait_for(
        lambda: house.rows("SELECT 1 FROM occurrence WHERE state = 'running' AND id = ?", run),
        "it is running",
    )
    for pid in [*engine.children(), engine.pid]:
        os.kill(pid, signal.SIGSTOP)
    for pid in [*engine.children(), engine.pid]:
        os.kill(pid, signal.SIGKILL)
    engine.ends()
    assert alive(left)
    house.acting()
    assert house.ended(run) == ("lost", "begun")
    assert not alive(left)
    house.audited()

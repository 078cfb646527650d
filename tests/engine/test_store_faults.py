"""A database that cannot be written, is full, is missing or is in use: a sentence and an exit code at start, and later a
recorded refusal to start runs. What could not be written down did not run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.engine.engines import ROOT, House, wait_for
from watchbell.clock import SystemClock
from watchbell.store.sqlite.open import open_store

pytestmark = pytest.mark.sqlite


def mounted(place: Path, options: str) -> None:
    """A file system of its own there, or a skip that says why not."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system of a given size")
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    place = tmp_path / "disk"
    mounted(place, "size=4m")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def houses() -> Iterator[list[House]]:
    made: list[House] = []
    yield made
    for house in made:
        house.close()


def fill(place: Path) -> Path:
    """Take all the room there is."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 9, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def serve(*words: str) -> subprocess.CompletedProcess[str]:
    """`watchbell serve`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "watchbell", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.root
def test_what_cannot_be_written_down_on_a_full_disk_does_not_run(
    tmp_path: Path, small_disk: Path, houses: list[House]
) -> None:
    house = House(tmp_path, small_disk / "bell.db")
    houses.append(house)
    engine = house.acting(ticking="100ms")
    house.has_begun("tick")
    filler = fill(small_disk)
    engine.says("nothing starts meanwhile")
    begun = len(house.begun("tick"))
    progress = small_disk / "bell.db.lock" / "progress"
    for _ in range(3):
        seen = progress.read_bytes()
        wait_for(lambda: progress.read_bytes() != seen, "its loop turns")  # noqa: B023  at once
    # What was claimed before the disk was full may still begin; nothing that came due later does.
    assert len(house.begun("tick")) <= begun + 1
    filler.unlink()
    wait_for(lambda: len(house.begun("tick")) > begun + 10, "it goes on once there is room")
    engine.signal(signal.SIGTERM)
    assert engine.ends() == 0, engine.log
    known = {
        str(run): (state, str(epoch))
        for run, state, epoch in house.rows("SELECT id, state, epoch FROM occurrence")
    }
    assert {line[0] for line in house.begun()} <= set(known)
    assert all(known[line[0]] == ("succeeded", line[1]) for line in house.begun())
    house.audited()


@pytest.mark.root
def test_S0_13_a_read_only_database_is_refused_at_start_with_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    mounted(place, "size=4m")
    try:
        open_store(str(place / "bell.db"), SystemClock().wall_us()).close()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        done = serve("--database", str(place / "bell.db"), "serve")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    assert done.returncode == 78, done.stderr
    assert "Traceback" not in done.stderr
    assert str(place / "bell.db") in done.stderr


def test_S0_13_a_missing_folder_is_refused_at_start_with_a_sentence(tmp_path: Path) -> None:
    done = serve("--database", str(tmp_path / "none" / "bell.db"), "serve")
    assert done.returncode == 78
    assert f"The folder {tmp_path / 'none'} does not exist: create it" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_database_that_is_locked_for_a_while_is_waited_for(tmp_path: Path, houses: list[House]) -> None:
    house = House(tmp_path)
    houses.append(house)
    assert house.value("SELECT count(*) FROM node") == 0
    other = apsw.Connection(str(tmp_path / "bell.db"))
    other.execute("BEGIN IMMEDIATE")
    engine = house.engine(ticking="200ms")
    files = Path(f"/proc/{engine.pid}/fd")
    wait_for(
        lambda: any("bell.db" in str(file.resolve()) for file in files.iterdir()),
        "it has opened the database",
    )
    assert house.value("SELECT count(*) FROM node") == 0
    other.execute("ROLLBACK")
    other.close()
    engine.says("engine.ready")
    house.has_begun("tick")
    house.audited()


def test_a_database_that_is_locked_while_the_engine_runs_delays_and_loses_nothing(
    tmp_path: Path, houses: list[House]
) -> None:
    house = House(tmp_path)
    houses.append(house)
    house.acting(ticking="100ms")
    house.has_begun("tick")
    other = apsw.Connection(str(tmp_path / "bell.db"))
    other.set_busy_timeout(10_000)
    other.execute("BEGIN IMMEDIATE")
    rows = house.value("SELECT max(id) FROM occurrence")
    now = SystemClock().wall_us()
    wait_for(lambda: SystemClock().wall_us() > now + 1_000_000, "ten instants have passed")
    assert house.value("SELECT max(id) FROM occurrence") == rows
    other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: house.value("SELECT max(id) FROM occurrence") > rows + 3, "it goes on")
    house.audited()

"""An engine on a disk that is full, slow, taken away, replaced or damaged: it starts nothing that it cannot write down,
says why, and goes on when it can."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.disk.lives import Life
from tests.disk.shim import Disk
from tests.engine.engines import ROOT, House, wait_for
from tests.engine.test_store_faults import fill
from watchbell import every
from watchbell.clock import SystemClock
from watchbell.core.instants import SECOND
from watchbell.errors import StoreCorrupt
from watchbell.store import sqlite
from watchbell.store.sqlite.reserve import RESERVE_BYTES, Reserve, Told, told

MIB = 1024 * 1024


def watchbell(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watchbell", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def gone(engine: Any) -> str:
    """Wait for an engine's end by its own decision: what it said."""
    assert engine.ends() in (69, 1), engine.log
    assert "Traceback" not in engine.log or engine.log.rindex("watchbell.errors") > engine.log.rindex(
        "Traceback"
    )
    return str(engine.log)


@pytest.mark.root
def test_F31_F32_on_a_full_disk_what_runs_is_settled_from_the_reserve_and_nothing_begins(
    tmp_path: Path, mount: Callable[[str], Path], houses: list[House]
) -> None:
    place = mount("size=40m")
    house = House(tmp_path, place / "bell.db")
    houses.append(house)
    engine = house.acting(ticking="100ms")
    reserve = place / "bell.db.lock" / "reserve"
    wait_for(lambda: reserve.stat().st_size == RESERVE_BYTES, "the reserve is there")
    house.has_begun("tick")
    running = house.run_now("waits")
    house.has_begun("waits")
    filler = fill(place)
    engine.says("engine.store_full")
    engine.says("engine.reserve: given up")
    rows = house.value("SELECT max(id) FROM occurrence")
    house.go()
    # The run that was going on when the disk filled up is settled with the room that was kept for it.
    assert house.ended(running) == ("succeeded", None)
    assert house.value("SELECT max(id) FROM occurrence") == rows
    status = watchbell("--database", str(place / "bell.db"), "--json", "status")
    assert status.returncode == 3, status.stderr
    said = json.loads(status.stdout)["engine"]["sentence"]
    assert "the engine has started nothing for" in said
    assert "There is no room left to write" in said
    filler.unlink()
    engine.says("engine.store_healed")
    wait_for(lambda: house.value("SELECT max(id) FROM occurrence") > rows + 3, "it goes on")
    reserve = place / "bell.db.lock" / "reserve"
    wait_for(lambda: reserve.stat().st_size == RESERVE_BYTES, "the reserve is there")
    assert told(place / "bell.db.lock") is None
    assert house.rows("SELECT kind FROM outage WHERE kind = 'store_full'") == [("store_full",)]
    house.audited()


@pytest.mark.kill9
def test_F31_an_end_that_finds_no_room_at_all_is_in_the_spool_and_outlives_the_engine(
    tmp_path: Path, houses: list[House]
) -> None:
    house = House(tmp_path)
    houses.append(house)
    engine = house.acting(ticking="100ms", faulty_disk=True)
    running = house.run_now("waits")
    house.has_begun("waits", "tick")
    full = tmp_path / "disk-full"
    full.touch()
    engine.says("engine.store_full")
    house.go()
    wait_for(lambda: f'"run": {running},' in spooled(tmp_path), "what has ended is in the spool")
    engine.signal(signal.SIGKILL)
    engine.ends()
    full.unlink()
    again = house.acting(ticking="100ms")
    again.says("that could not be written before are in the ledger now")
    again.says("engine.store_healed")
    assert house.ended(running) == ("succeeded", None)
    assert house.rows("SELECT kind FROM outage WHERE kind = 'store_full'") == [("store_full",)], (
        "it is remembered"
    )
    assert spooled(tmp_path) == ""
    house.audited()


def test_F33_an_engine_whose_disk_fails_for_a_moment_goes_on_from_what_is_on_it(
    tmp_path: Path, houses: list[House]
) -> None:
    house = House(tmp_path)
    houses.append(house)
    engine = house.acting(ticking="50ms", faulty_disk=True)
    running = house.run_now("waits")
    house.has_begun("waits", "tick")
    for _ in range(3):
        said = engine.log.count("engine.store_healed")
        begun = len(house.begun())
        (tmp_path / "disk-fails").touch()
        wait_for(lambda: engine.log.count("engine.store_failing") > said, "it meets the error")  # noqa: B023  at once
        (tmp_path / "disk-fails").unlink()
        wait_for(lambda: engine.log.count("engine.store_healed") > said, "it goes on")  # noqa: B023
        wait_for(lambda: len(house.begun()) > begun + 2, "it runs things again")  # noqa: B023
    house.go()
    assert house.ended(running) == ("succeeded", None)
    engine.signal(signal.SIGTERM)
    assert engine.ends() == 0, engine.log
    assert (
        house.rows("SELECT state, count(*) FROM occurrence WHERE state IN ('lost', 'failed') GROUP BY 1")
        == []
    )
    house.audited()


def test_F36_a_permission_that_is_taken_away_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("no permission holds root back")
    assert watchbell("--database", str(tmp_path / "bell.db"), "database", "migrate").returncode == 0
    (tmp_path / "bell.db").chmod(0o400)
    try:
        for word in ("serve", "status"):
            done = watchbell("--database", str(tmp_path / "bell.db"), word)
            assert (done.returncode, "Traceback" in done.stderr) == (78, False), done.stderr
            assert "permission" in done.stderr
    finally:
        (tmp_path / "bell.db").chmod(0o600)


def spooled(folder: Path) -> str:
    return "".join(file.read_text() for file in (folder / "bell.db.lock" / "spool").glob("*"))


def test_F33_an_engine_on_a_disk_that_goes_on_to_fail_ends_with_a_code_and_a_sentence(
    tmp_path: Path, houses: list[House]
) -> None:
    house = House(tmp_path)
    houses.append(house)
    engine = house.acting(ticking="100ms", faulty_disk=True)
    running = house.run_now("waits")
    house.has_begun("waits", "tick")
    (tmp_path / "disk-fails").touch()
    engine.says("engine.store_failing")
    house.go()
    engine.says("has reported 6 errors within 1 min, and the engine stops")
    engine.ends()
    assert "watchbell.errors.DiskFailing" in engine.log, "watchbell serve makes exit code 74 of it"
    begun = house.begun()
    (tmp_path / "disk-fails").unlink()
    house.acting(ticking="100ms")
    assert house.ended(running) == ("succeeded", None), "it had ended, and was in the spool"
    wait_for(lambda: len(house.begun()) > len(begun) + 2, "it goes on")
    house.audited()


def test_F32_the_reserve_is_given_up_once_and_made_again_as_large(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert reserve.make()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    assert (reserve.release(), reserve.release()) == (True, False)
    assert reserve.make()
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES


@pytest.mark.root
def test_F32_the_reserve_leaves_most_of_a_small_disk_and_is_not_made_again_in_too_little_room(
    mount: Callable[[str], Path],
) -> None:
    place = mount("size=4m")
    reserve = Reserve(place)
    reserve.prepare()
    assert reserve.make()
    assert 900_000 < (place / "reserve").stat().st_size <= MIB
    reserve.release()
    filler = fill(place)
    assert not reserve.make()
    word = Told("full", 7, "There is no room. " * 300, 9)
    reserve.tell(word)
    assert told(place) == Told("full", 7, word.text[:200], 9), "its place was taken while there was room"
    filler.unlink()
    assert reserve.make()


def test_F35_a_slow_disk_makes_late_and_nothing_else(tmp_path: Path, disk: Disk) -> None:
    """Each sync takes 400 ms of virtual time, and three schedules want three commits a second and more."""
    life = Life(tmp_path / "w.db")
    life.live(2)
    disk.on_sync = lambda: life.story.clock.advance(400_000)
    life.live(30)
    rows = life.story.rows(
        "SELECT state, count(*) FROM occurrence WHERE state NOT IN ('claimed', 'running') GROUP BY 1"
    )
    assert not {state for state, _ in rows} & {"failed", "timed_out", "lost", "cancelled"}
    late = life.story.rows("SELECT max(began_at - start_at) FROM occurrence WHERE state = 'succeeded'")[0][0]
    assert late > SECOND
    assert life.story.node._bell._ahead() == 50_000, "claims are never made further ahead than this"
    held = len(life.story.node.house.desk)
    assert held <= 6
    assert life.errors == []
    disk.on_sync = lambda: None
    life.judge(disk)
    life.end()


def test_F35_whoever_asked_for_it_is_told_that_it_is_late(tmp_path: Path, disk: Disk) -> None:
    life = Life(tmp_path / "w.db")
    life.story.bell.add_schedule("crowd", life.story.bell._declared.jobs["beat"], every("1s"), grace="2s")
    overdue: list[Any] = []
    life.story.bell.on("occurrence.overdue")(overdue.append)
    life.story.node.set_slots(**{"async": 0, "thread": 0})
    life.live(1)
    disk.on_sync = lambda: life.story.clock.advance(1_000_000)
    life.live(70)
    assert overdue
    disk.on_sync = lambda: None
    life.end()


@pytest.mark.root
def test_F36_a_disk_that_becomes_read_only_stops_every_start_and_says_so(
    tmp_path: Path, mount: Callable[[str], Path], houses: list[House]
) -> None:
    """A mounted disk cannot be made read-only under open files; an immutable file can, and looks the same to SQLite."""
    place = mount("size=8m")
    house = House(tmp_path, place / "bell.db")
    house.options["patient"] = False
    houses.append(house)
    open_files = place / "bell.db"
    house.store.close()
    house._store = None
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    try:
        engine = house.engine(ticking="100ms")
        assert engine.ends() != 0
        assert str(open_files) in engine.log
        assert house.begun() == []
        status = watchbell("--database", str(open_files), "status")
        assert (status.returncode, "Traceback" in status.stderr) == (78, False), status.stderr
        assert "write permission" in status.stderr or "cannot be opened" in status.stderr
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    house.acting(ticking="100ms")
    house.has_begun("tick")
    house.audited()


@pytest.mark.root
def test_F36_without_a_free_inode_the_engine_is_refused_with_a_sentence(
    tmp_path: Path, mount: Callable[[str], Path], houses: list[House]
) -> None:
    place = mount("size=8m,nr_inodes=6")
    fillers = []
    try:
        for number in range(20):
            (place / f"n{number}").touch()
            fillers.append(place / f"n{number}")
    except OSError:
        pass
    done = watchbell("--database", str(place / "bell.db"), "serve", "--for", "1s")
    assert (done.returncode, "Traceback" in done.stderr) == (78, False), done.stderr
    assert str(place) in done.stderr
    for filler in fillers:
        filler.unlink()
    assert watchbell("--database", str(place / "bell.db"), "database", "migrate").returncode == 0


def test_F36_a_missing_folder_is_named(tmp_path: Path) -> None:
    done = watchbell("--database", str(tmp_path / "none" / "bell.db"), "status")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False) or done.returncode in (3, 69, 78)
    done = watchbell("--database", str(tmp_path / "none" / "bell.db"), "serve")
    assert done.returncode == 78
    assert f"The folder {tmp_path / 'none'} does not exist" in done.stderr


@pytest.mark.parametrize("what", ["deleted", "replaced", "log deleted"])
def test_F37_F39_an_engine_whose_file_is_taken_away_stops_within_one_look(
    tmp_path: Path, houses: list[House], what: str
) -> None:
    house = House(tmp_path)
    houses.append(house)
    engine = house.acting(ticking="100ms")
    house.has_begun("tick")
    path = tmp_path / "bell.db"
    if what == "log deleted":
        (tmp_path / "bell.db-wal").unlink()
    else:
        path.rename(tmp_path / "taken")
    if what == "replaced":
        other = apsw.Connection(str(path))
        other.execute("CREATE TABLE t (n)")
        other.close()
    log = gone(engine)
    assert "was deleted or replaced while it was in use" in log
    if what == "log deleted":
        house.acting(ticking="100ms")
        known = {str(row[0]) for row in house.rows("SELECT id FROM occurrence")}
        assert {line[0] for line in house.begun()} <= known
        house.audited()


def test_F38_a_log_past_its_limit_is_told_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOG_LIMIT_PAGES", 5)
    real = sqlite._start_the_log_anew

    def at_once(conn: apsw.Connection) -> int:
        if not over:
            raise apsw.BusyError  # what it says after a second of asking
        return real(conn)

    over: list[bool] = []
    monkeypatch.setattr(sqlite, "_start_the_log_anew", at_once)
    life = Life(tmp_path / "w.db")
    heard: list[Any] = []
    life.story.bell.on("engine.store_trouble")(heard.append)
    other = apsw.Connection(str(tmp_path / "w.db"))
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM meta").fetchall()
    life.live(12)
    other.close()
    over.append(True)
    life.live(8)
    assert [event["kind"] for event in heard] == ["log"]
    assert "MiB, as some process has been reading" in heard[0]["text"]
    life.judge(Disk())
    life.end()


def in_the_file_alone(path: Path) -> int:
    """The newest run that a copy of the file without its log knows of."""
    copy = path.with_name("alone.db")
    shutil.copyfile(path, copy)
    conn = apsw.Connection(str(copy))
    try:
        return int(conn.execute("SELECT coalesce(max(id), 0) FROM occurrence").fetchall()[0][0])
    finally:
        conn.close()


def torn(house: House, how: str) -> None:
    """Do to the files of a database, which nobody uses, what a bad disk or a careless hand does."""
    path = house.folder / "bell.db"
    if how == "damaged page":
        with path.open("r+b") as file:
            file.seek(4096 * 2 + 8)
            file.write(b"\x5a" * 4096 * 6)
    elif how == "log cut":
        os.truncate(f"{path}-wal", 4096)
    elif how == "log deleted":
        os.unlink(f"{path}-wal")


@pytest.mark.kill9
@pytest.mark.parametrize("how", ["damaged page", "log cut", "log deleted"])
def test_F39_a_database_that_lost_something_is_refused_and_points_to_restore(
    tmp_path: Path, houses: list[House], how: str
) -> None:
    house = House(tmp_path)
    houses.append(house)
    for _ in range(10):
        engine = house.acting(ticking="100ms")
        known = len(house.begun())
        wait_for(lambda: len(house.begun()) > known + 1, "it has run something")  # noqa: B023  at once
        engine.signal(signal.SIGKILL)
        engine.ends()
        if in_the_file_alone(tmp_path / "bell.db") < int(house.begun()[-1][0]):
            break  # what has begun is in the log only
    if how == "damaged page":
        house.store.close()  # the last one moves the log into the file
        house._store = None
    begun = len(house.begun())
    torn(house, how)
    again = house.engine(ticking="100ms")
    assert again.ends() != 0
    assert "watchbell restore" in again.log or "restore it from a backup" in again.log, again.log
    assert len(house.begun()) == begun
    check = watchbell("--database", str(tmp_path / "bell.db"), "database", "check")
    if how == "damaged page":
        assert check.returncode == 69, check.stdout
        assert "restore" in check.stderr


def test_F39_an_older_copy_that_was_put_in_place_by_hand_is_refused(tmp_path: Path, disk: Disk) -> None:
    from watchbell.store.sqlite import mark

    life = Life(tmp_path / "w.db")
    life.live(10)
    life.story.bell._open().backup(tmp_path / "old.db")
    life.live(10)
    store = life.story.bell._open()
    database = str(store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'database_id'")))
    folder = tmp_path / "w.db.lock"
    folder.mkdir(exist_ok=True)
    beat = store.read(lambda tx: tx.value("SELECT max(heartbeat_at) FROM node"))
    mark.Mark(folder, database, life.story.node.house.epoch).renewed(beat)
    store.read(lambda tx: mark.compare(tx, folder, store.where))
    life.end()
    shutil.copyfile(tmp_path / "old.db", tmp_path / "w.db")
    from watchbell.store.sqlite.open import open_store

    old = open_store(str(tmp_path / "w.db"), SystemClock().wall_us())
    with pytest.raises(StoreCorrupt, match="an older copy was put in its place by hand"):
        old.read(lambda tx: mark.compare(tx, folder, old.where))
    mark.forget(folder)
    old.read(lambda tx: mark.compare(tx, folder, old.where))
    old.close()

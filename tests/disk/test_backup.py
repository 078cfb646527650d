"""Backups of a database in use; a restore after which nothing runs twice; a copy before each migration and the way back."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.disk.lives import Life
from tests.disk.shim import Disk
from tests.engine.engines import House, wait_for
from tests.engine.story import Story
from watchbell import Run, Watchbell, every
from watchbell.clock import SystemClock
from watchbell.core.instants import HOUR, SECOND, to_datetime
from watchbell.errors import (
    BadInput,
    Conflict,
    NotFound,
    SchemaTooNew,
    StoreCorrupt,
    StoreFull,
    StoreUnavailable,
)
from watchbell.services.audit import audit
from watchbell.services.backup import backup
from watchbell.services.database import migrate_database, open_database
from watchbell.services.restore import migrate_back, restore
from watchbell.store.sqlite import migrate
from watchbell.store.sqlite.lock import EngineLock
from watchbell.store.sqlite.open import open_store
from watchbell.testing.inline import Lasting


def sound(path: Path) -> bool:
    conn = apsw.Connection(str(path))
    try:
        return bool(conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    finally:
        conn.close()


class Shop:
    """An application whose jobs say in `done` what they have done: the schedule's name and the instant, or the key."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.done: list[tuple[str, int]] = []
        self.story = Story(self.declare, file=file)
        self.born = self.story.now

    def declare(self, bell: Watchbell) -> None:
        @bell.job
        def order(run: Run) -> None:
            self.done.append((str(run.schedule or run.id), int(run.due_at.timestamp())))

        @bell.job
        def long(run: Run) -> Lasting:
            self.done.append((str(run.schedule or run.id), int(run.due_at.timestamp())))
            return Lasting("30m")

        @bell.job(on_lost="rerun", may_overlap=True)
        def report(run: Run) -> None:
            self.done.append(("report", int(run.due_at.timestamp())))

        bell.add_schedule("orders", order, every("10m"))
        bell.add_schedule("all", order, every("15m"), catchup="all", overlap="queue_all")
        bell.add_schedule("long", long, every("40m"))
        bell.add_schedule("chain", order, every("20m", after_completion=True))
        bell.add_schedule("reports", report, every("30m"))

    def once_only(self) -> list[tuple[str, int]]:
        """What must not be done twice, and was."""
        seen: set[tuple[str, int]] = set()
        twice = [one for one in self.done if one[0] != "report" and (one in seen or seen.add(one))]
        return sorted(twice)  # type: ignore[arg-type]


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    found = Shop(tmp_path / "w.db")
    yield found
    found.story.bell.stop()


def test_F40_after_the_restore_of_an_old_backup_nothing_runs_twice_and_everything_is_accounted_for(
    shop: Shop, tmp_path: Path
) -> None:
    story = shop.story
    story.node.advance("65m")
    story.bell._declared.jobs["order"].enqueue(key="monday")
    later = story.bell._declared.jobs["order"].enqueue_at(to_datetime(shop.born + 5 * HOUR, "UTC"))
    story.node.set_slots(thread=0)
    waited = story.bell.run_now("order").run
    made = backup(str(shop.file), tmp_path / "old.db", now=story.now)
    story.node.set_slots(thread=32)
    story.node.advance("2h")
    newest = story.value("SELECT max(id) FROM occurrence")
    epochs = story.value("SELECT value FROM meta WHERE key = 'engine_epoch'")
    done = list(shop.done)
    assert (str(waited), shop.born // SECOND + 65 * 60) in done
    story.die("5m")
    found = restore(tmp_path / "old.db", str(shop.file), now=story.now)
    assert (found.newest_at, found.at) == (made.newest_at, story.now)
    assert found.kept is not None
    assert sound(Path(found.kept))
    assert "nothing of the last 2 h 5 min" in found.sentence
    story.open()
    story.node.advance("1m")
    assert [one for one in shop.done[len(done) :] if one[0] != "report"] == []
    assert story.rows("SELECT state, reason FROM occurrence WHERE id = ?", waited) == [("missed", "restored")]
    restored = story.value(
        "SELECT sum(n) FROM (SELECT count AS n FROM span WHERE reason = 'restored' AND ending = 'missed' UNION ALL "
        "SELECT 1 FROM occurrence WHERE reason = 'restored' AND state = 'missed' AND origin = 'scheduled')"
    )
    assert restored >= 12 + 8 + 3, "orders, all and long of the time that the backup does not know"
    story.audit()
    told = story.bell.explain("orders", to_datetime(shop.born + 2 * HOUR, "UTC")).sentence
    assert "did not run: the database was restored from an older backup" in told
    story.node.advance("4h")
    assert shop.once_only() == []
    assert story.rows("SELECT state FROM occurrence WHERE id = ?", later.id) == [("succeeded",)]
    first = story.value("SELECT min(id) FROM occurrence WHERE planned_at > ?", found.at)
    assert first > newest + 1_000_000
    assert int(story.value("SELECT value FROM meta WHERE key = 'engine_epoch'")) > int(epochs) + 1_000_000
    chain = story.rows(
        "SELECT state FROM occurrence o JOIN schedule s ON s.id = o.schedule WHERE s.name = 'chain' ORDER BY due_at"
    )
    assert [row[0] for row in chain[-3:]] == ["succeeded"] * 3
    story.audit()


def test_F40_what_may_run_twice_catches_up_after_a_restore(shop: Shop, tmp_path: Path) -> None:
    story = shop.story
    story.node.advance("65m")
    backup(str(shop.file), tmp_path / "old.db", now=story.now)
    story.node.advance("2h")
    story.die()
    reports = shop.done.count(("report", shop.born // SECOND + 180 * 60))
    restore(tmp_path / "old.db", str(shop.file), now=story.now)
    story.open()
    story.node.advance("1m")
    assert shop.done.count(("report", shop.born // SECOND + 180 * 60)) == reports + 1
    rows = story.rows(
        "SELECT DISTINCT state, reason FROM occurrence o JOIN schedule s ON s.id = o.schedule WHERE s.name = 'reports' AND "
        "o.planned_at >= ?",
        shop.born + 185 * 60 * SECOND,
    )
    assert set(rows) == {("coalesced", "restored"), ("succeeded", None)}
    story.audit()


@pytest.mark.parametrize("minutes", [0, 41, 75])
def test_F40_whatever_goes_on_while_the_backup_is_made(shop: Shop, tmp_path: Path, minutes: int) -> None:
    story = shop.story
    story.node.advance(f"{minutes}m")
    backup(str(shop.file), tmp_path / "old.db", now=story.now)
    story.node.advance("90m")
    story.die("1s")
    restore(tmp_path / "old.db", str(shop.file), now=story.now)
    story.open()
    story.node.advance("3h")
    assert shop.once_only() == []
    live = story.rows("SELECT state FROM occurrence WHERE state IN ('claimed', 'running', 'held', 'queued') AND due_at < ?",
                      story.now - HOUR)  # fmt: skip
    assert live == []
    story.audit()


def test_F40_a_restore_of_a_restore_and_of_the_file_itself(shop: Shop, tmp_path: Path) -> None:
    story = shop.story
    story.node.advance("65m")
    backup(str(shop.file), tmp_path / "old.db", now=story.now)
    for source in (tmp_path / "old.db", shop.file, tmp_path / "old.db"):
        story.node.advance("35m")
        story.die("2s")
        restore(source, str(shop.file), now=story.now)
        story.open()
        story.node.advance("25m")
        assert shop.once_only() == []
        story.audit()


def test_F40_a_backup_under_load_is_one_state_of_the_database_and_holds_nobody_up(tmp_path: Path) -> None:
    """Each transaction writes the same number twice; a backup in which the two differ has torn one."""
    store = open_store(str(tmp_path / "w.db"), 1)
    store.write(lambda tx: tx.run("CREATE TABLE a (n INTEGER PRIMARY KEY, text TEXT)"))
    store.write(lambda tx: tx.run("CREATE TABLE b (n INTEGER PRIMARY KEY, text TEXT)"))

    def both(tx: Any) -> None:
        for table in "ab":
            tx.run(f"INSERT INTO {table} (text) VALUES (hex(randomblob(2000)))")

    for _ in range(300):
        store.write(both)
    over, written = threading.Event(), [0]

    def write() -> None:
        while not over.is_set():
            store.write(both)
            written[0] += 1

    def progress(done: int, _of: int) -> None:
        seen.append(written[0])
        before = written[0]
        wait_for(lambda: written[0] > before + 2, "writers go on during the backup")

    seen: list[int] = []
    writer = threading.Thread(target=write)
    writer.start()
    try:
        store.backup(tmp_path / "copy.db", progress)
    finally:
        over.set()
        writer.join()
    assert len(seen) > 1
    assert seen[-1] > seen[0]
    assert sound(tmp_path / "copy.db")
    copy = apsw.Connection(str(tmp_path / "copy.db"))
    counts = copy.execute("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").fetchall()[0]
    copy.close()
    assert counts[0] == counts[1] <= 300 + seen[0] + 2, "it is the state at its beginning"
    store.close()


def test_F40_a_backup_is_for_its_user_alone_replaces_nothing_and_is_never_half_there(
    tmp_path: Path, disk: Disk
) -> None:
    life = Life(tmp_path / "w.db")
    life.live(5)
    url, now = str(tmp_path / "w.db"), life.story.now
    done = backup(url, None, now=now)
    assert Path(done.file).name == "w.db.20261121T000005Z.backup"
    assert stat.S_IMODE(Path(done.file).stat().st_mode) == 0o600
    with pytest.raises(Conflict, match="exists already; --force replaces it"):
        backup(url, Path(done.file), now=now)
    assert backup(url, Path(done.file), now=now, force=True).size == done.size
    with pytest.raises(BadInput, match="is the database itself"):
        backup(url, tmp_path / "w.db", now=now, force=True)
    with pytest.raises(BadInput, match="is a folder"):
        backup(url, tmp_path, now=now)
    with pytest.raises(StoreUnavailable, match="There is no database"):
        backup(str(tmp_path / "none.db"), None, now=now)
    before = sorted(path.name for path in tmp_path.iterdir())
    for at in (1, 3, 9):
        disk.fail("no room to write", at, lasting=True)
        with pytest.raises(StoreFull):
            backup(url, tmp_path / "new.db", now=now)
        disk.heal()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    life.judge(disk)
    life.end()


def test_F40_a_restore_is_refused_while_somebody_uses_the_database_and_changes_nothing(
    shop: Shop, tmp_path: Path
) -> None:
    story = shop.story
    story.node.advance("20m")
    backup(str(shop.file), tmp_path / "old.db", now=story.now)
    before = shop.file.read_bytes()
    with pytest.raises(Conflict, match=r"Another process has .* open"):
        restore(tmp_path / "old.db", str(shop.file), now=story.now)
    story.die()
    lock = EngineLock(shop.file)
    assert lock.take()
    other = EngineLock(shop.file)
    with pytest.raises(Conflict, match=r"The engine of .* runs \(process \d+\): stop it"):
        restore(tmp_path / "old.db", str(shop.file), now=story.now)
    other.release()
    lock.release()
    (tmp_path / "rubbish").write_bytes(b"no database" * 1000)
    (tmp_path / "empty").touch()
    damaged = bytearray((tmp_path / "old.db").read_bytes())
    damaged[4096 * 3 : 4096 * 6] = b"\x5a" * 4096 * 3
    (tmp_path / "damaged").write_bytes(damaged)
    for name, error in (
        ("none", NotFound),
        ("rubbish", StoreCorrupt),
        ("empty", StoreCorrupt),
        ("damaged", StoreCorrupt),
    ):
        with pytest.raises(error):
            restore(tmp_path / name, str(shop.file), now=story.now)
    assert shop.file.read_bytes() != b""
    assert not list(tmp_path.glob("*before-restore*"))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(before) <= len(shop.file.read_bytes()) + 4096 * 50
    story.open()
    story.audit()


def test_F40_a_damaged_database_is_replaced_and_kept(shop: Shop, tmp_path: Path) -> None:
    story = shop.story
    story.node.advance("20m")
    backup(str(shop.file), tmp_path / "old.db", now=story.now)
    story.die()
    shop.file.write_bytes(b"\x5a" * 40_000)
    (tmp_path / "w.db-wal").write_bytes(b"\x5a" * 4_000)
    found = restore(tmp_path / "old.db", str(shop.file), now=story.now)
    assert found.kept is not None
    assert Path(found.kept).read_bytes() == b"\x5a" * 40_000
    assert Path(f"{found.kept}-wal").read_bytes() == b"\x5a" * 4_000
    story.open()
    story.node.advance("1h")
    assert shop.once_only() == []
    story.audit()


@pytest.mark.kill9
def test_F40_a_backup_of_a_running_engine_restores_to_an_engine_that_runs(
    tmp_path: Path, houses: list[House]
) -> None:
    house = House(tmp_path)
    houses.append(house)
    engine = house.acting(ticking="100ms")
    house.has_begun("tick")
    url = str(tmp_path / "bell.db")
    backup(url, tmp_path / "old.db", now=SystemClock().wall_us())
    begun = len(house.begun())
    wait_for(lambda: len(house.begun()) > begun + 3, "it runs on")
    engine.end()
    house.close()
    house._store = house._bell = None
    restore(tmp_path / "old.db", url, now=SystemClock().wall_us())
    begun = len(house.begun())
    runs = {int(line[0]) for line in house.begun()}
    house.acting(ticking="100ms")
    wait_for(lambda: len(house.begun()) > begun + 3, "it goes on")
    fresh = [int(line[0]) for line in house.begun()[begun:]]
    assert not runs & set(fresh)
    assert min(fresh) > 1_000_000
    house.audited()


# --- migrations -----------------------------------------------------------------------------------------------------------


def of_schema_1(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database as the first watchbell made it."""
    real = migrate.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "migrations", lambda: real[:1])
        store = open_store(str(path), 5)
        store.write(lambda tx: tx.run("INSERT INTO meta VALUES ('mark', 'old')"))
        store.close()


def version(path: Path) -> int:
    conn = apsw.Connection(str(path))
    try:
        return int(conn.pragma("user_version"))
    finally:
        conn.close()


def test_S3_10_a_copy_is_kept_before_a_migration_and_the_way_back_puts_it_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.db"
    of_schema_1(path, monkeypatch)
    done = migrate_database(str(path), 7)
    kept = tmp_path / "w.db.schema-1.backup"
    assert (done.before, done.after, done.kept) == (1, migrate.newest(), str(kept))
    assert (version(path), version(kept), sound(kept)) == (migrate.newest(), 1, True)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    store = open_database(str(path), 8)
    store.write(lambda tx: tx.run("UPDATE meta SET value = 'new' WHERE key = 'mark'"))
    store.close()
    back = migrate_back(str(path), now=9)
    assert (back.schema, version(path)) == (1, 1)
    assert back.kept is not None
    assert version(Path(back.kept)) == migrate.newest()
    conn = apsw.Connection(str(path))
    meta: dict[str, str] = dict(conn.execute("SELECT key, value FROM meta"))
    conn.close()
    assert meta["mark"] == "old"
    assert int(meta["engine_epoch"]) > 1_000_000
    again = open_database(
        str(path), 10
    )  # a newer watchbell brings it up once more, and owes it a new beginning
    assert again.read(lambda tx: tx.value("SELECT kind FROM outage")) == "restored"
    assert audit(again, now=11).ok
    again.close()


def test_S3_10_nothing_is_kept_of_a_fresh_database_and_nothing_migrates_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk
) -> None:
    path = tmp_path / "w.db"
    of_schema_1(path, monkeypatch)
    assert not list(tmp_path.glob("*.backup"))
    disk.fail("no room to write", 2, lasting=True)
    with pytest.raises(StoreFull):
        migrate_database(str(path), 7)
    disk.heal()
    assert version(path) == 1
    assert not list(tmp_path.glob("*.backup"))
    migrate_database(str(path), 7)
    assert version(path) == migrate.newest()


def test_S3_10_there_is_no_way_back_without_a_copy(tmp_path: Path) -> None:
    open_database(str(tmp_path / "w.db"), 1).close()
    with pytest.raises(NotFound, match=r"There is no copy of .* from before its schema"):
        migrate_back(str(tmp_path / "w.db"), now=2)
    with pytest.raises(NotFound, match="There is no database"):
        migrate_back(str(tmp_path / "none.db"), now=2)


def test_F40_a_restore_that_is_killed_at_any_moment_leaves_a_database_in_its_place(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that finds none there begins an empty one, and everything is forgotten."""
    story = shop.story
    story.node.advance("65m")
    backup(str(shop.file), tmp_path / "old.db", now=story.now)
    story.node.advance("35m")
    story.die("2s")
    before = shop.file.read_bytes()

    class Killed(BaseException):
        pass

    def killed(made: Path, target: Path) -> None:
        assert target.is_file()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("watchbell.services.restore.put_in_place", killed)
        with pytest.raises(Killed):
            restore(tmp_path / "old.db", str(shop.file), now=story.now)
    story.die("2s")
    found = restore(tmp_path / "old.db", str(shop.file), now=story.now)
    assert found.kept is not None
    assert sound(Path(found.kept))
    assert shop.file.read_bytes() != before
    assert not shop.file.samefile(found.kept)
    story.open()
    story.node.advance("25m")
    assert shop.once_only() == []
    story.audit()


def test_F40_what_is_wrong_with_a_backup_is_said_of_the_backup(shop: Shop, tmp_path: Path) -> None:
    shop.story.die()
    newer = tmp_path / "newer.db"
    backup(str(shop.file), newer, now=shop.story.now)
    conn = apsw.Connection(str(newer))
    conn.pragma("user_version", 99)
    conn.close()
    with pytest.raises(SchemaTooNew, match=r"^[^ ]*/newer\.db has schema 99"):
        restore(newer, str(shop.file), now=shop.story.now)

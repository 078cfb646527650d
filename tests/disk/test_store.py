"""The store on a disk that fails: what is used again and what is not, how long a read may last, what is damaged."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.disk.shim import READ, Disk
from watchbell.errors import CommitUnknown, StoreCorrupt, StoreFull, StoreGone, StoreUnavailable
from watchbell.store import sqlite
from watchbell.store.sqlite import SqliteStore, readers, soundness
from watchbell.store.sqlite.open import open_store
from watchbell.store.tx import Tx


@pytest.fixture
def store(tmp_path: Path, disk: Disk) -> Any:
    found = open_store(str(tmp_path / "w.db"), 0)
    found.write(lambda tx: tx.run("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)"))
    found.checkpoint()
    yield found
    disk.heal()
    found.close()


def put(store: SqliteStore, number: int) -> int:
    return store.write(lambda tx: tx.run("INSERT INTO t VALUES (?, hex(randomblob(3000)))", (number,)))


def numbers(tx: Tx) -> list[int]:
    return [row[0] for row in tx.rows("SELECT n FROM t ORDER BY n")]


def in_the_file_alone(store: SqliteStore, tmp_path: Path) -> list[int]:
    """What a copy of the file without its log holds: what survives whatever becomes of the log."""
    copy = tmp_path / "alone.db"
    shutil.copyfile(store.where, copy)
    conn = apsw.Connection(str(copy), vfs="unix")
    try:
        return [row[0] for row in conn.execute("SELECT n FROM t ORDER BY n")]
    finally:
        conn.close()


def test_F33_after_a_failed_sync_no_handle_is_used_again_and_what_is_there_is_durable(
    store: SqliteStore, disk: Disk, tmp_path: Path
) -> None:
    put(store, 1)
    before = store._main
    disk.fail("EIO on fsync", 1)
    with pytest.raises(CommitUnknown, match="may or may not be there"):
        put(store, 2)
    put(store, 3)
    assert store._main is not before
    with pytest.raises(apsw.ConnectionClosedError):
        before.execute("SELECT 1")
    held = store.read(numbers)
    assert held in ([1, 2, 3], [1, 3])
    # What the log shows may never have reached the disk: it is in the file, synced, before anything else is written.
    assert in_the_file_alone(store, tmp_path) == held[:-1]


def test_F33_who_waited_behind_the_write_that_failed_is_written_through_the_new_handle(
    store: SqliteStore, disk: Disk
) -> None:
    inside, go = threading.Event(), threading.Event()
    told: list[Exception] = []

    def holds(tx: Tx) -> None:
        inside.set()
        assert go.wait(30)
        tx.run("INSERT INTO t VALUES (1, '')")

    def first() -> None:
        try:
            store.write(holds)
        except CommitUnknown as error:
            told.append(error)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert inside.wait(30)
    threads += [threading.Thread(target=put, args=(store, number)) for number in (2, 3, 4)]
    for thread in threads[1:]:
        thread.start()
    while len(store._writer._turns._waiting) < 3:
        threads[0].join(0.001)
    disk.fail("EIO on fsync", 1)
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(told) == 1
    assert {2, 3, 4} <= set(store.read(numbers))


def test_F33_as_long_as_the_disk_fails_nothing_is_written_and_a_close_loses_nothing(
    store: SqliteStore, disk: Disk, tmp_path: Path
) -> None:
    put(store, 1)
    disk.fail("EIO on fsync", 1, lasting=True)
    for number in (2, 3, 4):
        with pytest.raises(CommitUnknown):
            put(store, number)
    store.close()
    disk.heal()
    again = open_store(str(tmp_path / "w.db"), 0)
    assert again.read(numbers) in ([1], [1, 2])
    again.close()


def test_F31_a_commit_that_finds_no_room_changes_nothing_and_the_next_one_goes_on(
    store: SqliteStore, disk: Disk
) -> None:
    before = store._main
    disk.fail("no room to write", 2)
    with pytest.raises(StoreFull, match="free some disk space; nothing was changed"):
        put(store, 1)
    assert store.read(numbers) == []
    put(store, 2)
    assert (store.read(numbers), store._main) == ([2], before)


@pytest.mark.parametrize("fault", ["EIO on read", "short read"])
def test_F34_a_read_that_fails_says_so_and_its_connection_is_not_used_again(
    store: SqliteStore, disk: Disk, fault: str
) -> None:
    for number in range(40):
        put(store, number)
    store.checkpoint()
    store._readers.drop()
    reads = disk.counts[READ]
    assert len(store.read(lambda tx: tx.rows("SELECT * FROM t"))) == 40
    reads = disk.counts[READ] - reads
    for at in range(1, reads + 1):
        store._readers.drop()
        disk.fail(fault, at)
        try:
            found = store.read(lambda tx: tx.rows("SELECT * FROM t"))
        except (StoreUnavailable, StoreCorrupt, CommitUnknown):
            assert store._readers._idle == []
        else:
            assert len(found) == 40, "a read that cannot be done whole is not done"
        disk.heal()
    assert len(store.read(lambda tx: tx.rows("SELECT * FROM t"))) == 40


def test_F34_an_error_that_was_swallowed_inside_a_transaction_leaves_nothing_half_written(
    store: SqliteStore, disk: Disk
) -> None:
    for number in range(40):
        put(store, number)
    store.checkpoint()

    def swallows(tx: Tx) -> None:
        tx.run("INSERT INTO t VALUES (100, '')")
        store._main.execute("PRAGMA shrink_memory")
        disk.fail("EIO on read", 1)
        try:
            tx.rows("SELECT sum(length(text)) FROM t")
        except apsw.Error:
            pass
        tx.run("INSERT INTO t VALUES (101, '')")

    with pytest.raises(CommitUnknown):
        store.write(swallows)
    assert disk.failed
    assert not {100, 101} & set(store.read(numbers))


def test_F37_a_file_that_was_deleted_is_not_made_anew_by_whoever_reads(
    store: SqliteStore, tmp_path: Path
) -> None:
    put(store, 1)
    store._readers.drop()
    (tmp_path / "w.db").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreGone, match="deleted or replaced while it was in use"):
        store.check_file()
    with pytest.raises(StoreUnavailable):
        store.read(numbers)
    assert not (tmp_path / "w.db").exists()


def test_F39_a_log_that_was_deleted_is_seen_and_what_it_held_is_moved_into_the_file(
    store: SqliteStore, tmp_path: Path
) -> None:
    put(store, 1)
    assert in_the_file_alone(store, tmp_path) == []
    (tmp_path / "w.db-wal").unlink()
    with pytest.raises(StoreGone, match=r"The log of .*w\.db \(.*w\.db-wal\) was deleted"):
        store.check_file()
    store.rescue()
    assert in_the_file_alone(store, tmp_path) == [1]


def test_F38_a_read_that_lasts_too_long_is_ended(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, 1)
    monkeypatch.setattr(readers, "READ_LIMIT_US", 20_000)
    endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    with pytest.raises(StoreUnavailable, match="took longer than 20 ms and was ended"):
        store.read(lambda tx: tx.value(endless))

    def many_small_ones(tx: Tx) -> None:
        while True:
            tx.value("SELECT 1")

    with pytest.raises(StoreUnavailable, match="took longer"):
        store.read(many_small_ones)
    monkeypatch.undo()
    assert store.read(numbers) == [1]


def test_F38_a_reader_of_another_process_keeps_the_log_and_that_is_seen(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOG_LIMIT_PAGES", 20)
    other = apsw.Connection(store.where)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM t").fetchall()
    for number in range(30):
        put(store, number)
    assert store.checkpoint() > 20
    other.close()
    assert store.checkpoint() <= 20


def damaged(path: Path) -> None:
    """Overwrite the middle of the file, page after page, and leave the first one as it is."""
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        for _ in range(20):
            file.write(b"\x5a" * 2000)
            file.seek(2096, 1)


def test_F39_a_damaged_page_is_found_by_the_check_and_nothing_wrong_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    store = open_store(str(path), 0)
    soundness.check_whole(store)
    store.close()
    damaged(path)

    def looked_at() -> None:
        again = open_store(str(path), 0)
        try:
            soundness.look(again, None)
        finally:
            again.close()

    with pytest.raises(StoreCorrupt):
        looked_at()


def test_F39_the_look_at_a_start_has_a_limit(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "w.db"), 0)
    store.write(
        lambda tx: tx.many(
            "INSERT INTO audit_event (at, actor, action, subject) VALUES (1, 'a', 'b', ?)", [("x",)] * 20_000
        )
    )
    assert soundness.look(store, -1) is False
    assert soundness.look(store, None) is True
    store.close()

"""The write-ahead log is moved into the file, also while writers never pause."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from watchbell.store import sqlite
from watchbell.store.sqlite.open import open_store
from watchbell.store.tx import Tx

pytestmark = pytest.mark.sqlite

PAGE = 4096


def a_big_row(tx: Tx) -> None:
    tx.run(
        "INSERT INTO audit_event (at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', ?)",
        ("x" * PAGE,),
    )


def test_F38_the_log_stays_bounded_under_writers_that_never_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOG_LIMIT_PAGES", 40)
    store = open_store(str(tmp_path / "w.db"), 1)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            store.write(a_big_row)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            count = store.read(lambda tx: tx.value("SELECT count(*) FROM audit_event"))
            while store.read(lambda tx: tx.value("SELECT count(*) FROM audit_event")) < count + 10:
                pass
            store.checkpoint()
    finally:
        over.set()
        writer.join()
    rows = store.read(lambda tx: tx.value("SELECT count(*) FROM audit_event"))
    log = (tmp_path / "w.db-wal").stat().st_size // PAGE
    assert rows >= 600
    assert log < rows / 2, "the log holds everything that was ever written"
    store.close()

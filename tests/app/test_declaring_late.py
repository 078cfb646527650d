"""Declaring while the engine runs, and what is written by it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from watchbell import Watchbell, every


def names(bell: Watchbell) -> list[str]:
    return [view.name for view in bell.schedules().items]


def test_S4_3_a_schedule_declared_after_start_comes_due_without_another_call(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "w.db"))
    rang = threading.Event()

    @bell.job
    def early() -> None:
        pass

    with_engine = bell.start()
    try:
        bell.add_job("late", 0.2, rang.set)
        assert rang.wait(20), "nobody has planned it"
    finally:
        with_engine.stop(grace=1)


def test_only_what_is_new_is_written_and_what_was_removed_stays_removed() -> None:
    bell = Watchbell("sqlite://")
    for number in range(3):
        bell.add_job(f"job {number}", 60, lambda: None)
    assert names(bell) == ["job 0", "job 1", "job 2"]
    bell.remove("job 1")
    bell.add_job("job 3", 60, lambda: None)
    assert names(bell) == ["job 0", "job 2", "job 3"]


def test_a_declaration_that_fails_is_tried_again_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bell = Watchbell("sqlite://")
    bell.add_schedule("a", bell.job(name="a")(lambda: None), every("1m"))
    store = bell._open()
    bell.add_schedule("b", bell.job(name="b")(lambda: None), every("1m"))
    with monkeypatch.context() as broken:
        broken.setattr(store, "write", lambda work: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bell.schedules()
    assert names(bell) == ["a", "b"]

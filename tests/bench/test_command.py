"""The command line of the bench, and where it puts things."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench.place
from bench.command import ROWS, main


def test_an_unknown_row_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["speed"])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert "'speed'" in said
    assert all(row in said for row in ROWS)


def test_what_was_measured_on_is_removed_and_so_is_what_a_killed_bench_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.place, "BENCH", tmp_path / "bench")
    left = tmp_path / "bench" / "999999999"
    left.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(left)
    assert not (tmp_path / "bench").exists()


def _interrupted(left: Path) -> None:
    with bench.place.place() as folder:
        (folder / "bench.db").write_text("rows")
        assert not left.exists()
        raise KeyboardInterrupt

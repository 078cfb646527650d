"""The command line of the bench, and where it puts things."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench.place
from bench.command import HELP, NOT_ON_SQLITE, ROWS, _steps, main
from tests.postgres.at_hand import NAMED, NONE, WITHOUT


def test_an_unknown_row_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["speed"])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert "'speed'" in said
    assert all(row in said for row in ROWS)


def test_every_row_is_carried_out_and_named_in_the_help() -> None:
    carried_out = {name for row in ROWS for name, _ in _steps(frozenset({row}))} - {"raw limits"}
    assert carried_out == set(ROWS) - {"idle"}  # which shares its database with startup
    assert "startup" in {name for name, _ in _steps(frozenset({"idle"}))}
    for number, row in enumerate(ROWS, start=1):
        assert f"{number:>3} {row} " in HELP


def test_a_row_that_a_file_does_not_have_says_why_where_it_was_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.place, "BENCH", tmp_path / "bench")
    assert main(["--quick", *NOT_ON_SQLITE]) == 0
    said = capsys.readouterr().out
    for row, why in NOT_ON_SQLITE.items():
        assert f"{row} on SQLite, not measured: {why}" in said


def test_without_a_server_nothing_is_measured_on_postgresql_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(NAMED, NONE)
    monkeypatch.setenv(WITHOUT, "it has rained in")
    assert main(["--on", "both", "cron"]) == 2
    assert capsys.readouterr().err == "bench: There is no PostgreSQL to be measured: it has rained in.\n"


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

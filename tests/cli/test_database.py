"""`watchbell backup`, `restore`, `database`: what they print, and how they refuse."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Call


def test_a_backup_and_its_restore_by_the_command_line(call: Call, tmp_path: Path) -> None:
    call("schedule", "add", "tidy", "--every", "1h", "--", "true")
    made = call("backup", "kept.db", "--json").json()
    assert (Path(made["file"]).name, made["bytes"] > 4096, made["configuration"]) == ("kept.db", True, [])
    refused = call("backup", "kept.db")
    assert (refused.code, "exists already; --force replaces it" in refused.err) == (6, True)
    assert "checked." in call("backup", "kept.db", "--force").out
    call("schedule", "rm", "tidy", "--yes")
    put_back = call("restore", "kept.db", "--json").json()
    assert "missed: restored" in put_back["sentence"]
    assert Path(put_back["kept"]).exists()
    assert "tidy" in call("schedule", "list").out
    assert call("audit").out.startswith("unaccounted: 0")
    assert "is sound: every page" in call("database", "check").out
    assert call("database", "check", "--quick", "--json").json()["whole"] is False
    assert "There is no file" in call("restore", "none.db").err
    back = call("database", "migrate", "--back")
    assert (back.code, "There is no copy of" in back.err) == (5, True)


def test_S2_13_the_configuration_is_kept_beside_a_backup(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("database", "migrate")
    assert "There is no configuration file" in call("backup", "one.db", "--with-config").out
    (Path.cwd() / "watchbell.toml").write_text("[log]\n")
    out = call("backup", "two.db", "--with-config").out
    kept = Path.cwd() / "two.db.watchbell.toml"
    assert f"{kept} holds the configuration." in out
    assert kept.read_text() == "[log]\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

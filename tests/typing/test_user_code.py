"""The public API is typed end to end: user code passes mypy --strict, and mistakes do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USER_CODE = Path(__file__).with_name("user_code.py")


def read_by_mypy(file: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(cache),
        "--config-file",
        "",
        str(file),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cache)


def test_user_code_passes_strict_types(tmp_path: Path) -> None:
    done = read_by_mypy(USER_CODE, tmp_path)
    assert done.returncode == 0, done.stdout


def test_mistakes_are_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    text = USER_CODE.read_text(encoding="utf-8")
    wrong.write_text(
        text.replace('plain("today")', "plain(1)").replace('note="holiday"', "note=3"), encoding="utf-8"
    )
    done = read_by_mypy(wrong, tmp_path)
    assert done.stdout.count("[arg-type]") == 2, done.stdout

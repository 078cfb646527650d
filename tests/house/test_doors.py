"""One-way doors: import-linter holds the contracts of pyproject.toml, and each of them really bites."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_go_one_way(root: Path) -> None:
    reply = lint_imports(root)
    assert reply.returncode == 0, reply.stdout + reply.stderr


# What must not pass, and the contract that has to catch it.
PLANTED = {
    "core reads the store": ("core/planted.py", "from watchbell.store import tx", "One-way doors"),
    "core sleeps": ("core/planted.py", "import time", "The core does no I/O"),
    "core reads zones elsewhere": ("core/planted.py", "import zoneinfo", "Zone rules are read in one place"),
    "the engine calls a service": (
        "engine/planted.py",
        "import watchbell.services",
        "One-way doors",
    ),
    "an executor knows the store": ("executors/planted.py", "from watchbell import store", "One-way doors"),
    "the command line opens the store": (
        "cli/planted.py",
        "import watchbell.store",
        "Front rooms reach data",
    ),
    "a service opens the file": ("services/planted.py", "import apsw", "Only the store opens the database"),
    "a room nobody has thought of": ("attic.py", "", "One-way doors"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_import_is_caught(root: Path, tmp_path: Path, name: str) -> None:
    place, line, contract = PLANTED[name]
    (tmp_path / "src" / "watchbell").mkdir(parents=True)
    for room in (
        "core",
        "store",
        "executors",
        "channels",
        "engine",
        "services",
        "app",
        "demo",
        "django",
        "cli",
        "testing",
    ):
        (tmp_path / "src" / "watchbell" / room).mkdir()
        (tmp_path / "src" / "watchbell" / room / "__init__.py").touch()
    for file in ("__init__.py", "errors.py", "clock.py", "config.py", "store/tx.py", "core/wallclock.py"):
        (tmp_path / "src" / "watchbell" / file).touch()
    shutil.copy(root / "pyproject.toml", tmp_path)
    assert lint_imports(tmp_path).returncode == 0

    (tmp_path / "src" / "watchbell" / place).write_text(line + "\n", encoding="utf-8")
    reply = lint_imports(tmp_path)
    assert reply.returncode == 1, reply.stdout + reply.stderr
    broken = [part for part in reply.stdout.splitlines() if part.endswith("BROKEN")]
    assert any(part.startswith(contract) for part in broken), reply.stdout


def test_no_optional_room_has_been_built_without_losing_its_parentheses(root: Path, source: Path) -> None:
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "doors")
    optional = [room.strip("() ") for layer in layers for room in layer.split("|") if "(" in room]
    built = [room for room in optional if (source / room).is_dir() or (source / f"{room}.py").exists()]
    assert built == []

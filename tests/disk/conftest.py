"""A faulty disk, and a small one of its own where that can be had."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.disk.shim import Disk, faulty
from tests.engine.engines import House


@pytest.fixture
def disk() -> Iterator[Disk]:
    with faulty() as found:
        yield found


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make a file system of a given size there; a skip says why it cannot be."""
    made: list[Path] = []

    def mounted(options: str) -> Path:
        place = tmp_path / f"disk{len(made)}"
        if os.geteuid() != 0:
            pytest.skip("only root can mount a file system of a given size")
        place.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")
        made.append(place)
        return place

    yield mounted
    for place in made:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def houses() -> Iterator[list[House]]:
    made: list[House] = []
    yield made
    for house in made:
        house.close()

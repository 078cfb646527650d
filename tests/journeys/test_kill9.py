"""The short torture: 40 engines die by SIGKILL, and everything that was due is accounted for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CYCLES = 40
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.journey
@pytest.mark.kill9
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the torture looks for orphans in /proc")
def test_S0_2_forty_kills_lose_nothing_and_begin_nothing_twice(tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(["src", *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run(
        [sys.executable, "-m", "torture", "kill9", "--cycles", str(CYCLES), "--keep", str(tmp_path / "kept")],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    words = done.stdout
    assert done.returncode == 0, words + done.stderr
    assert words.splitlines()[-1] == f"torture: {CYCLES} passed, 0 failed"
    assert " 0 unaccounted, 0 begun twice, " in words
    kills = re.search(r"^(\d+) kills .* (\d+) occurrences, \d+ rows, (\d+) begun", words, re.MULTILINE)
    assert kills is not None
    assert int(kills[1]) == CYCLES
    assert int(kills[2]) > CYCLES
    assert int(kills[3]) > CYCLES

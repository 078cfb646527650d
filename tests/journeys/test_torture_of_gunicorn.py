"""The short torture of web workers: killed, ended and reloaded at random under requests, and nothing is lost or doubled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.journey
@pytest.mark.kill9
@pytest.mark.release
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the torture looks for orphans in /proc")
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_S0_3_web_workers_under_fire_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    where = [] if database == "sqlite" else ["--database", request.getfixturevalue("postgres_url")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(["src", *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run(
        [
            sys.executable, "-m", "torture", "gunicorn", "--workers", "3", "--minutes", "0.4",
            "--keep", str(tmp_path / "kept"), *where,
        ],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    words = done.stdout
    assert done.returncode == 0, words + done.stderr
    assert words.splitlines()[-1] == "torture: 1 passed, 0 failed"
    assert "0 unaccounted, 0 invented, 0 stuck, 0 contradicted, 0 twice" in words
    found = re.search(r"(\d+) engines, (\d+) requests answered, (\d+) occurrences", words)
    assert found is not None
    assert all(int(number) > 0 for number in found.groups())

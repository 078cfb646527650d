"""`watchbell doctor --workers N`: real web workers, one of them killed, every probe run once; nothing of it stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from watchbell.app.proving import Probe, Proof

WITHOUT_GUNICORN = "import sys; sys.modules['gunicorn'] = None; from watchbell.cli.main import main; main()"


def doctor(folder: Path, *words: str, program: tuple[str, ...] = ("-m", "watchbell"), code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *program, "--database", str(folder / "bell.db"), "doctor", *words],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("program", "server"),
    [(("-m", "watchbell"), "gunicorn"), (("-c", WITHOUT_GUNICORN), "forked processes")],
    ids=["gunicorn", "forked"],
)
def test_it_shows_that_each_probe_ran_once(tmp_path: Path, program: tuple[str, ...], server: str) -> None:
    said = json.loads(doctor(tmp_path, "--workers", "3", "--json", program=program))
    assert said["ok"] is True
    assert said["server"].startswith(server)
    assert len(said["began"]) == 4, "three, and one in the place of the killed one"
    assert [len(probe["ran"]) for probe in said["probes"]] == [1] * 12
    assert said["killed"] in said["began"]
    assert said["killed"] != said["probes"][-1]["ran"][0]["process"]
    assert set(said["audit"].values()) == {0}
    assert list(tmp_path.iterdir()) == [], "neither a database nor a folder is left"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--workers", "1"), "from 2 to 64, not 1"),
        (("--workers", "2", "--fix"), "--workers goes with neither"),
        (("--workers", "2", "--code", "."), "--workers goes with neither"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in doctor(tmp_path, *words, code=2)


@pytest.mark.parametrize(
    ("ran", "state", "unaccounted", "ok"),
    [
        (((7, 3),), "succeeded", 0, True),
        ((), "succeeded", 0, False),
        (((7, 3), (8, 3)), "succeeded", 0, False),
        (((7, 3),), "lost", 0, False),
        (((7, 3),), "succeeded", 1, False),
    ],
)
def test_it_is_content_with_nothing_less(
    ran: tuple[tuple[int, int], ...], state: str, unaccounted: int, ok: bool
) -> None:
    proof = Proof("gunicorn", 2, (7, 8), 7, (Probe("probe 1", 0, ran, state),), {"unaccounted": unaccounted})
    assert proof.ok is ok

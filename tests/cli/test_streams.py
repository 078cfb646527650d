"""What goes through the command line's streams: bytes of a command untouched, and streams that are closed or full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ME = f"{sys.executable} -m watchbell.cli"


def shell(folder: Path, script: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Carry out a line of bash in which $W is the command line, with a database of its own."""
    env = {**os.environ, "W": ME, "WATCHBELL_DATABASE_URL": str(folder / "bell.db")}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=env, input=given, capture_output=True, check=False, timeout=60
    )


def test_exec_passes_bytes_through_untouched_and_keeps_a_clean_copy(tmp_path: Path) -> None:
    data = bytes(range(256)) * 400 + b"\r50%\r\x1b[31mred\x1b[0m no newline"
    done = shell(tmp_path, "$W exec --name copy -- cat", data)
    assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")
    kept = json.loads(shell(tmp_path, "$W run logs 1 --json").stdout)["items"]
    assert kept[-1]["text"] == "red no newline"


def test_exec_passes_each_piece_through_at_once(tmp_path: Path) -> None:
    env = {**os.environ, "WATCHBELL_DATABASE_URL": str(tmp_path / "bell.db")}
    words = [*ME.split(), "exec", "--", "sh", "-c", "printf who?; read name; printf $name >&2"]
    with subprocess.Popen(words, env=env, stdin=-1, stdout=-1, stderr=-1, bufsize=0) as made:
        assert made.stdin is not None
        assert made.stdout is not None
        assert made.stderr is not None
        assert made.stdout.read(4) == b"who?"
        made.stdin.write(b"me\n")
        assert made.stderr.read(2) == b"me"
        assert made.wait(30) == 0


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("$W exec -- seq 100000 | head -c 1; exit ${PIPESTATUS[0]}", 141, b""),
        ("$W exec -- yes | head -c 1; exit ${PIPESTATUS[0]}", 141, b""),
        ("$W exec -- sh -c 'echo a; exit 4' >/dev/full", 4, b"could not be passed on"),
        ("$W exec -- sh -c 'echo a; exit 4' >&-", 4, b""),
        ("$W exec -- sh -c 'echo a; exit 4' <&- >&- 2>&-", 4, b""),
        ("$W exec -- sh -c 'sleep 60 & exit 3'", 3, b""),
    ],
)
def test_exec_gives_the_commands_code_whoever_reads(
    tmp_path: Path, script: str, code: int, said: bytes
) -> None:
    done = shell(tmp_path, script)
    assert done.returncode == code
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"should not have" not in done.stderr


def test_exec_passes_a_signal_on_and_says_so_in_the_ledger(tmp_path: Path) -> None:
    env = {**os.environ, "WATCHBELL_DATABASE_URL": str(tmp_path / "bell.db")}
    words = [
        *ME.split(),
        "exec",
        "--",
        "sh",
        "-c",
        "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done",
    ]
    with subprocess.Popen(words, env=env, stdout=-1, bufsize=0, start_new_session=True) as made:
        assert made.stdout is not None
        assert made.stdout.read(3) == b"up\n"
        made.send_signal(signal.SIGTERM)
        assert made.stdout.read() == b"bye\n"
        assert made.wait(30) == 7
    row = json.loads(shell(tmp_path, "$W run list --json").stdout)["items"][0]
    assert (row["state"], row["exit_code"]) == ("cancelled", 7)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("$W version >&-", 0),
        ("$W status --json >&-", 3),
        ("$W audit 2>&-", 0),
        ("$W run show 99 >&- 2>&-", 5),
        ("$W serve --for 200ms <&- >&- 2>&-", 0),
    ],
)
def test_closed_streams_change_no_exit_code(tmp_path: Path, script: str, code: int) -> None:
    assert shell(tmp_path, "$W database migrate").returncode == 0
    done = shell(tmp_path, script)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


@pytest.mark.parametrize("words", ["version", "--help", "status --json", "schedule list"])
def test_an_answer_that_finds_no_room_is_one_sentence(tmp_path: Path, words: str) -> None:
    assert shell(tmp_path, "$W database migrate").returncode == 0
    done = shell(tmp_path, f"$W {words} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == b"watchbell: The answer could not be written (No space left on device).\n"

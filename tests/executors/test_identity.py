"""Which process is which: a proof of death is one only where the process can be seen and is another, or none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from watchbell.executors.identity import has_ended, is_visible, own_process
from watchbell.executors.orphans import start_time

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


def said_by(pid: int) -> str:
    return f"{own_process().partition(':')[0]}:{start_time(pid)}"


def test_a_process_that_lives_has_not_ended_and_one_that_was_reaped_has() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = said_by(child.pid)
    assert not has_ended(child.pid, said)
    child.communicate(b"\n")
    assert has_ended(child.pid, said)


def test_one_that_only_waits_for_its_parent_has_ended() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    said = said_by(child.pid)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.close()
    child.stdout.read()  # until its end
    while not has_ended(child.pid, said):
        pass
    child.wait()
    child.stdout.close()


def test_one_whose_first_thread_is_gone_has_ended_with_its_last() -> None:
    """As after SIGKILL, for a moment: the others have not been ended yet, and the files are open."""
    text = (
        "import ctypes, os, threading\n"
        "threading.Thread(target=lambda: (os.read(0, 1), os._exit(0))).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE)
    said, stat = said_by(child.pid), Path(f"/proc/{child.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert not has_ended(child.pid, said)
    assert not has_ended(child.pid, said)
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.close()
    while not has_ended(child.pid, said):
        pass
    child.wait()


def test_a_number_that_another_process_has_by_now_is_a_death() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    namespace, _, started = said_by(child.pid).partition(":")
    assert has_ended(child.pid, f"{namespace}:{int(started) - 1}")
    child.communicate(b"\n")


def test_what_cannot_be_seen_from_here_is_not_known_to_have_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    started = said_by(child.pid).partition(":")[2]
    child.wait()
    assert not has_ended(child.pid, f"1:{started}"), "of another container"
    assert not has_ended(child.pid, "")
    assert is_visible("")
    assert is_visible(own_process())
    assert not is_visible("1:5")

"""dev.py is what a newcomer meets first: it answers with sentences, whatever is missing."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A folder with just enough of a checkout, and no environment in it."""
    shutil.copy(root / "dev.py", tmp_path)
    shutil.copy(root / "pyproject.toml", tmp_path)
    shutil.copytree(root / "requirements", tmp_path / "requirements")
    return tmp_path


@pytest.fixture
def dev(checkout: Path) -> ModuleType:
    """dev.py of that folder, as a module."""
    spec = importlib.util.spec_from_file_location("dev_under_test", checkout / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "dev.py", *arguments], cwd=checkout, capture_output=True, text=True, check=False
    )


def test_an_unknown_verb_is_answered_with_the_known_ones(checkout: Path, dev: ModuleType) -> None:
    reply = run(checkout, "tset")
    assert reply.returncode == 2
    assert "no verb 'tset'" in reply.stderr
    assert all(verb in reply.stderr for verb in dev.VERBS)


def test_help_names_every_verb(checkout: Path, dev: ModuleType) -> None:
    reply = run(checkout, "--help")
    assert reply.returncode == 0
    assert all(f"  {verb}" in reply.stdout for verb in dev.VERBS)


def test_half_a_checkout_is_named_as_such(checkout: Path) -> None:
    shutil.rmtree(checkout / "requirements")
    reply = run(checkout, "setup")
    assert reply.returncode == 1
    assert "does not look like a whole checkout" in reply.stderr
    assert "Traceback" not in reply.stderr


def test_a_folder_that_cannot_be_written_is_a_sentence(checkout: Path) -> None:
    (checkout / ".venv").write_text("a file where the folder should be", encoding="utf-8")
    reply = run(checkout, "setup")
    assert reply.returncode == 1
    assert "cannot be written" in reply.stderr
    assert "Traceback" not in reply.stderr


def test_an_old_python_can_read_dev_py_and_is_told_that_it_is_too_old(
    root: Path, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ast.parse((root / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 8))
    monkeypatch.setattr(dev, "OLDEST", (99, 0))
    with pytest.raises(dev.Stop, match=r"needs Python 99\.0 or newer; this is 3\."):
        dev.setup()


def test_without_pip_it_says_how_to_get_it(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "pip_version", lambda _python: None)
    with pytest.raises(dev.Stop, match="apt-get install python3-pip"):
        dev.find_pip()


def test_an_old_pip_is_named(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "pip_version", lambda _python: (20, 3))
    with pytest.raises(dev.Stop, match=r"pip here is 20\.3; 22\.3 or newer"):
        dev.find_pip()


def test_what_pip_cannot_install_is_a_sentence_and_leaves_no_stamp(
    checkout: Path, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "find_pip", lambda: [sys.executable, "-c", "import sys; sys.exit(1)"])
    with pytest.raises(dev.Stop, match="pip could not install"):
        dev.setup()
    assert (checkout / ".venv").is_dir()
    assert not dev.STAMP.exists()


def test_a_set_up_folder_is_not_set_up_again_until_something_changes(
    checkout: Path, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(dev, "find_pip", lambda: ["pip"])
    monkeypatch.setattr(dev, "call", lambda *command: calls.append(str(command[-1])) or 0)
    dev.setup()
    assert len(calls) == 2
    dev.setup()
    dev.setup("run")  # what runs is a part of what develops
    assert len(calls) == 2
    with (checkout / "pyproject.toml").open("a", encoding="utf-8") as page:
        page.write("# changed\n")
    dev.setup()
    assert len(calls) == 4


def test_a_folder_that_was_moved_is_set_up_anew(
    checkout: Path, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "find_pip", lambda: ["pip"])
    monkeypatch.setattr(dev, "call", lambda *_command: 0)
    dev.setup()
    left = dev.VENV / "left-over"
    left.touch()
    lines = dev.STAMP.read_text(encoding="utf-8").splitlines()
    dev.STAMP.write_text("\n".join(["elsewhere", *lines[1:]]), encoding="utf-8")
    dev.setup()
    assert not left.exists()
    assert dev.PYTHON.exists()


def test_ctrl_c_is_quiet_and_waits_for_the_end_of_what_it_started(checkout: Path) -> None:
    program = (
        "import dev, sys\n"
        "child = 'import os, select, signal, sys\\n'\\\n"
        "    'signal.signal(signal.SIGINT, lambda *_: sys.exit(3))\\n'\\\n"
        "    'select.select([], [], [], 0.5)\\n'\\\n"  # the parent has come to wait for it by then
        "    'os.kill(os.getppid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGINT); signal.pause()'\n"
        "sys.exit(dev.call(sys.executable, '-c', child))\n"
    )
    reply = subprocess.run(
        [sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True, check=False, timeout=30
    )
    assert (reply.returncode, reply.stdout, reply.stderr) == (3, "", "")

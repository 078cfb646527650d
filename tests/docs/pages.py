"""Pages for users, carried out: each page in a folder of its own, its blocks in their order, as a reader would.

A `python` block is a program; one that begins with a comment like `# jobs.py` is that file. A `console` block is what a
shell shows: each line behind `$ ` is carried out, and what stands below it is compared, with `...` for anything. A
command fails where its exit code is not 0, unless what the page shows is a refusal ("watchbell: …").
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w.]+\.py)\n")
_EXPORT = re.compile(r"export (\w+)=(.*)")
_CHECK = doctest.OutputChecker()
KINDS = ("python", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    kind: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of the page, in its order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)


class Reader:
    """Somebody who tries everything on the page; where it names a server, on theirs."""

    def __init__(self, folder: Path, server: str | None = None) -> None:
        self.folder = folder
        self.server = server
        programs = folder / "programs"
        programs.mkdir()
        for name, module in (("watchbell", " -m watchbell"), ("python", "")):
            shim = programs / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{module} "$@"\n')
            shim.chmod(0o755)
        self.here = folder / "here"
        self.here.mkdir()
        self.env = dict(os.environ) | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "configuration"),
            "PWD": str(self.here),
        }

    def read(self, block: Block) -> None:
        """Carry one block out."""
        if block.kind == "python":
            self._program(block)
        elif block.kind == "console":
            for command, shown in commands(block.text):
                self._command(block, command, shown)

    def _program(self, block: Block) -> None:
        named = _NAMED.match(block.text)
        if named is not None:
            (self.here / named[1]).write_text(block.text, encoding="utf-8")
            compile(block.text, named[1], "exec")
            return
        done = self.run_program(block.text)
        assert done.returncode == 0, f"the program at line {block.line}:\n{done.stdout}{done.stderr}"

    def _command(self, block: Block, command: str, shown: str) -> None:
        if found := _EXPORT.fullmatch(command):
            ours = self.server is not None and found[2].startswith("postgresql://")
            self.env[found[1]] = str(self.server) if ours else found[2]
            return
        done = self._run(["sh", "-c", command])
        refused = shown.startswith("watchbell: ")
        assert (done.returncode != 0) == refused, (
            f"`{command}` at line {block.line}:\n{done.stdout}{done.stderr}"
        )
        said = done.stderr if refused else done.stdout
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert not shown or _CHECK.check_output(shown, said, flags), (
            f"`{command}` at line {block.line} said:\n{said}\nthe page says:\n{shown}"
        )

    def run_program(self, text: str) -> subprocess.CompletedProcess[str]:
        """A Python program, in the folder of the page; a warning fails it."""
        return self._run([sys.executable, "-W", "error", "-c", text])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.here, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, what is shown below it) of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown

"""`manage.py watchbell …`: the command line of watchbell, on the project's database and with the project's jobs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ....cli.main import root, run
from ....cli.setup import Setup
from ...project import the_bell

_DJANGOS = ("--settings", "--pythonpath")
APP = "watchbell.django:bell"


class Command(BaseCommand):
    """Hands everything on; `serve` runs the project's own jobs."""

    help = "The command line of watchbell with this project's settings: serve, status, run, schedule, explain, audit …"

    def run_from_argv(self, argv: list[str]) -> None:
        """From a shell: its own exit codes."""
        sys.exit(_carry_out(_without_djangos(argv[2:])))

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """From call_command: the words as they stand."""
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def handle(self, *_: Any, **options: Any) -> None:
        """From call_command."""
        if code := _carry_out(list(options["words"])):
            raise CommandError(f"watchbell ended with {code}.", returncode=code)


def _carry_out(words: list[str]) -> int:
    bell = the_bell()
    if "serve" in words[:2] and not any(word.startswith("--app") for word in words):
        place = words.index("serve") + 1
        return run(root, [*words[:place], "--app", APP, *words[place:]])
    return run(root, words, Setup(given=bell._url))


def _without_djangos(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _DJANGOS:
            skip = True
        elif not word.startswith(tuple(f"{name}=" for name in _DJANGOS)):
            kept.append(word)
    return kept

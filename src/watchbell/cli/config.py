"""`watchbell config …`: the configuration of this process: written, shown with where each value comes from, and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ..config import FILE, user_folder
from ..errors import BadConfiguration, Conflict
from .lazy import Group
from .output import emit_json, say, table
from .setup import Read, Setup

_HERE = "watchbell.cli.config"
TABLE = {
    "init": (f"{_HERE}:init", "Write a file with every key, its default and what it is for."),
    "show": (f"{_HERE}:show", "Every value that is in force, and where it comes from."),
    "check": (f"{_HERE}:check", "What is wrong with it, by file and line."),
}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def config() -> None:
    """The configuration of this process.

    Later wins: the built-in values, watchbell.toml in the user's configuration folder, watchbell.toml in this folder (or, in
    place of both, the file that $WATCHBELL_CONFIG names), the environment (WATCHBELL_ENGINE__ENABLED=false), the command line.
    """


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--user", is_flag=True, help="Into the user's configuration folder instead of this one.")
def init(file: str | None, user: bool) -> None:
    """Write FILE, or watchbell.toml in this folder: every key with its default, as a comment. Never overwrites."""
    from ..config.writing import sample

    path = Path(file) if file is not None else user_folder() / FILE if user else Path(FILE)
    try:
        if user:
            path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as out:
            out.write(sample())
    except FileExistsError:
        raise Conflict(f"{path} is there already; it was left as it is.") from None
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be written: {error.strerror or error}.") from error
    say(f"{path} is written; every key in it is a comment, so that nothing has changed yet.")


@click.command(cls=Read)
@click.pass_obj
def show(setup: Setup) -> None:
    """Every value that is in force, and where it comes from: a file and its line, a variable, or the command line."""
    from ..config.reading import Value

    found = _read(setup)
    if found.configuration is None:
        raise BadConfiguration(" ".join(one.sentence for one in found.errors))
    values = []
    for one in found.values:
        if one.key == "database" and one.value is None:
            one = Value("database", setup.url, "found: there is no other")
        values.append(one)
    if setup.json:
        items: list[dict[str, Any]] = [
            {"key": one.key, "value": one.shown, "origin": one.origin} for one in values
        ]
        emit_json({"items": items, "files": [str(path) for path in found.files]})
        return
    table(("KEY", "VALUE", "FROM"), [(one.key, one.shown, one.origin) for one in values], "")


@click.command(cls=Read)
@click.pass_obj
def check(setup: Setup) -> int:
    """Say what is wrong with the configuration, by file and line, and which names are old. Exits with 78 on errors."""
    found = _read(setup)
    if setup.json:
        emit_json(
            {
                "ok": not found.errors,
                "files": [str(path) for path in found.files],
                "findings": [one.to_json() for one in found.findings],
            }
        )
    else:
        for one in found.findings:
            say(one.sentence, "red" if one.error else "yellow")
        where = ", ".join(map(str, found.files)) or f"no {FILE} is in use"
        errors = len(found.errors)
        said = f"{errors} error{'s' if errors > 1 else ''}" if errors else "nothing is wrong"
        say(f"{where}: {said}.")
    return BadConfiguration.exit_code if found.errors else 0


def _read(setup: Setup) -> Any:
    from ..config.reading import read

    return read(os.environ, Path.cwd(), {"database": setup.given})

"""Every option of the command line is named in some page for users, and no page names one that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from watchbell.cli.main import root

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]


def options_of(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """(where, option) of a command and of all that stands below it."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("--"):
                    yield context.command_path, option
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from options_of(below, click.Context(below, info_name=name, parent=context))


def every_option() -> list[tuple[str, str]]:
    return list(options_of(root, click.Context(root, info_name="watchbell")))


def named_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def test_every_option_of_the_command_line_is_named_in_some_page() -> None:
    named = named_in("\n".join(page.read_text(encoding="utf-8") for page in PAGES))
    found = every_option()
    assert len(found) > 100
    missing = [f"{where} {option}" for where, option in found if option not in named]
    assert missing == []


def test_the_page_of_the_command_line_names_no_option_that_there_is_not() -> None:
    known = {option for _, option in every_option()} | {"--help", "--json"}
    page = ROOT / "docs" / "guide" / "commands.md"
    assert named_in(page.read_text(encoding="utf-8")) - known == set()

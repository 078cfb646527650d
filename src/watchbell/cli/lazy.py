"""Commands that are imported when they are called, not before: `watchbell status` must not pay for the others."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

SAME: Final = {"remove": "rm", "delete": "rm", "del": "rm", "ls": "list"}
"""What people write for a command, and what is nearest to it in letters is another one (resume, for remove)."""


class Group(click.Group):
    """A group whose commands stand in a table: name → (module:attribute, one line of help)."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.table = dict(table or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and give it back; None for a name that is not in the table."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was perhaps meant."""
        name = args[0]
        if name in self.table or name.startswith("-"):
            return super().resolve_command(ctx, args)
        same = [one for one in (SAME.get(name, ""),) if one in self.table]
        near = same or difflib.get_close_matches(name, self.table, 1)
        known = (
            f"did you mean `{ctx.command_path} {near[0]}`?" if near else f"it has {', '.join(self.table)}."
        )
        raise click.UsageError(f"{ctx.command_path} has no command {name!r}; {known}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])

"""`watchbell schedule lint`: what is allowed to be written and is probably not meant."""

from __future__ import annotations

import click

from ..services import database, lint
from ..services.lint import Linted
from .output import emit_json, say
from .setup import Read, Setup

CLEAN, FOUND = 0, 1


@click.command("lint", cls=Read)
@click.argument("subjects", nargs=-1, metavar="[NAME|EXPR]…")
@click.option("--tz", metavar="ZONE", help="The time zone of an expression, such as Europe/Berlin.")
@click.pass_context
def lint_(ctx: click.Context, subjects: tuple[str, ...], tz: str | None) -> None:
    """Look for what is probably not meant, in all schedules, in these, or in rules that are only written down.

    \b
    watchbell schedule lint
    watchbell schedule lint "* 3 * * *" --tz Europe/Berlin
    Exit code 0: nothing was found; 1: something was.
    """
    setup: Setup = ctx.obj
    found = _look(setup, subjects, tz)
    if setup.json:
        emit_json({"items": [item for one in found for item in one.to_json()], "looked_at": len(found)})
    else:
        for one in found:
            for finding in one.findings:
                say(f"{one.subject}: {finding} [{finding.code}]", "yellow")
        if not any(one.findings for one in found):
            say(
                f"Nothing was found in {len(found):,} {'rule' if subjects else 'schedule'}{'' if len(found) == 1 else 's'}."
            )
    ctx.exit(FOUND if any(one.findings for one in found) else CLEAN)


def _look(setup: Setup, subjects: tuple[str, ...], tz: str | None) -> list[Linted]:
    if not subjects:
        with setup.store() as store:
            return lint.of_schedules(store, (), now=setup.now)
    found = []
    for text in subjects:
        if database.exists(setup.url):
            with setup.store() as store:
                if lint.is_schedule(store, text):
                    found += lint.of_schedules(store, (text,), now=setup.now)
                    continue
        found.append(lint.of_rule(text, tz=tz, now=setup.now))
    return found

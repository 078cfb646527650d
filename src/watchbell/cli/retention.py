"""`watchbell retention`: what is old enough to go, and let it go now instead of within the hour."""

from __future__ import annotations

import click

from ..services.retention import carry_out, look
from .output import emit_json, say
from .setup import Read, Setup


@click.command(cls=Read)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def retention(setup: Setup, dry_run: bool) -> None:
    """Let go of what is older than its keep time: whole days of occurrences become totals, old logs go.

    An engine does the same every hour by itself. The keep times are those of the configuration.
    By a clock in doubt nothing goes.
    """
    keep = setup.configuration().keeping()
    with setup.store() as store:
        if dry_run:
            would = look(store, keep, now=setup.now)
            if setup.json:
                emit_json(would.to_json())
            else:
                say(would.sentence)
            return
        removed = carry_out(store, keep, clock=setup.clock, actor=setup.actor)
    if setup.json:
        emit_json(removed.to_json())
    else:
        say(f"{removed.sentence[:1].upper()}{removed.sentence[1:]}.")

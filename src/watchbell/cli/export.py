"""`watchbell export …`: schedules in the form of others."""

from __future__ import annotations

import click

from ..services import crontab_files, exports
from .lazy import Group
from .output import emit_json, warn
from .setup import Read, Setup

TABLE = {"crontab": ("watchbell.cli.export:crontab", "As the lines of a crontab.")}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def export() -> None:
    """Schedules in the form of others."""


@click.command(cls=Read)
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--system", is_flag=True, help="With a column for the user, as in /etc/cron.d.")
@click.option("--tz", metavar="ZONE", help="The zone cron is in; else this machine's.")
@click.pass_obj
def crontab(setup: Setup, names: tuple[str, ...], system: bool, tz: str | None) -> None:
    """Write schedules as a crontab: what it can express, and as a comment what it cannot."""
    zone = tz or crontab_files.local_zone() or "UTC"
    with setup.store() as store:
        done = exports.export(store, names, zone=zone, system=system, accounts=crontab_files.account)
    if setup.json:
        emit_json(done.to_json())
        return
    click.echo(done.text, nl=False)
    for name, why in sorted(done.left_out.items()):
        warn(f"{name} has no line: {why}")

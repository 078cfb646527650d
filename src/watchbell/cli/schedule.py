"""`watchbell schedule …`: the verbs, and those that change how a schedule stands."""

from __future__ import annotations

import click

from .lazy import Group
from .output import say
from .setup import Setup, Verb

_HERE = "watchbell.cli.schedule"
TABLE = {
    "add": ("watchbell.cli.schedule_add:add", "Add a schedule of a command or of a declared job."),
    "edit": ("watchbell.cli.schedule_edit:edit", "Change a schedule; --dry-run shows before and after."),
    "list": ("watchbell.cli.schedule_show:list_", "List schedules: when each is due next, or why it is not."),
    "show": ("watchbell.cli.schedule_show:show", "Everything about one schedule."),
    "next": ("watchbell.cli.schedule_next:next_", "When a rule, or a schedule, would be due next."),
    "lint": ("watchbell.cli.schedule_lint:lint_", "What is probably not meant, and what to write instead."),
    "pause": (f"{_HERE}:pause", "Let a schedule stand still."),
    "resume": (f"{_HERE}:resume", "Let a paused schedule come due again."),
    "rm": (f"{_HERE}:rm", "Remove a schedule; its ledger stays."),
}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def schedule() -> None:
    """Schedules: when a job runs, and under which policies."""


@click.command(cls=Verb)
@click.argument("name")
@click.option("--note", default="", help="Why, for whoever looks at it later.")
@click.option("--drop-waiting", is_flag=True, help="Also drop what was due before and has not begun.")
@click.pass_obj
def pause(setup: Setup, name: str, note: str, drop_waiting: bool) -> None:
    """Let a schedule stand still. What was due before and has not begun runs, unless --drop-waiting."""
    from ..services import schedules

    with setup.store() as store:
        done = schedules.pause(
            store, name, now=setup.now, actor=setup.actor, note=note, drop_waiting_ones=drop_waiting
        )
    say(done.sentence)


@click.command(cls=Verb)
@click.argument("name")
@click.option("--catch-up", is_flag=True, help="Let its catch-up policy say what becomes of what it missed.")
@click.pass_obj
def resume(setup: Setup, name: str, catch_up: bool) -> None:
    """Let a paused schedule come due again; what fell into the pause is kept as skipped, unless --catch-up."""
    from ..services import schedules

    with setup.store() as store:
        done = schedules.resume(store, name, now=setup.now, actor=setup.actor, catchup=catch_up)
    say(done.sentence)


@click.command(cls=Verb)
@click.argument("name")
@click.option("--drop-waiting", is_flag=True, help="Also drop what was due before and has not begun.")
@click.pass_obj
def rm(setup: Setup, name: str, drop_waiting: bool) -> None:
    """Remove a schedule; its ledger stays. What was due before and has not begun runs, unless --drop-waiting."""
    from ..services import schedules

    with setup.store() as store:
        done = schedules.remove(store, name, now=setup.now, actor=setup.actor, drop_waiting_ones=drop_waiting)
    say(done.sentence)

"""`watchbell clock …`: what the clock shows and has done, and the two acts of a person about it: confirm and repair."""

from __future__ import annotations

import click

from ..core.instants import human_age
from ..services import clock as service
from ..services.clock import ClockView
from .lazy import Group
from .output import emit_json, facts, moment, say
from .setup import Read, Setup

_HERE = "watchbell.cli.clock"
TABLE = {
    "status": (f"{_HERE}:status", "What the clock shows, what it has done, and whether it is believed."),
    "confirm": (f"{_HERE}:confirm", "Say that the clock is right: planning goes on, what is held is let go."),
    "repair": (f"{_HERE}:repair", "Plan anew from now on, after the clock had stood in the future."),
}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def clock() -> None:
    """The clock of this machine, and whether the engine believes it."""


@click.command(cls=Read)
@click.pass_obj
def status(setup: Setup) -> None:
    """What the clock shows, what it has done, and whether it is believed."""
    with setup.store() as store:
        view = service.clock(store, setup.clock)
    if setup.json:
        emit_json(view.to_json())
    else:
        _show(view)


@click.command(cls=Read)
@click.pass_obj
def confirm(setup: Setup) -> None:
    """Say that the clock is right. Planning goes on, and what was held is planned like everything that was missed. It is
    recorded by whom."""
    with setup.store() as store:
        done = service.confirm(store, now=setup.now, actor=setup.actor)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)


@click.command(cls=Read)
@click.option("--apply", "apply_", is_flag=True, help="Do it; without this nothing is changed.")
@click.pass_obj
def repair(setup: Setup, apply_: bool) -> None:
    """Move schedules back that are planned beyond now, because the clock had stood in the future. What was planned there and
    never ran is taken out and comes due at its time; what ran is never repeated. Set the clock right first."""
    with setup.store() as store:
        done = service.repair_clock(store, now=setup.now, actor=setup.actor, apply=apply_)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)


def _show(view: ClockView) -> None:
    kept = {
        True: "yes, says the kernel",
        False: "no, says the kernel",
        None: "not known: the kernel does not say",
    }
    facts(
        [
            ("Now", moment(view.wall_at)),
            ("Since boot", f"{human_age(view.boot_us)}, awake for {human_age(view.mono_us)}"),
            ("Synchronised", kept[view.synchronised]),
            ("Clock", view.trust.sentence),
            ("Zone data", _zones(view)),
        ],
        {"Clock": "green" if view.trust.trusted else "red"},
    )
    if view.ahead:
        say("")
        say(f"{view.ahead:,} planned beyond now, as by a clock in the future: watchbell clock repair", "red")
    if view.moves:
        say("")
        for move in view.moves:
            say(move.sentence)


def _zones(view: ClockView) -> str:
    here, there = view.zone_data_here or "unknown", view.zone_data
    if there is None or there == here:
        return here
    return f"{there} in the database, {here} on this machine"

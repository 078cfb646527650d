"""`watchbell schedule edit`: what is given is changed, everything else stays; before → after, with the next instants."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import click

from ..core.policies import Policies
from ..errors import BadInput
from ..services import arguments, edits, schedules
from ..services.edits import Look, Present, Side
from ..services.schedules import Change
from .kinds import instant
from .output import emit_json, moment, say
from .schedule_options import (
    edited_rule,
    job_options,
    label_options,
    later_options,
    policies_of,
    policy_options,
    rule_options,
)
from .setup import Read, Setup

_BY_NAME = {field.name.removesuffix("_us").replace("_", "-"): field.name for field in fields(Policies)}
_NOT_SAID = "the default"


@click.command(cls=Read)
@click.argument("name")
@rule_options
@job_options
@policy_options
@click.option(
    "--default",
    "defaults",
    multiple=True,
    type=click.Choice(sorted(_BY_NAME)),
    metavar="POLICY",
    help="Set a policy back to its default, such as timeout; may be repeated.",
)
@label_options
@later_options
@click.option("--drop-waiting", is_flag=True, help="Also drop what was due before and has not begun.")
@click.option("--dry-run", is_flag=True, help="Show before and after, and write nothing.")
@click.pass_obj
def edit(setup: Setup, /, name: str, **given: Any) -> None:
    """Change a schedule: what is given; everything else stays as it is. What was due before runs as it was.

    \b
    watchbell schedule edit backup --cron "30 3 * * *" --dry-run
    watchbell schedule edit backup --tz Europe/Berlin --timeout 2h
    watchbell schedule edit report --every 30m --apply-from "2027-01-01 00:00"
    """
    now = setup.now
    if given["take_back"]:
        _take_back(setup, name, given)
        return
    with setup.store() as store:
        stands = edits.present(store, name)
        change = _change(setup, store, stands, given, now)
        found = edits.look(store, name, change, now=now)
        done = None
        if not given["dry_run"]:
            done = schedules.edit(store, name, change, now=now, actor=setup.actor)
    if setup.json:
        told = {"dry_run": done is None, "changed": False, "sentence": None, "dropped": 0}
        emit_json({**found.to_json(), **told, **({} if done is None else done.to_json())})
        return
    _show(found)
    say("Nothing was written (--dry-run)." if done is None else done.sentence)


def _take_back(setup: Setup, name: str, given: dict[str, Any]) -> None:
    if any(value for option, value in given.items() if option != "take_back"):
        raise BadInput("--take-back drops the edit that waits and goes with nothing else.")
    with setup.store() as store:
        done = schedules.take_back(store, name, now=setup.now, actor=setup.actor)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)


def _change(setup: Setup, store: Any, stands: Present, given: dict[str, Any], now: int) -> Change:
    """What is asked for. BadInput where nothing is."""
    zone = stands.zone or setup.zone
    args = None
    if given["arg"]:
        if stands.lane == "command" and given["job"] is None:
            raise BadInput(
                "--arg goes with the job of an application; a command has its arguments in itself."
            )
        args = {**stands.args, **arguments.read_for(store, given["job"] or stands.job, given["arg"])}
    apply_from = given["apply_from"]
    change = Change(
        trigger=edited_rule(given, stands.trigger, now, zone),
        policies=_policies(given, stands.policies),
        args=args,
        job=given["job"],
        tags=tuple(dict.fromkeys(given["tag"])) or None,
        about=given["about"],
        drop_waiting=given["drop_waiting"],
        zone=zone,
        apply_from=None if apply_from is None else instant(apply_from, "--apply-from", now, zone),
    )
    if not given["drop_waiting"] and change == Change(zone=zone, apply_from=change.apply_from):
        raise BadInput(
            "Say what is to be another, such as --cron, --tz, --timeout or --arg; --help shows all of it."
        )
    return change


def _policies(given: dict[str, Any], base: Policies) -> Policies | None:
    """The policies, once one is given; with those of --default as they are without a word."""
    plain = Policies()
    for name in given["defaults"]:
        field = _BY_NAME[name]
        base = replace(base, **{field: getattr(plain, field)})
    found = policies_of(given, base)
    said = found != base or given["defaults"]
    return found if said else None


def _show(found: Look) -> None:
    if (found.before.trigger, found.before.rule) != (found.after.trigger, found.after.rule):
        say(f"rule: {found.before.rule}")
        say(f"   →  {found.after.rule}")
    else:
        say(f"rule: {found.after.rule}")
    for one in found.differences:
        say(f"{one.what}: {one.before or _NOT_SAID}  →  {one.after or _NOT_SAID}")
    if found.before.instants != found.after.instants:
        say(f"next, before: {_next(found.before)}")
        say(f"next, after:  {_next(found.after)}")
    else:
        say(f"next: {_next(found.after)}")
    for note in found.notes:
        say(f"{note[0].upper()}{note[1:]}.", "yellow")


def _next(side: Side) -> str:
    return ", ".join(moment(at, side.zone) for at in side.instants) or "none"

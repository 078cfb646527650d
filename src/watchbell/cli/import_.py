"""`watchbell import …`: schedules from elsewhere, looked at first, then added as one batch that can be undone."""

from __future__ import annotations

from typing import Any

import click

from ..core.crontab import Crontab
from ..errors import BadInput
from ..services import crontab_files, database, imports
from ..services.imports import Plan, Proposal
from .lazy import Group
from .output import emit_json, moment, say, table, warn
from .schedule_options import policies_of, policy_options
from .setup import Read, Setup

_HERE = "watchbell.cli.import_"
TABLE = {
    "crontab": (f"{_HERE}:crontab", "The lines of a crontab: shown first, added with --apply."),
    "list": (f"{_HERE}:list_", "What was imported, and what of it is still there."),
    "undo": (f"{_HERE}:undo", "Remove every schedule that came with a batch."),
}
REFUSED = 1


@click.command("import", cls=Group, table=TABLE, no_args_is_help=True)
def import_() -> None:
    """Schedules from elsewhere."""


@click.command(cls=Read)
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option("--user", metavar="NAME", help="The crontab of this account, as `crontab -l -u` prints it.")
@click.option(
    "--system", is_flag=True, help="/etc/crontab and /etc/cron.d; or FILE has a column for the user."
)
@click.option("--tz", metavar="ZONE", help="The zone cron is in; else this machine's.")
@click.option("--apply", "apply_", is_flag=True, help="Add them, all at once; else they are only shown.")
@click.option("--undo", "undo_", is_flag=True, help="Take the newest batch back instead.")
@policy_options
@click.pass_obj
def crontab(setup: Setup, /, file: str | None, user: str | None, **given: Any) -> int:
    """Take the lines of a crontab over as schedules: yours, that of FILE, of an account, or the system's.

    Each line is shown first: its rule, what it means, when it is due next, and what is different here. --apply adds all of
    them in one transaction; lines that were imported before are left alone. Exits with 1 where a line cannot be taken over.

    \b
    watchbell import crontab
    watchbell import crontab --apply
    """
    if given["undo_"]:
        if file is not None or user is not None or given["apply_"]:
            raise BadInput("--undo takes the newest batch back and goes with nothing else.")
        _undo(setup, None)
        return 0
    found, origin = _read(file, user, given["system"])
    zone = given["tz"] or crontab_files.local_zone()
    if zone is None:
        warn("This machine does not say by name which time zone it is in: UTC is taken. Write --tz ZONE.")
        zone = "UTC"
    policies = policies_of(given)
    plan = _plan(setup, found, zone, user)
    done = None
    if given["apply_"] and plan.new:
        with setup.store(create=True) as store:
            done = imports.apply(store, plan, origin, policies=policies, now=setup.now, actor=setup.actor)
    if setup.json:
        batch = None if done is None else done.batch
        emit_json({**plan.to_json(), "applied": bool(given["apply_"]), "batch": batch})
    else:
        _show(plan)
        if not given["apply_"]:
            say("Nothing was written; --apply adds them." if plan.new else "There is nothing to add.")
        else:
            said = imports.Applied(None, (), len(plan.items)) if done is None else done
            say(said.sentence, "green")
    return REFUSED if plan.refused else 0


def _read(file: str | None, user: str | None, system: bool) -> tuple[Crontab, str]:
    """The crontab that is meant, and what it is called."""
    if file is not None and user is not None:
        raise BadInput("A crontab is that of a FILE or of a --user, not both.")
    if user is not None and system:
        raise BadInput("--system goes with a FILE or alone: an account's crontab has no column for the user.")
    if file is not None:
        return crontab_files.of_file(file, system=system), "the standard input" if file == "-" else file
    if system:
        return crontab_files.of_system(), "the system's crontabs"
    return crontab_files.of_user(user), f"the crontab of {user or crontab_files.account().name}"


def _plan(setup: Setup, found: Crontab, zone: str, user: str | None) -> Plan:
    asked: dict[str, Any] = {"zone": zone, "user": user, "accounts": crontab_files.account, "now": setup.now}
    if not database.exists(setup.url):
        return imports.propose(None, found, **asked)
    with setup.store() as store:
        return imports.propose(store, found, **asked)


def _show(plan: Plan) -> None:
    for item in plan.items:
        _show_item(item)
    for refused in plan.refused:
        place = f"{refused.path}, line {refused.number}" if refused.path else f"line {refused.number}"
        say(f"{place} cannot be taken over: {refused.why}", "red")
        say(f"  {refused.text}")
        say("")
    for note in plan.notes:
        say(f"{note}.")
    if plan.items:
        say(
            "Other than with cron, a run that is due while the one before it goes on is skipped, and the latest one "
            "missed while the machine was down is caught up. With --overlap allow --catchup none it is as with cron."
        )
    say(plan.sentence)


def _show_item(item: Proposal) -> None:
    place = f"{item.entry.path}, line {item.entry.number}" if item.entry.path else f"line {item.entry.number}"
    say(f"{item.name}  ({place}{', imported already' if item.change == imports.UNCHANGED else ''})", "green")
    say(f"  {item.entry.rule}  →  {item.trigger.to_text()}")
    say(f"  {item.trigger.describe()}")
    say(f"  $ {item.entry.command}")
    zone = item.trigger.tz or "UTC"
    say(f"  next: {', '.join(moment(at, zone) for at in item.instants) or 'never'}")
    for warning in item.warnings:
        say(f"  ! {warning}", "yellow")
    say("")


@click.command("list", cls=Read)
@click.pass_obj
def list_(setup: Setup) -> None:
    """What was imported, newest first, and what of it is still there."""
    with setup.store() as store:
        found = imports.batches(store)
    if setup.json:
        emit_json({"items": [one.to_json() for one in found]})
        return
    rows = [(str(one.id), moment(one.at), one.origin, one.told(setup.now)) for one in found]
    table(("BATCH", "AT", "FROM", "STATE"), rows, "Nothing was imported.")


@click.command(cls=Read)
@click.argument("batch", type=click.IntRange(1), required=False)
@click.pass_obj
def undo(setup: Setup, batch: int | None) -> None:
    """Remove every schedule that came with BATCH, or with the newest one; what they did stays in the ledger."""
    _undo(setup, batch)


def _undo(setup: Setup, batch: int | None) -> None:
    with setup.store() as store:
        done = imports.undo(store, batch, now=setup.now, actor=setup.actor)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)

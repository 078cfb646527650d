"""`watchbell schedule add`: a rule of time, what to run, and the policies, from one line of the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..core.http_request import HttpRequest
from ..core.policies import JobOptions
from ..core.rates import Rate, parse_rate
from ..core.sizes import parse_size
from ..errors import BadInput
from ..services import arguments, lint, schedules
from ..services.schedules import Command, Details
from .http_options import http_options, request_of
from .kinds import pairs, whole
from .output import emit_json, say, warn
from .schedule_options import (
    COMMAND_ONLY,
    command_options,
    job_options,
    label_options,
    policies_of,
    policy_options,
    rule_options,
    trigger_of,
)
from .setup import Read, Setup


@click.command(cls=Read)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARG…]")
@rule_options
@job_options
@command_options
@http_options
@policy_options
@label_options
@click.pass_obj
def add(setup: Setup, /, name: str, command: tuple[str, ...], **given: Any) -> None:
    """Add a schedule of a command, or of a job that an application has declared.

    \b
    watchbell schedule add backup --cron "30 2 * * *" --tz Europe/Berlin -- /usr/local/bin/backup --all
    watchbell schedule add report --every 1h --job send_report --arg to=alice
    """
    now = setup.now
    zone = setup.zone
    trigger = trigger_of(given, now, zone)
    policies = policies_of(given)
    for finding in lint.of_new(trigger, policies, zone, now):
        warn(f"watchbell: {finding} [{finding.code}]")
    tags = tuple(dict.fromkeys(given["tag"]))
    if given["job"] is None:
        request = request_of(given)
        wanted = _command(command, given) if request is None else _request(request, command, given)
        args = {} if request is None else arguments.read_pairs(given["arg"])
        details = Details(policies, tags, given["about"] or "", options=_options(given), zone=zone, args=args)
        with setup.store(create=True) as store:
            view = schedules.add_command_schedule(
                store, name, trigger, wanted, details=details, now=now, actor=setup.actor
            )
    else:
        _refuse_command(command, given)
        details = Details(policies, tags, given["about"] or "", zone=zone)
        with setup.store() as store:
            args = arguments.read_for(store, given["job"], given["arg"])
            view = schedules.add_schedule(
                store, name, given["job"], trigger, args=args, details=details, now=now, actor=setup.actor
            )
    if setup.json:
        emit_json(view.to_json())
        return
    became = f" ({view.trigger})" if given["when_"] is not None else ""
    say(f"{view.name}: {view.rule}{became}; {view.sentence}")


def _options(given: dict[str, Any]) -> JobOptions:
    limits = pairs(given["limit"], "--limit", "database=2")
    found = tuple((key, whole(text, "--limit", "database=2")) for key, text in limits.items())
    own, named = rates_of(given["rate"])
    memory = None if given["memory"] is None else parse_size(given["memory"], "--memory")
    return JobOptions(limits=found, rate=own, rates=named, memory=memory, on=tuple(sorted(set(given["on"]))))


def rates_of(texts: tuple[str, ...]) -> tuple[Rate | None, tuple[tuple[str, Rate], ...]]:
    """The rate of its own and those by key: "10/1m", "api=100/1h". BadInput, BadPolicy."""
    own = [parse_rate(text) for text in texts if "=" not in text]
    if len(own) > 1:
        raise BadInput("--rate without a key says how often this one may start: give it once.")
    named = pairs(tuple(text for text in texts if "=" in text), "--rate", "api=100/1h")
    return (own[0] if own else None), tuple((key, parse_rate(text)) for key, text in named.items())


def _command(command: tuple[str, ...], given: dict[str, Any]) -> Command:
    if given["arg"]:
        raise BadInput("--arg goes with --job NAME or --http URL; a command has its arguments behind --.")
    if not command and given["shell"] is None:
        raise BadInput(
            "There is nothing to run: write the command behind --, or --shell TEXT, or --http URL, or --job NAME."
        )
    codes: tuple[int, ...] = (0,)
    if given["success_codes"] is not None:
        texts = given["success_codes"].split(",")
        codes = tuple(whole(text, "--success-codes", "0,3") for text in texts)
    folder = Path.cwd() if given["cwd"] is None else Path(given["cwd"]).expanduser().absolute()
    return Command(
        argv=command,
        shell=given["shell"],
        cwd=str(folder),
        env=pairs(given["env"], "--env", "NAME=value"),
        inherit_env=given["inherit_env"],
        user=given["user"],
        success_codes=codes,
    )


def _request(request: HttpRequest, command: tuple[str, ...], given: dict[str, Any]) -> HttpRequest:
    if command or given["shell"] is not None:
        raise BadInput("A schedule sends --http URL or runs a command; it is one of them.")
    for name in ("cwd", "env", "inherit_env", "user", "success_codes", "memory", "only_if"):
        if given[name]:
            raise BadInput(f"--{name.replace('_', '-')} goes with a command, not with --http.")
    return request


def _refuse_command(command: tuple[str, ...], given: dict[str, Any]) -> None:
    if command or given["shell"] is not None:
        raise BadInput("A schedule runs either --job NAME or a command, not both.")
    if given["http"] is not None:
        raise BadInput("A schedule runs either --job NAME or sends --http URL, not both.")
    for name in COMMAND_ONLY:
        if given[name]:
            raise BadInput(
                f"--{name.replace('_', '-')} goes with a command; a job says it where it is declared."
            )

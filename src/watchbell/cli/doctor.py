"""`watchbell doctor`: is everything in order here; and which schedulers hide in a code base."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..core.instants import to_text
from ..errors import BadConfiguration, BadInput, WatchbellError
from ..services import doctor as services
from ..services import hidden
from ..services.checkup import Check, Level, Patient
from .output import emit_json, say, table
from .setup import Read, Setup

_MARKS = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.BROKEN: ("✗", "red"),
    Level.LEFT_OUT: ("–", "bright_black"),
}
BROKEN = 1


@click.command(cls=Read)
@click.option("--fix", is_flag=True, help="Offer to mend what can be mended safely.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--quick", is_flag=True, help="Leave out the audit and what takes long.")
@click.option("--code", metavar="PATH", help="Instead: look for other schedulers in the Python code there.")
@click.option(
    "--workers",
    "web",
    type=int,
    metavar="N",
    help="Instead: prove it with N real web workers, one of which is killed.",
)
@click.pass_obj
def doctor(setup: Setup, fix: bool, yes: bool, quick: bool, code: str | None, web: int | None) -> int:
    """Look at everything that has to be in order: configuration, database, lock, clock, zones, engine, schedules, ledger.

    Exits with 1 where something is broken; with --code, where there is another scheduler; with --workers, where a probe
    did not run exactly once. Those probes run beside the database, in a place of their own; nothing of yours runs.
    """
    if web is not None:
        if fix or quick or code is not None:
            raise BadInput("--workers goes with neither --fix, --quick nor --code.")
        return _web(setup, web)
    if yes and not fix:
        raise BadInput("--yes goes with --fix.")
    if code is not None:
        if fix or quick:
            raise BadInput("--code looks at code only, and goes with neither --fix nor --quick.")
        return _code(setup, code)
    try:
        url: str | None = setup.url
    except BadConfiguration:
        url = None  # the check of the configuration says why
    patient = services.patient_of(url, setup.clock, Path.cwd(), os.environ, quick=quick)
    report = services.examine(patient)
    done: dict[str, str] = {}
    if fix:
        done = {check.name: _mend(setup, patient, check, yes) for check in report.checks if check.fix}
        report = services.examine(patient) if done else report
    if setup.json:
        emit_json({**report.to_json(), "fixed": done})
    else:
        _show(report, done)
        if fix and not done and not report.ok:
            say("--fix can mend nothing of it.")
    return 0 if report.ok else BROKEN


def _mend(setup: Setup, patient: Patient, check: Check, yes: bool) -> str:
    assert check.fix is not None
    if not yes:
        if setup.json:
            raise BadInput("--fix asks, which it cannot do with --json: write --yes as well.")
        say(f"{check.name}: {check.sentence}")
        try:
            agreed = click.confirm(services.FIXES[check.fix][0], default=False)
        except click.Abort:  # nobody is there to answer
            say("")
            agreed = False
        if not agreed:
            return "left as it is"
    try:
        return services.mend(patient, check)
    except (WatchbellError, OSError) as error:
        return f"it could not be mended: {error}"


def _show(report: services.Report, done: dict[str, str]) -> None:
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        mark, colour = _MARKS[check.level]
        say(f"{mark} {check.name:<{width}}  {check.sentence}", None if check.level is Level.OK else colour)
        if check.todo and check.level is not Level.OK:
            say(f"  {'':<{width}}  → {check.todo}")
    for name, what in done.items():
        say(f"{name}: {what}")
    say(report.sentence)


def _code(setup: Setup, place: str) -> int:
    found = hidden.look(Path(place))
    if setup.json:
        emit_json(found.to_json())
    else:
        rows = [(f"{one.file}:{one.line}", one.kind, one.text, one.instead) for one in found.items]
        table(("WHERE", "WHAT", "CODE", "INSTEAD"), rows, "No other scheduler was found.")
        for path, why in found.unread:
            say(f"{path} could not be read: {why}", "yellow")
        say(found.sentence)
    return BROKEN if found.items else 0


def _web(setup: Setup, count: int) -> int:
    from ..app.proving import prove

    proof = prove(setup.url, count, setup.clock)
    if setup.json:
        emit_json(proof.to_json())
    else:
        rows = [
            (
                probe.name,
                to_text(probe.due_at),
                ", ".join(f"process {pid}, {late / 1000:.0f} ms late" for pid, late in probe.ran)
                or "did not run",
                "once" if probe.ok else probe.state if len(probe.ran) == 1 else f"{len(probe.ran)} times",
            )
            for probe in proof.probes
        ]
        table(("PROBE", "DUE", "RAN IN", "HOW OFTEN"), rows, "")
        say(proof.sentence, "green" if proof.ok else "red")
    return 0 if proof.ok else BROKEN

"""`watchbell run …`: run something now; list, show and cancel runs; read and follow their logs."""

from __future__ import annotations

import threading
from typing import Any

import click

from ..core.instants import human_duration
from ..core.states import State
from ..errors import BadInput
from ..services import engines, runs
from ..services.database import Store
from ..services.moments import many
from ..services.run_views import RunPage, RunView, SpanView, first_line
from ..services.runs import Ask, Filters, LogLine
from .kinds import LARGEST, SPAN, since
from .lazy import Group
from .output import clean, emit_json, facts, moment, say, table, warn
from .setup import Read, Setup, Verb

RUN_FAILED = 9
FOLLOW_US = 200_000
_SPARE = ("ORIGIN", "DUE")

_HERE = "watchbell.cli.run"
TABLE = {
    "now": (f"{_HERE}:now", "Run a schedule or a job now."),
    "list": (f"{_HERE}:list_", "List what has run, runs, waits, or did not run and why; newest first."),
    "show": (f"{_HERE}:show", "Everything about one run."),
    "logs": (f"{_HERE}:logs", "What a run has logged and printed."),
    "retry": ("watchbell.cli.backfill:retry", "Run once more what has ended."),
    "cancel": (f"{_HERE}:cancel", "Ask a run to end."),
}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def run() -> None:
    """Runs: one for each occurrence that was due, and those asked for by hand."""


@click.command(cls=Read)
@click.argument("name", metavar="JOB_OR_SCHEDULE")
@click.option("--arg", "pairs", multiple=True, metavar="K=V", help="An argument; may be repeated.")
@click.option("--key", help="Once: with the same key and arguments the first run is given back.")
@click.option("--wait", "wait_", is_flag=True, help="Wait until it has ended; exit code 9 if it failed.")
@click.option("--timeout", type=SPAN, metavar="SPAN", help="Wait at most this long; exit code 8 then.")
@click.pass_obj
def now(
    setup: Setup, name: str, pairs: tuple[str, ...], key: str | None, wait_: bool, timeout: int | None
) -> int:
    """Run a schedule or a job now; a schedule's name comes first. It begins where an engine runs."""
    if timeout is not None and not wait_:
        raise BadInput("--timeout goes with --wait.")
    with setup.store() as store:
        made = runs.run_now(store, name, Ask(pairs=pairs, key=key), now=setup.now, actor=setup.actor)
        acting = store.read(lambda tx: engines.look(tx, setup.now))
        if not acting.running:
            warn(f"watchbell: {acting.sentence}; run_{made.run} begins when an engine runs.")
        if not wait_:
            if setup.json:
                emit_json(made.to_json())
            else:
                say(made.sentence)
            return 0
        page = runs.wait(store, made.run, clock=setup.clock, timeout_us=timeout)
    if setup.json:
        emit_json(page.to_json())
    else:
        say(f"{page.run.id} of {name}: {page.run.sentence}.")
    return 0 if page.run.state == State.SUCCEEDED else RUN_FAILED


@click.command("list", cls=Read)
@click.option("--schedule", metavar="NAME", help="Only those of this schedule.")
@click.option("--job", metavar="NAME", help="Only those of this job.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([one.value for one in State]),
    help="Only these; may be repeated.",
)
@click.option(
    "--since", "since_", metavar="TIME", help="Only those due since then, such as 2h or 2026-11-21."
)
@click.option("--spans/--no-spans", default=True, help="Also what is kept as spans.", show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--before", metavar="NEXT", help="Go on (the `next` of the page before).")
@click.pass_obj
def list_(
    setup: Setup, /, limit: int, since_: str | None, spans: bool, before: str | None, **given: Any
) -> None:
    """List the ledger, newest first: what ran, runs, waits, or did not run and why."""
    start = None if since_ is None else since(since_, "--since", setup.now)
    filters = Filters(since=start, spans=spans, cursor=before, **given)
    with setup.store() as store:
        page = runs.list_runs(store, filters, now=setup.now, limit=limit)
    if setup.json:
        emit_json(page.to_json())
        return
    rows = [_row(item) for item in page.items]
    table(
        ("RUN", "WHAT", "ORIGIN", "DUE", "STATE", "HOW"), rows, "Nothing is in the ledger for that.", _SPARE
    )
    if page.next is not None:
        say(f"There are more: --before {page.next}")


def _row(item: RunView | SpanView) -> tuple[str, ...]:
    row = item.entry
    if isinstance(item, SpanView):
        span = item.entry
        until = moment(span.to_at, item.tz)
        return (f"× {span.count:,}", span.schedule_name, "scheduled", until, span.ending, item.sentence)
    run_ = item.entry
    assert row is run_
    return (item.id, item.name, run_.origin, moment(run_.due_at, item.tz), run_.state, item.sentence)


@click.command(cls=Read)
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def show(setup: Setup, run_id: str) -> None:
    """Everything about one run, such as run_12."""
    with setup.store() as store:
        page = runs.show(store, run_id, now=setup.now)
    if setup.json:
        emit_json(page.to_json())
        return
    facts(_facts(page))
    for attempt in page.attempts:
        took = ""
        if attempt.began_at is not None and attempt.ended_at is not None:
            took = f" after {human_duration(attempt.ended_at - attempt.began_at)}"
        last = f": {first_line(attempt.error)}" if attempt.error and attempt.error.strip() else ""
        say(f"Attempt {attempt.number}: {attempt.ending.replace('_', ' ')}{took}{last}")
    if page.details.traceback:
        say("")
        say(page.details.traceback.rstrip())
    if page.details.log_lines:
        say(f"{many(page.details.log_lines, 'log line')}: `watchbell run logs {page.run.id}`")


def _facts(page: RunPage) -> list[tuple[str, str]]:
    row, tz, more = page.run.entry, page.run.tz, page.details
    what = f"schedule {row.schedule_name}, job {row.job_name}" if row.schedule_name else f"job {row.job_name}"
    progress = ""
    if more.progress is not None:
        done, of, message, _ = more.progress
        progress = (
            f"{done:g}" + (f" of {of:g}" if of is not None else "") + (f": {message}" if message else "")
        )
    found = [
        ("Run", f"{page.run.id} of {what} ({row.origin})"),
        ("State", page.run.sentence),
        ("Due", moment(row.due_at, tz)),
        ("Began", moment(row.began_at, tz) if row.began_at is not None else ""),
        ("Ended", moment(row.ended_at, tz) if row.ended_at is not None else ""),
        ("Attempt", str(row.attempt) if row.attempt else ""),
        ("Node", more.node_name or ""),
        ("Progress", progress),
        ("Exit code", "" if row.exit_code is None else str(row.exit_code)),
        ("Result", more.result or ""),
        ("Peak memory", "" if more.peak_memory is None else f"{more.peak_memory / 1048576:,.1f} MiB"),
        ("CPU time", "" if more.cpu_us is None else human_duration(more.cpu_us)),
        ("Arguments", row.args if row.args not in (None, "{}") else ""),
        ("Key", row.key or ""),
        ("Before", row.history or ""),
        ("Once more", "" if row.cause_id is None else f"run_{row.cause_id}"),
    ]
    return [(name, str(value)) for name, value in found if value]


@click.command(cls=Read)
@click.argument("run_id", metavar="RUN")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option("--after", type=click.IntRange(-1, LARGEST), default=-1, help="Only lines behind this number.")
@click.pass_obj
def logs(setup: Setup, run_id: str, follow: bool, after: int) -> None:
    """What a run has logged and printed, oldest first."""
    if follow and setup.json:
        raise BadInput(
            "--json gives one object and --follow has no end; use one of them, with --after for the rest."
        )
    with setup.store() as store:
        if setup.json:
            emit_json(runs.logs(store, run_id, after=after).to_json())
        else:
            _print_log(setup, store, run_id, follow, after)


def _print_log(setup: Setup, store: Store, run_id: str, follow: bool, after: int) -> None:
    never = threading.Event()
    shown = False
    while True:
        page = runs.logs(store, run_id, after=after)
        for line in page.items:
            click.echo(_line(line))
        shown = shown or bool(page.items)
        if page.ended or (not follow and page.after == after):
            break
        if page.after == after:
            setup.clock.wait(never, FOLLOW_US)
        after = page.after
    if not shown:
        warn(f"watchbell: run_{page.run} has logged nothing{'' if page.ended else ' so far'}.")


def _line(line: LogLine) -> str:
    level = f" {line.level}" if line.stream == "log" else ""
    return f"{moment(line.at)} {line.stream}{level} | {clean(line.text)}"


@click.command(cls=Verb)
@click.argument("run_id", metavar="RUN")
@click.option("--why", default="", help="For whoever looks at it later.")
@click.pass_obj
def cancel(setup: Setup, run_id: str, why: str) -> None:
    """Ask a run to end: at once if it has not begun, else its node ends the work."""
    with setup.store() as store:
        say(runs.cancel(store, run_id, now=setup.now, actor=setup.actor, why=why))

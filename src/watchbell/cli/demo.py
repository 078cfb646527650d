"""`watchbell demo`: the real service on this machine, with schedules that do real work, and what becomes of them.

The application that it runs is in watchbell/demo; here it is started, looked at, killed if asked to, and audited.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ..core.instants import SECOND, human_duration
from ..core.triggers import every
from ..demo.place import Place
from ..demo.shop import Shop
from ..demo.site import Site
from ..errors import BadInput, Conflict, StoreError
from ..services.audit import AuditReport
from ..services.database import Store, open_database
from ..services.schedules import Command, Details, add_command_schedule, list_schedules
from .account import FIGURES, NOT_ZERO
from .demo_ledger import Ledger
from .demo_service import Service, acting
from .demo_show import Lines, LiveTable, Show, counted, time_of_day
from .kinds import SPAN
from .output import say
from .setup import Setup

FOR_US = 60 * SECOND
FIRST_US = 15 * SECOND
"""What is shown before an outage, and at least behind it."""
LEAST_AROUND_US = 10 * SECOND
LONGEST_CATCH_UP_US = 20 * SECOND
LOOK_US = 250_000


@click.command()
@click.option("--for", "for_us", type=SPAN, metavar="SPAN",
              help="End after this; else with Ctrl-C on a terminal, and after 60s elsewhere.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Forget what earlier demos have left in the folder.")
@click.option("--outage", "outage_us", type=SPAN, metavar="SPAN",
              help="Kill the service half-way, start it again after this, and tell what was missed.")  # fmt: skip
@click.option("--state", type=click.Path(path_type=Path), default=Path("watchbell-demo"), show_default=True,
              metavar="FOLDER", help="Where everything is kept.")  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port of its web site; else a free one."
)
@click.pass_obj
def demo(
    setup: Setup, /, for_us: int | None, fresh: bool, outage_us: int | None, state: Path, port: int
) -> int:
    """Watch the real service do real work on this machine.

    It keeps its state in a folder and goes on from there the next time. It ends with the audit of everything that fell
    due, and with exit code 1 if the audit finds anything.
    """
    terminal = sys.stdout.isatty()
    spell = _spell(for_us, outage_us, terminal)
    place = Place(state.expanduser().absolute())
    with _asked_to_end() as ending, place.held():
        _refuse_left_over(place, setup.now, fresh)
        place.furnish(fresh)
        orders = Shop(place.shop).prepare()
        with Site(port) as site:
            service = Service(place, site.url, setup.clock)
            try:
                service.start()
                store = open_database(str(place.database), setup.now)
                try:
                    _add_command(store, place, setup)
                    _introduce(place, site, service, orders)
                    show: Show = LiveTable() if terminal else Lines()
                    return _Play(setup, service, Ledger(store, setup.clock), show, ending).play(spell)
                finally:
                    store.close()
            finally:
                service.drain(ending.hurry)


@dataclass(frozen=True, slots=True)
class _Spell:
    """How long it goes on (None: until it is asked to end), when the outage begins and how long it lasts."""

    whole_us: int | None
    outage_at_us: int | None = None
    outage_us: int = 0


def _spell(for_us: int | None, outage_us: int | None, terminal: bool) -> _Spell:
    if for_us is not None and for_us < SECOND:
        raise BadInput("--for must be at least 1s.")
    if outage_us is None:
        return _Spell(for_us if for_us is not None or terminal else FOR_US)
    if outage_us < SECOND:
        raise BadInput("--outage must be at least 1s.")
    if for_us is None:
        return _Spell(None if terminal else max(FOR_US, outage_us + 2 * FIRST_US), FIRST_US, outage_us)
    if for_us < outage_us + LEAST_AROUND_US:
        least = human_duration(outage_us + LEAST_AROUND_US)
        raise BadInput(f"--for is too short for that --outage: give it at least {least}.")
    return _Spell(for_us, (for_us - outage_us) // 2, outage_us)


@dataclass(frozen=True, slots=True)
class _Ending:
    """`asked` once somebody wants the demo to end, `hurry` once they want it a second time."""

    asked: threading.Event
    hurry: threading.Event


@contextmanager
def _asked_to_end() -> Iterator[_Ending]:
    """Ctrl-C, SIGTERM and a terminal that goes away ask the demo to end, instead of ending it."""
    ending = _Ending(threading.Event(), threading.Event())

    def asked(number: int, frame: FrameType | None) -> None:
        (ending.hurry if ending.asked.is_set() else ending.asked).set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[signal.Signals, Any] = {number: signal.signal(number, asked) for number in numbers}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Play:
    """The demo from its first look to its audit."""

    def __init__(self, setup: Setup, service: Service, ledger: Ledger, show: Show, ending: _Ending) -> None:
        self._clock = setup.clock
        self._service = service
        self._ledger = ledger
        self._show = show
        self._ending = ending
        self._began = self._clock.mono_ns()

    @property
    def _passed_us(self) -> int:
        return (self._clock.mono_ns() - self._began) // 1000

    def play(self, spell: _Spell) -> int:
        """Carry it through; the exit code."""
        try:
            if spell.outage_at_us is not None:
                self._go_on(spell.outage_at_us)
                if not self._ending.asked.is_set():
                    self._outage(spell.outage_us)
            self._go_on(spell.whole_us)
            self._show.tell("\nThe service is asked to end; what runs may finish (Ctrl-C again: at once).")
            self._service.drain(self._ending.hurry)
            self._look(over=True)
        finally:
            self._show.close()
        return _judge(self._ledger.audit())

    def _look(self, over: bool = False) -> None:
        self._show.look(self._ledger.ended(), self._ledger, self._passed_us, over)

    def _go_on(self, until_us: int | None) -> None:
        """Look until that much has passed since the beginning, or somebody asks to end."""
        while not self._ending.asked.is_set() and (until_us is None or self._passed_us < until_us):
            if self._service.pid:
                self._service.check()
            self._look()
            left = LOOK_US if until_us is None else until_us - self._passed_us
            self._clock.wait(self._ending.asked, min(LOOK_US, max(1, left)))

    def _outage(self, span_us: int) -> None:
        """Kill the service, wait, start it again, and tell what became of what fell due meanwhile."""
        tell, killed_at = self._show.tell, self._ledger.now
        pid = self._service.kill()
        tell(f"\n{time_of_day(killed_at)}  The service (process {pid}) was killed with SIGKILL. Nobody runs anything for "
             f"{human_duration(span_us)}.\n")  # fmt: skip
        self._go_on(self._passed_us + span_us)
        self._service.start()
        back_at = self._ledger.now
        tell(f"\n{time_of_day(back_at)}  The service is back (process {self._service.pid}) and catches up.\n")
        until = self._passed_us + LONGEST_CATCH_UP_US
        while (
            not self._ledger.caught_up(back_at)
            and self._passed_us < until
            and not self._ending.asked.is_set()
        ):
            self._go_on(self._passed_us + LOOK_US)
        self._look()
        told = ["", "What fell due or was running while nobody was there, and why it went as it did:"]
        for fate in self._ledger.fates(killed_at, back_at):
            told += [f"  {fate.name:<15} {counted(fate.counts)}", f"{'':<17} {fate.sentence}"]
        tell("\n".join([*told, ""]))


def _refuse_left_over(place: Place, now: int, fresh: bool) -> None:
    """A demo that was killed may have left its service behind."""
    try:
        found = acting(place.database, now)
    except StoreError:
        if not fresh:
            raise
        return  # what cannot be read, and is to be forgotten, may be so
    if found is not None and found.running and found.engine is not None:
        raise Conflict(
            f"A service (process {found.engine.pid}) is still running on {place.database}; an earlier demo was killed "
            f"and has left it behind. End it with `kill {found.engine.pid}`, or name another folder with --state."
        )


def _add_command(store: Store, place: Place, setup: Setup) -> None:
    """A schedule as `watchbell schedule add` makes it: no code, a command."""
    if any(one.name == "disk-usage" for one in list_schedules(store, now=setup.now).items):
        return
    add_command_schedule(
        store,
        "disk-usage",
        every("6s"),
        Command(argv=("du", "-sh", "."), cwd=str(place.folder)),
        details=Details(about="How much room the demo's folder takes."),
        now=setup.now,
        actor=setup.actor,
    )


def _introduce(place: Place, site: Site, service: Service, orders: int) -> None:
    program = _program()
    base = f"{program} --database {_shown(place.database)}"
    say("A shop and its schedules: the real service, on SQLite, doing real work. Times are UTC.")
    say("")
    say(f"  ledger    {_shown(place.database)}")
    say(f"  shop      {_shown(place.shop)}, {orders:,} orders")
    say(f"  web site  {site.url}/health, which fails now and then, on purpose")
    say(f"  service   process {service.pid}, its log in {_shown(place.log)}")
    say("")
    say("In another terminal, try:")
    say("")
    for words in (
        "status",
        "schedule list",
        "run list",
        "explain stocktaking",
        "run now backup --wait",
        "audit",
    ):
        say(f"  {base} {words}")
    say("")


def _program() -> str:
    """How this program is called from where the user stands."""
    script = Path(sys.argv[0])
    if script.name == "watchbell":
        return _shown(script.absolute())
    return f"{shlex.quote(sys.executable)} -m watchbell"


def _shown(path: Path) -> str:
    """A path as it can be pasted into the user's shell, short where it lies below the folder they are in."""
    try:
        here = Path(os.environ.get("PWD") or os.getcwd())
        path = path.relative_to(here)
    except (OSError, ValueError):
        pass
    return shlex.quote(str(path))


def _judge(report: AuditReport) -> int:
    """The audit in one line; what it found, if anything, in further ones."""
    for finding in report.findings:
        say(f"  {finding.kind}: {finding.sentence}", "red")
    for item in report.unknown:
        say(f"  unknown: {item.schedule}: {item.why}", "red")
    figures = ", ".join(f"{name}: {getattr(report, name):,}" for name in FIGURES)
    if report.unknown:
        figures += f", unknown: {len(report.unknown):,}"
    say(f"Audit of {report.occurrences:,} occurrences of {report.schedules:,} schedules: {figures}.")
    return 0 if report.ok else NOT_ZERO

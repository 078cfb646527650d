"""How the demo looks: a live table on a terminal, lines in a pipe."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ..core.instants import MINUTE, SECOND, human_duration
from ..services.schedule_views import ScheduleView
from .demo_ledger import Ended, Ledger, short
from .output import clean, moment, say

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SUMMARY_EVERY_US = 5 * SECOND
LONGEST_LINE = 118
LAST_SHOWN = 6
_COLUMNS = (
    ("schedule", 14),
    ("when", 16),
    ("last", 8),
    ("next", 16),
    ("state", 13),
    ("since the demo began", 0),
)
_ORDER = (
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "lost",
    "missed",
    "skipped",
    "coalesced",
    "superseded",
)


class Show(Protocol):
    """One way to look at the demo."""

    def look(self, ended: list[Ended], ledger: Ledger, passed_us: int, over: bool = False) -> None:
        """Show what has ended, and how things stand; `over` once the service has been asked to end, and has."""

    def tell(self, text: str) -> None:
        """Say something beside it."""

    def close(self) -> None:
        """Show no more."""


class Lines:
    """One line for each occurrence that has ended, and a summary every five seconds."""

    def __init__(self) -> None:
        self._next = SUMMARY_EVERY_US

    def look(self, ended: list[Ended], ledger: Ledger, passed_us: int, over: bool = False) -> None:
        """Print what has ended, and the summary when it is time."""
        for one in ended:
            say(line(one))
        if passed_us >= self._next or over:
            self._next = passed_us - passed_us % SUMMARY_EVERY_US + SUMMARY_EVERY_US
            say(f"--- {summary(ledger, passed_us)}")

    def tell(self, text: str) -> None:
        """Print it."""
        say(text)

    def close(self) -> None:
        """Nothing is left to be done."""


class LiveTable:
    """A table of the schedules that is drawn anew in its place, with what has ended last below it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._last: deque[Ended] = deque(maxlen=LAST_SHOWN)
        self._live = Live(console=Console(highlight=False), auto_refresh=False)
        self._live.start()

    def look(self, ended: list[Ended], ledger: Ledger, passed_us: int, over: bool = False) -> None:
        """Draw it anew."""
        from rich.console import Group
        from rich.text import Text

        self._last.extend(ended)
        parts: list[RenderableType] = [_table(ledger, over)]
        if not over:
            parts += [*(Text(clean(line(one)), style="dim") for one in self._last), Text("")]
        parts.append(Text(summary(ledger, passed_us)))
        self._live.update(Group(*parts), refresh=True)

    def tell(self, text: str) -> None:
        """Print it above the table."""
        from rich.text import Text

        self._live.console.print(Text(clean(text)))

    def close(self) -> None:
        """Leave the last one where it is."""
        self._live.stop()


def line(one: Ended) -> str:
    """What has ended, in one line."""
    text = f"{time_of_day(one.at)}  {one.name:<15} {one.id:<8} {one.sentence}"
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 1]}…"


def time_of_day(at: int) -> str:
    """An instant as its time of day, UTC."""
    return moment(at)[11:19]


def counted(counts: Mapping[str, int]) -> str:
    """ "3 succeeded, 1 failed", in a fixed order."""
    return ", ".join(f"{counts[state]:,} {state.replace('_', ' ')}" for state in _ORDER if counts.get(state))


def summary(ledger: Ledger, passed_us: int) -> str:
    """What has ended since the demo began, what goes on, what comes next."""
    view = ledger.status()
    total: Counter[str] = Counter()
    for one in ledger.counts.values():
        total += one
    parts = [f"{human_duration(passed_us // SECOND * SECOND)}: {counted(total) or 'nothing has ended yet'}"]
    if not view.running:
        parts.append("no engine is running")
        return "; ".join(parts)
    if going := view.live.get("claimed", 0) + view.live.get("running", 0):
        parts.append(f"{going} running")
    if view.next_due is not None:
        parts.append(f"next is {view.next_due.schedule} in {_ahead(view.next_due.at - view.at)}")
    return "; ".join(parts)


def _ahead(span_us: int) -> str:
    """How long until something, in tenths of a second."""
    return f"{max(0, span_us) / SECOND:.1f} s" if span_us < MINUTE else short(span_us)


def _table(ledger: Ledger, over: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, width in _COLUMNS:
        made.add_column(heading, min_width=width, no_wrap=width > 0)
    running, now = ledger.running(), ledger.now
    for one in ledger.schedules():
        state = _state(one, running.get(one.name))
        cells = (
            one.name,
            one.rule.partition(",")[0],
            _last(one),
            "-" if over else _next(one, now),
            state,
            counted(ledger.counts.get(one.name, {})),
        )
        made.add_row(*(Text(clean(cell), style=_STYLES.get(cell.partition(",")[0], "")) for cell in cells))
    return made


def _last(one: ScheduleView) -> str:
    return "-" if one.last is None else time_of_day(one.last.due_at)


def _next(one: ScheduleView, now: int) -> str:
    if one.overdue_us is not None:
        return f"overdue by {_ahead(one.overdue_us)}"
    return "-" if one.next_due_at is None else f"in {_ahead(one.next_due_at - now)}"


def _state(one: ScheduleView, running: str | None) -> str:
    if running is not None:
        return running
    if one.standing != "on":
        return one.standing.replace("_", " ")
    return "waits" if one.last is None else one.last.state.replace("_", " ")


_STYLES = {
    "succeeded": "green", "running": "cyan", "retrying": "yellow", "failed": "red", "timed out": "red", "lost": "red",
    "missed": "yellow", "skipped": "yellow", "coalesced": "yellow",
}  # fmt: skip

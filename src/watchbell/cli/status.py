"""`watchbell status`: one look at the whole house. Exit code 3 where no engine is running."""

from __future__ import annotations

import click

from ..core.instants import DAY, SECOND, human_age, human_ago, human_duration
from ..services import database
from ..services.moments import many
from ..services.status import StatusView
from ..services.status import status as look
from .nodes import is_skewed, show
from .output import emit_json, facts, moment, say
from .setup import Read, Setup

NOT_RUNNING = 3


@click.command(cls=Read)
@click.pass_obj
def status(setup: Setup) -> int:
    """Is an engine running, what is due next, what is overdue and why.

    Exits with 3 where no engine is running.
    """
    url = setup.url
    place = database.shown(url)
    if place != database.IN_MEMORY and not database.exists(url):
        return _no_database(setup, place)
    with setup.store() as store:
        view = look(store, now=setup.now)
    if setup.json:
        emit_json(view.to_json())
    else:
        _show(view)
    return 0 if view.running else NOT_RUNNING


def _no_database(setup: Setup, place: str) -> int:
    sentence = "there is no database yet; `watchbell serve` or `watchbell schedule add` creates it"
    if setup.json:
        emit_json({"database": place, "running": False, "thread_alive": False, "sentence": sentence})
    else:
        facts([("Database", place), ("Engine", f"not running: {sentence}")])
    return NOT_RUNNING


def _show(view: StatusView) -> None:
    facts(
        [
            ("Database", view.database),
            ("Engine", view.engine.sentence),
            ("Schedules", _schedules(view)),
            ("Next due", _next(view)),
            ("Runs", _runs(view)),
            (f"Last {_span(view.at - view.ended_since)}", _ended(view)),
            ("Alerts", _alerts(view)),
            *([("Retention", _retention(view))] if view.retention is not None else []),
        ],
        {"Engine": "green" if view.running else "red"},
    )
    if len(view.engine.nodes) > 1 or any(is_skewed(node) for node in view.engine.nodes):
        say("")
        show(view.engine.nodes, view.at)
    if not view.clock.trusted:
        say("")
        say(f"The clock is {view.clock.sentence}", "red")
    if view.overdue:
        say("")
        for sentence in _overdue(view):
            say(sentence, "red")
        if (more := view.overdue_count - len(view.overdue)) > 0:
            say(f"… and {more:,} more")
    if view.aside:
        say("")
        for one in view.aside:
            say(one.sentence, "red")
        if (more := view.set_aside - len(view.aside)) > 0:
            say(f"… and {more:,} more: `watchbell schedule list --standing set_aside`")
    if view.enabled and not view.scheduled:
        say("")
        which = (
            f"None of the {view.enabled:,} enabled schedules"
            if view.enabled > 1
            else "The one enabled schedule"
        )
        say(f"{which} has {'an' if view.enabled > 1 else 'no'} instant to come.")


def _span(us: int) -> str:
    return "24 h" if us == DAY else human_duration(us // SECOND * SECOND)


def _overdue(view: StatusView) -> list[str]:
    """A sentence for each that is overdue; one for all where nobody runs, as that is the reason of each."""
    if view.running or len(view.overdue) < 3:
        return [item.sentence for item in view.overdue]
    names = ", ".join(item.name for item in view.overdue)
    longest = human_age(view.at - min(item.due_at for item in view.overdue))
    return [f"Overdue, by up to {longest}, as {view.engine.sentence}:", f"  {names}"]


def _schedules(view: StatusView) -> str:
    parts = [f"{view.enabled:,} enabled", f"{view.scheduled:,} scheduled"]
    for count, word in (
        (view.paused, "paused"),
        (view.disabled, "disabled"),
        (view.set_aside, "set aside"),
        (view.undeclared, "no longer declared"),
    ):
        if count:
            parts.append(f"{count:,} {word}")
    return f"{view.total:,}: {', '.join(parts)}" if view.total else "none; `watchbell schedule add` makes one"


def _next(view: StatusView) -> str:
    found = view.next_due
    if found is None:
        first = next((item for item in view.overdue if item.run is None), None)
        if first is None or view.running:
            return "nothing beside what is overdue" if view.overdue_count else "nothing"
        return f"{first.name}: due since {human_age(view.at - first.due_at)}; no engine runs"
    return f"{found.schedule} in {human_age(found.at - view.at)}, {moment(found.at, found.tz)}"


def _runs(view: StatusView) -> str:
    words = [f"{count:,} {state}" for state, count in view.live.items() if count]
    return ", ".join(words) or "none live"


def _ended(view: StatusView) -> str:
    if not view.ended:
        return "nothing has ended"
    words = [f"{count:,} {state.replace('_', ' ')}" for state, count in sorted(view.ended.items())]
    return f"{', '.join(words)}; success rate {view.success_rate}"


def _retention(view: StatusView) -> str:
    found = view.retention
    return "" if found is None else f"{found.sentence}, {human_ago(view.at - found.at)}"


def _alerts(view: StatusView) -> str:
    if not view.alerts["rules"]:
        return "nobody is told of anything; `watchbell alert add` changes that"
    parts = [f"{view.alerts['firing']:,} firing", f"{view.unread_alerts:,} unread"]
    return f"{', '.join(parts)} ({many(view.alerts['rules'], 'rule')})"

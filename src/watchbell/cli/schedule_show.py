"""`watchbell schedule list` and `show`: when each is due next, or why it is not."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from ..core.blackout import blackout_from_json
from ..core.instants import human_duration, parse_instant
from ..core.sizes import size_text
from ..services import schedule_views
from ..services.moments import ago
from ..services.run_views import because
from ..services.schedule_views import Last, ScheduleView, Sought
from .output import emit_json, facts, moment, say, table
from .setup import Read, Setup

_SPARE = ("RULE", "LAST", "STANDING", "NEXT DUE")


@click.command("list", cls=Read)
@click.option("--tag", help="Only those with this tag.")
@click.option("--job", help="Only those of this job.")
@click.option("--standing", type=click.Choice(["on", "paused", "disabled", "set_aside"]), help="Only these.")
@click.option("--name", "text", metavar="TEXT", help="Only those whose name holds this text.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--after", metavar="NAME", help="Go on behind this name (the `next` of the page before).")
@click.pass_obj
def list_(setup: Setup, /, limit: int, **sought: str | None) -> None:
    """List schedules by name: when each is due next, or why it is not."""
    with setup.store() as store:
        page = schedule_views.list_schedules(store, Sought(**sought), now=setup.now, limit=limit)
    if setup.json:
        emit_json(page.to_json())
        return
    rows = [(item.name, _rule(item.rule), item.standing, moment(item.next_due_at, item.tz), _last(item.last), item.sentence)
            for item in page.items]  # fmt: skip
    narrowed = any(value is not None for value in sought.values())
    empty = (
        "No schedule is like that."
        if narrowed
        else "There is no schedule; `watchbell schedule add` makes one."
    )
    table(("NAME", "RULE", "STANDING", "NEXT DUE", "LAST", "STATE"), rows, empty, _SPARE)
    if page.next is not None:
        say(f"There are more: --after {json.dumps(page.next)}")


def _rule(rule: str) -> str:
    """The rule as a list shows it: to the second, and without what an interval is counted from."""
    return re.sub(r"(:\d\d)\.\d+", r"\1", re.sub(r", counted from [^,]+", "", rule))


def _last(last: Last | None) -> str:
    if last is None:
        return "never ran"
    how = "at its start" if last.at_start else "by hand"
    return f"{last.state} ({how})" if last.by_hand else last.state


@click.command(cls=Read)
@click.argument("name")
@click.pass_obj
def show(setup: Setup, name: str) -> None:
    """Everything about one schedule."""
    with setup.store() as store:
        now = setup.now
        view = schedule_views.show(store, name, now=now)
    if setup.json:
        emit_json(view.to_json())
        return
    rows = [
        ("Schedule", view.name),
        ("State", view.sentence),
        ("Next due", moment(view.next_due_at, view.tz)),
        *(
            [("Starts", moment(view.next_start_at, view.tz))]
            if view.next_start_at != view.next_due_at
            else []
        ),
        ("Last", _last_told(view, now)),
        ("Rule", f"{view.rule}\n{view.trigger}"),
        ("Job", f"{view.job} ({view.lane})"),
        *_more(view),
        ("Created", f"{moment(view.created_at, view.tz)}, version {view.version}"),
    ]
    facts(rows)


def _last_told(view: ScheduleView, now: int) -> str:
    last = view.last
    if last is None:
        return f"never: it was created {moment(view.created_at, view.tz)} and has not come due since"
    why = f": {because(last.reason)}" if last.reason else ""
    if last.by_hand:
        how = "run at its start" if last.at_start else "run by hand"
        asked = f"{how} {ago(last.due_at, now)}: {last.state.replace('_', ' ')}{why} (run_{last.run})"
        return asked if view.trigger == "manual" else f"never came due by itself; {asked}"
    return f"run_{last.run}, due {moment(last.due_at, view.tz)}, {last.state}{why}"


def _more(view: ScheduleView) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if view.command is not None:
        request = "url" in view.command
        found += [("Request" if request else "Command", _command(view.command))]
        if request:
            found.append(("Expects", _expected(view.command)))
        found += [
            (name.capitalize(), str(value)) for name, value in view.command.items() if name in ("cwd", "user")
        ]
        if "env" in view.command:
            found += [("Environment", ", ".join(view.command["env"]))]
    if view.args:
        found.append(("Arguments", json.dumps(view.args, ensure_ascii=False)))
    if view.policies:
        found.append(("Policies", "\n".join(_policy(*pair) for pair in view.policies.items())))
    if view.options:
        found.append(("Of its job", "\n".join(_option(*pair) for pair in view.options.items())))
    if view.pending is not None:
        found.append(("Will change", _pending(view.pending, view.tz)))
    for name, value in (("Tags", ", ".join(view.tags)), ("About", view.about), ("App", view.app or ""),
                        ("Source", view.source or "")):  # fmt: skip
        if value:
            found.append((name, value))
    if view.undeclared_at is not None:
        found.append(
            ("Undeclared", f"no longer declared since {moment(view.undeclared_at)}; it keeps running")
        )
    return found


def _pending(edit: dict[str, Any], tz: str) -> str:
    """The edit that waits for its instant."""
    said = [f"from {moment(parse_instant(edit['apply_from']), tz)}, as {edit['actor']} asked", edit["rule"]]
    said += [_policy(*pair) for pair in edit["policies"].items()]
    return "\n".join([*said, *([json.dumps(edit["args"], ensure_ascii=False)] if edit["args"] else [])])


def _command(command: dict[str, Any]) -> str:
    import shlex

    if "url" in command:
        return f"{command.get('method', 'GET')} {command['url']}"
    return str(command["shell"]) if "shell" in command else shlex.join(command.get("argv", ()))


def _expected(command: dict[str, Any]) -> str:
    """What the answer of a request has to be."""
    said = [f"status {command.get('expect_status', '200-299')}"]
    if "expect_body" in command:
        said.append(f"it holds {command['expect_body']!r}")
    said += [f"{path} is {json.dumps(value)}" for path, value in command.get("expect_json", {}).items()]
    return "\n".join(said)


def _option(name: str, value: Any) -> str:
    if name == "memory":
        return f"memory: {size_text(value)}"
    if name in ("limits", "rates"):
        return "\n".join(f"{name.removesuffix('s')} of {key}: {most}" for key, most in value)
    return _policy(name, value)


def _policy(name: str, value: Any) -> str:
    if name == "retry" and isinstance(value, dict):
        said = f"retry: at most {value['max_attempts']} attempts, first wait up to {human_duration(value['delay_us'])}"
        return said + "".join(
            f", only on {', '.join(map(str, value[key]))}" for key in ("on", "exit_codes") if value[key]
        )
    if name == "blackouts":
        return "\n".join(f"blackout: {blackout_from_json(one).describe()}" for one in value)
    if name.endswith("_us") and isinstance(value, int):
        return f"{name.removesuffix('_us').replace('_', ' ')}: {human_duration(value)}"
    return f"{name.replace('_', ' ')}: {value}"

"""`watchbell alert …`: whom to tell about what, and what was told."""

from __future__ import annotations

import os
from typing import Any

import click

from ..core.alert import BAD, EVENTS
from ..core.channel_options import SECURITY
from ..errors import BadInput
from ..services import alerts, engines
from ..services.alerts import AlertView, NewRule, RuleView
from .kinds import NUMBER
from .lazy import Group
from .output import emit_json, moment, say, table, warn
from .setup import Read, Setup, Verb

_HERE = "watchbell.cli.alert"
TABLE = {
    "add": (f"{_HERE}:add", "Tell somebody by e-mail or webhook when something goes wrong."),
    "list": (f"{_HERE}:list_", "List the rules in force."),
    "rm": (f"{_HERE}:rm", "Remove a rule."),
    "test": (f"{_HERE}:test", "Send a test alert the way a rule would."),
    "log": (f"{_HERE}:log", "What was told, to whom, and whether it arrived."),
}


@click.command(cls=Group, table=TABLE, no_args_is_help=True)
def alert() -> None:
    """Alerts: whom to tell about what, and what was told."""


@click.command(cls=Read)
@click.option("--on", "events", multiple=True, type=click.Choice(EVENTS),
              help=f"What to tell of; may be repeated; else {', '.join(BAD)}, clock and recovered.")  # fmt: skip
@click.option("--schedule", metavar="NAME", help="Only about this schedule.")
@click.option("--tag", help="Only about schedules with this tag.")
@click.option("--streak", type=click.IntRange(1, 1000), default=1, show_default=True,
              help="Tell after so many bad endings in a row.")  # fmt: skip
@click.option("--email", "to", multiple=True, metavar="ADDRESS", help="Tell by e-mail; may be repeated.")
@click.option("--smtp", metavar="HOST[:PORT]", help="The mail server.")
@click.option("--smtp-security", type=click.Choice([*SECURITY]), help="How to talk to it; else starttls.")
@click.option("--smtp-user", help="The account at the mail server.")
@click.option("--smtp-password-env", metavar="VARIABLE", help="The variable that holds its password.")
@click.option("--from", "sender", metavar="ADDRESS", help="The sender; else the first receiver.")
@click.option("--webhook", "url", metavar="URL", help="Tell by a signed POST to this address.")
@click.option("--secret-env", metavar="VARIABLE", help="The variable that holds the webhook's secret.")
@click.option("--ca-file", metavar="FILE", help="The authorities to trust instead of the system's.")
@click.pass_obj
def add(setup: Setup, /, **given: Any) -> None:
    """Tell somebody when something goes wrong.

    Secrets are read from environment variables, where no list of processes shows them, and are never printed.

    \b
    watchbell alert add --email alice@example.org --smtp mail.example.org:587
    SECRET=… watchbell alert add --tag backup --webhook https://example.org/hook --secret-env SECRET
    """
    kind, options = _channel(given)
    if given["schedule"] is not None and given["tag"] is not None:
        raise BadInput("A rule is about one --schedule, or one --tag, or everything: leave one of them out.")
    scope, target = "workspace", ""
    for name in ("schedule", "tag"):
        if given[name] is not None:
            scope, target = name, given[name]
    rule = NewRule(
        kind, options, scope, target, given["events"] or (*BAD, "clock", "recovered"), given["streak"]
    )
    with setup.store(create=True) as store:
        made = alerts.add(store, rule, now=setup.now, actor=setup.actor)
    if setup.json:
        emit_json(made.to_json())
        return
    say(f"Alert rule {made.id}: {', '.join(made.events)} of {made.about} to {made.whom}.")
    say(f"`watchbell alert test {made.id}` tries the way.")


def _channel(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of channel and its options; only those that belong together."""
    email = {
        "--smtp": given["smtp"],
        "--smtp-security": given["smtp_security"],
        "--smtp-user": given["smtp_user"],
        "--smtp-password-env": given["smtp_password_env"],
        "--from": given["sender"],
    }
    if bool(given["to"]) == (given["url"] is not None):
        raise BadInput("An alert goes one way: write --email ADDRESS with --smtp HOST, or --webhook URL.")
    if given["url"] is not None:
        if strange := [name for name, value in email.items() if value is not None]:
            raise BadInput(f"{strange[0]} goes with --email, not with --webhook.")
        if given["secret_env"] is None:
            raise BadInput("A webhook is signed: put a secret of at least 16 characters into a variable and name it "
                           "with --secret-env.")  # fmt: skip
        secret = _variable("--secret-env", given["secret_env"])
        return "webhook", _given({"url": given["url"], "secret": secret, "ca_file": given["ca_file"]})
    if given["secret_env"] is not None:
        raise BadInput("--secret-env goes with --webhook, not with --email.")
    if given["smtp"] is None:
        raise BadInput("An e-mail needs a mail server; write --smtp mail.example.org:587.")
    host, port = _host(given["smtp"])
    return "email", _given(
        {
            "to": list(given["to"]),
            "host": host,
            "port": port,
            "security": given["smtp_security"],
            "user": given["smtp_user"],
            "password": _variable("--smtp-password-env", given["smtp_password_env"]),
            "sender": given["sender"],
            "ca_file": given["ca_file"],
        }
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _host(text: str) -> tuple[str, str | None]:
    host, sign, port = text.rpartition(":")
    if not sign or "]" in port or (":" in host.strip("[]") and not host.startswith("[")):
        return text.strip("[]"), None
    return host.strip("[]"), port


def _variable(option: str, name: str | None) -> str | None:
    if name is None:
        return None
    value = os.environ.get(name, "")
    if not value:
        raise BadInput(f"{option} names the environment variable {name!r}, which is not set or is empty.")
    return value


@click.command("list", cls=Read)
@click.pass_obj
def list_(setup: Setup) -> None:
    """List the rules in force."""
    with setup.store() as store:
        found = alerts.list_rules(store)
    if setup.json:
        emit_json(found.to_json())
        return
    rows = [_rule(item) for item in found.items]
    empty = "There is no rule, so nobody is told of anything; `watchbell alert add` makes one."
    table(("RULE", "ABOUT", "EVENTS", "STREAK", "FIRING", "CHANNEL", "TO"), rows, empty)


def _rule(item: RuleView) -> tuple[str, ...]:
    return (
        str(item.id), item.about, ", ".join(item.events), str(item.streak), str(item.firing), item.kind, item.whom
    )  # fmt: skip


@click.command(cls=Verb)
@click.argument("rule", type=NUMBER)
@click.pass_obj
def rm(setup: Setup, rule: int) -> None:
    """Remove a rule; what it has told stays in the log."""
    with setup.store() as store:
        say(alerts.remove(store, rule, now=setup.now, actor=setup.actor))


@click.command(cls=Read)
@click.argument("rule", type=NUMBER)
@click.pass_obj
def test(setup: Setup, rule: int) -> None:
    """Send a test alert the way a rule would. The engine delivers it; `alert log` says how that went."""
    with setup.store() as store:
        made = alerts.test(store, rule, now=setup.now, actor=setup.actor)
        acting = store.read(lambda tx: engines.look(tx, setup.now))
    if setup.json:
        emit_json(made.to_json())
    else:
        say(f"Alert {made.id} waits for delivery; `watchbell alert log` says how it went.")
    if not acting.running:
        warn(f"watchbell: {acting.sentence}; it is delivered when an engine runs.")


@click.command(cls=Read)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--before", type=NUMBER, metavar="ALERT", help="Go on below this number.")
@click.pass_obj
def log(setup: Setup, limit: int, before: int | None) -> None:
    """What was told, to whom, and whether it arrived; newest first."""
    with setup.store() as store:
        page = alerts.log(store, before=before, limit=limit)
    if setup.json:
        emit_json(page.to_json())
        return
    rows = [_alert(item) for item in page.items]
    table(
        ("ALERT", "RAISED", "EVENT", "STATE", "TRIES", "TEXT"),
        rows,
        "Nobody has been told of anything.",
        ("TRIES", "RAISED"),
    )
    if page.next is not None:
        say(f"There are more: --before {page.next}")


def _alert(item: AlertView) -> tuple[str, ...]:
    last = item.deliveries[-1] if item.deliveries else None
    state = item.state.replace("_", " ")
    if last is not None and not last.ok:
        state += f" ({last.detail})"
    return (str(item.id), moment(item.raised_at), item.event, state, str(len(item.deliveries)), item.text)

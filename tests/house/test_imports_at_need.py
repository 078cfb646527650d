"""What a program pays for at its start: the kinds of rules that it has, and no others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

KINDS = {"calendar_trigger", "compound", "cron_trigger", "rrule_trigger"}
BESIDE = {"watchbell.store.planning", "watchbell.executors.process", "dateutil"}


def read_by(program: str) -> set[str]:
    """The modules that a fresh interpreter has read once it has carried this out."""
    tail = "\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program + tail], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def kinds_of(read: set[str]) -> set[str]:
    return KINDS & {name.removeprefix("watchbell.core.triggers.") for name in read}


def test_the_library_reads_no_kind_of_rule_before_there_is_one() -> None:
    read = read_by("import watchbell; watchbell.Watchbell('sqlite://')")
    assert kinds_of(read) == set()
    assert BESIDE & read == set()


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ("every 15m", set()),
        ("once 2026-11-21T09:00:00Z", set()),
        ("cron 0 9 * * *", {"cron_trigger"}),
        ("rrule FREQ=DAILY", {"rrule_trigger"}),
        ("calendar every 3 months on last day at 09:00", {"calendar_trigger"}),
        ("any (every 15m) (every 20m)", {"compound"}),
    ],
)
def test_a_rule_reads_the_room_of_its_own_kind(rule: str, kinds: set[str]) -> None:
    text = f"from watchbell.core.triggers import parse_trigger\nparse_trigger({rule!r})"
    assert kinds_of(read_by(text)) == kinds
    stored = f"{text.replace('parse_trigger(', 'd = parse_trigger(')}.to_json()"
    assert kinds_of(read_by(stored)) == kinds


def test_what_the_room_of_triggers_offers_is_there_and_nothing_else() -> None:
    from watchbell.core import triggers

    for name in triggers.__all__:
        assert getattr(triggers, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Sundial'"):
        triggers.Sundial  # noqa: B018


def test_no_room_of_a_kind_takes_the_name_of_what_makes_one() -> None:
    """A module that is read becomes an attribute of its package, in place of a function of the same name."""
    text = "from watchbell.core import triggers\nfor room in rooms: __import__('watchbell.core.triggers.' + room)\n"
    names = "assert all(callable(getattr(triggers, n)) for n in ('cron', 'calendar', 'rrule', 'any_of'))"
    read_by(f"rooms = {sorted(KINDS)!r}\n{text}{names}")


def test_the_status_reads_no_kind_of_rule_and_no_policies() -> None:
    read = read_by("import watchbell.cli.status")
    assert kinds_of(read) == set()
    assert {
        "watchbell.core.policies",
        "watchbell.core.definition",
        "watchbell.store.planning",
    } & read == set()

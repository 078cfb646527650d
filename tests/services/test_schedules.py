"""Schedules as people ask for them: what is refused, what is written, and the sentences that come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import databases
from tests.services.people import NOW, TRUE, WHO, add, function_job, plan
from watchbell.core.blackout import read_blackouts
from watchbell.core.http_request import HttpRequest
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND
from watchbell.core.policies import CatchUp, JobOptions, Overlap, Policies, Retry
from watchbell.core.states import State
from watchbell.core.triggers import cron, every, manual, once
from watchbell.errors import BadArguments, BadDeclaration, BadTrigger, BadZone, Conflict, NotFound
from watchbell.services import schedules
from watchbell.services.schedule_views import Sought
from watchbell.services.schedules import Change, Command, Details
from watchbell.store import nodes
from watchbell.store.base import Store
from watchbell.store.nodes import NodeInfo
from watchbell.store.schedules.put import Doer, JobSpec, put_job
from watchbell.store.tx import Tx

SIGNATURE = json.dumps(
    {
        "type": "object",
        "properties": {"to": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["to"],
        "additionalProperties": False,
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = databases.opened(NOW, tmp_path / "bell.db")
    yield made
    made.close()


def count(store: Store, table: str) -> int:
    return int(store.read(lambda tx: tx.value(f"SELECT count(*) FROM {table}")))


def test_a_command_and_its_schedule_are_written_together(store: Store) -> None:
    view = add(store, "backup", cron("30 2 * * *", tz="Europe/Berlin"), tags=("nightly",), about="copies")
    assert (view.name, view.job, view.lane, view.standing) == ("backup", "backup", "command", "on")
    assert view.to_json()["due_at"] == "2026-11-22T01:30:00Z"
    assert view.to_json()["local"] == "2026-11-22T02:30:00+01:00"
    assert (view.tags, view.about) == (("nightly",), "copies")


def test_what_a_schedule_says_of_its_environment_shows_no_value(store: Store) -> None:
    command = Command(argv=("true",), env={"TOKEN": "s3cret"})
    view = schedules.add_command_schedule(store, "a", manual(), command, now=NOW, actor=WHO)
    assert view.command == {"argv": ["true"], "env": {"TOKEN": "***"}}
    assert "s3cret" not in json.dumps(view.to_json())


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", " a", "x" * 201])
def test_names_that_cannot_be_are_refused_and_nothing_is_written(store: Store, name: str) -> None:
    with pytest.raises(BadDeclaration):
        add(store, name)
    assert count(store, "schedule") == count(store, "job") == 0


def test_a_name_of_200_characters_is_taken(store: Store) -> None:
    assert add(store, "x" * 200).name == "x" * 200


def test_adding_a_name_that_is_there_changes_nothing(store: Store) -> None:
    add(store, "a", every("1m"))
    with pytest.raises(Conflict, match="There is a schedule named 'a' already"):
        add(store, "a", every("2m"))
    assert schedules.show(store, "a", now=NOW).rule.startswith("every 1 min")
    assert count(store, "schedule_version") == 1


def test_a_command_never_takes_the_place_of_a_declared_job(store: Store) -> None:
    function_job(store, "report")
    with pytest.raises(Conflict, match="--job report"):
        add(store, "report")


def test_a_removed_name_can_be_added_again(store: Store) -> None:
    add(store, "a")
    schedules.remove(store, "a", now=NOW, actor=WHO)
    again = schedules.add_command_schedule(store, "a", manual(), Command(argv=("false",)), now=NOW, actor=WHO)
    assert again.command == {"argv": ["false"]}


def test_a_removed_schedule_with_a_live_run_keeps_its_name(store: Store) -> None:
    add(store, "a")
    plan(store, NOW + 10 * SECOND)
    schedules.remove(store, "a", now=NOW + 11 * SECOND, actor=WHO)
    with pytest.raises(Conflict, match="run_1 of the removed schedule"):
        add(store, "a")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Command(), "no command"),
        (Command(argv=("a",), shell="b"), "not both"),
        (Command(argv=("",)), "empty"),
        (Command(shell=" "), "empty"),
        (Command(argv=("a\0b",)), "zero byte"),
        (Command(argv=("a",), env={"1A": "x"}), "environment variable"),
        (Command(argv=("a",), cwd="relative"), "must begin with /"),
        (Command(argv=("a",), cwd="/no/such/folder"), "cannot be used"),
        (Command(argv=("a",), cwd="/dev/null"), "is no folder"),
        (Command(argv=("a",), user="nobody-of-this-name"), "no account"),
        (Command(argv=("a",), success_codes=(256,)), "0 to 255"),
    ],
)
def test_commands_that_cannot_be_meant_are_refused(store: Store, command: Command, said: str) -> None:
    with pytest.raises(BadDeclaration, match=said):
        schedules.add_command_schedule(store, "a", manual(), command, now=NOW, actor=WHO)
    assert count(store, "job") == 0


def test_an_unknown_zone_writes_nothing(store: Store) -> None:
    with pytest.raises(BadZone):
        add(store, "a", cron("0 3 * * *"), zone="Mars/Olympus")
    assert count(store, "schedule") == count(store, "job") == 0


def test_an_instant_that_is_over_is_refused(store: Store) -> None:
    with pytest.raises(BadTrigger, match="1 min ago and would never come due"):
        add(store, "a", once(NOW - MINUTE))


def test_run_at_start_rings_once_at_creation(store: Store) -> None:
    add(store, "a", every("1h", run_at_start=True))
    rows = store.read(lambda tx: tx.rows("SELECT origin, state FROM occurrence"))
    assert rows == [("manual", "queued")]


def test_limits_become_gates_of_the_commands_job(store: Store) -> None:
    add(store, "a", options=JobOptions(limits=(("db", 2),)))
    assert store.read(lambda tx: tx.rows("SELECT key, lim FROM gate")) == [("key:db", 2)]


def test_a_schedule_of_a_job_is_checked_against_its_signature(store: Store) -> None:
    function_job(store, "mail", SIGNATURE)
    for args, said in (
        ({}, "needs the argument 'to'"),
        ({"to": "a", "cc": "b"}, "no argument 'cc'; it has: count, to"),
        ({"to": 3}, "'to' .* must be string"),
        ({"to": "a", "count": True}, "'count' .* must be integer"),
    ):
        with pytest.raises(BadArguments, match=said):
            schedules.add_schedule(store, "m", "mail", every("1h"), args=args, now=NOW, actor=WHO)
    view = schedules.add_schedule(
        store, "m", "mail", every("1h"), args={"to": "a", "count": 2}, now=NOW, actor=WHO
    )
    assert view.args == {"count": 2, "to": "a"}


def test_a_function_without_parameters_takes_no_arguments(store: Store) -> None:
    function_job(store, "tick")
    with pytest.raises(BadArguments, match="no argument 'x'; it has: none"):
        schedules.add_schedule(store, "t", "tick", every("1h"), args={"x": 1}, now=NOW, actor=WHO)


def test_a_schedule_of_a_job_that_nobody_knows_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="no job named 'nope'"):
        schedules.add_schedule(store, "a", "nope", every("1h"), now=NOW, actor=WHO)


def test_pausing_twice_changes_nothing_and_says_so(store: Store) -> None:
    add(store, "a")
    first = schedules.pause(store, "a", now=NOW + SECOND, actor=WHO, note="holiday")
    second = schedules.pause(store, "a", now=NOW + MINUTE, actor=WHO)
    assert (first.changed, second.changed) == (True, False)
    assert "paused already" in second.sentence
    assert count(store, "pause") == 1
    view = schedules.show(store, "a", now=NOW + HOUR)
    assert view.next_due_at is None
    assert "paused since" in view.sentence
    assert "holiday" in view.sentence


def test_resume_keeps_what_fell_into_the_pause_as_one_span(store: Store) -> None:
    add(store, "a")
    schedules.pause(store, "a", now=NOW + 5 * SECOND, actor=WHO)
    done = schedules.resume(store, "a", now=NOW + 65 * SECOND, actor=WHO)
    assert done.changed
    assert store.read(lambda tx: tx.rows("SELECT count, ending, reason FROM span")) == [
        (6, "skipped", "paused")
    ]


def test_resuming_what_is_not_paused_says_why(store: Store) -> None:
    add(store, "a")
    add(store, "b", enabled=False)
    assert "it is not paused" in schedules.resume(store, "a", now=NOW, actor=WHO).sentence
    assert "disabled" in schedules.resume(store, "b", now=NOW, actor=WHO).sentence


def test_what_was_due_before_a_pause_runs_unless_it_is_dropped(store: Store) -> None:
    for name in ("kept", "dropped"):
        add(store, name)
    plan(store, NOW + 10 * SECOND)
    schedules.pause(store, "kept", now=NOW + 11 * SECOND, actor=WHO)
    done = schedules.pause(store, "dropped", now=NOW + 11 * SECOND, actor=WHO, drop_waiting_ones=True)
    assert done.dropped == 1
    assert states(store) == {"kept": "queued", "dropped": "skipped"}


def states(store: Store) -> dict[str, str]:
    def read(tx: Tx) -> dict[str, str]:
        return dict(tx.rows("SELECT s.name, o.state FROM occurrence o JOIN schedule s ON s.id = o.schedule"))

    return store.read(read)


def test_removing_keeps_the_ledger_and_ends_the_commands_job(store: Store) -> None:
    add(store, "a")
    plan(store, NOW + 10 * SECOND)
    done = schedules.remove(store, "a", now=NOW + 11 * SECOND, actor=WHO, drop_waiting_ones=True)
    assert done.dropped == 1
    assert states(store) == {"a": State.CANCELLED}
    with pytest.raises(NotFound, match="was removed"):
        schedules.show(store, "a", now=NOW)
    assert store.read(lambda tx: tx.value("SELECT ended_at FROM job")) is not None


def test_an_edit_holds_from_now_on_and_the_same_content_writes_nothing(store: Store) -> None:
    add(store, "a", every("1h"))
    later = NOW + 90 * MINUTE
    change = Change(policies=Policies(catchup=CatchUp.ALL, overlap=Overlap.QUEUE_ALL), tags=("x",))
    assert schedules.edit(store, "a", change, now=later, actor=WHO).changed
    assert not schedules.edit(store, "a", change, now=later + 1, actor=WHO).changed
    view = schedules.show(store, "a", now=later)
    assert (view.version, view.tags) == (2, ("x",))
    assert states(store) == {"a": "queued"}, "what was due before the edit is in the ledger"


def test_an_edit_mends_a_schedule_that_was_set_aside(store: Store) -> None:
    add(store, "a")
    store.write(lambda tx: tx.run("UPDATE schedule SET standing = 'set_aside', set_aside = 'bad'"))
    store.write(
        lambda tx: tx.run(
            "INSERT INTO pause (schedule, kind, from_at, actor) VALUES (1, 'set_aside', ?, 'x')", (NOW,)
        )
    )
    assert "set aside" in schedules.show(store, "a", now=NOW).sentence
    schedules.edit(store, "a", Change(trigger=every("5m")), now=NOW + SECOND, actor=WHO)
    assert schedules.show(store, "a", now=NOW + SECOND).standing == "on"


def test_S3_4_an_edit_mends_a_rule_that_cannot_be_read_any_more(store: Store) -> None:
    add(store, "a", tags=("x",))
    store.write(lambda tx: tx.run("""UPDATE schedule_version SET trigger = '{"kind": "moon"}'"""))
    with pytest.raises(BadTrigger):
        schedules.edit(store, "a", Change(about="?"), now=NOW + SECOND, actor=WHO)
    schedules.edit(store, "a", Change(trigger=every("5m")), now=NOW + SECOND, actor=WHO)
    view = schedules.show(store, "a", now=NOW + SECOND)
    assert (view.rule.partition(",")[0], view.tags) == ("every 5 min", ("x",))
    assert view.next_due_at == NOW + SECOND + 5 * MINUTE


def test_S1_17_a_due_instant_that_has_passed_is_shown_as_overdue_with_its_reason(store: Store) -> None:
    add(store, "a", every("1h"))
    view = schedules.show(store, "a", now=NOW + HOUR + 12 * MINUTE)
    assert view.next_due_at is None
    assert view.overdue_us == 12 * MINUTE
    assert view.sentence == "overdue by 12 min: no engine has ever been running."


def test_a_schedule_whose_rule_cannot_be_read_hides_no_other(store: Store) -> None:
    add(store, "a")
    add(store, "b")
    store.write(
        lambda tx: tx.run("""UPDATE schedule_version SET trigger = '{"kind": "moon"}' WHERE schedule = 1""")
    )
    page = schedules.list_schedules(store, now=NOW)
    assert [item.name for item in page.items] == ["a", "b"]
    assert "cannot be read" in page.items[0].sentence
    assert page.items[1].sentence.startswith("never ran")


def test_schedules_are_listed_by_name_page_by_page_and_filtered(store: Store) -> None:
    for name in ("c", "a", "b"):
        add(store, name, tags=("x",) if name != "a" else ())
    first = schedules.list_schedules(store, now=NOW, limit=2)
    assert ([item.name for item in first.items], first.next) == (["a", "b"], "b")
    rest = schedules.list_schedules(store, replace(Sought(), after=first.next), now=NOW, limit=2)
    assert ([item.name for item in rest.items], rest.next) == (["c"], None)
    for sought, names in (
        (Sought(tag="x"), ["b", "c"]),
        (Sought(job="a"), ["a"]),
        (Sought(text="B"), ["b"]),
        (Sought(standing="paused"), []),
    ):
        assert [item.name for item in schedules.list_schedules(store, sought, now=NOW).items] == names


def test_a_name_nearly_right_is_suggested(store: Store) -> None:
    add(store, "backup")
    with pytest.raises(NotFound, match="did you mean 'backup'"):
        schedules.show(store, "bakcup", now=NOW)


def test_everything_a_person_changes_is_in_the_audit_trail(store: Store) -> None:
    add(store, "a")
    schedules.pause(store, "a", now=NOW, actor=WHO)
    schedules.resume(store, "a", now=NOW + DAY, actor=WHO)
    schedules.remove(store, "a", now=NOW + DAY, actor=WHO)
    rows = store.read(lambda tx: tx.rows("SELECT actor, action FROM audit_event ORDER BY id"))
    assert rows == [(WHO, f"schedule.{what}") for what in ("added", "paused", "resumed", "removed")]


def test_details_have_the_defaults_of_the_semantics() -> None:
    assert Details().policies == Policies()
    assert Command(argv=("true",)) == TRUE


def test_next_due_and_the_sentence_speak_of_one_instant_and_of_the_engine(store: Store) -> None:
    """At the very moment in which one is due, and not planned yet, both speak of the one behind it."""
    add(store, "a", every("10s"))
    now = NOW + 10 * SECOND + 5
    view = schedules.show(store, "a", now=now)
    assert view.next_due_at == NOW + 20 * SECOND
    assert view.sentence == (
        "never ran: created 10 s ago, first due at 08:00:20 UTC, but no engine is running."
    )
    info = NodeInfo("bell", "elsewhere", 7, "boot", "1.0", {"command": 4})
    store.write(lambda tx: nodes.register(tx, info, now))
    assert schedules.show(store, "a", now=now).sentence.endswith("first due at 08:00:20 UTC.")
    assert "no engine" not in schedules.list_schedules(store, now=now).items[0].sentence


def test_removing_what_a_source_wants_says_that_it_returns(store: Store) -> None:
    add(store, "a")
    add(store, "b")
    store.write(
        lambda tx: tx.run("UPDATE schedule SET source = 'websites', source_key = '1' WHERE name = 'a'")
    )
    assert schedules.remove(store, "a", now=NOW, actor=WHO).sentence == (
        "a is removed; what it did stays in the ledger. It belongs to the source 'websites' and will return with the "
        "next reading unless its row goes; `watchbell schedule pause` keeps it still instead."
    )
    assert "source" not in schedules.remove(store, "b", now=NOW, actor=WHO).sentence


ASKED = {
    "interval": (every("90s"), Details()),
    "labelled": (every("1h"), Details(tags=("a", "ü"), about="for the tests")),
    "cron in a zone": (cron("30 2 * * *", tz="Europe/Berlin"), Details()),
    "in the zone of the server": (cron("0 9 * * mon"), Details(zone="America/New_York")),
    "dark": (cron("*/5 * * * *"), Details(Policies(blackouts=read_blackouts(["cron 0 8 * * * for 2h"])))),
    "spread": (cron("0 * * * *"), Details(Policies(spread_us=600 * SECOND, retry=Retry(5)))),
    "once": (once(NOW + DAY), Details()),
    "by hand": (manual(), Details()),
    "counted from its end": (every("1h", after_completion=True), Details()),
    "at its start": (every("1h", run_at_start=True), Details()),
    "disabled": (every("1h"), Details(enabled=False)),
    "limited": (every("1h"), Details(options=JobOptions(limits=(("db", 2),), timeout_us=MINUTE))),
}


@pytest.mark.parametrize("engine", ["no engine", "an engine", "a silent one"])
def test_what_adding_shows_is_what_is_shown_of_it(store: Store, engine: str) -> None:
    function_job(store, "report", SIGNATURE)
    if engine != "no engine":
        begun = NOW if engine == "an engine" else NOW - DAY
        info = NodeInfo("n", "elsewhere", 1, "boot", "0", {"command": 1})
        store.write(lambda tx: nodes.register(tx, info, begun))
    for name, (trigger, details) in ASKED.items():
        added = schedules.add_command_schedule(
            store, name, trigger, TRUE, details=details, now=NOW, actor=WHO
        )
        assert added == schedules.show(store, name, now=NOW), name
        of_job = f"{name} of a job"
        added = schedules.add_schedule(
            store, of_job, "report", trigger, args={"to": name}, details=details, now=NOW, actor=WHO
        )
        assert added == schedules.show(store, of_job, now=NOW), of_job


def test_what_adding_shows_of_a_request_hides_what_show_hides(store: Store) -> None:
    request = HttpRequest("https://example.org/{who}", headers={"Authorization": "s3cret"})
    details = Details(args={"who": "me"})
    added = schedules.add_command_schedule(
        store, "a", every("1h"), request, details=details, now=NOW, actor=WHO
    )
    assert added == schedules.show(store, "a", now=NOW)
    assert "s3cret" not in json.dumps(added.to_json())


def test_a_job_is_found_by_its_alias_and_one_that_has_ended_is_not(store: Store) -> None:
    spec = JobSpec("mail", "thread", aliases=("post",), app="shop")
    store.write(lambda tx: put_job(tx, spec, Doer("app shop", NOW)))
    added = schedules.add_schedule(store, "a", "post", every("1h"), now=NOW, actor=WHO)
    assert added == schedules.show(store, "a", now=NOW)
    assert added.job == "mail"
    store.write(lambda tx: tx.run("UPDATE job SET ended_at = ? WHERE name = 'mail'", (NOW,)))
    with pytest.raises(NotFound, match="no job named 'mail'"):
        schedules.add_schedule(store, "b", "mail", every("1h"), now=NOW, actor=WHO)


def test_ids_go_on_behind_those_that_a_restored_database_must_not_give_again(store: Store) -> None:
    sql = "INSERT INTO meta (key, value) VALUES ('id_base', '500'), ('id_base:schedule', '700')"
    store.write(lambda tx: tx.run(sql))
    assert add(store, "a").id == 701
    assert add(store, "b").id == 702
    assert store.read(lambda tx: tx.rows("SELECT id FROM job ORDER BY id")) == [(501,), (502,)]

"""Runs as people ask for them: by hand, listed page by page, waited for, cancelled."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.services.people import NOW, WHO, add, end, function_job, plan
from watchbell.clock import ManualClock
from watchbell.core.instants import HOUR, MINUTE, SECOND
from watchbell.core.states import Reason, State
from watchbell.core.triggers import every, manual
from watchbell.errors import BadArguments, BadInput, Conflict, KeyTaken, NotFound, WaitedTooLong
from watchbell.services import runs, schedules
from watchbell.services.runs import Ask, Filters
from watchbell.store.base import Store
from watchbell.store.settling import write_lines

SIGNATURE = json.dumps(
    {
        "type": "object",
        "properties": {"to": {"type": "string"}, "count": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "additionalProperties": False,
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = databases.opened(NOW, tmp_path / "bell.db")
    yield made
    made.close()


def run_now(store: Store, name: str, at: int = NOW, **ask: object) -> runs.RunNow:
    return runs.run_now(store, name, Ask(**ask), now=at, actor=WHO)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "number"), [("run_12", 12), ("12", 12), (" run_7 ", 7), (3, 3)])
def test_a_run_is_named_with_or_without_its_prefix(text: str | int, number: int) -> None:
    assert runs.run_id(text) == number


@pytest.mark.parametrize("text", ["", "run_", "run_x", "-1", "run_1.5", "9" * 30])
def test_what_is_no_run_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(BadInput, match="write run_12"):
        runs.run_id(text)


def test_a_schedules_name_wins_over_a_jobs(store: Store) -> None:
    function_job(store, "other")
    function_job(store, "mail", SIGNATURE)
    schedules.add_schedule(store, "other", "mail", manual(), args={"to": "a"}, now=NOW, actor=WHO)
    made = run_now(store, "other")
    assert (made.schedule, made.job) == ("other", "mail")
    assert run_now(store, "mail").schedule is None


def test_arguments_go_on_top_of_the_schedules_and_are_read_by_the_signature(store: Store) -> None:
    function_job(store, "mail", SIGNATURE)
    schedules.add_schedule(store, "m", "mail", manual(), args={"to": "a", "count": 1}, now=NOW, actor=WHO)
    made = run_now(store, "m", pairs=("to=12", "count=null"))
    assert runs.show(store, made.run, now=NOW).to_json()["args"] == {"to": "12", "count": None}


@pytest.mark.parametrize("pair", ["to", "=x", ""])
def test_what_is_no_argument_is_refused(store: Store, pair: str) -> None:
    add(store, "a")
    with pytest.raises(BadArguments, match="--arg name=value"):
        run_now(store, "a", pairs=(pair,))


def test_an_unknown_name_is_refused_with_the_nearest(store: Store) -> None:
    add(store, "backup")
    with pytest.raises(NotFound, match="did you mean 'backup'"):
        run_now(store, "backupp")


def test_a_key_gives_the_first_run_back_and_refuses_other_arguments(store: Store) -> None:
    function_job(store, "mail", SIGNATURE)
    first = run_now(store, "mail", key="k", args={"to": "a"})
    again = run_now(store, "mail", key="k", args={"to": "a"})
    assert (first.new, again.new, again.run) == (True, False, first.run)
    with pytest.raises(KeyTaken):
        run_now(store, "mail", key="k", args={"to": "b"})


def test_the_overlap_policy_of_the_schedule_holds_for_a_run_by_hand(store: Store) -> None:
    add(store, "a")
    run_now(store, "a")
    with pytest.raises(Conflict, match="run_1 queued and its overlap policy is skip"):
        run_now(store, "a")


def test_a_schedule_that_was_set_aside_can_be_run_by_hand(store: Store) -> None:
    add(store, "a")
    store.write(lambda tx: tx.run("""UPDATE schedule_version SET trigger = '{"kind": "moon"}'"""))
    made = run_now(store, "a")
    assert runs.show(store, made.run, now=NOW).run.entry.job_name == "a"


def test_the_ledger_is_read_newest_first_page_by_page_with_spans(store: Store) -> None:
    add(store, "a")
    add(store, "b", every("3h"))
    plan(store, NOW + 3 * HOUR)  # of a it is a backlog, kept as a span
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        page = runs.list_runs(store, Filters(spans=True, cursor=cursor), now=NOW + 4 * HOUR, limit=1)
        seen += [
            str(item.to_json().get("id") or f"span of {item.to_json()['schedule']}") for item in page.items
        ]
        cursor = page.next
        if cursor is None:
            break
    everything = runs.list_runs(store, Filters(spans=True), now=NOW + 4 * HOUR)
    assert len(seen) == len(set(seen)) == len(everything.items)
    assert "span of a" in seen


def test_one_schedules_pages_are_in_the_order_of_its_instants(store: Store) -> None:
    add(store, "a")
    for n in range(1, 6):
        plan(store, NOW + n * 10 * SECOND)
        end(store, n)
    made = run_now(store, "a", NOW + 25 * SECOND)
    found: list[int] = []
    cursor = None
    while True:
        page = runs.list_runs(store, Filters(schedule="a", cursor=cursor), now=NOW + HOUR, limit=2)
        found += [item.entry.id for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == [5, 4, 3, made.run, 2, 1]


def test_runs_are_filtered_by_state_job_and_time(store: Store) -> None:
    add(store, "a")
    for n in range(1, 4):
        plan(store, NOW + n * 10 * SECOND)
        end(store, n, "failed" if n == 2 else "succeeded")
    run_now(store, "a", NOW + 35 * SECOND)

    def ids(**filters: object) -> list[int]:
        page = runs.list_runs(store, Filters(**filters), now=NOW + HOUR)  # type: ignore[arg-type]
        return [item.entry.id for item in page.items]

    assert ids(states=["failed"]) == [2]
    assert ids(states=["queued"]) == [4]
    assert ids(job="a") == [4, 3, 2, 1]
    assert ids(since=NOW + 25 * SECOND) == [4, 3]
    assert ids(schedule="a", states=["succeeded"]) == [3, 1]
    for filters, wrong in ((Filters(schedule="x"), NotFound), (Filters(job="x"), NotFound),
                           (Filters(states=["done"]), BadInput), (Filters(cursor="7"), BadInput)):  # fmt: skip
        with pytest.raises(wrong):
            runs.list_runs(store, filters, now=NOW)


def test_a_removed_schedules_runs_are_still_listed(store: Store) -> None:
    add(store, "a")
    plan(store, NOW + 10 * SECOND)
    schedules.remove(store, "a", now=NOW + 11 * SECOND, actor=WHO)
    assert len(runs.list_runs(store, Filters(schedule="a"), now=NOW + HOUR).items) == 1


def test_every_reason_and_state_has_a_sentence(store: Store) -> None:
    add(store, "a")
    plan(store, NOW + 10 * SECOND)
    for state in State:
        end(store, 1, state.value)
        assert runs.show(store, 1, now=NOW + HOUR).run.sentence
    for reason in Reason:
        end(store, 1, "missed", reason=reason.value)
        told = runs.show(store, 1, now=NOW).run.sentence.partition(": ")[2]
        assert len(told.split()) > 2, "a reason is told in words"


def test_cancelling_before_it_begins_ends_it_at_once(store: Store) -> None:
    add(store, "a")
    made = run_now(store, "a")
    assert "had not begun" in runs.cancel(store, made.run, now=NOW, actor=WHO)
    with pytest.raises(Conflict, match="has ended already"):
        runs.cancel(store, f"run_{made.run}", now=NOW, actor=WHO)
    with pytest.raises(NotFound):
        runs.cancel(store, 99, now=NOW, actor=WHO)


def test_cancelling_a_running_one_asks_its_node(store: Store) -> None:
    add(store, "a")
    made = run_now(store, "a")
    end(store, made.run, "running", ended_at=None)
    assert "was asked to end" in runs.cancel(store, made.run, now=NOW, actor=WHO)
    assert "asked to end" in runs.show(store, made.run, now=NOW + MINUTE).run.sentence


def test_a_log_is_read_on_from_where_it_was_left(store: Store) -> None:
    add(store, "a")
    made = run_now(store, "a")
    lines = [(made.run, seq, NOW + seq, "stdout", "info", f"line {seq}") for seq in range(5)]
    store.write(lambda tx: write_lines(tx, lines))
    first = runs.logs(store, made.run, limit=3)
    assert ([line.text for line in first.items], first.ended) == (["line 0", "line 1", "line 2"], False)
    rest = runs.logs(store, made.run, after=first.after)
    assert ([line.seq for line in rest.items], rest.ended) == ([3, 4], False)
    end(store, made.run)
    assert runs.logs(store, made.run, after=rest.after).ended
    with pytest.raises(NotFound):
        runs.logs(store, 99)


def test_waiting_ends_with_the_run(store: Store) -> None:
    add(store, "a")
    made = run_now(store, "a")

    class Ending(ManualClock):
        """The run ends while somebody waits."""

        def wait(self, event: threading.Event, timeout_us: int) -> bool:
            end(store, made.run, "failed", error="ValueError: no\nFor more information, ask somebody.")
            return super().wait(event, timeout_us)

    page = runs.wait(store, made.run, clock=Ending(NOW))
    assert page.run.state == "failed"
    assert page.run.sentence == "failed after 2 s: ValueError: no"


@pytest.mark.many_turns
def test_waiting_too_long_leaves_the_run_alone(store: Store) -> None:
    add(store, "a")
    made = run_now(store, "a")
    with pytest.raises(WaitedTooLong, match="run_1 is still queued after 10 min; it goes on"):
        runs.wait(store, made.run, clock=ManualClock(NOW), timeout_us=10 * MINUTE)
    assert runs.show(store, made.run, now=NOW).run.live


def test_waiting_for_a_run_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        runs.wait(store, 99, clock=ManualClock(NOW))


def test_a_page_of_one_run_shows_attempts_progress_and_result(store: Store) -> None:
    add(store, "a")
    made = run_now(store, "a")
    end(store, made.run, result='{"rows": 3}', attempt=2, peak_memory=2**20, cpu_us=1500)
    store.write(
        lambda tx: tx.run(
            "INSERT INTO attempt (run, number, epoch, ending, error) VALUES (?, 1, 1, 'failed', 'boom')",
            (made.run,),
        )
    )
    store.write(lambda tx: tx.run("INSERT INTO run_progress VALUES (?, 3, 10, 'rows', ?)", (made.run, NOW)))
    data = runs.show(store, made.run, now=NOW).to_json()
    assert data["result"] == {"rows": 3}
    assert data["progress"] == {"done": 3.0, "of": 10.0, "message": "rows", "at": "2026-11-21T08:00:00Z"}
    assert data["attempts"][0]["error"] == "boom"
    assert (data["due_at"], data["tz"]) == ("2026-11-21T08:00:00Z", "UTC")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"reason": "begun", "note": "Its node died while it ran: how far it came is not known."},
            "lost after 2 s: its node died while it ran; how far it came is unknown",
        ),
        (
            {
                "reason": "begin_unknown",
                "began_at": None,
                "note": "Its node died after it had claimed the run: …",
            },
            "lost: its node died when it was about to begin; it may or may not have begun",
        ),
        (
            {"reason": "begun", "note": "The process that starts all others died."},
            "lost after 2 s: The process that starts all others died",
        ),
    ],
)
def test_what_was_lost_says_it_once(store: Store, columns: dict[str, Any], sentence: str) -> None:
    add(store, "a", manual())
    run = runs.run_now(store, "a", now=NOW, actor=WHO).run
    end(store, run, "lost", **columns)
    assert runs.show(store, run, now=NOW).run.sentence == sentence
    with pytest.raises(Conflict, match=r"has ended already: it was lost\."):
        runs.cancel(store, run, now=NOW, actor=WHO)


def test_an_error_that_is_a_sentence_has_one_full_stop(store: Store) -> None:
    add(store, "a", manual())
    run = runs.run_now(store, "a", now=NOW, actor=WHO).run
    end(store, run, "failed", error="The program ended with exit code 3.")
    assert (
        runs.show(store, run, now=NOW).run.sentence == "failed after 2 s: The program ended with exit code 3"
    )


def test_a_run_that_was_tried_again_says_how_often(store: Store) -> None:
    add(store, "a", manual())
    run = runs.run_now(store, "a", now=NOW, actor=WHO).run
    end(store, run, attempt=2)
    assert runs.show(store, run, now=NOW).run.sentence == "succeeded after 2 attempts, the last of 2 s"
    end(store, run, "failed", attempt=3, began_at=None)
    assert runs.show(store, run, now=NOW).run.sentence == "failed after 3 attempts"


@pytest.mark.parametrize("key", ["k" * 201, "a\0b"])
def test_a_key_that_not_every_database_can_hold_is_refused_with_nothing_written(
    store: Store, key: str
) -> None:
    function_job(store, "mail")
    with pytest.raises(BadInput, match="The key of a run"):
        run_now(store, "mail", key=key)
    assert run_now(store, "mail", key="k" * 200).new

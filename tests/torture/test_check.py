"""The judge of the torture: histories written by hand, one valid and one violated for each rule, and any valid history
with one corruption, which is always flagged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.torture.story import ENGINE, T0, Story
from torture.check import check
from torture.history import History, Node, Promise
from watchbell.store.tokens import hashed


@pytest.fixture
def story() -> Story:
    return Story()


def test_nothing_at_all_is_a_valid_history() -> None:
    assert check(History()) == []


def test_runs_that_end_as_they_say_are_valid(story: Story) -> None:
    story.ran(1)
    story.row(2, "failed")
    story.says(2, "begin")
    story.says(2, "fail")
    story.row(3, "cancelled")
    story.says(3, "begin")
    story.says(3, "stop")
    story.row(4, "timed_out")
    story.says(4, "begin")
    for run, state in enumerate(("missed", "skipped", "superseded"), 5):
        story.did_not_run(run, state)
    story.did_not_run(9, "coalesced", into=1)
    assert check(story.history) == []


def test_a_retry_begins_again_with_an_attempt_for_each(story: Story) -> None:
    story.row(1, epoch=2, attempt=2, token_hash=hashed("t1.2"))
    story.attempt(1, 1)
    story.attempt(1, 2, "succeeded")
    for epoch, phase in ((1, "begin"), (1, "fail"), (2, "begin"), (2, "end")):
        story.says(1, phase, epoch)
    assert check(story.history) == []


def test_a_run_handed_back_begins_with_a_later_epoch_and_its_first_attempt(story: Story) -> None:
    story.row(1, epoch=3, attempt=1, token_hash=hashed("t1.3"))
    story.says(1, "begin", 3, attempt=1)
    story.says(1, "end", 3, attempt=1)
    assert check(story.history) == []


def test_begun_twice_with_one_claim(story: Story) -> None:
    story.ran(1)
    story.says(1, "begin")
    assert "twice" in story.rules


def test_begun_twice_without_a_recorded_attempt(story: Story) -> None:
    story.row(1, epoch=2, attempt=1, token_hash=hashed("t1.2"))
    story.says(1, "begin", 1)
    story.says(1, "begin", 2, attempt=1)
    story.says(1, "end", 2, attempt=1)
    assert "twice" in story.rules


def test_a_begin_that_no_row_knows(story: Story) -> None:
    story.says(1, "begin")
    assert story.rules == {"invented"}


def test_a_begin_of_an_epoch_that_was_never_granted(story: Story) -> None:
    story.ran(1)
    story.says(1, "begin", 7)
    assert "unrecorded" in story.rules


def test_a_begin_of_another_attempt_than_the_ledger_says(story: Story) -> None:
    story.row(1)
    story.says(1, "begin", attempt=2)
    story.says(1, "end", attempt=2)
    assert story.rules == {"unrecorded"}


def test_a_begin_with_the_token_of_another_claim(story: Story) -> None:
    story.row(1)
    story.says(1, "begin", token="stolen")
    story.says(1, "end")
    assert story.rules == {"token"}


@pytest.mark.parametrize("field", ["start_at", "claimed_at"])
def test_user_code_before_its_time_or_its_claim(story: Story, field: str) -> None:
    story.ran(1, **{field: T0 + 1000})
    assert story.rules == {"early"}


def test_a_job_that_cannot_tell_the_time_is_not_called_early(story: Story) -> None:
    story.row(1, start_at=T0 + 1000)
    story.says(1, "begin", wall_us=0)
    story.says(1, "end", wall_us=0)
    assert check(story.history) == []


@pytest.mark.parametrize("state", ["missed", "skipped", "coalesced", "superseded"])
def test_what_did_not_run_must_not_have_begun(story: Story, state: str) -> None:
    story.ran(2)
    story.row(1, state, into=2)
    story.says(1, "begin")
    assert story.rules == {"phantom"}


def test_what_was_cancelled_before_it_began_must_not_have_begun(story: Story) -> None:
    story.row(1, "cancelled", node=None, began_at=None)
    story.says(1, "begin")
    assert story.rules == {"phantom"}


@pytest.mark.parametrize("phases", [(), ("begin",), ("end",), ("begin", "fail"), ("begin", "end", "end")])
def test_succeeded_means_one_begin_and_one_end(story: Story, phases: tuple[str, ...]) -> None:
    story.row(1)
    for phase in phases:
        story.says(1, phase)
    assert story.rules == {"unfinished"}


def test_succeeded_by_the_end_of_an_earlier_claim(story: Story) -> None:
    story.row(1, epoch=2, attempt=2, token_hash=hashed("t1.2"))
    story.attempt(1, 1)
    for epoch, phase in ((1, "begin"), (1, "end"), (2, "begin")):
        story.says(1, phase, epoch)
    assert story.rules == {"unfinished"}


def test_failed_although_it_came_to_its_end(story: Story) -> None:
    story.ran(1, state="failed")
    assert story.rules == {"unfinished"}


def test_failed_without_a_word_is_believed_of_a_killed_engine_only(story: Story) -> None:
    story.row(1, "failed", node=1)
    story.says(1, "begin")
    assert story.rules == {"unfinished"}
    story.kill()
    assert check(story.history) == []


def test_lost_in_flight_at_a_kill(story: Story) -> None:
    story.row(1, "lost", node=1)
    story.says(1, "begin", pid=ENGINE)
    story.kill()
    assert check(story.history) == []


def test_lost_by_a_node_that_nobody_killed(story: Story) -> None:
    story.row(1, "lost", node=2)
    story.kill()
    assert story.rules == {"lost"}


def test_lost_by_no_node(story: Story) -> None:
    story.row(1, "lost", node=None)
    assert story.rules == {"lost"}


def test_lost_although_claimed_after_the_kill(story: Story) -> None:
    story.kill()
    story.row(1, "lost", node=1, claimed_at=T0 + 60_000_000)
    assert story.rules == {"lost"}


def test_an_attempt_that_is_lost_and_tried_again(story: Story) -> None:
    story.row(1, epoch=2, attempt=2, token_hash=hashed("t1.2"))
    story.attempt(1, 1, "lost", node=1)
    story.says(1, "begin", 1, pid=ENGINE)
    story.kill()
    story.says(1, "begin", 2)
    story.says(1, "end", 2)
    assert check(story.history) == []
    story.history.kills.clear()
    assert story.rules == {"lost"}


@pytest.mark.parametrize("state", ["waiting", "queued", "held", "claimed", "running", "retrying"])
def test_a_row_that_never_ends(story: Story, state: str) -> None:
    story.did_not_run(1, state)
    assert story.rules == {"live"}


def test_a_lock_that_was_not_free(story: Story) -> None:
    story.row(1)
    for phase in ("begin", "over", "end"):
        story.says(1, phase)
    assert story.rules == {"overlap"}


def overlapping(story: Story) -> None:
    story.row(1)
    story.row(2)
    story.says(1, "begin")
    story.says(2, "begin")
    story.says(1, "end")
    story.says(2, "end")


def test_two_at_work_where_one_may(story: Story) -> None:
    overlapping(story)
    story.history.of_schedule = {"tick": 1}
    assert story.rules == {"overlap"}


def test_two_at_work_where_two_may(story: Story) -> None:
    overlapping(story)
    story.history.of_schedule = {"tick": 2}
    story.history.of_job = {"tick": 2}
    assert check(story.history) == []


def test_more_runs_of_a_job_than_its_limit(story: Story) -> None:
    overlapping(story)
    story.history.of_job = {"tick": 1}
    assert story.rules == {"overlap"}


def test_one_after_the_other_is_no_overlap(story: Story) -> None:
    story.history.of_schedule = {"tick": 1}
    for run in (1, 2, 3):
        story.ran(run)
    assert check(story.history) == []


def test_what_died_with_its_engine_is_in_nobodys_way(story: Story) -> None:
    story.history.of_schedule = {"tick": 1}
    story.row(1, "lost", node=1)
    story.says(1, "begin", pid=ENGINE)
    story.kill()
    story.ran(2)
    assert check(story.history) == []


def test_a_begin_at_the_moment_of_the_kill_is_in_nobodys_way(story: Story) -> None:
    story.history.of_schedule = {"tick": 1}
    story.row(1, "lost", node=1)
    story.kill()
    story.says(1, "begin", pid=ENGINE)
    story.ran(2)
    assert check(story.history) == []


def test_an_attempt_that_goes_on_while_the_next_begins(story: Story) -> None:
    story.history.of_schedule = {"tick": 1}
    story.row(1, epoch=2, attempt=2, token_hash=hashed("t1.2"))
    story.attempt(1, 1)
    story.row(2)
    for run, phase, epoch in (
        (1, "begin", 1),
        (1, "fail", 1),
        (2, "begin", 1),
        (1, "begin", 2),
        (1, "end", 2),
    ):
        story.says(run, phase, epoch)
    story.says(2, "end")
    assert story.rules == {"overlap"}


def test_promises_that_hold(story: Story) -> None:
    story.ran(1, business_key="k")
    story.history.promises = [Promise("tick", "k", 1, True), Promise("tick", "k", 1, False)]
    assert check(story.history) == []


@pytest.mark.parametrize(
    "promise",
    [Promise("tick", "k", 9, True), Promise("tick", "other", 1, True), Promise("tock", "k", 1, True)],
)
def test_a_promise_that_the_ledger_does_not_keep(story: Story, promise: Promise) -> None:
    story.ran(1, business_key="k")
    story.history.promises = [promise]
    assert story.rules == {"promise"}


def test_two_runs_for_one_business_key(story: Story) -> None:
    story.ran(1, business_key="k")
    story.ran(2, business_key="k")
    assert story.rules == {"promise"}


def test_two_answers_for_one_business_key(story: Story) -> None:
    story.ran(1, business_key="k")
    story.ran(2)
    story.history.promises = [Promise("tick", "k", 1, True), Promise("tick", "k", 2, True)]
    assert story.rules == {"promise"}


@pytest.mark.parametrize("into", [None, 1, 77])
def test_a_coalesced_row_that_leads_nowhere(story: Story, into: int | None) -> None:
    story.did_not_run(1, "coalesced", into=into)
    assert story.rules == {"pointer"}


def test_a_coalesced_row_that_leads_to_another_schedule(story: Story) -> None:
    story.ran(2, schedule="other", job="other")
    story.did_not_run(1, "coalesced", into=2)
    assert story.rules == {"pointer"}


# --- any valid history with one corruption ------------------------------------------------------------------------------

ENDS = {
    "succeeded": ("begin", "end"),
    "failed": ("begin", "fail"),
    "cancelled": ("begin", "stop"),
    "lost": ("begin",),
}


def valid(endings: list[str]) -> History:
    """Runs one after the other, and a kill behind each that is lost."""
    story = Story()
    story.history.of_schedule = {"tick": 1}
    for run, ending in enumerate(endings, 1):
        if ending == "skipped":
            story.did_not_run(run, ending)
            continue
        node = 10 + run if ending == "lost" else 2
        story.row(run, ending, node=node, business_key=f"k{run}")
        for phase in ENDS[ending]:
            story.says(run, phase)
        if ending == "lost":
            story.history.nodes.append(Node(node, 1000 + run, "dead"))
            story.kill(1000 + run)
    return story.history


def dropped_row(history: History, place: int) -> None:
    del history.rows[place]


def doubled_begin(history: History, place: int) -> None:
    key = history.rows[place].key
    begin = next(record for record in history.records if record.key == key)
    history.records.append(replace(begin, place=len(history.records) + 5))


def foreign_token(history: History, place: int) -> None:
    row = history.rows[place]
    history.rows[place] = replace(row, token_hash=hashed("nobody's"))


def not_run_after_all(history: History, place: int) -> None:
    history.rows[place] = replace(history.rows[place], state="skipped", reason="overlap")


def never_ended(history: History, place: int) -> None:
    history.rows[place] = replace(history.rows[place], state="running")


def later_epoch(history: History, place: int) -> None:
    history.rows[place] = replace(history.rows[place], epoch=2)


def taken_key(history: History, place: int) -> None:
    history.rows.append(replace(history.rows[place], run=999, key="db-r999", state="skipped"))


@given(
    st.lists(st.sampled_from([*ENDS, "skipped"]), min_size=1, max_size=12),
    st.sampled_from(
        [dropped_row, doubled_begin, foreign_token, not_run_after_all, never_ended, later_epoch, taken_key]
    ),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_any_corruption_is_flagged(
    endings: list[str], corrupt: Callable[[History, int], None], data: st.DataObject
) -> None:
    history = valid(endings)
    assert check(history) == []
    ran = [place for place, row in enumerate(history.rows) if row.state != "skipped"]
    if ran:
        corrupt(history, data.draw(st.sampled_from(ran)))
        assert check(history) != []

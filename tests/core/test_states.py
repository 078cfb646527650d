"""The one table of states (PROTOCOL §1): what it allows, and what it must never allow."""

from __future__ import annotations

import pytest

from watchbell.core.states import (
    ACTIVE,
    LIVE,
    NEVER_RAN,
    PLANNED,
    RAN,
    TERMINAL,
    TRANSITIONS,
    UNSTARTED,
    BadTransition,
    Reason,
    State,
    check,
    sql_list,
)

PROTOCOL = {
    State.WAITING: "queued held claimed skipped missed coalesced cancelled superseded",
    State.QUEUED: "claimed held skipped missed coalesced cancelled superseded",
    State.HELD: "queued claimed skipped missed coalesced cancelled superseded",
    State.CLAIMED: "running succeeded failed timed_out cancelled lost skipped retrying queued",
    State.RUNNING: "succeeded failed timed_out cancelled lost retrying",
    State.RETRYING: "claimed failed cancelled",
    State.MISSED: "queued",
    State.SKIPPED: "queued",
    State.COALESCED: "queued",
    State.SUPERSEDED: "queued",
}


@pytest.mark.parametrize("state", list(State))
def test_the_table_has_the_arrows_of_the_protocol_and_no_other(state: State) -> None:
    assert TRANSITIONS[state] == {State(word) for word in PROTOCOL.get(state, "").split()}


def test_every_state_is_live_or_terminal_and_what_ran_never_comes_back() -> None:
    assert set(State) == LIVE | TERMINAL
    assert not LIVE & TERMINAL
    assert LIVE == ACTIVE | UNSTARTED
    assert TERMINAL == RAN | NEVER_RAN
    assert all(not TRANSITIONS[state] for state in RAN)
    assert all(TRANSITIONS[state] == {State.QUEUED} for state in NEVER_RAN)


def test_no_arrow_leads_from_running_or_retrying_back_to_queued() -> None:
    assert [state for state in ACTIVE if State.QUEUED in TRANSITIONS[state]] == [State.CLAIMED]


def test_plan_may_write_a_row_that_is_claimed_but_never_one_that_has_ended_otherwise_than_by_not_running() -> (
    None
):
    assert UNSTARTED | {State.CLAIMED, State.MISSED, State.SKIPPED, State.COALESCED} == PLANNED


def test_an_arrow_that_is_not_there_raises() -> None:
    assert check(State.QUEUED, State.CLAIMED) is State.CLAIMED
    with pytest.raises(BadTransition, match="no arrow leads from running to queued"):
        check(State.RUNNING, State.QUEUED)


def test_the_reasons_are_the_closed_list_of_the_semantics() -> None:
    missed = (
        "downtime suspend clock_jump start_deadline no_capacity handler_missing catchup_none catchup_window"
    )
    missed += " catchup_limit restored store_full"
    skipped = "overlap paused disabled set_aside blackout condition quota replaced"
    own = "begun begin_unknown shutdown by_request"
    assert {str(reason) for reason in Reason} == {*missed.split(), *skipped.split(), *own.split()}


def test_states_are_written_into_sql_in_the_order_of_the_table() -> None:
    assert sql_list(ACTIVE) == "'claimed', 'running', 'retrying'"

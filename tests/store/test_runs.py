"""Runs by hand: once per business key, behind the same gates, ended on request (S1.9)."""

from __future__ import annotations

import pytest

from tests.store.house import T0, House
from watchbell.core.instants import DAY, HOUR, MINUTE
from watchbell.core.outcome import Ending
from watchbell.core.policies import Overlap, Policies
from watchbell.errors import BadInput, Conflict, KeyTaken, NotFound
from watchbell.store.runs import Wish, enqueue, enqueue_many, request_cancel
from watchbell.store.tx import Tx


@pytest.fixture
def house() -> House:
    return House()


def test_the_same_key_and_arguments_give_the_first_run_back(house: House) -> None:
    job = house.job()
    first = house.ask(job, '{"n":1}', key="invoice-7")
    again = house.ask(job, '{"n":1}', key="invoice-7")
    assert (first.new, again.new, again.run, again.state) == (True, False, first.run, "queued")
    assert again.key_expires_at is None
    house.settle(house.claim())
    later = house.ask(job, '{"n":1}', key="invoice-7")
    assert (later.run, later.state, later.key_expires_at) == (first.run, "succeeded", T0 + 30 * DAY)


def test_the_same_key_with_other_arguments_is_refused_and_names_the_run(house: House) -> None:
    job = house.job()
    house.ask(job, '{"n":1}', key="invoice-7")
    with pytest.raises(KeyTaken, match="'invoice-7' of job 'job' belongs to run_1 with other arguments"):
        house.ask(job, '{"n":2}', key="invoice-7")
    assert house.states() == ["queued"]


def test_keys_of_different_jobs_have_nothing_to_do_with_each_other(house: House) -> None:
    assert house.ask(house.job("a"), key="k").new
    assert house.ask(house.job("b"), key="k").new


def test_a_key_is_free_30_days_after_its_run_has_ended_and_never_while_it_lives(house: House) -> None:
    job = house.job()
    first = house.ask(job, key="k").run
    house.now += 400 * DAY
    assert not house.ask(job, key="k").new
    house.settle(house.claim())
    house.now += 30 * DAY - 1
    assert not house.ask(job, key="k").new
    house.now += 1
    again = house.ask(job, '{"other":1}', key="k")
    assert (again.new, again.run > first) == (True, True)


def test_a_key_of_a_run_that_was_cancelled_before_it_began_expires_too(house: House) -> None:
    job = house.job()
    run = house.ask(job, key="k").run
    house.store.write(lambda tx: request_cancel(tx, run, "no", house.doer))
    assert house.rows("SELECT expires_at FROM business_key") == [(T0 + 30 * DAY,)]


@pytest.mark.parametrize("state", ["waiting", "queued", "held", "retrying"])
def test_before_a_claim_a_cancel_is_done_at_once_and_gives_its_places_back(house: House, state: str) -> None:
    from watchbell.core.policies import Retry

    job = house.job(limits=(("db", 1),), retry=Retry(max_attempts=2, delay_us=HOUR, jitter=False))
    blocker = house.ask(job).run if state == "held" else None
    run = house.ask(job, at=T0 + HOUR if state == "waiting" else None).run
    if state == "retrying":
        house.settle(house.claim(), Ending.FAILED)
    behind = house.ask(job).run
    assert house.value("SELECT state FROM occurrence WHERE id = ?", run) == state
    assert (
        house.store.write(lambda tx: request_cancel(tx, run, "Cancelled by anna.", house.doer)) == "cancelled"
    )
    row = house.rows("SELECT state, reason, note, ended_at FROM occurrence WHERE id = ?", run)
    assert row == [("cancelled", "by_request", "Cancelled by anna.", T0)]
    expected = "held" if state == "held" else "queued"
    assert house.value("SELECT state FROM occurrence WHERE id = ?", behind) == expected
    assert house.rows("SELECT active FROM gate") == [(1,)]
    if blocker is not None:
        assert house.value("SELECT state FROM occurrence WHERE id = ?", blocker) == "queued"


def test_what_has_ended_or_never_was_cannot_be_cancelled(house: House) -> None:
    run = house.ask(house.job()).run
    house.settle(house.claim(), Ending.TIMED_OUT)
    with pytest.raises(Conflict, match=f"run_{run} has ended already: it timed out"):
        house.store.write(lambda tx: request_cancel(tx, run, "no", house.doer))
    with pytest.raises(NotFound, match="There is no run_99"):
        house.store.write(lambda tx: request_cancel(tx, 99, "no", house.doer))


def ask_schedule(house: House, policies: Policies, at: int | None = None) -> str:
    schedule = house.schedule(
        "s", job=house.job(), overlap=policies.overlap, overlap_max=policies.overlap_max
    )

    def work(tx: Tx) -> str:
        definition = house.catalog.definitions(tx, [(schedule, 1)])[0][schedule, 1]
        return enqueue(tx, Wish(definition.job, "{}", at, definition=definition), house.doer).state

    return str(house.store.write(work))


@pytest.mark.parametrize(
    ("policies", "answers"),
    [
        (Policies(), ["queued", Conflict]),
        (Policies(overlap=Overlap.QUEUE_ONE), ["queued", Conflict]),
        (Policies(overlap=Overlap.QUEUE_ALL, overlap_max=2), ["queued", "held", Conflict]),
        (Policies(overlap=Overlap.ALLOW, overlap_max=2), ["queued", "queued", Conflict]),
        (Policies(overlap=Overlap.ALLOW), ["queued", "queued", "queued"]),
    ],
)
def test_S1_9_run_now_keeps_the_overlap_policy_of_its_schedule(
    house: House, policies: Policies, answers: list[object]
) -> None:
    for answer in answers:
        if answer is Conflict:
            with pytest.raises(
                Conflict, match=f"overlap policy is {policies.overlap}: wait for it, or cancel it"
            ):
                ask_schedule(house, policies)
        else:
            assert ask_schedule(house, policies) == answer


def test_a_schedule_can_be_run_now_but_not_later_by_hand(house: House) -> None:
    with pytest.raises(BadInput, match="can be run now but not later by hand: enqueue its job 'job'"):
        ask_schedule(house, Policies(), at=T0 + MINUTE)
    assert house.states() == []


def test_a_run_by_hand_of_a_schedule_has_its_priority(house: House) -> None:
    job = house.job(priority=5)
    definition_of = house.schedule(job=job, priority=-3)

    def ask(tx: Tx, **wish: int) -> int:
        known, _ = house.catalog.definitions(tx, [(definition_of, 1)])
        definition = known[definition_of, 1]
        return enqueue(tx, Wish(definition.job, "{}", definition=definition, **wish), house.doer).run

    house.store.write(ask)
    house.settle(house.claim())
    house.store.write(lambda tx: ask(tx, priority=9))
    house.ask(job)
    assert house.rows("SELECT priority FROM occurrence ORDER BY id") == [(-3,), (9,), (5,)]


def test_what_is_asked_for_after_many_at_once_has_an_id_of_its_own(house: House) -> None:
    job = house.job()
    many = house.store.write(
        lambda tx: enqueue_many(tx, house.catalog.job(tx, job), [("{}", None)] * 3, house.doer)
    )
    assert house.ask(job).run == many[-1] + 1

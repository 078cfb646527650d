"""Group commit: many callers, one transaction, and one caller's error is its own (PROTOCOL §8)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests import databases
from tests.engine.test_declare import Statements
from watchbell.errors import CommitUnknown, StoreError, StoreFull
from watchbell.store.base import Store
from watchbell.store.sqlite.lock import EngineLock
from watchbell.store.tx import Tx


def made(folder: Path) -> Any:
    """A store with a table of numbers."""
    store = databases.opened(0, folder / "w.db")
    store.write(lambda tx: tx.run("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Any:
    found = made(tmp_path)
    yield found
    found.close()


def put(number: int) -> Callable[[Tx], int]:
    return lambda tx: tx.run("INSERT INTO t VALUES (?)", (number,))


def numbers(store: Store) -> list[int]:
    return [row[0] for row in store.read(lambda tx: tx.rows("SELECT n FROM t ORDER BY n"))]


class Group:
    """Callers that come while another one holds the connection: they are written together, in one commit."""

    def __init__(self, store: Store, *works: Callable[[Tx], Any]) -> None:
        self.answers: list[Any] = [None] * len(works)
        inside, go = threading.Event(), threading.Event()

        def hold(tx: Tx) -> None:
            inside.set()
            assert go.wait(30)

        def call(place: int, work: Callable[[Tx], Any]) -> None:
            try:
                self.answers[place] = store.write(work)
            except Exception as error:
                self.answers[place] = error

        leader = threading.Thread(target=store.write, args=(hold,))
        leader.start()
        assert inside.wait(30)
        threads = []
        for place, work in enumerate(works):
            threads.append(threading.Thread(target=call, args=(place, work)))
            threads[-1].start()
            while len(store._writer._turns._waiting) < place + 1:  # it has taken its place in the line
                threads[-1].join(0.001)
        go.set()
        for thread in (leader, *threads):
            thread.join(30)
            assert not thread.is_alive()


def refuse(tx: Tx) -> None:
    tx.run("INSERT INTO t VALUES (77)")
    raise KeyError("mine")


def test_many_callers_share_one_commit(tmp_path: Path) -> None:
    with Statements() as asked:
        store = made(tmp_path)
        asked.clear()
        group = Group(store, *(put(number) for number in range(20)))
        commits = sum(text.endswith("COMMIT") for text in asked)
    assert group.answers == [1] * 20
    assert numbers(store) == list(range(20))
    assert commits == 2
    store.close()


def test_an_error_of_what_was_written_later_is_its_own_callers(store: Store) -> None:
    def later(*numbers_: int) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            for number in numbers_:
                tx.later("INSERT INTO t VALUES (?)", (number,))

        return work

    group = Group(store, later(1), later(2, 1), later(3))
    assert group.answers[0::2] == [None, None]
    assert isinstance(group.answers[1], StoreError)
    assert numbers(store) == [1, 3]


def test_whoever_listens_is_told_of_a_transaction_that_pokes(store: Store) -> None:
    acted = threading.Event()
    if store.path is not None:
        EngineLock(store.path).take()  # whose folder the listener's address is in
    listener = store.listen(acted.set)
    assert listener is not None
    acted.clear()

    def poking(tx: Tx) -> None:
        tx.poke()
        put(1)(tx)

    store.write(poking)
    assert acted.wait(30)
    listener.close()


def test_one_callers_error_rolls_back_its_own_piece_only(store: Store) -> None:
    group = Group(store, put(1), refuse, put(2), put(1), put(3))
    assert [type(answer) for answer in group.answers] == [int, KeyError, int, StoreError, int]
    assert re.search("UNIQUE constraint failed|unique constraint", str(group.answers[3]))
    assert numbers(store) == [1, 2, 3]


def test_an_error_of_a_caller_that_is_alone_rolls_back_everything_it_did(store: Store) -> None:
    with pytest.raises(KeyError, match="mine"):
        store.write(refuse)
    assert numbers(store) == []
    store.write(put(1))
    assert numbers(store) == [1]


@pytest.mark.sqlite
@pytest.mark.parametrize(("error", "told"), [(apsw.IOError, CommitUnknown), (apsw.FullError, StoreFull)])
def test_an_error_of_the_disk_fails_every_caller_of_the_group_and_the_next_one_goes_on(
    store: Store, error: type[Exception], told: type[Exception]
) -> None:
    def breaks(tx: Tx) -> None:
        raise error("disk")

    group = Group(store, put(1), breaks, put(2))
    assert [type(answer) for answer in group.answers] == [told] * 3
    assert numbers(store) == []
    store.write(put(4))
    assert numbers(store) == [4]


@pytest.mark.sqlite
def test_a_commit_that_fails_fails_every_caller_and_calls_nobody_back(store: Store) -> None:
    called: list[str] = []

    def work(tx: Tx) -> None:
        put(1)(tx)
        tx.after_commit(lambda: called.append("after"))

    store._main.set_commit_hook(lambda: True)
    with pytest.raises(StoreError):
        store.write(work)
    store._main.set_commit_hook(None)
    assert (called, numbers(store)) == ([], [])
    store.write(work)
    assert (called, numbers(store)) == (["after"], [1])


def test_what_is_to_be_done_after_the_commit_is_done_once_it_is_durable_and_not_after_an_error(
    store: Store,
) -> None:
    seen: list[Any] = []

    def works(tx: Tx) -> None:
        put(1)(tx)
        tx.after_commit(lambda: seen.append(numbers(store)))

    def fails(tx: Tx) -> None:
        tx.after_commit(lambda: seen.append("never"))
        raise KeyError

    Group(store, works, fails)
    assert seen == [[1]]


def test_a_transaction_inside_a_transaction_is_a_bug_and_raises(store: Store) -> None:
    with pytest.raises(AssertionError, match="inside a transaction"):
        store.write(lambda tx: store.write(put(1)))
    store.write(put(2))
    assert numbers(store) == [2]


def test_S0_11_many_threads_that_write_and_read_lose_nothing(store: Store) -> None:
    errors: list[BaseException] = []

    def call(place: int) -> None:
        try:
            for turn in range(25):
                number = place * 1000 + turn
                if turn % 5 == 4:
                    with pytest.raises(KeyError):
                        store.write(refuse)
                else:
                    store.write(put(number))
                    assert number in numbers(store)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(place,)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(numbers(store)) == 12 * 20


def test_an_interrupt_in_a_piece_is_passed_on_and_leaves_the_store_usable(store: Store) -> None:
    def interrupted(tx: Tx) -> None:
        put(1)(tx)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(interrupted)
    store.write(put(2))
    assert numbers(store) == [2]

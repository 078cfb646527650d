"""How often a server is asked where one schedule is added or changed: each message costs as much as the work behind it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import IO

import psycopg
import pytest

from tests.services.people import NOW, TRUE, WHO, function_job
from watchbell.core.instants import MINUTE
from watchbell.core.triggers import cron, every
from watchbell.services import schedules
from watchbell.services.schedules import Change, Details
from watchbell.store import nodes
from watchbell.store.base import Store
from watchbell.store.nodes import NodeInfo
from watchbell.store.open import open_store
from watchbell.store.postgres.address import Address


class Messages:
    """What goes to the server over the connections that are opened from here on, as the driver's library writes it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._notes: list[IO[str]] = []
        connect = Address.connect

        def noted(address: Address) -> psycopg.Connection[tuple[object, ...]]:
            conn = connect(address)
            note = tempfile.TemporaryFile("w+")  # noqa: SIM115  the server's library writes into it
            conn.pgconn.trace(note.fileno())
            self._notes.append(note)
            return conn

        patch.setattr(Address, "connect", noted)

    def during(self, act: Callable[[], object]) -> int:
        """How many messages with which the server is asked for an answer."""
        self._asked()
        act()
        return self._asked()

    def close(self) -> None:
        for note in self._notes:
            note.close()

    def _asked(self) -> int:
        count = 0
        for note in self._notes:
            note.seek(0)
            fields = [line.rstrip("\n").split("\t") for line in note]
            count += sum(line[1:2] == ["F"] and line[3] in ("Query", "Sync") for line in fields)
            note.seek(0)
            note.truncate()
        return count


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Messages]:
    found = Messages(monkeypatch)
    yield found
    found.close()


@pytest.fixture
def store(messages: Messages, postgres_url: str) -> Iterator[Store]:
    made = open_store(postgres_url, NOW)
    function_job(made, "report")
    schedules.add_command_schedule(made, "there", every("1h"), TRUE, now=NOW, actor=WHO)
    yield made
    made.close()


def add(store: Store, name: str, **details: str) -> None:
    schedules.add_schedule(store, name, "report", every("1h"), details=Details(**details), now=NOW, actor=WHO)  # type: ignore[arg-type]


def test_adding_a_schedule_is_a_beginning_a_question_and_an_end(store: Store, messages: Messages) -> None:
    assert messages.during(lambda: add(store, "a")) == 3
    assert messages.during(lambda: add(store, "b", about="another")) == 3


def test_adding_a_command_with_its_job_is_no_more(store: Store, messages: Messages) -> None:
    def act() -> None:
        schedules.add_command_schedule(store, "a", every("1h"), TRUE, now=NOW, actor=WHO)

    assert messages.during(act) == 3


def test_a_zone_that_the_database_knows_costs_nothing(store: Store, messages: Messages) -> None:
    rule = cron("30 2 * * *", tz="Europe/Berlin")
    schedules.add_schedule(store, "a", "report", rule, now=NOW, actor=WHO)

    def act() -> None:
        schedules.add_schedule(store, "b", "report", rule, now=NOW, actor=WHO)

    assert messages.during(act) == 3


def test_where_there_is_an_engine_it_is_looked_at(store: Store, messages: Messages) -> None:
    info = NodeInfo("n", "elsewhere", 1, "boot", "0", {"thread": 1})
    store.write(lambda tx: nodes.register(tx, info, NOW))
    assert messages.during(lambda: add(store, "a")) == 5


def test_changing_a_schedule_is_a_few_questions(store: Store, messages: Messages) -> None:
    now = NOW + MINUTE
    change = Change(trigger=every("2h"))
    asked: dict[Callable[[], object], int] = {
        lambda: schedules.edit(store, "there", change, now=now, actor=WHO): 15,
        lambda: schedules.edit(store, "there", change, now=now, actor=WHO): 4,
        lambda: schedules.pause(store, "there", now=now, actor=WHO): 11,
        lambda: schedules.remove(store, "there", now=now, actor=WHO): 12,
    }
    for act, most in asked.items():
        assert messages.during(act) <= most

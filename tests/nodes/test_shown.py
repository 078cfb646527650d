"""What people are shown of many nodes, and what the verbs about a file say of a database on a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.nodes.several import Several
from watchbell import Watchbell, cron
from watchbell.clock import SystemClock
from watchbell.core.instants import HOUR, SECOND
from watchbell.errors import BadInput, Conflict, StoreUnavailable
from watchbell.services import backup, database, doctor, restore
from watchbell.services.checkup import Level
from watchbell.services.dump_restored import dump_restored


def declare(bell: Watchbell) -> None:
    @bell.schedule(cron("*/10 * * * *"))
    def work() -> None: ...


def test_every_node_is_listed_with_its_slots_labels_and_the_error_of_its_clock(several: Several) -> None:
    one = several.node(declare, "one", slots={"async": 3})
    two = several.node(declare, "two", labels=["gpu"])
    two.house.skew_us = lambda: -90 * SECOND
    several.live(6)
    view = one.bell.status()
    assert view.running
    assert view.engine.sentence == "2 nodes are running: one, two"
    first, second = view.engine.nodes
    assert (first.name, first.slots["async"], first.labels, first.skew_us) == ("one", 3, (), 0)
    assert (second.name, second.labels, second.skew_us) == ("two", ("gpu",), -90 * SECOND)
    assert second.skewed == "The clock of node two is 1 min 30 s behind the database's"


def test_nodes_of_one_name_are_counted(several: Several) -> None:
    nodes = [several.node(declare, name) for name in ("vm", "vm", "db", "vm")]
    several.live(2)
    status = nodes[0].bell.status
    assert status().engine.sentence == "4 nodes are running: vm (3), db"
    nodes[0].house.store.write(
        lambda tx: tx.run(
            "UPDATE node SET state = 'draining' WHERE id IN (SELECT max(id) FROM node GROUP BY name)"
        )
    )
    assert status().engine.sentence == "4 nodes are running: vm (3, 1 stopping), db (stopping)"


def test_a_silent_node_does_not_hide_those_that_act(several: Several) -> None:
    one = several.node(declare, "one")
    two = several.node(declare, "two")
    several.live(2)
    one.die(seen=False)
    several.clock.advance(16 * SECOND)  # nobody has declared it dead yet
    two._keeper.step()
    view = two.bell.status()
    assert view.running
    assert view.engine.sentence == "1 node is running: two; silent: one"


@pytest.mark.parametrize("there", [True, False])
def test_doctor_looks_at_the_server_and_at_no_file(
    there: bool, tmp_path: Path, listening_url: str, empty_postgres_url: str
) -> None:
    url = listening_url if there else empty_postgres_url
    report = doctor.examine(doctor.patient_of(url, SystemClock(), tmp_path, os.environ))
    levels = {check.name: check.level for check in report.checks}
    if not there:
        assert levels["database"] is Level.WARNING
        assert len(levels) == 2
        return
    assert [name for name in levels if levels[name] is Level.BROKEN] == []
    for name in ("database", "server", "notifications", "clock", "nodes"):
        assert levels[name] is Level.OK, name
    assert not levels.keys() & {"files", "lock", "disk", "soundness", "sqlite", "second engine"}


def test_doctor_says_that_nobody_answers_where_it_was_told_to_listen(
    tmp_path: Path, postgres_url: str
) -> None:
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}listen=postgresql://127.0.0.1:1/none"
    report = doctor.examine(doctor.patient_of(url, SystemClock(), tmp_path, os.environ, quick=True))
    check = next(check for check in report.checks if check.name == "notifications")
    assert check.level is Level.WARNING
    assert check.todo is not None
    assert check.todo.startswith("Nobody answers there, or a pooler")


def test_doctor_says_where_no_server_answers(tmp_path: Path) -> None:
    patient = doctor.patient_of("postgresql://127.0.0.1:1/none", SystemClock(), tmp_path, os.environ)
    report = doctor.examine(patient)
    assert not report.ok
    assert "cannot be reached" in report.checks[-1].sentence


def test_what_is_about_a_file_says_what_to_do_with_a_server(tmp_path: Path, postgres_url: str) -> None:
    with pytest.raises(BadInput, match="pg_dump"):
        backup.backup(postgres_url, tmp_path / "a", now=0)
    with pytest.raises(BadInput, match="database restored"):
        restore.restore(tmp_path / "a", postgres_url, now=0)
    with pytest.raises(BadInput, match="pg_amcheck"):
        database.check_database(postgres_url)
    assert database.migrate_database(postgres_url, 0).applied == ()
    assert database.exists(postgres_url)


def test_a_schema_is_made_by_migrate_and_reading_makes_none(empty_postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="There is no watchbell in"):
        database.open_database(empty_postgres_url, 0, create=False)
    assert database.migrate_database(empty_postgres_url, 0).applied == ("created",)
    database.open_database(empty_postgres_url, 0, create=False).close()


def test_what_fell_due_since_a_dump_is_not_run_again(several: Several) -> None:
    node = several.node(declare, "one")
    several.until("00:10")
    store = node.house.store
    with pytest.raises(Conflict, match="stop every node"):
        dump_restored(store, now=several.clock.wall_us())
    node.die(seen=False)
    several.clock.advance(5 * HOUR)  # in which others ran what this dump does not know
    highest = several.rows("SELECT max(id) FROM occurrence")[0][0]
    done = dump_restored(store, now=several.clock.wall_us())
    assert done.at - done.newest_at > 4 * HOUR
    several.node(declare, "two")
    several.live(2)
    assert several.rows("SELECT DISTINCT reason FROM span") == [("restored",)]
    several.clock.advance(HOUR // 6)
    several.live(2)
    newest = several.rows("SELECT max(id) FROM occurrence WHERE state = 'succeeded'")[0][0]
    assert newest > highest + 1_000_000

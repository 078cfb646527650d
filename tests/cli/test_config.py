"""`watchbell config`, and that what it says has an effect."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from watchbell import Watchbell
from watchbell.app import configured
from watchbell.cli.log import JsonLines
from watchbell.config.reading import load
from watchbell.engine.node import Plan
from watchbell.errors import BadConfiguration


@pytest.fixture
def file(database: Path, tmp_path: Path) -> Path:
    return tmp_path / "watchbell.toml"


def test_init_writes_a_file_once_and_never_over_another(call: Call, file: Path, tmp_path: Path) -> None:
    assert call("config", "init").code == 0
    assert "[engine]" in file.read_text()
    file.write_text("zone = 'Asia/Tokyo'\n")
    reply = call("config", "init")
    assert (reply.code, "left as it is" in reply.err) == (6, True)
    assert file.read_text() == "zone = 'Asia/Tokyo'\n"
    assert call("config", "init", "--user").code == 0
    assert (tmp_path / "configuration" / "watchbell" / "watchbell.toml").exists()
    assert call("config", "init", str(file / "below")).code == 78


def test_show_prints_each_value_with_where_it_came_from(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[slots]\nthread = 3\n")
    monkeypatch.setenv("WATCHBELL_LOG__LEVEL", "debug")
    lines = [line.split(None, 2) for line in call("config", "show").out.splitlines()]
    assert ["slots.thread", "3", f"{file}, line 2"] in lines
    assert ["log.level", "debug", "$WATCHBELL_LOG__LEVEL"] in lines
    assert ["shutdown_grace", "10s", "built in"] in lines
    items = call("config", "show", "--database", "x.db", "--json").json()["items"]
    assert {"key": "database", "value": "x.db", "origin": "command line"} in items
    monkeypatch.delenv("WATCHBELL_DATABASE_URL")
    items = call("config", "show", "--json").json()["items"]
    assert items[0]["value"].endswith("watchbell.db")
    assert items[0]["origin"].startswith("found")


def test_check_gives_sentences_and_78(call: Call, file: Path) -> None:
    assert call("config", "check").code == 0
    file.write_text("scheduler_enabled = true\n")
    reply = call("config", "check")
    assert (reply.code, "called engine.enabled now" in reply.out) == (0, True)
    file.write_text("[slots]\nthreads = 3\n")
    reply = call("config", "check", "--json")
    assert (reply.code, reply.json()["ok"]) == (78, False)
    assert reply.json()["findings"][0]["where"] == f"{file}, line 2"
    assert "1 error" in call("config", "check").out
    assert call("config", "show").code == 78
    assert call("serve", "--for", "1s").code == 78


def test_the_database_and_the_zone_of_the_file_are_used(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHBELL_DATABASE_URL")
    file.write_text('database = "own.db"\nzone = "Asia/Tokyo"\n')
    reply = call("schedule", "add", "tea", "--cron", "0 7 * * *", "--", "true")
    assert "Asia/Tokyo" in reply.out
    assert (file.parent / "own.db").exists()
    assert call("status", "--json").json()["database"] == str(file.parent / "own.db")
    file.write_text("database = \n")
    assert call("status").code == 78
    assert call("--database", "own.db", "status").code == 3


@pytest.mark.parametrize("variable", ["WATCHBELL_DISABLE_JOBS", "DISABLE_JOB_SCHEDULER"])
def test_S3_9_a_switched_off_process_starts_no_engine(
    call: Call, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    reply = call("serve", "--for", "1s")
    assert reply.code == 78
    assert "No engine is started" in reply.err
    bell = Watchbell("sqlite://")

    @bell.job
    def work() -> None: ...

    assert bell.start() is bell
    assert not bell.status().running
    assert work.enqueue().state() == "queued"
    with pytest.raises(BadConfiguration, match=variable):
        bell.run()
    bell.stop()


def test_S0_8_engine_enabled_false_starts_nothing(call: Call, file: Path) -> None:
    file.write_text("scheduler_enabled = false\n")
    reply = call("serve", "--for", "1s")
    assert (reply.code, "engine.enabled is false" in reply.err) == (78, True)


def test_S0_8_what_the_configuration_says_reaches_the_engine(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchbell.app import compose

    file.write_text(
        'zone = "Asia/Tokyo"\nshutdown_grace = "3s"\n[engine]\nstartup_delay = "5s"\ncheck_interval = "100ms"\n'
        "max_consecutive_errors = 2\n[slots]\nthread = 7\n"
    )
    plans: list[Plan] = []
    monkeypatch.setattr(compose, "Node", lambda _house, plan, *_rest: plans.append(plan))
    bell = configured.made(load({}, file.parent), "sqlite://")
    compose.node(bell._parts(bell._open()))
    plan = plans[0]
    assert (plan.startup_delay_us, plan.look_us, plan.shutdown_grace_us) == (5_000_000, 100_000, 3_000_000)
    assert (bell._tz, bell._slots["thread"], bell._sources.max_errors) == ("Asia/Tokyo", 7, 2)


def test_S0_8_the_errors_of_a_source_count_against_the_configured_number(file: Path) -> None:
    file.write_text("[engine]\nmax_consecutive_errors = 2\n")
    bell = configured.apply(load({}, file.parent), Watchbell("sqlite://"))

    @bell.source("rows")
    def rows() -> list[object]:
        raise ValueError("no table")

    for _ in range(2):
        with pytest.raises(ValueError, match="no table"):
            bell.reload()
    most = bell._open().read(lambda tx: tx.value("SELECT max_errors FROM source"))
    assert most == 2


def test_S0_8_an_engine_stands_by_for_its_startup_delay(file: Path) -> None:
    file.write_text('[engine]\nstartup_delay = "1h"\n')
    bell = configured.apply(load({}, file.parent), Watchbell("sqlite://"))
    bell.start()
    assert bell._node is not None
    assert bell._node.standing_by
    assert not bell._node.ready.is_set()
    bell.stop()
    assert not any(thread.name == "watchbell-engine" for thread in threading.enumerate())


def test_a_log_line_is_one_object_with_the_event() -> None:
    record = logging.LogRecord(
        "watchbell.engine", logging.WARNING, "f", 1, "engine.late: %s is late", ("tea",), None
    )
    made = json.loads(JsonLines().format(record))
    assert (made["level"], made["logger"], made["event"], made["text"]) == (
        "warning",
        "watchbell.engine",
        "engine.late",
        "tea is late",
    )
    assert made["at"].endswith("Z")
    plain = logging.LogRecord("shop", logging.INFO, "f", 1, "sold: two\nthings", (), None)
    assert json.loads(JsonLines().format(plain))["text"] == "sold: two\nthings"

"""A Watchbell in an application: what is put around jobs, what its configuration says, and when no engine begins."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask, current_app

from watchbell import Declared, Run, Watchbell
from watchbell.errors import BadConfiguration, BadDeclaration, Conflict


def wait_for(fact: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 60
    while not (found := fact()):
        assert time.monotonic() < end, f"still not so: {what}"
        threading.Event().wait(0.02)
    return found


@pytest.fixture
def flask(tmp_path: Path) -> Flask:
    app = Flask("shop")
    app.config["WATCHBELL_DATABASE_URL"] = str(tmp_path / "bell.db")
    return app


# --- Flask ------------------------------------------------------------------------------------------------------------


def test_jobs_conditions_and_sources_run_inside_of_the_applications_context(flask: Flask) -> None:
    bell = Watchbell()
    seen: list[str] = []

    def see(what: str) -> None:
        seen.append(f"{what} of {current_app.name}")

    def wanted() -> bool:
        see("condition")
        return True

    @bell.job
    def early(run: Run) -> None:
        see("thread")

    bell.init_app(flask)

    @bell.schedule("every 100ms", condition=wanted)
    @bell.job
    def late() -> None:
        see("scheduled")

    @bell.job
    async def on_a_loop(one: int) -> None:
        see("loop")

    @bell.source("things", every="1h")
    def things() -> Iterator[Declared]:
        see("source")
        yield Declared("a", early, "every 1h")

    bell.start()
    try:
        assert early.enqueue().wait("30s") == "succeeded"
        assert on_a_loop.enqueue(1).wait("30s") == "succeeded"
        expected = {f"{what} of shop" for what in ("thread", "loop", "scheduled", "condition", "source")}
        wait_for(lambda: expected == set(seen), f"all of {expected}: {set(seen)}")
        with pytest.raises(RuntimeError):
            early.function(None)  # type: ignore[arg-type]  # a plain call is a plain call, with no context around it
    finally:
        bell.stop()


def test_what_the_configuration_of_the_application_says_counts(flask: Flask, tmp_path: Path) -> None:
    flask.config.update(
        WATCHBELL_APP="shop", WATCHBELL_TZ="Europe/Berlin", WATCHBELL_SLOTS={"thread": 3},
        WATCHBELL_SHUTDOWN_GRACE="3s", WATCHBELL_KEEP={"logs": "2d"}, WATCHBELL_STARTUP_DELAY="1s",
        WATCHBELL_CHECK_INTERVAL=0.5, WATCHBELL_ENABLED=False,
    )  # fmt: skip
    bell = Watchbell(flask, tz="UTC")
    assert flask.extensions["watchbell"] is bell
    assert (bell._url, bell._declared.app, bell._tz) == (str(tmp_path / "bell.db"), "shop", "Europe/Berlin")
    assert (bell._slots["thread"], bell._slots["async"], bell._grace_us) == (3, 1000, 3_000_000)
    assert (bell._engine.startup_delay_us, bell._engine.look_us) == (1_000_000, 500_000)
    assert bell._engine.keep.logs_us == 2 * 86_400_000_000
    assert not bell._embedding._armed


def test_where_nothing_says_which_database_the_environment_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Watchbell(Flask("shop"))._url == "watchbell.db"
    monkeypatch.setenv("WATCHBELL_DATABASE_URL", "sqlite:///of-the-environment.db")
    assert Watchbell(Flask("shop"))._url == "sqlite:///of-the-environment.db"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("DATABSE_URL", "x", r"app.config\['WATCHBELL_DATABSE_URL'\] means nothing; there are DATABASE_URL"),
        ("DATABASE_URL", 7, r"WATCHBELL_DATABASE_URL'\]: It is a text, not 7"),
        ("TZ", "Mars/Olympus", r"WATCHBELL_TZ'\]: .*Mars/Olympus"),
        ("SLOTS", {"threads": 1}, r"WATCHBELL_SLOTS'\]: There is no lane 'threads'"),
        ("KEEP", {"logs": "long"}, r"WATCHBELL_KEEP'\]: "),
        ("SHUTDOWN_GRACE", None, r"WATCHBELL_SHUTDOWN_GRACE'\]: "),
        ("ENABLED", "yes", r"WATCHBELL_ENABLED'\]: It is True or False"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    flask: Flask, key: str, value: Any, said: str
) -> None:
    flask.config[f"WATCHBELL_{key}"] = value
    with pytest.raises(BadConfiguration, match=said):
        Watchbell(flask)
    assert "watchbell" not in flask.extensions


def test_two_in_one_application_are_refused_and_one_that_is_in_use_too(flask: Flask, tmp_path: Path) -> None:
    bell = Watchbell(flask)
    bell.init_app(flask)
    with pytest.raises(Conflict, match="has a Watchbell already"):
        Watchbell(flask)
    other = Watchbell(str(tmp_path / "other.db"))
    other.schedules()
    with pytest.raises(Conflict, match="in use already"):
        other.init_app(Flask("another"))
    other.stop()


@pytest.mark.parametrize("app", [None, object(), "shop", Watchbell])
def test_an_application_that_nobody_knows_is_refused_with_what_to_do(app: Any) -> None:
    with pytest.raises(
        BadDeclaration, match=r"is no Flask, Starlette or FastAPI application.*bell\.start\(\)"
    ):
        Watchbell("sqlite://").init_app(app)


def test_the_requests_of_a_test_begin_no_engine_and_those_of_a_server_do(flask: Flask) -> None:
    bell = Watchbell(flask)
    flask.testing = True
    flask.test_client().get("/")
    assert not bell._embedding._asked.is_set()
    flask.testing = False
    flask.test_client().get("/")
    wait_for(lambda: bell._embedding.began, "it has begun")
    wait_for(lambda: bell.status().running, "an engine acts")
    bell._embedding.end()
    assert not bell.status().running
    bell.stop()


def test_an_engine_that_ended_by_itself_begins_again(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "bell.db"))
    bell._embedding.begin()
    first = bell._node
    assert first is not None
    for path in tmp_path.glob("bell.db*"):
        if path.is_file():
            path.unlink()
    wait_for(lambda: first.error is not None, "the engine has noticed that its database is gone")
    wait_for(lambda: bell._node not in (None, first) and bell._node.ready.is_set(), "another one acts")
    assert bell.status().running
    bell._embedding.end()
    assert not bell._embedding.began


def test_a_lifespan_that_begins_what_has_just_begun_by_itself_is_no_conflict(flask: Flask) -> None:
    bell = Watchbell(flask)
    flask.test_client().get("/")
    wait_for(lambda: bell._embedding.began and bell._node is not None, "it has begun by itself")
    node = bell._node
    bell._embedding.begin()
    assert bell._node is node
    bell._embedding.end()
    bell.stop()


def test_one_that_was_stopped_by_hand_stays_so(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "bell.db"))
    bell._embedding.begin()
    bell.stop()
    keeper = bell._embedding._thread
    assert keeper is not None
    keeper.join(60)
    assert not keeper.is_alive()
    assert bell._node is None
    bell._embedding.end()


# --- Starlette, FastAPI -----------------------------------------------------------------------------------------------


def test_init_app_puts_it_inside_of_the_lifespan_that_is_there(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "bell.db"))
    told: list[tuple[str, bool]] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, int]]:
        told.append(("up", bell._embedding.began))
        yield {"answer": 42}
        told.append(("down", bell._embedding.began))

    app = FastAPI(lifespan=lifespan)
    bell.init_app(app)
    with TestClient(app) as client:
        assert bell.status().running
        assert client.app_state["answer"] == 42
    assert told == [("up", False), ("down", False)]
    assert not bell.status().running
    bell.stop()


def test_a_lifespan_that_cannot_start_its_engine_fails_with_the_reason(tmp_path: Path) -> None:
    bell = Watchbell(str(tmp_path / "nowhere" / "bell.db"))
    with pytest.raises(Exception, match="does not exist"), TestClient(FastAPI(lifespan=bell.lifespan)):
        pass


def test_where_engines_are_switched_off_the_application_runs_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHBELL_DISABLE_JOBS", "1")
    bell = Watchbell(str(tmp_path / "bell.db"))
    with TestClient(FastAPI(lifespan=bell.lifespan)):
        assert not bell.status().running
    bell.stop()

"""The configuration of a process: who wins, what is wrong, and where it is written."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.app import DEFAULT_SLOTS
from watchbell.app.configured import made
from watchbell.config import NO_HOME, PLACES, database_of, state_folder, switched_off, zone_of
from watchbell.config.reading import OLD_KEYS, Loaded, keys, load, read
from watchbell.config.writing import sample
from watchbell.errors import BadConfiguration


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and a configuration folder of a user, which the test has for itself."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    (tmp_path / "user" / "watchbell").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def of_user(here: Path, text: str) -> None:
    (here.parent / "user" / "watchbell" / "watchbell.toml").write_text(text)


def value(found: Loaded, key: str) -> tuple[str, str]:
    one = next(one for one in found.values if one.key == key)
    return one.shown, one.origin


def test_without_anything_everything_is_built_in(here: Path) -> None:
    found = read({}, here)
    assert found.findings == found.files == ()
    assert {one.origin for one in found.values} == {"built in"}
    made = load({}, here)
    assert (made.shutdown_grace, made.engine.check_interval, made.engine.startup_delay) == (
        10_000_000,
        250_000,
        0,
    )
    assert made.by_lane() == DEFAULT_SLOTS


def test_later_wins_key_by_key_and_each_value_says_where_it_comes_from(here: Path) -> None:
    of_user(
        here,
        '\nzone = "Asia/Tokyo"\nshutdown_grace = "1m"\nslots.thread = 1\n[slots]\n'.replace("[slots]\n", ""),
    )
    (here / "watchbell.toml").write_text("[slots]\nthread = 2\nprocess = 3\n\n[engine]\nenabled = false\n")
    environment = {
        "WATCHBELL_SLOTS__PROCESS": "4",
        "WATCHBELL_ENGINE__ENABLED": "yes",
        "WATCHBELL_DATABASE_URL": "e.db",
    }
    found = read(environment, here, {"database": "given.db"})
    user = here.parent / "user" / "watchbell" / "watchbell.toml"
    own = here / "watchbell.toml"
    assert found.findings == ()
    assert found.files == (user, own)
    assert value(found, "zone") == ("Asia/Tokyo", f"{user}, line 2")
    assert value(found, "shutdown_grace") == ("1m", f"{user}, line 3")
    assert value(found, "slots.thread") == ("2", f"{own}, line 2")
    assert value(found, "slots.process") == ("4", "$WATCHBELL_SLOTS__PROCESS")
    assert value(found, "engine.enabled") == ("true", "$WATCHBELL_ENGINE__ENABLED")
    assert value(found, "database") == ("given.db", "command line")
    assert value(read(environment, here), "database") == ("e.db", "$WATCHBELL_DATABASE_URL")


def test_a_named_file_takes_the_place_of_both_others(here: Path) -> None:
    (here / "watchbell.toml").write_text('zone = "Asia/Tokyo"\n')
    other = here / "other.toml"
    other.write_text("[slots]\nthread = 7\n")
    found = read({"WATCHBELL_CONFIG": str(other)}, here)
    assert found.files == (other,)
    assert value(found, "zone") == ("UTC", "built in")
    missing = read({"WATCHBELL_CONFIG": str(here / "no.toml")}, here)
    assert "which is no file" in missing.errors[0].sentence


def test_S0_8_old_names_are_read_and_the_new_ones_are_said(here: Path) -> None:
    (here / "watchbell.toml").write_text(
        "scheduler_enabled = false\nscheduler_startup_delay_seconds = 10\n[scheduler]\n"
        'scheduler_check_interval_seconds = 60\nmax_consecutive_errors = 7\nDASHBOARD_URL = "http://x"\n'
    )
    found = read({}, here)
    assert found.errors == ()
    said = "\n".join(one.sentence for one in found.findings)
    for old, new in OLD_KEYS.items():
        assert f"{old} is called {new} now" in said
    assert f"{here / 'watchbell.toml'}, line 4: scheduler.scheduler_check_interval_seconds" in said
    assert found.configuration is not None
    engine = found.configuration.engine
    assert (engine.enabled, engine.startup_delay, engine.check_interval) == (False, 10_000_000, 60_000_000)
    assert engine.max_consecutive_errors == 7


def test_S0_8_old_variables_are_read_and_the_new_ones_are_said(here: Path) -> None:
    environment = {
        "SCHEDULER_CHECK_INTERVAL_SECONDS": "2",
        "MAX_CONSECUTIVE_ERRORS": "9",
        "DASHBOARD_URL": "x",
    }
    found = read(environment, here)
    assert found.errors == ()
    assert value(found, "engine.check_interval") == ("2s", "$SCHEDULER_CHECK_INTERVAL_SECONDS")
    said = "\n".join(one.sentence for one in found.findings)
    assert "$SCHEDULER_CHECK_INTERVAL_SECONDS: it is called $WATCHBELL_ENGINE__CHECK_INTERVAL now" in said
    assert "$DASHBOARD_URL: it has no effect" in said
    new_wins = read(environment | {"WATCHBELL_ENGINE__MAX_CONSECUTIVE_ERRORS": "3"}, here)
    assert value(new_wins, "engine.max_consecutive_errors")[0] == "3"


@pytest.mark.parametrize("variable", ["WATCHBELL_DISABLE_JOBS", "DISABLE_JOB_SCHEDULER"])
def test_S3_9_a_switch_of_the_environment_keeps_engines_off(here: Path, variable: str) -> None:
    for off in ("1", "true", "YES"):
        found = read({variable: off, "WATCHBELL_ENGINE__ENABLED": "true"}, here)
        assert value(found, "engine.enabled") == ("false", f"${variable}")
        assert switched_off({variable: off}) == variable
        assert found.errors == ()
        assert bool(found.findings) == (variable == "DISABLE_JOB_SCHEDULER")
    for on in ("", "0", "false", "No"):
        assert value(read({variable: on}, here), "engine.enabled") == ("true", "built in")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "[engine]\n\nenabeld = true\n",
            3,
            "there is no key 'engine.enabeld'; perhaps engine.enabled is meant",
        ),
        ("enabled = true\n", 1, "perhaps engine.enabled is meant"),
        ("colour = 'red'\n", 1, "there is no key 'colour'; there are database, engine.check_interval"),
        ("[slots]\nthread = -1\n", 2, "slots.thread: it should be greater than or equal to 0, not '-1'"),
        ("[slots]\nthread = 'many'\n", 2, "slots.thread: it should be a valid integer"),
        ("\nzone = 'Europe/Berln'\n", 2, "Europe/Berlin"),
        ("shutdown_grace = '10 parsecs'\n", 1, "shutdown_grace: "),
        ("shutdown_grace = '2d'\n", 1, "at most a day"),
        ("[engine]\ncheck_interval = 0\n", 2, "at least 1ms"),
        ("[log]\nlevel = 'loud'\n", 2, "'debug', 'info', 'warning' or 'error'"),
        ("engine = {enabled = 3}\n", 1, "engine.enabled: it should be a valid boolean"),
        ("engine = 3\n", 1, "'engine'"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_line(here: Path, text: str, line: int, said: str) -> None:
    file = here / "watchbell.toml"
    file.write_text(text)
    found = read({}, here)
    assert found.configuration is None
    assert len(found.errors) == 1
    assert found.errors[0].where == f"{file}, line {line}"
    assert said in found.errors[0].sentence
    with pytest.raises(BadConfiguration) as caught:
        load({}, here)
    assert str(caught.value) == found.errors[0].sentence


def test_everything_that_is_wrong_is_said_at_once(here: Path) -> None:
    (here / "watchbell.toml").write_text("[slots]\nthread = 'a'\nprocess = 'b'\nprocesses = 1\n")
    found = read(
        {"WATCHBELL_LOG__LEVEL": "loud", "WATCHBELL_ENGINE__ENABELD": "1", "WATCHBELL_SLOT__THREAD": "1"},
        here,
    )
    said = "\n".join(one.sentence for one in found.errors)
    assert len(found.errors) == 6
    for text in ("slots.thread", "slots.process:", "slots.processes", "$WATCHBELL_LOG__LEVEL: log.level"):
        assert text in said, text
    assert (
        "$WATCHBELL_ENGINE__ENABELD: there is no key 'engine.enabeld'; perhaps $WATCHBELL_ENGINE__ENABLED"
        in said
    )
    assert (
        "$WATCHBELL_SLOT__THREAD: there is no such variable; perhaps $WATCHBELL_SLOTS__THREAD is meant"
        in said
    )


def test_what_is_no_toml_is_said_with_its_line(here: Path) -> None:
    (here / "watchbell.toml").write_text("zone = \n")
    assert "line 1" in read({}, here).errors[0].sentence
    (here / "watchbell.toml").write_bytes(b"zone = '\xff'\n")
    assert "no UTF-8 text" in read({}, here).errors[0].sentence


def test_the_variables_of_runs_and_of_others_are_nobodys_business(here: Path) -> None:
    environment = {
        "WATCHBELL_RUN_KEY": "x",
        "WATCHBELL_DEBUG": "1",
        "WATCHBELL_TOKEN": "y",
        "ZONE": "z",
        "engine": "1",
    }
    assert read(environment, here).findings == ()


def test_a_whole_table_may_be_json_in_the_environment(here: Path) -> None:
    found = read({"WATCHBELL_SLOTS": '{"thread": 5, "async": 6}'}, here)
    assert value(found, "slots.thread") == ("5", "$WATCHBELL_SLOTS")
    assert found.errors == ()
    assert read({"WATCHBELL_SLOTS": "{"}, here).errors


def test_a_password_in_a_url_is_masked(here: Path) -> None:
    found = read({"WATCHBELL_DATABASE_URL": "postgresql://bell:secret@db/bell"}, here)
    assert value(found, "database")[0] == "postgresql://bell:***@db/bell"


def test_a_database_in_a_file_lies_beside_it_wherever_somebody_stands(here: Path) -> None:
    of_user(here, 'database = "shop.db"\n')
    assert database_of({}, here) == str(here.parent / "user" / "watchbell" / "shop.db")
    (here / "watchbell.toml").write_text('database = "sqlite:///data/shop.db"\n')
    assert database_of({}, here) == str(here / "data" / "shop.db")
    assert value(read({}, here), "database")[0] == str(here / "data" / "shop.db")
    (here / "watchbell.toml").write_text('database = "/var/lib/shop.db"\nzone = "Asia/Tokyo"\n')
    assert database_of({}, here) == "/var/lib/shop.db"
    assert database_of({"WATCHBELL_DATABASE_URL": "env.db"}, here) == "env.db"
    assert (zone_of({}, here), zone_of({"WATCHBELL_ZONE": "UTC"}, here)) == ("Asia/Tokyo", "UTC")
    (here / "watchbell.toml").write_text("database = 3\n")
    with pytest.raises(BadConfiguration, match="database is a text"):
        database_of({}, here)


def test_the_state_folder_is_the_environments_else_a_files_else_the_users(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))
    environment = {"WATCHBELL_STATE_FOLDER": " ~/of-the-environment "}
    assert state_folder({}, here) == here / "state" / "watchbell"
    (here / "watchbell.toml").write_text('state_folder = "of-the-file"\n')
    assert state_folder({}, here) == here / "of-the-file"
    assert state_folder({}, None) == here / "state" / "watchbell"
    assert state_folder(environment, here) == Path.home() / "of-the-environment"
    assert value(read({}, here), "state_folder")[0] == str(here / "of-the-file")
    url = "sqlite://"
    assert made(load({}, here), url)._engine.state == str(here / "of-the-file")
    assert made(load(environment, here), url)._engine.state == "~/of-the-environment"
    assert state_folder({}, None, "~/of-all-of-it") == Path.home() / "of-all-of-it"


def test_who_has_no_home_has_no_folder_named_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert state_folder({}, None) == NO_HOME


def test_the_file_that_is_written_changes_nothing_and_each_of_its_lines_can_be_used(here: Path) -> None:
    file = here / "watchbell.toml"
    file.write_text(sample())
    before = read({}, here)
    assert before.findings == ()
    assert {one.origin for one in before.values} == {"built in"}
    used = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line else line for line in sample().splitlines()
    )
    file.write_text(used)
    after = read({}, here)
    assert after.findings == ()
    assert sorted(keys()) == sorted(one.key for one in after.values if "line" in one.origin)
    assert [one.shown for one in after.values if one.key not in PLACES] == [
        one.shown for one in before.values if one.key not in PLACES
    ]


def test_the_guide_names_every_key() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "guide" / "configuration.md"
    named = set(re.findall(r"`([a-z_.]+)`", page.read_text(encoding="utf-8")))
    assert set(keys()) <= named


TOML = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.text("abc 1s/", max_size=8),
    lambda inner: st.dictionaries(
        st.sampled_from(["engine", "slots", "enabled", "thread", "zone", "x"]), inner, max_size=4
    ),
    max_leaves=8,
)


def toml(data: object) -> str:
    if isinstance(data, dict):
        return "{" + ", ".join(f"{key} = {toml(value)}" for key, value in data.items()) + "}"
    return (
        str(data).lower() if isinstance(data, bool) else repr(data) if isinstance(data, int) else f'"{data}"'
    )


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["engine", "slots", "log", "zone", "shutdown_grace", "database"]), TOML)
)
def test_no_file_brings_it_down(tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    text = "".join(f"{key} = {toml(value)}\n" for key, value in data.items())
    tomllib.loads(text)
    (folder / "any.toml").write_text(text)
    found = read({"WATCHBELL_CONFIG": str(folder / "any.toml")}, folder)
    assert (found.configuration is None) == bool(found.errors)
    for one in found.findings:
        assert one.sentence.endswith(".")
    for one in found.values:
        assert isinstance(one.shown, str)

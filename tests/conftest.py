"""What holds for every test: it never meets the configuration, the state or the clock settings of its user."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# No test asserts how fast this machine is, and a slow one is not a failure of a property.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("house"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

pytest_plugins = ["tests.postgres.fixtures"]

_FOLDERS = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--release",
        action="store_true",
        help="run the long tests of a release as well; they take half an hour",
    )
    parser.addoption(
        "--require-services",
        action="store_true",
        help="a test that needs PostgreSQL or PgBouncer fails where there is none, and is not skipped",
    )
    parser.addoption(
        "--both",
        action="store_true",
        help="carry out the stories of the engine on PostgreSQL as well; they take as long as all the others",
    )
    parser.addoption(
        "--through-pgbouncer",
        action="store_true",
        help="carry out what is about PostgreSQL, and nothing else, by way of a real PgBouncer in transaction mode",
    )


def pytest_configure() -> None:
    """What tests start has to hear a signal that they send, also where the tests themselves were started in the background
    of a shell, which has them ignored."""
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL),
                            (signal.SIGQUIT, signal.SIG_DFL)):  # fmt: skip
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --release the tests that are marked so are left out, and counted as deselected."""
    if not config.getoption("--release"):
        left_out = [item for item in items if item.get_closest_marker("release")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if not item.get_closest_marker("release")]


@pytest.fixture(scope="session", autouse=True)
def a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A fresh home folder, no WATCHBELL_* variable and plain output, for this process and those it starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WATCHBELL_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        for name in _FOLDERS:
            folder = home / name.lower()
            folder.mkdir(mode=0o700)
            patch.setenv(name, str(folder))
        for name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_COLOR", "1")
        # The many processes that tests start would else compile every module anew where bytecode is not written.
        base = tmp_path_factory.getbasetemp()
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        patch.setenv("PYTHONPYCACHEPREFIX", str(shared / "bytecode"))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield

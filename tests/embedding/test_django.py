"""Inside of a Django project: jobs.py, on_commit, the admin's page, `manage.py watchbell` and django.tasks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .servers import PROJECTS, Shop

STORIES = re.findall(r"^def (\w+)\(\) -> None:", (PROJECTS / "django_stories.py").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each story of projects/django_stories.py ended; the empty text is a good end."""
    shop = Shop(tmp_path_factory.mktemp("stories"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "django_stories"],
        cwd=shop.folder, env=shop.env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("story", [name for name in STORIES if name != "main"])
def test_S4_10_in_a_django_project(ends: dict[str, str], story: str) -> None:
    assert ends[story] == ""


def manage(shop: Shop, *words: str, code: int = 0, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "django", *words],
        cwd=shop.folder, env=shop.env | {"DJANGO_SETTINGS_MODULE": "django_shop.settings"} | env,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_manage_py_watchbell_serves_the_projects_jobs_and_other_commands_run_nothing(shop: Shop) -> None:
    manage(shop, "check")
    assert not shop.database.exists(), "a command that needs no ledger makes none"
    manage(shop, "watchbell", "serve", "--for", "1s", "--settings=django_shop.settings")
    assert shop.ticks_of()
    assert "unaccounted: 0" in manage(shop, "watchbell", "audit")
    shop.nothing_ran_twice()


def test_importing_watchbell_imports_no_django(tmp_path: Path) -> None:
    program = (
        "import sys, watchbell; watchbell.Watchbell(); import watchbell.django; "
        "print(any(name.partition('.')[0] in ('django', 'flask', 'starlette') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

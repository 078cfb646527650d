"""Other schedulers in a code base are found by reading it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import Call
from watchbell.errors import NotFound
from watchbell.services.hidden import find, look

FOUND = [
    ("from apscheduler.schedulers.background import BackgroundScheduler", "APScheduler", 1),
    ("import apscheduler.triggers.cron as c", "APScheduler", 1),
    ("import schedule\nschedule.every(10).minutes.do(job)", "schedule", 1),
    ("from celery.schedules import crontab", "Celery beat", 1),
    ("app.conf.beat_schedule = {'a': {}}", "Celery beat", 1),
    ("app.conf.update(beat_schedule={})", "Celery beat", 1),
    (
        "@app.on_after_configure.connect\ndef f(sender, **_):\n    sender.add_periodic_task(10.0, g.s())",
        "Celery beat",
        3,
    ),
    ("CELERY_BEAT_SCHEDULE: dict = {}", "Celery beat", 1),
    ("CRONJOBS = [('*/5 * * * *', 'm.f')]", "django-crontab", 1),
    ("from fastapi_utils.tasks import repeat_every", "fastapi-utils", 1),
    ("import time\nwhile True:\n    work()\n    time.sleep(60)", "a loop that sleeps", 2),
    ("from time import sleep as nap\nwhile 1:\n    nap(5)", "a loop that sleeps", 2),
    (
        "import asyncio\nasync def f():\n    while not done:\n        await asyncio.sleep(PERIOD)",
        "a loop that sleeps",
        3,
    ),
    ("while not stop.is_set():\n    work()\n    stop.wait(30)", "a loop that sleeps", 1),
    ("def f():\n    work()\n    threading.Timer(60, f).start()", "a timer that sets itself again", 1),
    (
        "class A:\n    def beat(self):\n        loop.call_later(5, self.beat)",
        "a timer that sets itself again",
        2,
    ),
]


@pytest.mark.parametrize(("text", "kind", "line"), FOUND)
def test_a_hidden_scheduler_is_found_with_its_line(text: str, kind: str, line: int) -> None:
    assert (kind, line) in [(one.kind, one.line) for one in find(text)]


@pytest.mark.parametrize(
    "text",
    [
        "from watchbell import every",
        "import scheduler_of_mine\nschedule = 3",
        "from . import schedule",
        "import time\nfor _ in range(3):\n    time.sleep(1)",
        "while True:\n    line = queue.get()\n    work(line)",
        "while True:\n    def later():\n        time.sleep(3)\n    run(later)",
        "threading.Timer(60, other).start()",
        "while busy:\n    time.sleep(1)",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert find(text) == []


def test_the_span_of_a_loop_is_what_is_to_be_written_instead() -> None:
    assert (
        find("import time\nwhile True:\n    time.sleep(60)")[0].instead
        == 'a function with @bell.schedule(every("60s"))'
    )
    assert "every(PERIOD)" in find("import time\nwhile True:\n    time.sleep(PERIOD)")[0].instead


def test_a_folder_is_read_without_what_is_not_its_own(tmp_path: Path) -> None:
    for place in ("a.py", "pkg/b.py", ".venv/lib/c.py", "node_modules/d.py", "pkg/e.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("import schedule\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "bytes.py").write_bytes(b"\x00\xff")
    found = look(tmp_path)
    assert [one.file for one in found.items] == [str(tmp_path / "a.py"), str(tmp_path / "pkg" / "b.py")]
    assert [file for file, _ in found.unread] == [str(tmp_path / "broken.py"), str(tmp_path / "bytes.py")]
    assert found.files == 4
    with pytest.raises(NotFound, match="no file or folder"):
        look(tmp_path / "nowhere")


def test_doctor_code_lists_them_and_exits_with_1(call: Call, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import time\nwhile True:\n    time.sleep(60)\n")
    reply = call("doctor", "--code", str(tmp_path))
    assert reply.code == 1
    assert "shop.py:2" in reply.out
    assert "1 place where something else schedules" in reply.out
    assert (
        call("doctor", "--code", str(tmp_path), "--json").json()["items"][0]["kind"] == "a loop that sleeps"
    )
    (tmp_path / "shop.py").write_text("")
    assert call("doctor", "--code", str(tmp_path)).code == 0
    assert call("doctor", "--code", str(tmp_path), "--fix").code == 2


@given(st.text(max_size=200))
def test_no_text_brings_it_down(text: str) -> None:
    try:
        find(text)
    except (SyntaxError, ValueError):
        pass

"""The README's way, as somebody who has just come goes it: the tour in the shell, then the library beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import Reader, blocks

pytestmark = [pytest.mark.journey]
README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_library_example_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    example = next(block for block in blocks(README) if block.kind == "python")
    reader.read(example)
    program = (
        "import jobs\n"
        "jobs.bell.start()\n"
        "assert jobs.greet('bob') == 'hello bob'\n"
        "assert jobs.greet.enqueue('alice').wait('30s') == 'succeeded'\n"
        "assert jobs.bell.run_now('close_the_day').new\n"
        "assert [one.name for one in jobs.bell.schedules().items] == ['close_the_day', 'look_for_mail']\n"
        "jobs.bell.stop()\n"
        "assert jobs.bell.audit().ok\n"
    )
    done = reader.run_program(program)
    assert done.returncode == 0, done.stderr

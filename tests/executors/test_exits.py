"""The sentences for what could not be started."""

from __future__ import annotations

import errno
from pathlib import Path

from watchbell.executors.child_process import Exit, Launch
from watchbell.executors.exits import not_started


def test_F55_what_is_not_there_is_not_said_to_lack_a_permission(tmp_path: Path) -> None:
    """As the system does say, of a place in or below a folder that the job's user may not enter."""
    (tmp_path / "there").touch()

    def sentence(program: str) -> str:
        launch = Launch((program,), {"PATH": f"/nowhere:{tmp_path}"}, user="nobody")
        return not_started(Exit(stage="exec", number=errno.EACCES), launch, 1, 2).error or ""

    assert sentence(f"{tmp_path}/absent") == f"The program '{tmp_path}/absent' does not exist."
    assert sentence("absent") == f"The program 'absent' was not found in PATH (/nowhere:{tmp_path})."
    for program in ("there", f"{tmp_path}/there"):
        assert (
            sentence(program)
            == f"The program {program!r} may not be executed: it has no permission for that."
        )

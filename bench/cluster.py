"""A server of our own that can be restarted, in a folder for temporary files. Made as the tests make theirs
(tests/postgres/keeper.py); it ends with the bench.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres import keeper
from tests.postgres.at_hand import server_programs

from .child import Unmeasured

FAST, CRASH = signal.SIGINT, signal.SIGQUIT
"""How a server is told to stop: in order, without waiting for its clients; at once, as if the power were gone."""
ENDS_WITHIN_S = 60.0


@dataclass(slots=True)
class Cluster:
    """One server, which always answers at the same place."""

    url: str
    _start: Callable[[], subprocess.Popen[bytes]]
    _process: subprocess.Popen[bytes]

    def stop(self, how: signal.Signals) -> None:
        """Stop it and wait until it has ended."""
        self._process.send_signal(how)
        self._process.wait(ENDS_WITHIN_S)

    def start(self) -> None:
        """Start it and wait until it answers. Unmeasured if it does not."""
        self._process = self._start()
        if not keeper.answers(self.url, self._process):
            raise Unmeasured("the server did not start again")


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that answers, gone afterwards with all it held. Unmeasured if there can be none."""
    binaries = server_programs()
    if binaries is None:
        raise Unmeasured("the server's programs (initdb, postgres) are not on this machine")
    with contextlib.ExitStack() as stack:
        try:
            user = keeper.a_user()
            folder = stack.enter_context(keeper.a_folder(user))
            prepare, command, url = keeper.a_cluster({"binaries": str(binaries)}, folder, user)
            prepare()
        except keeper.Trouble as trouble:
            raise Unmeasured(f"a server of our own could not be made: {trouble}") from None
        port = keeper.a_free_port()

        def start() -> subprocess.Popen[bytes]:
            return _started(command(port), folder, keeper.as_user(user))

        made = Cluster(url(port), start, start())
        stack.callback(lambda: keeper.end(made._process))
        if not keeper.answers(made.url, made._process):
            raise Unmeasured(f"a server of our own did not start: {keeper.last_words(folder / 'server.log')}")
        yield made


def _started(command: list[str], folder: Path, who: dict[str, Any]) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=keeper.surroundings(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=keeper.die_with_the_parent,  # noqa: PLW1509  # one thread
            **who,
        )

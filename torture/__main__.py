"""The command: `python -m torture VERB …`. Each verb has its own `--help`.

kill9    engines on SQLite die by SIGKILL, again and again: `kill9 --cycles 300 [--seed N] [--keep DIR]`
nodes    many engines on one PostgreSQL, under fire: `nodes --nodes 3 --minutes 20 [--database URL] [--seed N]`
gunicorn web workers with an engine in each, under fire: `gunicorn --workers 4 --minutes 2 [--database URL] [--seed N]`
"""

from __future__ import annotations

import sys
from importlib import import_module

VERBS = {"kill9": "torture.kill9", "nodes": "torture.nodes.command", "gunicorn": "torture.web.command"}


def main(arguments: list[str]) -> int:
    """Hand the arguments to the verb's own room."""
    if not arguments or arguments[0] not in VERBS:
        print(__doc__, file=sys.stderr)
        return 2
    return int(import_module(VERBS[arguments[0]]).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

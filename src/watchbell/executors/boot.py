"""The first lines of a process job's process, run by their path: take the call, take over the engine's `sys.path`,
and only then import anything that is not of the standard library."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys

CONTROL = 3


def main() -> int:
    os.set_inheritable(CONTROL, False)
    control = socket.socket(fileno=CONTROL)
    lines = control.makefile("rb")
    line = lines.readline()
    if not line:
        return 1  # the engine is gone
    call = json.loads(line)
    sys.path[:] = call["path"]
    child = importlib.import_module("watchbell.executors.child")
    child.carry_out(call, control, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())

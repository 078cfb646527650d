"""The command: `python -m torture kill9 --cycles 300 [--seed N] [--keep DIR]`."""

from __future__ import annotations

import sys

from .kill9 import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

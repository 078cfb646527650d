"""The command: `python -m simulation [--seeds N] [--days D] [--seed S] [--minutes M]`."""

from __future__ import annotations

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

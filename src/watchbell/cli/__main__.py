"""`python -m watchbell.cli`: the command line without its console script."""

from __future__ import annotations

from .main import main

main()

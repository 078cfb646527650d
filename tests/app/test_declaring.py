"""What a declaration refuses before anything is written."""

from __future__ import annotations

import pytest

from watchbell import Watchbell
from watchbell.errors import BadPolicy


def test_a_rerun_of_a_thread_must_be_allowed_to_overlap_by_name() -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(BadPolicy, match="may_overlap=True"):
        bell.job(name="a", on_lost="rerun")(lambda: None)
    bell.job(name="b", on_lost="rerun", may_overlap=True)(lambda: None)

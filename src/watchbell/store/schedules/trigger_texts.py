"""Triggers from the texts in which they are stored. It stands by itself, so that whoever only shows them reads no more."""

from __future__ import annotations

import json
from functools import lru_cache

from ...core.triggers import Trigger, trigger_from_json

CACHE_SIZE = 65_536


@lru_cache(maxsize=CACHE_SIZE)
def trigger_of(text: str) -> Trigger:
    """The trigger written as this JSON text; shared by all schedules with the same rule."""
    return trigger_from_json(json.loads(text))

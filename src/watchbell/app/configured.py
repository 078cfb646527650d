"""A Watchbell as the configuration of its process says: its own for `watchbell serve`, or an application's."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.model import Configuration
from . import Watchbell
from .engine_options import EngineOptions, labels_of

__all__ = ["apply", "made"]


def made(configuration: Configuration, url: str, labels: Sequence[str] = ()) -> Watchbell:
    """A Watchbell for what was scheduled on the command line: everything about it is configuration."""
    bell = Watchbell(url, tz=configuration.zone, slots=configuration.by_lane())
    bell._grace_us = configuration.shutdown_grace
    bell._engine = EngineOptions(keep=configuration.keeping())
    return apply(configuration, bell, labels)


def apply(configuration: Configuration, bell: Watchbell, labels: Sequence[str] = ()) -> Watchbell:
    """An application's own: its database, zone, slots and grace are what its code says, the engine is configuration.
    `labels` are those of the command line, beside the code's."""
    engine = configuration.engine
    marked = labels_of({"labels": [*bell._engine.labels, *labels]})
    keep, state = bell._engine.keep, configuration.state_folder
    bell._engine = EngineOptions(engine.startup_delay, engine.check_interval, keep, marked, state)
    bell._sources.max_errors = engine.max_consecutive_errors
    return bell

"""A Watchbell as the configuration of its process says: its own for `watchbell serve`, or an application's."""

from __future__ import annotations

from ..config.model import Configuration
from . import Watchbell
from .engine_options import EngineOptions

__all__ = ["apply", "made"]


def made(configuration: Configuration, url: str) -> Watchbell:
    """A Watchbell for what was scheduled on the command line: everything about it is configuration."""
    bell = Watchbell(url, tz=configuration.zone, slots=configuration.by_lane())
    bell._grace_us = configuration.shutdown_grace
    bell._engine = EngineOptions(keep=configuration.keeping())
    return apply(configuration, bell)


def apply(configuration: Configuration, bell: Watchbell) -> Watchbell:
    """An application's own: its database, zone, slots and grace are what its code says, the engine is configuration."""
    engine = configuration.engine
    bell._engine = EngineOptions(engine.startup_delay, engine.check_interval, bell._engine.keep)
    bell._sources.max_errors = engine.max_consecutive_errors
    return bell

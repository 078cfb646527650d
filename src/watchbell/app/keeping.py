"""How long things are kept, as an application writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.instants import parse_duration
from ..core.retention import Keep
from ..core.sizes import parse_size
from ..errors import BadConfiguration, WatchbellError

SPANS = ("occurrences", "logs", "alerts", "changes")
SIZES = ("logs_of_job", "logs_in_all")


def keep_of(given: Mapping[str, Any] | None) -> Keep:
    """`{"occurrences": "400d", "logs": "30d", "logs_of_job": "100M", "logs_in_all": "1G", "alerts": "90d", "changes":
    "1100d"}`, each of them as it is by default where it is left out. BadConfiguration names the one that is wrong."""
    read: dict[str, int] = {}
    try:
        for name, value in dict(given or {}).items():
            if name in SPANS:
                read[f"{name}_us"] = parse_duration(value)
            elif name in SIZES:
                read["logs_bytes" if name == "logs_in_all" else "logs_of_job_bytes"] = parse_size(value, name)
            else:
                raise BadConfiguration(f"keep has no {name!r}; it has {', '.join((*SPANS, *SIZES))}.")
        return Keep(**read)
    except BadConfiguration:
        raise
    except (WatchbellError, TypeError, ValueError) as error:
        raise BadConfiguration(f"keep: {error}") from error

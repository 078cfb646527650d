"""The file that `config init` writes: every key, with its default, commented out."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from ..core.instants import duration_text
from .model import SPANS, Configuration

EXAMPLES = {"database": "watchbell.db", "state_folder": "/var/lib/watchbell"}
"""For keys whose default is nothing."""
HEAD = """\
# The configuration of watchbell. Every line that begins with `#` and holds a key shows its default.
# `watchbell config check` says what is wrong here, `watchbell config show` what is in force and where it comes from.
# The environment comes before this file: WATCHBELL_ENGINE__ENABLED=false.
"""


def sample() -> str:
    """The text of a file that changes nothing."""
    plain, tables = [], []
    for name, about in Configuration.model_fields.items():
        kind = about.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            head = (kind.__doc__ or "").strip()
            tables.append(f"\n# {head}\n[{name}]\n" + _keys(kind, f"{name}."))
        else:
            plain.append(_key(name, about.description, about.default))
    return HEAD + "".join(plain) + "".join(tables)


def _keys(model: type[BaseModel], above: str) -> str:
    fields = model.model_fields.items()
    return "".join(
        _key(f"{above}{about.alias or name}", about.description, about.default) for name, about in fields
    )


def _key(key: str, description: str | None, default: Any) -> str:
    name = key.rpartition(".")[2]
    if default is None:
        return f"\n# {description}\n# {name} = {json.dumps(EXAMPLES[key])}\n"
    if key in SPANS and isinstance(default, int):
        default = duration_text(default)
    return f"\n# {description}\n# {name} = {json.dumps(default)}\n"

"""Arguments of a job: read from `name=value` texts, and checked against the job's signature before they are written.

The signature is the JSON schema that was declared with the job; a command has none and takes anything, as environment
variables. Only what a function's signature can say is checked here: names, which of them are needed, plain types.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ..core.definition import arguments_text
from ..errors import BadArguments
from ..store import listing
from ..store.base import Store
from ..store.schedules.put import find_job
from ..store.tx import Tx

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def read_pairs(pairs: Iterable[str], parameters: str | None = None) -> dict[str, Any]:
    """Arguments from texts such as `count=3`: by the schema's type where there is one, else as JSON, else as text."""
    properties = {} if parameters is None else json.loads(parameters).get("properties", {})
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        name = name.strip()
        if not sign or not name:
            raise BadArguments(f"{pair!r} is no argument; write --arg name=value, such as --arg count=3")
        if name in found:
            raise BadArguments(f"The argument {name!r} is written twice.")
        types = _types(properties.get(name, {}))
        found[name] = text if types == {"string"} else _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _types(schema: Mapping[str, Any]) -> set[str]:
    """The plain types that a schema allows; empty where it says something this page does not judge."""
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        each = [_types(one) for one in alternatives]
        return set().union(*each) if all(each) else set()
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    return set(kind) if isinstance(kind, list) else set()


def check(arguments: Mapping[str, Any], parameters: str | None, job: str) -> str:
    """The arguments as JSON text, once they fit. BadArguments says which one does not, and what is known instead."""
    try:
        text = arguments_text(dict(arguments))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArguments(
            f"The arguments of {job!r} cannot be written as JSON ({error}): give texts, numbers, true, false, lists "
            "and objects of these."
        ) from error
    if parameters is None:
        return text
    schema = _schema(parameters)
    properties = schema.get("properties", {})
    known = ", ".join(sorted(properties)) or "none"
    if schema.get("additionalProperties") is False and (strange := sorted(set(arguments) - set(properties))):
        raise BadArguments(f"The job {job!r} has no argument {strange[0]!r}; it has: {known}.")
    if missing := [name for name in schema.get("required", ()) if name not in arguments]:
        raise BadArguments(
            f"The job {job!r} needs the argument {missing[0]!r}: write --arg {missing[0]}=…, or args={{{missing[0]!r}: …}}."
        )
    for name, value in arguments.items():
        types = _types(properties.get(name, {}))
        if types and not any(_is(value, kind) for kind in types):
            wanted = " or ".join(sorted(types))
            raise BadArguments(f"The argument {name!r} of the job {job!r} must be {wanted}, not {value!r}.")
    return text


@lru_cache(maxsize=256)
def _schema(text: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text)
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind in ("integer", "number"):
        return False
    return isinstance(value, _TYPES.get(kind, (object,)))


def read_for(store: Store, job: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Arguments for the job of that name from `name=value` texts, read by its signature; as JSON where it has none."""

    def signature(tx: Tx) -> str | None:
        found = find_job(tx, job)
        return None if found is None else listing.job_parameters(tx, found)

    return read_pairs(pairs, store.read(signature))

"""How what user code did becomes an `Outcome`: its result as JSON text, its exception as words.

User code is not trusted to be describable: an exception may fail in its own `__str__`, a result may contain itself.
Nothing here raises.
"""

from __future__ import annotations

import json
import traceback as tracebacks
from pathlib import Path
from types import TracebackType

from ..core.outcome import Ending, Outcome

RESULT_LIMIT = 64 * 1024
ERROR_LIMIT = 4 * 1024
TRACEBACK_LIMIT = 32 * 1024
_OURS = str(Path(__file__).parent)


class _NotJson(Exception):
    """The result holds something that JSON has no form for."""


def _refuse(value: object) -> object:
    raise _NotJson(type(value).__qualname__)


_JSON_IS = "Return a dict, list, str, int, float, bool or None."
_encode = json.JSONEncoder(default=_refuse, allow_nan=False).encode


def succeeded(value: object, began_at: int | None, ended_at: int) -> Outcome:
    """The outcome of a function that returned: succeeded, or failed if the result is not JSON."""
    if value is None:
        return Outcome(Ending.SUCCEEDED, began_at, ended_at)
    text, note, error = result_text(value)
    if error is not None:
        return Outcome(Ending.FAILED, began_at, ended_at, error=error, error_type=("TypeError", "Exception"))
    return Outcome(Ending.SUCCEEDED, began_at, ended_at, result=text, note=note)


def result_text(value: object) -> tuple[str | None, str | None, str | None]:
    """`(JSON text, note, error)` of a result: the note if it was too long to be kept, the error if it is not JSON."""
    try:
        text = _encode(value)
    except _NotJson as found:
        inside = "" if found.args[0] == type(value).__qualname__ else f" that holds a {found.args[0]}"
        return None, None, f"The function returned {_kind(value)}{inside}, which is not JSON. {_JSON_IS}"
    except Exception as found:
        reason = _words(found)
        return None, None, f"The function returned {_kind(value)} that cannot be written as JSON: {reason}"
    if len(text) > RESULT_LIMIT:
        return (
            None,
            f"The result was {len(text):,} characters of JSON and was not kept; the limit is 64 KiB.",
            None,
        )
    return text, None, None


def _kind(value: object) -> str:
    name = type(value).__qualname__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def failed(exc: BaseException, began_at: int | None, ended_at: int) -> Outcome:
    """The outcome of a function that raised."""
    return Outcome(
        Ending.FAILED,
        began_at,
        ended_at,
        error=error_text(exc),
        error_type=type_chain(type(exc)),
        traceback=traceback_text(exc),
    )


def error_text(exc: BaseException) -> str:
    """The exception in one line or a few: its class and what it says."""
    words = _words(exc)
    name = type(exc).__qualname__
    return _cut(f"{name}: {words}" if words else name, ERROR_LIMIT)


def type_chain(kind: type[BaseException]) -> tuple[str, ...]:
    """The class and its bases, most derived first, each by its qualified and its bare name."""
    names: dict[str, None] = {}
    for cls in kind.__mro__:
        if cls is object:
            continue
        if cls.__module__ != "builtins":
            names[f"{cls.__module__}.{cls.__qualname__}"] = None
        names[cls.__name__] = None
    return tuple(names)


def traceback_text(exc: BaseException) -> str | None:
    """The traceback from the first frame of user code on; None if it cannot be told."""
    try:
        lines = tracebacks.format_exception(type(exc), exc, _users(exc.__traceback__))
        return _cut("".join(lines), TRACEBACK_LIMIT)
    except Exception:
        return None


def _users(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames


def _words(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:
        return "(the exception cannot be written as text)"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    part = limit // 2
    return f"{text[:part]}\n… {len(text) - 2 * part:,} characters left out …\n{text[-part:]}"

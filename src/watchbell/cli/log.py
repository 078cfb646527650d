"""What `watchbell serve` says on the standard error: lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging

from ..core.instants import to_text

TEXT = "%(asctime)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """One object a line: at, level, logger, event (the dotted name that a message of the engine begins with), text."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        text = record.getMessage()
        event, colon, rest = text.partition(": ")
        if not colon or " " in event or "." not in event:
            event, rest = "", text
        made = {
            "at": to_text(round(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            **({"event": event} if event else {}),
            "text": rest,
        }
        if record.exc_info:
            made["trace"] = self.formatException(record.exc_info)
        return json.dumps(made, ensure_ascii=False)


def log_to_stderr(level: str, form: str) -> None:
    """What the engine does, on the standard error, unless the application has its own idea of logging."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    root.addHandler(handler)
    root.setLevel(level.upper())

"""The kinds of channel that this process can send through, by name. What a sender is made of is loaded with its first
alert: most processes never send one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .base import Message, Sender


def _email(message: Message, options: Mapping[str, Any], /) -> None:
    from .email import send

    send(message, options)


def _webhook(message: Message, options: Mapping[str, Any], /) -> None:
    from .webhook import send

    send(message, options)


SENDERS: Final[Mapping[str, Sender]] = {"email": _email, "webhook": _webhook}

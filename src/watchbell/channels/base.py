"""What a channel is: a function that tells one alert to somebody outside, or says why it could not.

A sender is synchronous and knows nothing of the store. It is called again for the same alert after a temporary error and
after a crash, so what it sends bears a mark that is the same each time (`Message.mark`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import WatchbellError

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")
WHOLE_SECONDS = 60.0
"""No send takes longer than this, whatever the other side does: a timeout of the network is one of each read only, and
looking up a name has none at all."""


@dataclass(frozen=True, slots=True)
class Message:
    """One alert, as it is told. Instants are microseconds UTC; `sent_at` differs from try to try, nothing else does."""

    id: int
    event: str
    subject: str
    text: str
    run: int | None
    raised_at: int
    workspace: str
    database: str
    sent_at: int

    @property
    def mark(self) -> str:
        """Names this alert among those of all databases: whoever has it twice can see that it is one."""
        return f"alert_{self.database}_{self.id}"


class ChannelError(WatchbellError):
    """An alert could not be told; the message is a sentence. A permanent error is not tried again; `retry_after_us` is
    how long the other side has asked to be left alone."""

    def __init__(self, sentence: str, permanent: bool, retry_after_us: int | None = None) -> None:
        super().__init__(sentence)
        self.permanent = permanent
        self.retry_after_us = retry_after_us


class Sender(Protocol):
    """Tells an alert through a channel with these options; returns once the other side has taken it. ChannelError."""

    def __call__(self, message: Message, options: Mapping[str, Any], /) -> None: ...


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """Carry out `work` and give up waiting for it after so many seconds; it is then left to its own timeouts."""
    results: list[T] = []
    errors: list[BaseException] = []

    def carry_out() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=carry_out, name="watchbell-send", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise ChannelError(f"{what} had not answered after {seconds:g} s.", permanent=False)
    return results[0]


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Certificates are always verified, against the system's authorities or those of `ca_file`."""
    import ssl

    path = options.get("ca_file")
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ChannelError(
            f"The authorities in ca_file {path} cannot be read: {error}.", permanent=False
        ) from error


def one_line(text: object, limit: int = 200) -> str:
    """What another machine has said, fit for one line of a sentence."""
    raw = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    plain = " ".join("".join(c if c.isprintable() else " " for c in raw[: 4 * limit]).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"

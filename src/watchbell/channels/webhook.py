"""Alerts by webhook: a POST whose receiver can tell that it is from us, that it is fresh, and whether it has had it.

The signature is an HMAC-SHA256 over the time of sending and the body, `X-Watchbell-Signature: t=<seconds>,v1=<hex>`:
the receiver computes it anew from `t + "." + body` and refuses what differs or is old. The `Idempotency-Key` is the same
at every try.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..core.channel_options import check_options
from ..core.instants import SECOND, to_text
from ..core.retry_after import retry_after_us
from ..errors import BadInput
from .base import WHOLE_SECONDS, ChannelError, Message, one_line, tls_context, within

TIMEOUT_S = 10.0
_TEMPORARY = {408, 425, 429}
_ANSWER_KEPT = 2000


def send(
    message: Message,
    options: Mapping[str, Any],
    *,
    timeout_s: float = TIMEOUT_S,
    whole_s: float = WHOLE_SECONDS,
) -> None:
    """Post the alert; returns once the answer is 2xx. `timeout_s` bounds each wait for the network, `whole_s` the whole."""
    try:
        checked = check_options("webhook", options)
    except BadInput as error:
        raise ChannelError(str(error), permanent=True) from error
    where = f"The webhook at {urlsplit(checked['url']).netloc}"
    status, headers, answer = within(whole_s, where, lambda: _post(message, checked, where, timeout_s))
    if not 200 <= status < 300:
        raise _refusal(where, status, headers, answer)


def body_of(message: Message) -> bytes:
    """The body: the same bytes at every try."""
    data = {
        "id": message.mark,
        "event": message.event,
        "subject": message.subject,
        "text": message.text,
        "run": None if message.run is None else f"run_{message.run}",
        "raised_at": to_text(message.raised_at),
        "workspace": message.workspace,
        "database": message.database,
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def signature(secret: str, at_s: int, body: bytes) -> str:
    """What stands in `X-Watchbell-Signature`.

    >>> signature("0123456789abcdef", 1, b"{}")
    't=1,v1=2af693cb56b22c16912222aeefdc75a01de562bf70ee2015f41ecea48382997f'
    """
    mac = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256)
    return f"t={at_s},v1={mac.hexdigest()}"


def _post(
    message: Message, options: Mapping[str, Any], where: str, timeout_s: float
) -> tuple[int, Mapping[str, str], bytes]:
    import httpx2  # only a process that sends through a webhook pays for loading it

    body = body_of(message)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "watchbell",
        "Idempotency-Key": message.mark,
        "X-Watchbell-Event": one_line(message.event, 40),
        "X-Watchbell-Signature": signature(options["secret"], message.sent_at // SECOND, body),
    }
    try:
        with (
            httpx2.Client(verify=tls_context(options), timeout=timeout_s, follow_redirects=False) as client,
            client.stream("POST", options["url"], content=body, headers=headers) as response,
        ):
            return response.status_code, dict(response.headers), _beginning(response.iter_raw())
    except httpx2.InvalidURL as error:
        raise ChannelError(f"{where} has an address that cannot be used: {one_line(error)}.", True) from error
    except httpx2.TransportError as error:
        if (cause := _certificate_error(error)) is not None:
            text = f"{where} has no certificate that can be trusted: {one_line(cause.verify_message)}."
        else:
            text = f"{where} could not be talked to: {type(error).__name__}: {one_line(error)}."
        raise ChannelError(text, permanent=False) from error


def _beginning(chunks: Any) -> bytes:
    """As much of an answer as a sentence can use; the rest is never read."""
    found = b""
    for chunk in chunks:
        found += chunk
        if len(found) >= _ANSWER_KEPT:
            break
    return found[:_ANSWER_KEPT]


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLCertVerificationError):
        found = found.__cause__ or found.__context__
    return found


def _refusal(where: str, status: int, headers: Mapping[str, str], answer: bytes) -> ChannelError:
    said = one_line(answer)
    text = f"{where} answered {status}{f': {said}' if said else ''}."
    if 300 <= status < 400:
        to = one_line(headers.get("location", "nowhere"))
        return ChannelError(
            f"{text} It redirects to {to}; redirects are not followed: use the final address.", True
        )
    if status in _TEMPORARY or status >= 500 or status < 200:
        return ChannelError(text, permanent=False, retry_after_us=retry_after_us(headers))
    return ChannelError(text, permanent=True)

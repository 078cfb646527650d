"""What may be written about a channel: its options checked, completed, and shown without their secrets.

The services ask when a channel is written, the senders again before they use what the database holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import BadInput

KINDS: Final = ("email", "webhook")
SECURITY: Final = {"starttls": 587, "tls": 465, "none": 25}
SECRET_LENGTH: Final = 16
HIDDEN: Final = "•••"

_KNOWN: Final = {
    "email": ("host", "port", "security", "user", "password", "sender", "to", "ca_file"),
    "webhook": ("url", "secret", "ca_file"),
}
_NEEDED: Final = {"email": ("host", "to"), "webhook": ("url", "secret")}
_SECRETS: Final = frozenset({"password", "secret"})
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
)
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+")
_RECIPIENTS: Final = 50


def check_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a channel, complete and in the form in which they are stored; BadInput says what to write instead.

    email: `host`, `to` (an address, several with commas, or a list), `sender` (else the first of these), `security`
    (`starttls`, `tls`, or `none` for a server on this machine), `port`, `user` and `password`, `ca_file`. webhook: `url`, `secret` (for the
    signature), `ca_file`. `ca_file` names the authorities to trust instead of the system's.

    >>> check_options("email", {"host": "mail.example.org", "to": "ops@example.org"})
    {'host': 'mail.example.org', 'port': 587, 'security': 'starttls', 'sender': 'ops@example.org', 'to': ['ops@example.org']}
    """
    if kind not in KINDS:
        raise BadInput(f"There is no kind of channel {kind!r}; there are {' and '.join(KINDS)}.")
    strange = sorted(set(options) - set(_KNOWN[kind]))
    if strange:
        raise BadInput(
            f"A channel of kind {kind} has no option {strange[0]!r}; it has {', '.join(_KNOWN[kind])}."
        )
    given = {name: value for name, value in options.items() if value is not None and value != ""}
    for name in _NEEDED[kind]:
        if name not in given:
            raise BadInput(f"A channel of kind {kind} needs {name!r}: {_EXAMPLES[name]}.")
    for name, value in given.items():
        if name not in ("port", "to") and not isinstance(value, str):
            raise BadInput(f"The option {name!r} of a channel is a text, not {value!r}.")
    return _email(given) if kind == "email" else _webhook(given)


def shown_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they may be shown to anybody: every secret is hidden.

    >>> shown_options("webhook", {"url": "https://example.org/alerts", "secret": "s3cret"})
    {'url': 'https://example.org/alerts', 'secret': '•••'}
    """
    known = _KNOWN.get(kind, ())
    return {
        name: HIDDEN if name in _SECRETS or name not in known else value for name, value in options.items()
    }


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host never leaves the machine.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("mail.example.org")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_EXAMPLES: Final = {
    "host": "the mail server, such as host=mail.example.org",
    "to": "the recipients, such as to=ops@example.org,you@example.org",
    "url": "where alerts are posted, such as url=https://example.org/alerts",
    "secret": f"what the signature is made with, at least {SECRET_LENGTH} characters that the receiver knows as well",
}


def _email(given: Mapping[str, Any]) -> dict[str, Any]:
    host = given["host"].strip()
    if not _HOST.fullmatch(host):
        raise BadInput(
            f"{host!r} is no host name: write the mail server's name alone, such as mail.example.org."
        )
    security = given.get("security", "starttls")
    if security not in SECURITY:
        raise BadInput(f"There is no security {security!r}; write one of {', '.join(SECURITY)}.")
    if security == "none" and not is_loopback(host):
        raise BadInput(
            f"security=none would send mail to {host} in the clear: it is for a server on this machine "
            "(host=localhost); write starttls or tls."
        )
    if ("user" in given) != ("password" in given):
        raise BadInput(
            "A login needs both user and password; leave both out for a server that asks for none."
        )
    found: dict[str, Any] = {
        "host": host,
        "port": _port(given.get("port", SECURITY[security])),
        "security": security,
    }
    if "user" in given:
        found |= {"user": given["user"], "password": given["password"]}
    to = _addresses(given["to"])
    found |= {"sender": _address(given.get("sender", to[0])), "to": to}
    return found | _ca_file(given)


def _port(value: object) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise BadInput(f"{value!r} is no port: write a number from 1 to 65535, usually 587, 465 or 25.")
    return int(text)


def _addresses(value: object) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise BadInput(f"to={value!r} is no list of addresses: write to=ops@example.org,you@example.org.")
    found = list(dict.fromkeys(_address(part) for part in parts if part != ""))
    if not 1 <= len(found) <= _RECIPIENTS:
        raise BadInput(
            f"An alert goes to 1 to {_RECIPIENTS} addresses, not {len(found)}; use a list address for more."
        )
    return found


def _address(value: object) -> str:
    text = value.strip() if isinstance(value, str) else value
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        raise BadInput(f"{value!r} is no mail address: write it alone and in ASCII, such as ops@example.org.")
    return text


def _webhook(given: Mapping[str, Any]) -> dict[str, Any]:
    url = given["url"].strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise BadInput(f"{url!r} is no web address: write it whole, such as https://example.org/alerts.")
    if parts.username is not None or parts.password is not None:
        raise BadInput(
            "A password has no place in a web address: the signature says who is calling; write it without."
        )
    if parts.fragment:
        raise BadInput(f"{url!r} has a part after '#', which is never sent; leave it out.")
    secret = given["secret"]
    if len(secret) < SECRET_LENGTH:
        raise BadInput(
            f"The secret of a webhook has at least {SECRET_LENGTH} characters, so that nobody can guess it; this one "
            f"has {len(secret)}."
        )
    return {"url": url, "secret": secret, **_ca_file(given)}


def _ca_file(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"ca_file": given["ca_file"]} if "ca_file" in given else {}

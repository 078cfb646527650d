"""Alerts by e-mail, through one SMTP server, encrypted and with its certificate verified."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from shlex import quote
from typing import Any

from ..core.alert import headline
from ..core.channel_options import check_options
from ..core.instants import to_datetime, to_text
from ..errors import BadInput
from .base import WHOLE_SECONDS, ChannelError, Message, one_line, tls_context, within

TIMEOUT_S = 20.0
_PLAIN = SMTP.clone(cte_type="7bit")  # for every server, whether it takes 8 bits or not


def send(message: Message, options: Mapping[str, Any], *, whole_s: float = WHOLE_SECONDS) -> None:
    """Hand the alert to the mail server; returns once the server has taken it for every recipient."""
    try:
        checked = check_options("email", options)
    except BadInput as error:
        raise ChannelError(str(error), permanent=True) from error
    mail = compose(message, checked)
    where = f"The mail server {checked['host']}:{checked['port']}"
    within(whole_s, where, lambda: _told(mail, checked, where))


def compose(message: Message, options: Mapping[str, Any]) -> EmailMessage:
    """The mail. Header fields are built from what cannot hold a line break; the Message-ID is the same at every try."""
    mail = EmailMessage(policy=_PLAIN)
    mail["Subject"] = f"[watchbell] {headline(message.event, message.subject)}"
    mail["From"] = options["sender"]
    mail["To"] = ", ".join(options["to"])
    mail["Date"] = format_datetime(to_datetime(message.raised_at))
    mail["Message-ID"] = f"<{message.mark}@{options['sender'].rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Watchbell-Event"] = one_line(message.event, 40)
    mail.set_content(body(message))
    return mail


def body(message: Message) -> str:
    """What stands in the mail: what happened, when in UTC, and what to type next."""
    lines = [message.text, ""]
    if message.run is not None:
        lines.append(f"run:        run_{message.run}")
    lines += [
        f"event:      {message.event}",
        f"raised at:  {to_text(message.raised_at)} (UTC)",
        f"workspace:  {message.workspace}",
        f"database:   {message.database}",
    ]
    if message.run is not None:
        lines += ["", "To see more:", "", f"    watchbell run show run_{message.run}"]
    elif message.event == "missed":
        lines += ["", "To see why:", "", f"    watchbell explain {quote(message.subject)}"]
    plain = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in "\n".join(lines)
    )
    return plain + "\n"


def _told(mail: EmailMessage, options: Mapping[str, Any], where: str) -> None:
    """One conversation with the server, and its errors as sentences."""
    try:
        _converse(mail, options, where)
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused(error.recipients, where) from error
    except smtplib.SMTPNotSupportedError as error:
        raise ChannelError(
            f"{where} cannot do what this channel asks of it: {one_line(error)}", True
        ) from error
    except smtplib.SMTPResponseException as error:
        said = f"{error.smtp_code} {one_line(error.smtp_error)}"
        raise ChannelError(f"{where} refused the mail: {said}.", permanent=error.smtp_code >= 500) from error
    except ssl.SSLCertVerificationError as error:
        text = f"{where} has no certificate that can be trusted: {one_line(error.verify_message)}."
        raise ChannelError(text, permanent=False) from error
    except (OSError, smtplib.SMTPException) as error:
        text = f"{where} could not be talked to: {type(error).__name__}: {one_line(error)}."
        raise ChannelError(text, permanent=False) from error


def _converse(mail: EmailMessage, options: Mapping[str, Any], where: str) -> None:
    host, port = options["host"], options["port"]
    server: smtplib.SMTP
    if options["security"] == "tls":
        server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=tls_context(options))
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    try:
        if options["security"] == "starttls":
            server.starttls(context=tls_context(options))
        if "user" in options:
            server.login(options["user"], options["password"])
        refused = server.sendmail(options["sender"], options["to"], mail.as_bytes())
        _part(server)
    finally:
        server.close()
    if refused:
        raise _refused(refused, where)


def _part(server: smtplib.SMTP) -> None:
    """The mail is with the server; how the farewell goes changes nothing."""
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        pass


def _refused(recipients: Mapping[str, tuple[int, bytes]], where: str) -> ChannelError:
    said = "; ".join(f"{to} ({code} {one_line(text, 80)})" for to, (code, text) in recipients.items())
    permanent = all(code >= 500 for code, _ in recipients.values())
    return ChannelError(f"{where} refused these recipients: {one_line(said, 500)}.", permanent)

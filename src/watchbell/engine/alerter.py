"""ALERT: deliver what is in the outbox, at least once, each alert through its channel.

Every alert is taken durably before it is sent (store/deliveries.py), sent outside any transaction, and what became of it
is written in one. Alerts of one channel go one by one, oldest first. A channel that fails rests, longer each time, so
that its other alerts spend no tries on it, and channels that work are served first: a broken one never delays them for
longer than one send.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..channels.base import WHOLE_SECONDS, ChannelError, Message, Sender
from ..channels.registry import SENDERS
from ..clock import Clock
from ..core.instants import DAY, HOUR, MINUTE, SECOND, to_text
from ..core.policies import Retry
from ..core.retry import wait_us
from ..store import deliveries
from ..store.base import Store
from ..store.deliveries import Delivered, Taken
from ..store.tx import Tx

BATCH = 20
RETRY = Retry(max_attempts=12, delay_us=30 * SECOND, factor=2.0, cap_us=HOUR)
REST = Retry(max_attempts=1, delay_us=30 * SECOND, factor=2.0, cap_us=5 * MINUTE)
GIVE_UP_US = DAY
LEASE_US = 2 * int(WHOLE_SECONDS) * SECOND
IDLE_US = SECOND
_log = logging.getLogger("watchbell.alerts")


@dataclass(slots=True)
class _Rest:
    """A channel that has failed, so many times in a row, and is left alone until this instant of the monotonic clock."""

    failures: int
    until_ns: int


class Alerter:
    """Delivers alerts for one engine. `senders` are by kind of channel; `fence` begins every transaction and raises when
    this engine may act no more; `draw` gives a random number in [0, 1)."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        draw: Callable[[], float],
        senders: Mapping[str, Sender] = SENDERS,
        fence: Callable[[Tx], None] = lambda _tx: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._draw = draw
        self._senders = senders
        self._fence = fence
        self._rests: dict[int, _Rest] = {}

    def step(self) -> int:
        """Send what is due, at most a batch; returns how many microseconds it would like to rest."""
        turns: dict[int, int] = {}
        for _ in range(BATCH):
            due = self._due_channels()
            if not due:
                break
            channel = min(due, key=lambda one: (self._failures(one[0]), turns.get(one[0], 0), one[1]))[0]
            turns[channel] = turns.get(channel, 0) + 1
            self._deliver_one(channel)
        return self._until_next()

    def _due_channels(self) -> list[tuple[int, int]]:
        now = self._clock.wall_us()
        found = self._store.read(deliveries.waiting)
        return [(channel, at) for channel, at in found if at <= now and not self._resting_us(channel)]

    def _until_next(self) -> int:
        now = self._clock.wall_us()
        found = self._store.read(deliveries.waiting)
        waits = [max(at - now, self._resting_us(channel)) for channel, at in found]
        return max(0, min([IDLE_US, *waits]))

    def _failures(self, channel: int) -> int:
        rest = self._rests.get(channel)
        return 0 if rest is None else rest.failures

    def _resting_us(self, channel: int) -> int:
        rest = self._rests.get(channel)
        return 0 if rest is None else max(0, -((self._clock.mono_ns() - rest.until_ns) // 1000))

    def _deliver_one(self, channel: int) -> None:
        now = self._clock.wall_us()

        def take(tx: Tx) -> Taken | None:
            self._fence(tx)
            return deliveries.take(tx, channel, now, LEASE_US, RETRY.max_attempts)

        taken = self._store.write(take)
        if taken is None:
            return
        delivered = self._send(taken)

        def record(tx: Tx) -> bool:
            self._fence(tx)
            return deliveries.record(tx, taken, delivered)

        if not self._store.write(record):
            _log.warning(
                "alert.overtaken: alert %d was taken again while its try %d lasted", taken.alert, taken.number
            )

    def _send(self, taken: Taken) -> Delivered:
        """Send it, and turn what comes of it into what is written."""
        try:
            sender, options = self._way_out(taken)
            sender(_message(taken, self._clock.wall_us()), options)
        except ChannelError as error:
            return self._failed(taken, error)
        except Exception as error:
            _log.exception("alert.sender_failed: the sender of channel %s raised", taken.channel_name)
            text = f"The sender of this channel failed: {type(error).__name__}: {error}"
            return self._failed(taken, ChannelError(text, permanent=False))
        self._rests.pop(taken.channel, None)
        _log.info("alert.delivered: alert %d through %s", taken.alert, taken.channel_name)
        return Delivered(self._clock.wall_us(), True)

    def _way_out(self, taken: Taken) -> tuple[Sender, Mapping[str, Any]]:
        if taken.kind is None:
            raise ChannelError("The channel of this alert has been removed.", permanent=True)
        sender = self._senders.get(taken.kind)
        if sender is None:
            known = ", ".join(sorted(self._senders)) or "none"
            raise ChannelError(
                f"This engine has no sender of the kind {taken.kind!r}; it has {known}.", permanent=True
            )
        try:
            options = json.loads(taken.options or "{}")
        except ValueError as error:
            raise ChannelError(
                f"The channel's stored options are no JSON: {error}.", permanent=True
            ) from error
        if not isinstance(options, dict):
            raise ChannelError("The channel's stored options are no JSON object.", permanent=True)
        return sender, options

    def _failed(self, taken: Taken, error: ChannelError) -> Delivered:
        now, detail = self._clock.wall_us(), str(error)
        if error.permanent:
            self._rests.pop(taken.channel, None)
            return self._given_up(taken, now, detail)
        drawn = self._draw()
        self._let_rest(taken.channel, drawn, error.retry_after_us)
        retry_at = now + max(SECOND, wait_us(RETRY, taken.number, drawn), error.retry_after_us or 0)
        if taken.number >= RETRY.max_attempts:
            return self._given_up(taken, now, f"{detail} That was the last of {RETRY.max_attempts} tries.")
        if retry_at > taken.raised_at + GIVE_UP_US:
            return self._given_up(
                taken, now, f"{detail} No further try fits into a day from when it was raised."
            )
        _log.warning(
            "alert.delayed: alert %d, try %d through %s: %s Next try at %s.",
            taken.alert, taken.number, taken.channel_name, detail, to_text(retry_at),
        )  # fmt: skip
        return Delivered(now, False, detail, retry_at)

    def _given_up(self, taken: Taken, now: int, detail: str) -> Delivered:
        _log.error(
            "alert.given_up: nobody was told through %s: %s (%s)", taken.channel_name, taken.text, detail
        )
        return Delivered(now, False, detail)

    def _let_rest(self, channel: int, drawn: float, asked_us: int | None) -> None:
        failures = self._failures(channel) + 1
        wait = max(SECOND, wait_us(REST, failures, drawn), asked_us or 0)
        self._rests[channel] = _Rest(failures, self._clock.mono_ns() + wait * 1000)


def _message(taken: Taken, now: int) -> Message:
    return Message(
        id=taken.alert,
        event=taken.event,
        subject=taken.subject,
        text=taken.text,
        run=taken.run,
        raised_at=taken.raised_at,
        workspace=taken.workspace,
        database=taken.database,
        sent_at=now,
    )

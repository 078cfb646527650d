"""Delivery: at least once, with its own retries and ledger, and no channel in the way of another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.channels.servers import Answer, HttpServer, free_port
from tests.engine.test_declare import Statements
from watchbell.channels.base import ChannelError, Message
from watchbell.clock import ManualClock
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND
from watchbell.engine import alerter
from watchbell.engine.alerter import BATCH, IDLE_US, LEASE_US, Alerter
from watchbell.errors import EngineReplaced
from watchbell.store import deliveries
from watchbell.store.base import Store
from watchbell.store.deliveries import CUT_SHORT, Delivered
from watchbell.store.tx import Row, Tx

START = 1_795_251_600 * SECOND
SECRET = "0123456789abcdef"


@dataclass
class Recorder:
    """A sender that keeps what it was given, and fails as it was told to: by channel, for good or until it is mended."""

    sent: list[tuple[str, int]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    broken: dict[str, BaseException] = field(default_factory=dict)
    attempts: list[str] = field(default_factory=list)

    def __call__(self, message: Message, options: Mapping[str, Any], /) -> None:
        name = str(options["name"])
        self.attempts.append(name)
        self.messages.append(message)
        if name in self.broken:
            raise self.broken[name]
        self.sent.append((name, message.id))


class House:
    """A store, a clock and an alerter that sends through recorders."""

    def __init__(self, store: Store, drawn: float = 0.999999) -> None:
        self.store = store
        self.clock = ManualClock(START)
        self.sender = Recorder()
        self.drawn = drawn
        self.alerter = self.another()

    def another(self) -> Alerter:
        """An alerter as a new process has it: it remembers nothing."""
        return Alerter(self.store, self.clock, lambda: self.drawn, {"recorder": self.sender})

    def channel(self, name: str, kind: str = "recorder", options: str | None = None) -> int:
        text = json.dumps({"name": name}) if options is None else options

        def work(tx: Tx) -> int:
            channel = tx.next_id("channel")
            tx.run(
                "INSERT INTO channel (id, name, kind, options, created_at) VALUES (?, ?, ?, ?, 0)",
                (channel, name, kind, text),
            )
            return channel

        return self.store.write(work)

    def alert(self, channel: int, run: int | None = 12) -> int:
        now = self.clock.wall_us()

        def work(tx: Tx) -> int:
            alert = tx.next_id("alert")
            tx.run(
                "INSERT INTO alert (id, rule, channel, event, subject, run, text, dedupe, raised_at, state, next_at) "
                "VALUES (?, 1, ?, 'failed', 'backup', ?, 'backup failed.', ?, ?, 'pending', ?)",
                (alert, channel, run, str(alert), now, now),
            )
            return alert

        return self.store.write(work)

    def row(self, alert: int) -> Row:
        found = self.store.read(
            lambda tx: tx.row("SELECT state, tries, next_at, ended_at FROM alert WHERE id = ?", (alert,))
        )
        assert found is not None
        return found

    def tries(self, alert: int) -> list[Row]:
        return self.store.read(
            lambda tx: tx.rows(
                "SELECT number, at, ok, detail FROM delivery WHERE alert = ? ORDER BY number", (alert,)
            )
        )

    def run_for(self, span_us: int) -> None:
        """Step whenever the alerter has something to do, until so much time has passed."""
        until = self.clock.wall_us() + span_us
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(alerter, "IDLE_US", HOUR)  # every second of a day would be long
            while (rest := self.alerter.step()) + self.clock.wall_us() <= until:
                self.clock.advance(rest)
        if left := until - self.clock.wall_us():
            self.clock.advance(left)
            self.alerter.step()


@pytest.fixture
def house() -> Iterator[House]:
    store = databases.opened(START)
    yield House(store)
    store.close()


def temporary(text: str = "It is away.", after: int | None = None) -> ChannelError:
    return ChannelError(text, permanent=False, retry_after_us=after)


def test_S0_12_an_alert_is_delivered_once_and_written_down(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    assert house.alerter.step() == IDLE_US
    assert house.alerter.step() == IDLE_US
    assert house.sender.sent == [("ops", alert)]
    assert house.row(alert) == ("delivered", 1, None, START)
    assert house.tries(alert) == [(1, START, 1, "")]


def test_the_sender_is_told_everything(house: House) -> None:
    house.clock.advance(3 * SECOND)
    alert = house.alert(house.channel("ops"))
    house.alerter.step()
    database = house.store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'database_id'"))
    at = START + 3 * SECOND
    assert house.sender.messages == [
        Message(alert, "failed", "backup", "backup failed.", 12, at, "default", database, at)
    ]


def test_with_nothing_to_send_it_writes_nothing() -> None:
    with Statements() as asked:
        house = House(databases.opened(START))
        asked.clear()
        assert house.alerter.step() == IDLE_US
    assert asked != []
    assert asked.writes == []
    house.store.close()


def test_an_alert_of_the_future_waits_for_its_instant(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.store.write(lambda tx: tx.run("UPDATE alert SET next_at = ?", (START + 400_000,)))
    assert house.alerter.step() == 400_000
    assert house.sender.attempts == []
    house.clock.advance(400_000)
    house.alerter.step()
    assert house.row(alert)[0] == "delivered"


def test_a_temporary_error_is_tried_again_until_it_works(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = temporary()
    house.run_for(3 * MINUTE)
    assert len(house.sender.attempts) == 3
    del house.sender.broken["ops"]
    house.run_for(HOUR)
    assert house.sender.sent == [("ops", alert)]
    assert [(row[0], row[2], row[3]) for row in house.tries(alert)] == [
        (1, 0, "It is away."),
        (2, 0, "It is away."),
        (3, 0, "It is away."),
        (4, 1, ""),
    ]
    assert house.row(alert)[:3] == ("delivered", 4, None)


def test_waits_double_from_30_seconds_to_an_hour_and_end_after_12_tries(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = temporary()
    house.run_for(DAY)
    instants = [row[1] for row in house.tries(alert)]
    waits = [round((after - before) / SECOND) for before, after in pairwise(instants)]
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert house.row(alert) == ("given_up", 12, None, instants[-1])
    assert house.tries(alert)[-1][3] == "It is away. That was the last of 12 tries."
    house.run_for(DAY)
    assert len(house.sender.attempts) == 12


def test_waits_are_drawn_between_a_second_and_the_whole(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = temporary()
    house.drawn = 0.0
    assert house.alerter.step() == SECOND
    assert house.row(alert)[2] == START + SECOND
    house.drawn = 0.5
    house.clock.advance(SECOND)
    house.alerter.step()
    assert house.row(alert)[2] == START + 31 * SECOND


def test_a_permanent_error_gives_up_at_once(house: House) -> None:
    channel = house.channel("ops")
    alert, other = house.alert(channel), house.alert(channel)
    house.sender.broken["ops"] = ChannelError("Nobody lives there.", permanent=True)
    house.alerter.step()
    assert house.row(alert) == ("given_up", 1, None, START)
    assert house.tries(alert) == [(1, START, 0, "Nobody lives there.")]
    assert house.row(other)[0] == "given_up"


def test_it_gives_up_a_day_after_the_alert_was_raised(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = temporary()
    house.clock.advance(DAY - MINUTE)
    house.drawn = 0.5
    house.run_for(2 * DAY)
    state, tries, _, ended = house.row(alert)
    assert (state, tries) == ("given_up", 3)
    assert ended <= START + DAY
    assert "a day from when it was raised" in house.tries(alert)[-1][3]


def test_an_alert_that_was_raised_before_a_long_outage_is_still_tried(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.clock.advance(30 * DAY)
    house.alerter.step()
    assert house.row(alert)[0] == "delivered"


def test_retry_after_is_honoured(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = temporary(after=20 * MINUTE)
    house.alerter.step()
    assert house.row(alert)[2] == START + 20 * MINUTE
    second = house.alert(1)
    house.sender.broken.clear()
    house.run_for(20 * MINUTE - 1)
    assert house.sender.sent == []
    house.run_for(SECOND)
    assert house.sender.sent == [("ops", alert), ("ops", second)]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("pager", None, "no sender of the kind 'pager'; it has recorder"),
        ("recorder", "{", "no JSON"),
        ("recorder", "[]", "no JSON object"),
        (None, None, "has been removed"),
    ],
)
def test_a_channel_that_cannot_be_used_is_given_up_with_the_reason(
    house: House, kind: str | None, options: str | None, words: str
) -> None:
    channel = 99 if kind is None else house.channel("ops", kind, options)
    alert = house.alert(channel)
    house.alerter.step()
    assert house.row(alert)[0] == "given_up"
    assert words in house.tries(alert)[0][3]


def test_a_sender_that_raises_anything_is_tried_again(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = ZeroDivisionError("division by zero")
    house.alerter.step()
    assert house.row(alert)[0] == "pending"
    assert "ZeroDivisionError: division by zero" in house.tries(alert)[0][3]


# --- through crashes -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_crash_while_sending_costs_a_wait_and_not_a_loop(house: House) -> None:
    alert = house.alert(house.channel("ops"))
    house.sender.broken["ops"] = Killed()
    with pytest.raises(Killed):
        house.alerter.step()
    assert house.row(alert) == ("pending", 1, START + LEASE_US, None)
    house.alerter = house.another()
    house.sender.broken.clear()
    house.run_for(LEASE_US - 1)
    assert house.sender.sent == []
    house.run_for(SECOND)
    assert house.sender.sent == [("ops", alert)]
    assert [message.mark for message in house.sender.messages] == [house.sender.messages[0].mark] * 2
    assert [(row[0], row[2], row[3]) for row in house.tries(alert)] == [(1, 0, CUT_SHORT), (2, 1, "")]


def test_an_alert_that_ends_the_process_each_time_is_given_up_in_the_end(house: House) -> None:
    deadly, harmless = house.alert(house.channel("deadly")), house.alert(house.channel("ops"))
    house.sender.broken["deadly"] = Killed()
    for _ in range(12):
        house.alerter = house.another()
        with pytest.raises(Killed):
            house.alerter.step()
        house.clock.advance(LEASE_US)
    house.alerter = house.another()
    house.run_for(SECOND)
    assert house.row(deadly)[:2] == ("given_up", 12)
    assert [row[3] for row in house.tries(deadly)] == [CUT_SHORT] * 12
    assert house.row(harmless)[0] == "delivered"


def test_a_try_that_was_overtaken_writes_nothing(house: House) -> None:
    alert = house.alert(channel := house.channel("ops"))

    def take(tx: Tx, now: int) -> deliveries.Taken:
        taken = deliveries.take(tx, channel, now, LEASE_US, 12)
        assert taken is not None
        return taken

    first = house.store.write(lambda tx: take(tx, START))
    second = house.store.write(lambda tx: take(tx, START + LEASE_US))
    late = Delivered(START + LEASE_US + 1, False, "late")
    assert not house.store.write(lambda tx: deliveries.record(tx, first, late))
    assert house.store.write(lambda tx: deliveries.record(tx, second, Delivered(START + LEASE_US + 2, True)))
    assert not house.store.write(lambda tx: deliveries.record(tx, second, late))
    assert house.row(alert) == ("delivered", 2, None, START + LEASE_US + 2)
    assert [row[0] for row in house.tries(alert)] == [1, 2]


def test_an_engine_that_was_replaced_sends_nothing(house: House) -> None:
    alert = house.alert(house.channel("ops"))

    def fence(_tx: Tx) -> None:
        raise EngineReplaced("Another engine has taken over.")

    replaced = Alerter(house.store, house.clock, lambda: 0.5, {"recorder": house.sender}, fence)
    with pytest.raises(EngineReplaced):
        replaced.step()
    assert house.sender.attempts == []
    assert house.row(alert)[:2] == ("pending", 0)


def test_what_was_being_sent_is_durable_before_it_is_sent(tmp_path: Path) -> None:
    store = databases.opened(START, tmp_path / "bell.db")
    other = databases.opened(START, tmp_path / "bell.db")
    house = House(store)
    alert = house.alert(house.channel("ops"))
    seen: list[Row | None] = []

    def look(message: Message, options: Mapping[str, Any], /) -> None:
        seen.append(other.read(lambda tx: tx.row("SELECT tries, next_at FROM alert WHERE id = ?", (alert,))))

    Alerter(store, house.clock, lambda: 0.5, {"recorder": look}).step()
    assert seen == [(1, START + LEASE_US)]
    store.close()
    other.close()


# --- between channels ----------------------------------------------------------------------------------------------


def test_a_step_is_bounded_and_the_next_goes_on_at_once(house: House) -> None:
    channel = house.channel("ops")
    made = [house.alert(channel) for _ in range(BATCH + 5)]
    assert house.alerter.step() == 0
    assert len(house.sender.sent) == BATCH
    assert house.alerter.step() == IDLE_US
    assert house.sender.sent == [("ops", alert) for alert in made]


def test_a_broken_channel_takes_one_try_and_then_lets_the_others_go(house: House) -> None:
    broken, good = house.channel("broken"), house.channel("good")
    for _ in range(100):
        house.alert(broken)
    house.sender.broken["broken"] = temporary()
    made = [house.alert(good) for _ in range(10)]
    house.alerter.step()
    assert house.sender.attempts.count("broken") == 1
    assert house.sender.sent == [("good", alert) for alert in made]


def test_a_channel_that_stays_broken_rests_longer_each_time(house: House) -> None:
    broken = house.channel("broken")
    for _ in range(100):
        house.alert(broken)
    house.sender.broken["broken"] = temporary()
    house.run_for(HOUR)
    assert len(house.sender.attempts) <= 16
    untried = house.store.read(lambda tx: tx.value("SELECT count(*) FROM alert WHERE tries = 0"))
    assert untried >= 84
    del house.sender.broken["broken"]
    house.run_for(HOUR)
    assert sorted(alert for _, alert in house.sender.sent) == list(range(1, 101))


def test_channels_that_work_are_served_before_those_that_failed(house: House) -> None:
    broken, good = house.channel("broken"), house.channel("good")
    house.alert(broken)
    house.sender.broken["broken"] = temporary()
    house.alerter.step()
    house.clock.advance(HOUR)
    house.alert(good)
    house.sender.attempts.clear()
    house.alerter.step()
    assert house.sender.attempts == ["good", "broken"]


def test_channels_take_turns(house: House) -> None:
    one, two = house.channel("one"), house.channel("two")
    for channel in (one, one, one, two, two):
        house.alert(channel)
    house.alerter.step()
    assert house.sender.attempts == ["one", "two", "one", "two", "one"]


# --- through the real senders --------------------------------------------------------------------------------------


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = HttpServer()
    yield server
    server.close()


def webhook(house: House, url: str) -> int:
    house.alerter = Alerter(house.store, house.clock, lambda: 0.999999)
    return house.channel("hook", "webhook", json.dumps({"url": url, "secret": SECRET}))


def test_S1_16_a_webhook_that_fails_once_has_the_same_alert_again(house: House, web: HttpServer) -> None:
    alert = house.alert(webhook(house, web.url))
    web.answers += [Answer(500, body=b"not now"), Answer(503, {"Retry-After": "600"})]
    house.run_for(30 * SECOND)
    assert house.row(alert)[:2] == ("pending", 2)
    house.run_for(10 * MINUTE - 2 * SECOND)
    assert len(web.requests) == 2
    house.run_for(10 * SECOND)
    assert house.row(alert)[:2] == ("delivered", 3)
    assert len({request.headers["idempotency-key"] for request in web.requests}) == 1
    assert len({request.headers["x-watchbell-signature"] for request in web.requests}) == 3
    assert "answered 500: not now." in house.tries(alert)[0][3]


def test_a_webhook_that_nobody_answers_is_given_up_and_said(house: House) -> None:
    alert = house.alert(webhook(house, f"http://127.0.0.1:{free_port()}/"))
    house.run_for(DAY)
    assert house.row(alert)[:2] == ("given_up", 12)
    assert "could not be talked to" in house.tries(alert)[0][3]


def test_a_webhook_that_is_gone_is_given_up_at_once(house: House, web: HttpServer) -> None:
    alert = house.alert(webhook(house, web.url))
    web.answers.append(Answer(410))
    house.alerter.step()
    assert house.row(alert)[:2] == ("given_up", 1)


def test_mail_is_among_what_can_be_sent_through(house: House) -> None:
    options = {"host": "127.0.0.1", "port": free_port(), "security": "none", "to": ["ops@example.org"]}
    house.alerter = Alerter(house.store, house.clock, lambda: 0.5)
    alert = house.alert(house.channel("mail", "email", json.dumps(options)))
    house.alerter.step()
    assert house.row(alert)[0] == "pending"
    assert "ConnectionRefusedError" in house.tries(alert)[0][3]

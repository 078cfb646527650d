"""Alert rules as people write them: checked, listed without their secrets, tried out, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import databases
from tests.services.people import NOW, WHO, add
from watchbell.errors import BadInput, Conflict, NotFound
from watchbell.services import alerts
from watchbell.services.alerts import NewRule
from watchbell.store.base import Store
from watchbell.store.tx import Tx

SECRET = "a secret of some length"
HOOK = NewRule("webhook", {"url": "https://example.org/hook", "secret": SECRET})
MAIL = NewRule(
    "email", {"to": ["ops@example.org"], "host": "mail.example.org", "user": "u", "password": SECRET}
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = databases.opened(NOW, tmp_path / "bell.db")
    yield made
    made.close()


@pytest.mark.parametrize("rule", [HOOK, MAIL])
def test_secrets_are_kept_and_never_given_back(store: Store, rule: NewRule) -> None:
    made = alerts.add(store, rule, now=NOW, actor=WHO)
    shown = json.dumps([made.to_json(), alerts.list_rules(store).to_json()])
    assert SECRET not in shown
    assert SECRET in store.read(lambda tx: str(tx.value("SELECT options FROM channel")))
    assert SECRET not in store.read(lambda tx: str(tx.rows("SELECT * FROM audit_event")))


def test_a_rule_says_whom_about_what(store: Store) -> None:
    add(store, "backup")
    made = alerts.add(store, replace(MAIL, scope="schedule", target="backup", streak=3), now=NOW, actor=WHO)
    assert (made.about, made.whom, made.streak) == ("schedule backup", "ops@example.org", 3)
    assert made.to_json()["options"]["port"] == 587


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (replace(HOOK, events=("exploded",)), "'exploded' is nothing a rule can tell of"),
        (replace(HOOK, events=()), "needs something to tell of"),
        (replace(HOOK, scope="galaxy"), "no scope"),
        (replace(HOOK, scope="tag"), "needs its name"),
        (replace(HOOK, target="x"), "names none"),
        (replace(HOOK, streak=0), "1 to 1000"),
        (replace(HOOK, kind="pigeon"), "no kind of channel"),
        (replace(HOOK, options={"url": "ftp://x", "secret": SECRET}), "no web address"),
        (replace(HOOK, options={"url": "https://example.org"}), "needs 'secret'"),
        (replace(MAIL, options={"to": ["nobody"], "host": "h"}), "no mail address"),
    ],
)
def test_a_rule_that_cannot_be_meant_changes_nothing(store: Store, rule: NewRule, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        alerts.add(store, rule, now=NOW, actor=WHO)
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM channel")) == 0


def test_a_rule_about_a_schedule_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        alerts.add(store, replace(HOOK, scope="schedule", target="nope"), now=NOW, actor=WHO)
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM channel")) == 0


def test_the_same_rule_twice_is_a_conflict(store: Store) -> None:
    alerts.add(store, HOOK, now=NOW, actor=WHO)
    with pytest.raises(Conflict, match="rule 1 says exactly this"):
        alerts.add(store, HOOK, now=NOW, actor=WHO)
    alerts.add(store, replace(HOOK, streak=2), now=NOW, actor=WHO)
    assert store.read(lambda tx: tx.value("SELECT count(*) FROM channel")) == 1, "the channel is shared"


def test_writing_rules_is_seen_by_every_process(store: Store) -> None:
    def revision(tx: Tx) -> int:
        return int(tx.value("SELECT value FROM meta WHERE key = 'catalog'"))

    before = store.read(revision)
    alerts.add(store, HOOK, now=NOW, actor=WHO)
    alerts.remove(store, 1, now=NOW, actor=WHO)
    assert store.read(revision) == before + 2


def test_a_removed_rule_is_gone_from_the_list_and_its_alerts_stay(store: Store) -> None:
    alerts.add(store, HOOK, now=NOW, actor=WHO)
    alerts.test(store, 1, now=NOW, actor=WHO)
    alerts.remove(store, 1, now=NOW, actor=WHO)
    assert alerts.list_rules(store).items == ()
    assert len(alerts.log(store).items) == 1
    for refused in (
        lambda: alerts.remove(store, 1, now=NOW, actor=WHO),
        lambda: alerts.test(store, 9, now=NOW, actor=WHO),
    ):
        with pytest.raises(NotFound, match="no alert rule"):
            refused()


def test_a_test_alert_waits_in_the_outbox_like_any_other(store: Store) -> None:
    alerts.add(store, HOOK, now=NOW, actor=WHO)
    first, second = (alerts.test(store, 1, now=NOW, actor=WHO) for _ in range(2))
    assert (first.state, first.event, first.next_at) == ("pending", "test", NOW)
    assert first.id != second.id
    assert WHO in first.text


def test_the_log_is_read_page_by_page_with_its_deliveries(store: Store) -> None:
    alerts.add(store, HOOK, now=NOW, actor=WHO)
    for _ in range(3):
        alerts.test(store, 1, now=NOW, actor=WHO)
    store.write(lambda tx: tx.run("INSERT INTO delivery VALUES (3, 1, ?, 0, 'refused')", (NOW,)))
    page = alerts.log(store, limit=2)
    assert ([item.id for item in page.items], page.next) == ([3, 2], 2)
    assert page.to_json()["items"][0]["deliveries"][0]["detail"] == "refused"
    assert [item.id for item in alerts.log(store, before=page.next).items] == [1]

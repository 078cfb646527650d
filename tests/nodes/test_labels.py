"""Labels: a job that asks for some is carried out by nodes that have them, and waits where none has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.nodes.several import Several
from watchbell import Watchbell, cron
from watchbell.core.policies import JobOptions
from watchbell.errors import BadConfiguration, BadPolicy
from watchbell.services.doctor_ledger import labels as label_check
from watchbell.services.schedule_writes import Details
from watchbell.services.schedules import Command, add_command_schedule


def asking(*labels: str) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.job(on=list(labels))
        def train() -> None: ...

        bell.add_schedule("train", train, cron("*/10 * * * *"))

    return declare


def owners(several: Several) -> list[str]:
    rows = several.rows("SELECT n.name FROM occurrence o JOIN node n ON n.id = o.node ORDER BY o.id")
    return [row[0] for row in rows]


def test_a_job_begins_only_on_a_node_that_has_all_of_its_labels(several: Several) -> None:
    declare = asking("gpu", "eu")
    several.node(declare, "plain")
    several.node(declare, "half", labels=["gpu"])
    several.node(declare, "whole", labels=["eu", "gpu", "large"])
    several.until("00:10")
    assert owners(several) == ["whole"]
    assert several.seen() == [("00:10", "succeeded", None)]


def test_what_no_node_may_carry_out_waits_and_says_for_what(several: Several) -> None:
    node = several.node(asking("gpu"), "plain")
    several.until("00:10")
    several.live(75)
    assert several.seen() == [("00:10", "queued", None)]
    (view,) = node.bell.schedules().items
    assert "no node has the label gpu" in view.sentence
    assert "no node has the label gpu" in str(node.bell.explain("train").to_json())
    several.node(asking("gpu"), "late", labels=["gpu"])
    several.live(2)
    assert owners(several) == ["late"]


def test_a_command_of_the_command_line_asks_for_labels_too(several: Several) -> None:
    plain = several.node(lambda _bell: None, "plain")
    store = plain.house.store
    details = Details(options=JobOptions(on=("disk",)), zone="UTC")
    rule = cron("*/10 * * * *", tz="UTC")
    now = several.clock.wall_us()
    add_command_schedule(
        store, "sweep", rule, Command(argv=("true",)), details=details, now=now, actor="somebody"
    )
    several.until("00:10")
    several.live(2)
    assert several.seen() == [("00:10", "queued", None)]
    several.node(lambda _bell: None, "with", labels=["disk"])
    several.live(2)
    assert owners(several) == ["with"]


def test_doctor_names_the_label_that_no_node_has(several: Several) -> None:
    from pathlib import Path

    from watchbell.services.checkup import Level, Patient

    node = several.node(asking("gpu"), "plain")
    patient = Patient(None, None, several.clock, Path(), {}, store=node.house.store)
    check = label_check(patient)
    assert (check.level, check.sentence) == (Level.BROKEN, "train: no node has the label gpu.")
    several.node(asking("gpu"), "other", labels=["gpu"])
    assert label_check(patient).level is Level.OK


def test_a_label_is_a_word() -> None:
    with pytest.raises(BadConfiguration, match="A label is a word"):
        Watchbell("sqlite://", labels=["exec:1"])
    with pytest.raises(BadConfiguration, match="no option"):
        Watchbell("sqlite://", labls=["gpu"])  # type: ignore[call-arg]
    with pytest.raises(BadPolicy, match="A label is a word"):
        Watchbell("sqlite://").job(on=["a b"])(lambda: None)
    assert Watchbell("sqlite://", labels="gpu")._engine.labels == ("gpu",)

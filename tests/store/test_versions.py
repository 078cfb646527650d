"""What names the content of a version: databases that are there hold these names, and what is declared again is compared
with them."""

from __future__ import annotations

import pytest

from watchbell import cron, every, once
from watchbell.core.blackout import read_blackouts
from watchbell.core.definition import content_hash
from watchbell.core.policies import Policies, Retry, to_json
from watchbell.core.triggers import Trigger
from watchbell.store.schedules.versions import Content

DARK = Policies(retry=Retry(5), blackouts=read_blackouts(["cron 0 8 * * * for 2h"])).bound("UTC")
KNOWN: list[tuple[Trigger, Policies, str, str]] = [
    (every("1h"), Policies(), "{}", "96e712ff78ce529bdea2ce8f"),
    (cron("30 2 * * *", tz="Europe/Berlin"), DARK, '{"to":"J\\"ürgen\\\\"}', "ad6e5dc47d108e40267d725a"),
    (once("2026-11-21 09:00", tz="Europe/Berlin"), Policies(), "{}", "e0a710e6ff45faa866749d2c"),
]


@pytest.mark.parametrize(("trigger", "policies", "args", "mark"), KNOWN)
def test_a_content_has_the_name_under_which_databases_know_it(
    trigger: Trigger, policies: Policies, args: str, mark: str
) -> None:
    assert Content(7, trigger.bound("UTC", 0), policies, args).mark == mark


def test_the_name_made_of_texts_is_the_hash_of_the_whole() -> None:
    trigger, args = every("90s").bound("UTC", 5), '{"n":"ü\\n"}'
    whole = content_hash(trigger.to_json(), to_json(DARK), args, 12)
    assert Content(12, trigger, DARK, args).mark == whole

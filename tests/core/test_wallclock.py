"""Zone rules: what `zoneinfo` knows, as a value, complete and able to be stored."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from datetime import UTC
from importlib import resources
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import oracle
from watchbell.core.instants import parse_instant
from watchbell.core.wallclock import ZoneRules, rules_from_json, zone_info, zone_rules
from watchbell.errors import BadInput, BadZone

SECOND = 1_000_000
LAST = 4_102_444_800  # 2100-01-01
ZONES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})


def read(text: str) -> int:
    """A wall-clock reading as the house writes it."""
    return parse_instant(f"{text}Z")


def file_of(name: str) -> bytes:
    """The file that `zoneinfo` reads for a name."""
    for folder in TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def listed_changes(content: bytes) -> list[int]:
    """The seconds of the changes that a zone file lists, from 1970 on (RFC 8536, the 64-bit part)."""
    counts = struct.unpack(">6l", content[20:44])
    isut, isstd, leap, changes, kinds, chars = counts
    second = 44 + changes * 5 + kinds * 6 + chars + leap * 8 + isstd + isut
    count = struct.unpack(">6l", content[second + 20 : second + 44])[3]
    start = second + 44
    return [at for at in struct.unpack(f">{count}q", content[start : start + 8 * count]) if 0 <= at < LAST]


def footer(content: bytes) -> bytes:
    """The rule of a zone file for the time after its last listed change."""
    return content.rstrip(b"\n").rpartition(b"\n")[2]


ODD = ("Africa/Casablanca", "America/Noronha", "America/Nuuk", "Antarctica/Troll", "Asia/Gaza", "Asia/Pyongyang",
       "Australia/Lord_Howe", "Europe/Dublin", "Europe/Lisbon", "Pacific/Apia", "Pacific/Kwajalein")  # fmt: skip


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.release)])
def test_no_change_of_any_zone_is_missed(step: int) -> None:
    contents: dict[bytes, str] = {}
    for name in ZONES:
        contents.setdefault(file_of(name), name)
    assert len(contents) > 300
    chosen = dict(list(contents.items())[::step]) | {file_of(name): name for name in ODD}
    for content, name in chosen.items():
        rules, zone = zone_rules(name), ZoneInfo(name)
        for at in listed_changes(content):
            for second in (at - 1, at):
                offset = oracle._reading(max(second, 0), zone) - oracle._reading(
                    max(second, 0), ZoneInfo("UTC")
                )
                assert rules.offset_at(max(second, 0) * SECOND) == offset.total_seconds(), (name, second)


@pytest.mark.parametrize(
    ("name", "year"), [("Asia/Gaza", 2040), ("America/Noronha", 2000), ("Africa/Casablanca", 2026)]
)
def test_changes_that_last_for_a_week_or_a_month_are_seen(name: str, year: int) -> None:
    expected = oracle.changes(name, year, year)
    begin, end = (parse_instant(f"{y}-01-01T00:00:00Z") for y in (year, year + 1))
    assert len(expected) in (2, 3, 4)
    assert [(at // SECOND, offset) for at, offset in zone_rules(name).transitions if begin <= at < end] == [
        (second, after) for second, _, after in expected
    ]


@given(st.sampled_from(ZONES[::7]), st.integers(0, LAST - 1))
def test_the_offset_is_the_one_of_zoneinfo(name: str, second: int) -> None:
    rules = zone_rules(name)
    assert rules.to_local(second * SECOND) == oracle.us(
        oracle._reading(second, ZoneInfo(name)).replace(tzinfo=UTC)
    )


@given(
    st.sampled_from(("Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/Santiago", "UTC")),
    st.data(),
)
def test_an_instant_is_among_those_its_reading_stands_for(name: str, data: st.DataObject) -> None:
    rules = zone_rules(name)
    near = data.draw(st.sampled_from([at for at, _ in rules.transitions] or [0]))
    at = near + data.draw(st.integers(-90_000 * SECOND, 90_000 * SECOND))
    reading = rules.from_local(rules.to_local(at))
    assert at in reading.instants
    assert list(reading.instants) == sorted(set(reading.instants))
    assert reading.kind == ("fold" if len(reading.instants) == 2 else "regular")


def test_a_reading_in_a_gap_has_an_end_and_a_shift() -> None:
    reading = zone_rules("Europe/Berlin").from_local(read("2026-03-29T02:30:00"))
    assert (reading.kind, reading.instants) == ("gap", ())
    assert reading.chosen("end") == (parse_instant("2026-03-29T01:00:00Z"),)
    assert reading.chosen("shift") == (parse_instant("2026-03-29T01:30:00Z"),)
    assert reading.chosen("skip") == ()


def test_a_reading_in_a_fold_has_two_instants() -> None:
    reading = zone_rules("Europe/Berlin").from_local(read("2026-10-25T02:30:00"))
    first, second = parse_instant("2026-10-25T00:30:00Z"), parse_instant("2026-10-25T01:30:00Z")
    assert (reading.kind, reading.instants) == ("fold", (first, second))
    assert reading.chosen(fold="first") == (first,)
    assert reading.chosen(fold="second") == (second,)
    assert reading.chosen(fold="both") == (first, second)


def test_a_whole_day_can_be_a_gap() -> None:
    reading = zone_rules("Pacific/Apia").from_local(read("2011-12-30T12:00:00"))
    assert reading.chosen("end") == (parse_instant("2011-12-30T10:00:00Z"),)
    assert reading.chosen("shift") == (parse_instant("2011-12-30T22:00:00Z"),)


@pytest.mark.parametrize("name", ["Europe/Dublin", "UTC", "Africa/Monrovia", "Africa/Casablanca"])
def test_rules_are_stored_and_read_back_exactly(name: str) -> None:
    rules = zone_rules(name)
    again = rules_from_json(json.loads(json.dumps(rules.to_json())))
    assert again == rules
    assert hash(again) == hash(rules)
    assert (again.transitions, again.first_offset_s) == (rules.transitions, rules.first_offset_s)


def test_the_digest_says_whether_the_offsets_are_the_same() -> None:
    assert zone_rules("Europe/Berlin").digest != zone_rules("Europe/Dublin").digest
    assert zone_rules("Etc/UTC").digest == zone_rules("UTC").digest
    assert zone_rules("Etc/UTC") != zone_rules("UTC")
    assert zone_rules("UTC") != "UTC"


@pytest.mark.parametrize("data", [{}, {"name": "X", "transitions": [1], "first_offset_s": 0}, {"name": "X"}])
def test_what_is_no_rules_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="no zone rules"):
        rules_from_json(data)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Europe/Berln", "there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'"),
        ("europe/berlin", "did you mean 'Europe/Berlin'"),
        ("Berlin", "did you mean 'Europe/Berlin'"),
        ("new york", "did you mean 'America/New_York'"),
        ("CEST", "there is no time zone 'CEST'"),
        ("+02:00", "the offset '+02:00' is no time zone; write that of a place"),
        ("UTC+2", "the offset 'UTC+2' is no time zone"),
        ("", "there is no time zone ''; write an IANA name such as 'Europe/Berlin' or 'UTC'"),
        ("../../etc/passwd", "there is no time zone"),
        ("Europe", "there is no time zone 'Europe'"),
        ("Europe/", "there is no time zone"),
        ("right/Europe/Berlin", "there is no time zone"),
        ("zone.tab", "there is no time zone"),
        ("Europe/Berlin\0", "there is no time zone"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_names(name: str, sentence: str) -> None:
    with pytest.raises(BadZone) as caught:
        zone_rules(name)
    assert sentence in str(caught.value)


def test_a_zone_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadZone, match="a time zone is a name such as 'Europe/Berlin', not 3"):
        zone_info(3)


@given(st.text(max_size=30))
def test_any_text_is_a_zone_or_refused(name: str) -> None:
    with suppress(BadZone):
        assert isinstance(zone_rules(name), ZoneRules)

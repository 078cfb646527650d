"""The picture of the states in the documentation is drawn from the table that the code reads."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from watchbell.core.states import PLANNED, TRANSITIONS, State


@pytest.fixture(scope="module")
def drawing(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_states", root / "docs" / "design" / "draw_states.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_the_table_says(drawing: ModuleType) -> None:
    page = drawing.PAGE.read_text(encoding="utf-8")
    assert page == drawing.redrawn(page), "run `.venv/bin/python docs/design/draw_states.py`"


def test_a_changed_table_gives_another_picture(drawing: ModuleType) -> None:
    changed = {**TRANSITIONS, State.RETRYING: TRANSITIONS[State.RETRYING] | {State.QUEUED}}
    assert drawing.picture(changed, PLANNED) != drawing.picture(TRANSITIONS, PLANNED)


def test_every_arrow_of_the_table_is_in_the_picture(drawing: ModuleType) -> None:
    text = drawing.picture(TRANSITIONS, PLANNED)
    drawn = set(re.findall(r"^    (\S+) --> (\S+)$", text, re.MULTILINE))
    box = {state: name for name, members in drawing.grouped(TRANSITIONS).items() for state in members}
    assert drawn == {(box[one], box[other]) for one, ways in TRANSITIONS.items() for other in ways} | {
        ("[*]", box[state]) for state in PLANNED
    }


def test_the_table_has_a_row_for_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


def test_no_arrow_leads_from_work_that_began_back_to_the_queue() -> None:
    assert State.QUEUED not in TRANSITIONS[State.RUNNING] | TRANSITIONS[State.RETRYING]


def test_from_every_live_state_an_ending_can_be_reached() -> None:
    endings = {state for state in State if not TRANSITIONS[state]}
    for state in State:
        seen, edge = {state}, {state}
        while edge:
            edge = {way for here in edge for way in TRANSITIONS[here]} - seen
            seen |= edge
        assert seen & endings, state

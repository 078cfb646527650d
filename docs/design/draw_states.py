"""Draw the state picture of protocol.md from the table in the core: `python docs/design/draw_states.py [--check]`.

Mermaid, because it is text: it can be compared, and it is drawn where the page is read. Endings that have no way on
stand together as one box each for *it ran* and *it did not run*, so that the picture shows the ways and not the
cross product; which arrow leads to which ending is in the table below it, drawn from the same source.
"""

from __future__ import annotations

import sys
from pathlib import Path

from watchbell.core.states import PLANNED, TRANSITIONS, State

PAGE = Path(__file__).with_name("protocol.md")
BEGIN = "<!-- drawn by docs/design/draw_states.py from watchbell.core.states; do not edit by hand -->"
END = "<!-- end of the drawing -->"


def picture(table: dict[State, frozenset[State]], planned: frozenset[State]) -> str:
    """The whole of what stands between the two marks."""
    boxes = grouped(table)
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    for name, members in boxes.items():
        if len(members) > 1:
            lines.append(f'    state "{" · ".join(members)}" as {name}')
    lines += [f"    [*] --> {box}" for box in names_of(planned, boxes)]
    for name, members in boxes.items():
        ways = frozenset().union(*(table[state] for state in members))
        lines += [f"    {name} --> {box}" for box in names_of(ways, boxes)]
    lines += ["```", "", *rows(table, planned)]
    return "\n".join(lines) + "\n"


def grouped(table: dict[State, frozenset[State]]) -> dict[str, list[State]]:
    """States that share every way out and are not live go into one box."""
    endings = [state for state in State if not table[state]]
    reopened = [state for state in State if table[state] == frozenset({State.QUEUED})]
    boxes: dict[str, list[State]] = {
        state.value: [state] for state in State if state not in endings and state not in reopened
    }
    boxes["ran"] = endings
    boxes["did_not_run"] = reopened
    return {name: members for name, members in boxes.items() if members}


def names_of(states: frozenset[State], boxes: dict[str, list[State]]) -> list[str]:
    """The boxes that hold at least one of the states, in the order of the picture."""
    return [name for name, members in boxes.items() if states.intersection(members)]


def rows(table: dict[State, frozenset[State]], planned: frozenset[State]) -> list[str]:
    """Every single arrow, as a table."""
    lines = ["| from | to |", "|---|---|", f"| *(planned)* | {listed(planned)} |"]
    return lines + [f"| `{state}` | {listed(ways) if ways else '—'} |" for state, ways in table.items()]


def listed(states: frozenset[State]) -> str:
    return " · ".join(f"`{state}`" for state in State if state in states)


def redrawn(page: str) -> str:
    """The page with the picture as the table has it today."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise SystemExit(
            f"{PAGE.name} has no place for the picture: it needs a line {BEGIN!r} and a line {END!r}."
        )
    return f"{before}{BEGIN}\n\n{picture(TRANSITIONS, PLANNED)}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the page anew, or with --check only say whether it is up to date."""
    page = PAGE.read_text(encoding="utf-8")
    fresh = redrawn(page)
    if arguments == ["--check"]:
        print("up to date" if fresh == page else "out of date")
        return int(fresh != page)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

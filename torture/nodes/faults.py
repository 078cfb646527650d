"""What is done to the nodes and their server, and when: a pure function of the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

LEASE_S = 15.0
"""How long a node's lease lasts, as the protocol has it."""
LONG_S = 20.0
LONG_EVERY_S = 60.0
CALM_S = 2.0
"""After a fault of that length. Until then one other node, the witness, and the server are left alone, so that the silence
is seen: it counts only over time in which whoever watches reaches the server."""
RESTS_S = (0.8, 3.0, 8.0)
"""A node has so long between two faults of its own: hardly time to begin, or to act for a while."""
SETTLING_S = 1.0
"""Nothing is done before."""
ANYBODY = -1
"""The node of a fault that hits the server, and with it all."""

UNASKED = " unasked"
"""The end of a variant of `eat` in which the server cannot be asked what became of the commit, for longer than a node asks."""
UNASKED_S = 13.0

_OF_A_NODE = (
    ("kill", 5),
    ("stop", 3),
    ("term", 2),
    ("terminate", 2),
    ("cut", 2),
    ("refuse", 2),
    ("stall", 3),
    ("delay", 1),
    ("eat", 5),
)
_LONG = ("stop", "refuse", "stall")
"""What is done for longer than a lease every minute: a stop first, then any of them."""
_OF_THE_SERVER = (("restart", 1), ("crash", 1))
_VARIANTS: dict[str, tuple[str, ...]] = {
    "kill": ("alone", "spawner_first", "spawner_last"),
    "stop": ("alone", "family"),
    "stall": ("both", "both", "up", "down"),
    "eat": ("after", "after", "before", "race", "late", f"after{UNASKED}", f"before{UNASKED}"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One case. `lasts_s` is until it is healed; for a node that is gone, until the next engine is started there."""

    number: int
    at_s: float
    kind: str
    node: int
    lasts_s: float = 0.0
    variant: str = ""

    @property
    def until_s(self) -> float:
        """When it is healed."""
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        who = "server" if self.node == ANYBODY else f"node {self.node}"
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.kind}{'/' + self.variant if self.variant else ''} of {who}{lasts}"


KINDS = tuple(kind for kind, _ in (*_OF_A_NODE, *_OF_THE_SERVER))


def faults_of(
    seed: int, nodes: int, seconds: float, own_server: bool, only: tuple[str, ...] = KINDS
) -> tuple[Fault, ...]:
    """Everything that is done within that time, in the order of its beginnings; of these kinds."""
    drawn = random.Random(f"faults {seed}")
    free = [SETTLING_S] * nodes
    long_at, calm_until, at = drawn.uniform(SETTLING_S, SETTLING_S + 8), 0.0, SETTLING_S
    server_at = drawn.uniform(10, 25)
    found: list[Fault] = []
    long = 0
    while (at := at + drawn.expovariate(nodes / 3.5)) < seconds:
        if own_server and at >= max(server_at, calm_until) and {"restart", "crash"} & {*only}:
            kind = _weighed(drawn, _OF_THE_SERVER, only)
            found.append(Fault(len(found), at, kind, ANYBODY, drawn.choice((0.0, 0.0, 0.5, 2.0, 6.0))))
            server_at = at + drawn.uniform(15, 40)
            continue
        node = min(range(nodes), key=lambda one: (free[one] > at, drawn.random()))
        if free[node] > at or not {kind for kind, _ in _OF_A_NODE} & {*only}:
            continue
        if at >= long_at and (kinds := [kind for kind in _LONG if kind in only]):
            witness = next((one for one in range(nodes) if one != node and free[one] <= at), None)
            if witness is None and nodes > 1:
                continue  # nothing more begins until somebody is there to see it
            kind = kinds[0] if not long else drawn.choice(kinds)
            long += 1
            variant = "both" if kind == "stall" else drawn.choice(_VARIANTS.get(kind, ("",)))
            fault = Fault(len(found), at, kind, node, LONG_S, variant)
            long_at, calm_until = at + LONG_EVERY_S, fault.until_s + CALM_S
            if witness is not None:
                free[witness] = calm_until
        else:
            kind = _weighed(drawn, _OF_A_NODE, only)
            variant = drawn.choice(_VARIANTS.get(kind, ("",)))
            lasts = UNASKED_S if variant.endswith(UNASKED) else _length(drawn, kind)
            fault = Fault(len(found), at, kind, node, lasts, variant)
        free[node] = fault.until_s + drawn.choice(RESTS_S)
        found.append(fault)
    return tuple(found)


def _weighed(drawn: random.Random, kinds: tuple[tuple[str, int], ...], only: tuple[str, ...]) -> str:
    asked = [(kind, weight) for kind, weight in kinds if kind in only]
    return drawn.choices([kind for kind, _ in asked], [weight for _, weight in asked])[0]


def _length(drawn: random.Random, kind: str) -> float:
    """Mostly short; now and then longer than a lease."""
    if kind in ("kill", "term"):
        return drawn.choice((0.0, 0.0, 0.5, 2.0))
    if kind in ("refuse", "stall"):
        return drawn.choice((drawn.uniform(1, 6), drawn.uniform(1, 6), drawn.uniform(6, 22)))
    if kind == "stop":
        return drawn.choice((drawn.uniform(2, 8), drawn.uniform(2, 8), drawn.uniform(8, 30)))
    if kind == "delay":
        return drawn.uniform(2, 8)
    if kind == "eat":
        return drawn.uniform(1, 4)
    return 0.0

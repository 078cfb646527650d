"""The plan of what is done to many nodes."""

from __future__ import annotations

import pytest

from torture.nodes.faults import ANYBODY, CALM_S, LEASE_S, LONG_S, faults_of

SEEDS = range(20)


def test_the_same_seed_gives_the_same_plan() -> None:
    assert faults_of(7, 3, 300, own_server=True) == faults_of(7, 3, 300, own_server=True)
    assert faults_of(7, 3, 300, own_server=True) != faults_of(8, 3, 300, own_server=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_node_has_two_faults_at_once(seed: int) -> None:
    until: dict[int, float] = {}
    for fault in faults_of(seed, 3, 300, own_server=True):
        assert fault.at_s >= until.get(fault.node, 0.0)
        until[fault.node] = fault.until_s


@pytest.mark.parametrize("seed", SEEDS)
def test_even_a_minute_has_a_stop_that_outlasts_a_lease_and_is_seen(seed: int) -> None:
    faults = faults_of(seed, 3, 60, own_server=True)
    long = next(fault for fault in faults if fault.kind == "stop" and fault.lasts_s == LONG_S)
    assert long.lasts_s > LEASE_S
    calm = [
        fault
        for fault in faults
        if fault.at_s < long.until_s + CALM_S and fault.until_s > long.at_s and fault != long
    ]
    assert not any(fault.node == ANYBODY and fault.at_s > long.at_s for fault in calm)
    assert len({0, 1, 2} - {long.node} - {fault.node for fault in calm}) >= 1


def test_a_server_that_is_not_ours_is_left_alone() -> None:
    assert all(fault.node != ANYBODY for fault in faults_of(1, 3, 600, own_server=False))


def test_every_kind_comes_up_in_a_long_run() -> None:
    kinds = {fault.kind for fault in faults_of(1, 3, 1200, own_server=True)}
    assert kinds == {
        "kill", "stop", "term", "terminate", "cut", "refuse", "stall", "delay", "eat", "restart", "crash",
    }  # fmt: skip

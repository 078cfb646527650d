"""A signal that comes at the worst moment: while the main thread holds what the answer to it needs."""

from __future__ import annotations

import os
import signal
import threading

from watchbell.app.signals import hearing

PATIENCE = 20.0


def test_a_signal_that_comes_while_its_own_event_is_locked_is_answered_all_the_same() -> None:
    stopping, twice, heard = threading.Event(), threading.Event(), list[str]()

    def act(number: signal.Signals) -> None:
        heard.append(number.name)
        (twice if stopping.is_set() else stopping).set()

    before = signal.getsignal(signal.SIGTERM)
    with hearing(act):
        with stopping._cond:  # as in the middle of stopping.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        assert stopping.wait(PATIENCE)
        assert twice.wait(PATIENCE)
    assert set(heard) == {"SIGTERM"}
    assert signal.getsignal(signal.SIGTERM) is before

"""Stopping many parts at once: those that are stuck share one wait."""

import threading

import pytest

from shared.bootstrap.periodic import Periodic, stop_all


class Stuck:
    """Takes all the time it is given; `log` says in which order things were asked of whom."""

    def __init__(self, log):
        self.log = log
        self.given_s = 0.0

    def end(self):
        self.log.append("end")

    def stop(self, timeout_s):
        self.log.append("stop")
        self.given_s = timeout_s
        threading.Event().wait(timeout_s)


def test_stuck_parts_are_all_told_first_and_share_one_wait():
    log: list[str] = []
    parts = [Stuck(log), Stuck(log), Stuck(log)]
    stop_all(parts, 0.05)
    assert log == ["end"] * 3 + ["stop"] * 3
    assert parts[0].given_s == pytest.approx(0.05, abs=0.05)
    assert all(part.given_s < 0.05 for part in parts[1:])


def test_a_periodic_that_was_ended_begins_nothing_more():
    calls = []
    periodic = Periodic(lambda: calls.append(1), name="test", interval_s=60)
    periodic.end()
    periodic.start()
    stop_all([periodic], 1)
    assert calls == []

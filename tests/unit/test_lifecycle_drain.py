"""What signals mean, and how long work in flight still has."""

import pytest

from shared.bootstrap.drain import Drain, Meaning, meaning_of_signal


@pytest.mark.parametrize(
    ("first_at_s", "now_s", "meaning"),
    [
        (None, 10.0, Meaning.DRAIN),
        (10.0, 10.0, Meaning.REPEATED),
        (10.0, 11.0, Meaning.REPEATED),
        (10.0, 11.1, Meaning.AT_ONCE),
    ],
)
def test_signals_within_a_second_of_the_first_count_as_one(first_at_s, now_s, meaning):
    assert meaning_of_signal(first_at_s, now_s) is meaning


def test_the_grace_runs_from_the_first_request():
    now = [100.0]
    drain = Drain(25, clock=lambda: now[0])
    assert drain.left_s() == 25
    assert not drain.wait(0)
    assert drain.request("SIGTERM")
    now[0] += 10
    assert not drain.request("again")
    assert (drain.reason, drain.deadline, drain.left_s()) == ("SIGTERM", 125.0, 15.0)
    assert drain.wait(0)
    now[0] += 100
    assert drain.left_s() == 0

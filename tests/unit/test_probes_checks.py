"""Checks in the background: what a result is worth as time goes by, and that nobody waits for a check."""

import threading

import pytest

from shared.core.health import CheckResult, CheckStatus
from shared.probes.checks import CheckRunner, Seen, Timing, current
from tests.support.logs import captured
from tests.support.waiting import wait_for

UP = CheckResult(CheckStatus.UP, 1.0)
VITAL = CheckResult(CheckStatus.UP, 1.0, vital=True)
TIMING = Timing(interval_s=2.0, deadline_s=5.0)


@pytest.mark.parametrize(
    ("seen", "now_s", "status", "message"),
    [
        (Seen(VITAL, 100.0), 106.0, "up", None),
        (Seen(VITAL, 100.0), 106.1, "down", "Stale: last checked 6s ago"),
        (Seen(UP, 100.0), 200.0, "degraded", "Stale: last checked 100s ago"),
        (Seen(VITAL, 100.0, running_since_s=100.0), 105.0, "up", None),
        (Seen(VITAL, 100.0, running_since_s=100.0), 105.5, "down", "No answer for 6s"),
        # One that is under way is not stale: it is being refreshed.
        (Seen(VITAL, 100.0, running_since_s=105.0), 108.0, "up", None),
    ],
)
def test_a_result_is_worth_what_its_age_allows(seen, now_s, status, message):
    found = current(seen, now_s, TIMING)
    assert (found.status, found.message) == (status, message)


def test_before_the_first_result_a_vital_check_is_down_and_another_degraded():
    runner = CheckRunner({"a": lambda: UP, "b": lambda: UP}, vital=frozenset({"a"}))
    assert {name: (result.status.value, result.vital) for name, result in runner.results().items()} == {
        "a": ("down", True),
        "b": ("degraded", False),
    }


def test_a_check_that_hangs_harms_no_other_and_is_told_after_its_deadline():
    release = threading.Event()

    def hang():
        release.wait()
        return UP

    runner = CheckRunner({"hangs": hang, "fine": lambda: UP}, interval_s=0.01, deadline_s=0.05)
    runner.start()
    try:
        wait_for(lambda: runner.results()["fine"].status is CheckStatus.UP, 20, "the other check")
        told = wait_for(lambda: "No answer" in str(runner.results()["hangs"].message), 20, "the deadline")
        assert told
        release.set()
        wait_for(lambda: runner.results()["hangs"].status is CheckStatus.UP, 20, "recovery")
    finally:
        release.set()
        runner.stop()


def test_whoever_wants_to_know_is_told_of_each_change_of_status_and_of_nothing_else():
    results = [UP, UP, CheckResult(CheckStatus.DOWN), CheckResult(CheckStatus.DOWN), UP]
    left, seen = list(results), []
    runner = CheckRunner({"x": lambda: left.pop(0) if left else UP}, interval_s=0.001)
    runner.on_change(lambda: seen.append(runner.results()["x"].status.value))
    runner.start()
    wait_for(lambda: not left, 20, "every result")
    runner.stop()
    # From "not checked yet", which is degraded.
    assert seen == ["up", "down", "up"]


def test_a_check_that_raises_is_down_and_told_without_its_error_s_text():
    def fail():
        raise RuntimeError("with a secret")

    with captured() as lines:
        runner = CheckRunner({"x": fail}, interval_s=60, vital=frozenset({"x"}))
        runner.start()
        assert runner.wait_first(20)
        runner.stop()
    found = runner.results()["x"]
    assert (found.status, found.message, found.vital) == (CheckStatus.DOWN, "The check failed (RuntimeError)", True)
    assert "A health check failed" in lines.text


def test_stopping_twice_or_before_the_start_is_fine():
    runner = CheckRunner({"a": lambda: UP})
    runner.stop()
    runner.start()
    runner.stop()
    assert not runner.wait_first(0)


def test_times_that_make_no_sense_cannot_be_built():
    with pytest.raises(ValueError, match="above 0"):
        Timing(interval_s=0)

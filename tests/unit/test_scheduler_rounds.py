import threading

import pytest

from scheduler.rounds import Rounds
from tests.support.waiting import wait_for


@pytest.fixture
def started():
    found = []

    def start(work, **options):
        rounds = Rounds(work, name="test", interval_s=0.01, **options)
        found.append(rounds)
        rounds.start()
        return rounds

    yield start
    for rounds in found:
        rounds.stop()


def test_rounds_go_on_after_one_that_failed(started):
    rounds = []

    def work() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise RuntimeError("a round fails")

    started(work)

    wait_for(lambda: len(rounds) > 3, 20, "further rounds")


def test_a_hurried_round_comes_at_once():
    turn = threading.Event()
    rounds = Rounds(turn.set, name="test", interval_s=60)
    rounds.start()
    assert turn.wait(20)
    turn.clear()

    rounds.hurry()

    assert turn.wait(20)
    rounds.stop()


def test_a_round_that_waits_for_the_database_is_no_sign_of_a_stuck_thread(started):
    release, entered = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        release.wait(20)

    rounds = started(work)
    assert entered.wait(20)
    rounds.pulse._beat_at_s -= 1000

    assert rounds.pulse.age_s() == 0
    release.set()


def test_a_round_that_waits_for_nothing_outside_is(started):
    release, entered = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        release.wait(20)

    rounds = started(work, outside=False)
    assert entered.wait(20)
    rounds.pulse._beat_at_s -= 1000

    assert rounds.pulse.age_s() > 999
    release.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_shows_by_its_age(started):
    def work() -> None:
        raise SystemExit

    rounds = started(work)
    wait_for(lambda: not any(thread.name == "test" for thread in threading.enumerate()), 20, "the thread to end")
    rounds.pulse._beat_at_s -= 1000

    assert rounds.pulse.age_s() > 999


def test_rounds_may_be_stopped_twice_and_before_their_start():
    rounds = Rounds(lambda: None, name="test", interval_s=60)
    rounds.stop()
    rounds.start()
    rounds.stop()
    rounds.stop()

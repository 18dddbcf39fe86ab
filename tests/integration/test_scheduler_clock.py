"""The clock of the daily job on the real APScheduler."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.clock import JOB_ID, DailyClock
from scheduler.timetable import Fire, Timetable
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration


class Soon(Timetable):
    """Fires every 100 ms of real time, which no crontab line can."""

    def next(self, after: datetime) -> Fire:
        at = after + timedelta(milliseconds=100)
        return Fire(at.isoformat(), at)


@pytest.fixture
def fired():
    return threading.Event()


@pytest.fixture
def clock(fired):
    daily = Timetable.of("0 2 * * *", "UTC")
    found = DailyClock(Soon(daily.crontab, daily.zone), fired.set)
    yield found
    found.stop()


def test_nothing_fires_before_the_job_is_registered(clock, fired):
    clock.start()

    assert not fired.wait(0.5)


def test_a_registered_job_fires_again_and_again_and_registering_twice_is_harmless(clock, fired):
    clock.start()
    clock.register()
    clock.register()

    for _ in range(3):
        assert fired.wait(20)
        fired.clear()
    assert [job.id for job in clock._scheduler.get_jobs()] == [JOB_ID]


def test_a_failing_round_does_not_end_the_clock(fired):
    calls = []

    class FailingOnce(Soon):
        def next(self, after: datetime) -> Fire:
            calls.append(after)
            # The first call registers the job, the second is made in the loop.
            if len(calls) == 2:
                raise RuntimeError("a round fails")
            return super().next(after)

    daily = Timetable.of("0 2 * * *", "UTC")
    clock = DailyClock(FailingOnce(daily.crontab, daily.zone), fired.set)
    clock.start()
    clock.register()

    wait_for(lambda: len(calls) >= 2, 20, "the failing round")
    assert fired.wait(20)
    clock.stop()


def test_its_loop_beats_without_a_job_to_do(clock):
    clock.start()
    clock.pulse._beat_at_s -= 100

    wait_for(lambda: clock.pulse.age_s() < 50, 20, "a beat")


def test_a_clock_may_be_stopped_twice_and_before_its_start(clock):
    clock.stop()
    clock.start()
    clock.stop()
    clock.stop()


def test_a_fire_that_comes_late_is_not_dropped(fired):
    calls = []

    class LateOnce(Timetable):
        def next(self, after: datetime) -> Fire:
            calls.append(after)
            at = datetime.now(UTC) + timedelta(hours=-3 if len(calls) == 1 else 300)
            return Fire(at.isoformat(), at)

    daily = Timetable.of("0 2 * * *", "UTC")
    clock = DailyClock(LateOnce(daily.crontab, daily.zone), fired.set)
    clock.start()
    clock.register()

    assert fired.wait(20)
    clock.stop()

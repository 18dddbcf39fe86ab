"""When house is kept, and what is told of it."""

import pytest
import redis

from scheduler.housekeeping import DEAD_INTERVAL_S, RETENTION_INTERVAL_S, DeadHints, Retention
from shared.core.errors import DatabaseUnavailableError, RedisUnavailableError
from shared.ledger.retention import Forgotten
from shared.observability import events
from shared.observability.metrics import DEAD_HINTS
from tests.support.logs import captured


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time():
    return Time()


class Steps:
    """A ledger that answers with `answers` in turn, then with nothing to forget."""

    def __init__(self, *answers: Forgotten | Exception) -> None:
        self.asked: list[int] = []
        self._answers = list(answers)

    def __call__(self, after: int) -> Forgotten:
        self.asked.append(after)
        answer = self._answers.pop(0) if self._answers else Forgotten()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_steps_follow_each_other_where_the_last_one_ended_and_are_told_in_one_line(time):
    steps = Steps(Forgotten(runs=2, attempts=3, after=7), Forgotten(runs=1, attempts=1, after=9), Forgotten(fires=4))
    retention = Retention(steps, clock=time)
    with captured(fmt="json") as lines:
        for _ in range(5):
            retention.turn()
    assert steps.asked == [0, 7, 9]
    told = [line for line in lines.json if line["event"] == events.LEDGER_FORGOTTEN]
    assert [(line["runs"], line["attempts"], line["fires"]) for line in told] == [(3, 4, 4)]


def test_the_next_look_is_an_hour_later_and_begins_with_the_oldest(time):
    steps = Steps(Forgotten(after=7))
    retention = Retention(steps, clock=time)
    retention.turn()
    retention.turn()
    time.now_s = RETENTION_INTERVAL_S - 1
    retention.turn()
    assert steps.asked == [0, 7]
    time.now_s = RETENTION_INTERVAL_S
    retention.turn()
    assert steps.asked == [0, 7, 0]


def test_nothing_to_forget_is_not_worth_a_line(time):
    with captured() as lines:
        Retention(Steps(), clock=time).turn()
    assert lines.all == []


def test_a_step_that_failed_is_made_again(time):
    steps = Steps(Forgotten(after=7), DatabaseUnavailableError(summary="away"))
    retention = Retention(steps, clock=time)
    retention.turn()
    with pytest.raises(DatabaseUnavailableError):
        retention.turn()
    retention.turn()
    assert steps.asked == [0, 7, 7]


class FakeRedis:
    def __init__(self) -> None:
        self.ours = True
        self.dead = 0
        self.error: redis.RedisError | None = None
        self.looks = 0

    def is_ours(self) -> bool:
        return self.ours

    def remove_dead(self) -> int:
        self.looks += 1
        if self.error is not None:
            raise self.error
        found, self.dead = self.dead, 0
        return found


def count() -> float:
    return float(DEAD_HINTS._value.get())


def test_dead_hints_are_removed_counted_and_told_once(time):
    server = FakeRedis()
    server.dead = 3
    hints, before = DeadHints(server, clock=time), count()
    with captured(fmt="json") as lines:
        for _ in range(3):
            hints.turn()
            time.now_s += DEAD_INTERVAL_S
    assert count() - before == 3
    assert [line["hints"] for line in lines.json if line["event"] == events.DEAD_HINTS_REMOVED] == [3]
    assert server.looks == 3


def test_it_looks_once_a_minute_but_at_once_when_redis_becomes_ours(time):
    server = FakeRedis()
    server.ours = False
    hints = DeadHints(server, clock=time)
    hints.turn()
    assert server.looks == 0
    server.ours = True
    hints.turn()
    hints.turn()
    assert server.looks == 1


def test_a_refusal_is_told_once_per_cause_and_tried_again_every_minute(time):
    server = FakeRedis()
    server.error = redis.ResponseError("NOPERM this user has no permissions to run the 'unlink' command")
    hints = DeadHints(server, clock=time)
    with captured(fmt="json") as lines:
        for _ in range(3):
            hints.turn()
            time.now_s += DEAD_INTERVAL_S
    assert server.looks == 3
    assert [line["event"] for line in lines.json] == [events.DEAD_HINTS_KEPT]


def test_an_outage_is_left_to_the_link_and_tried_again_at_once(time):
    server = FakeRedis()
    server.error = RedisUnavailableError(summary="away", code="REFUSED")
    hints = DeadHints(server, clock=time)
    with captured() as lines:
        hints.turn()
        hints.turn()
    assert (server.looks, lines.all) == (2, [])

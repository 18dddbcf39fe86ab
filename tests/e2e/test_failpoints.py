"""kill -9 at each failpoint of each real process, while runs are planned, sent, collected and cancelled.

Commits that only come about at leisure (a first migration, a fire, a refused hint, housekeeping) are in
test_failpoints_ledger.py, on both databases.
"""

import contextlib
import signal
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from shared.core.days import DayRange, last_complete_days
from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import RunState
from shared.ledger.accounts import sync_accounts
from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from shared.ledger.requests import request_runs
from shared.ledger.tables import runs
from shared.observability.failpoints import ALL, Point, Write, after_commit, before_commit
from tests.support.fleet import Fleet, Member, running_fleet, source
from tests.support.ledger_check import Expected, broken, unfinished
from tests.support.paced_worker import FLAKY
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for, wait_none

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

ACCOUNTS = ("five", FLAKY, "four", "one", "three", "two")
CANCELLED = "one"
DAYS = 6
DEADLINE_S = 200.0
# Looking costs the machine time that the processes need; runs are requested at every nth look.
LOOK_S = 0.1
TURNS = 8
FORGETS = 30


def sides(*writes: Write) -> list[str]:
    return [point for write in writes for point in (before_commit(write), after_commit(write))]


# Several of a kind share what their kind passes, so that their deaths overlap. What every kind passes in the same way
# (the fleet's beats, the accounts) is shared by all.
POINTS = {
    "worker-1": [*sides(Write.CLAIM, Write.STORE), Point.ACK_BEFORE, Point.ACK_AFTER],
    "worker-2": [*sides(Write.RENEW, Write.HAND_BACK), Point.FETCH_BEGUN, Point.FETCHED],
    "worker-3": sides(Write.FAIL, Write.FLEET_LEAVE, Write.HINTS_GONE),
    "scheduler-1": [*sides(Write.QUEUE, Write.QUEUE_AGAIN, Write.TAKE_BACK), Point.MARKER_BEFORE, Point.MARKER_AFTER],
    "scheduler-2": [*sides(Write.PLAN_GAPS, Write.REDIS_RUN_ID, Write.FLEET_BEAT), Point.SEND_BEFORE, Point.SEND_AFTER],
    "status_api-1": [
        *sides(Write.REQUEST, Write.CANCEL, Write.QUEUE, Write.ACCOUNTS),
        *(Point.SEND_BEFORE, Point.SEND_AFTER),
    ],
}
# Passed at leisure, and died of in test_failpoints_ledger.py. A hint goes back only when no thread has begun it, too
# seldom to be waited for: nobody dies of that yet.
ELSEWHERE = {
    *sides(Write.MIGRATION, Write.PLAN_FIRE, Write.PUT_BACK, Write.HOLD, Write.RELEASE, Write.OUTDATE, Write.FORGET),
    *sides(Write.ALERT, Write.TAKE_ALERT, Write.ALERT_SENT, Write.CLAIM_DIRECT, Write.SUMS, Write.JOURNAL),
    *sides(Write.CREDENTIALS_TURN, Write.CREDENTIALS_FOUND),
    *sides(Write.LOOK, Write.BUDGET, Write.TAKE_NOTICE, Write.NOTICE_SENT, Write.BACKFILL),
    Point.REQUEUE_BEFORE,
    Point.REQUEUE_AFTER,
}
# Passed by who ends in an orderly way alone.
AT_THE_END = {*sides(Write.HAND_BACK, Write.FLEET_LEAVE)}
FORGETTING = {*sides(Write.QUEUE_AGAIN, Write.REDIS_RUN_ID), Point.MARKER_BEFORE, Point.MARKER_AFTER}


class Work:
    """Keeps everybody busy, until every point has been died of."""

    def __init__(self, fleet: Fleet, db: Database, redis: RedisServer, points: Mapping[str, Collection[str]]) -> None:
        self.fleet = fleet
        self.db = db
        self.redis = redis
        self.points = points
        self.turns = count()
        self.pace = Event()
        self.died = dict.fromkeys(points, 0)

    def left(self, member: Member) -> set[str]:
        """What it has not died of yet."""
        return {str(point) for point in self.points.get(str(member), ())} - self.fleet.marks(member)

    def done(self) -> bool:
        """One turn: start the dead again, ask for runs, stir what the points that are left need."""
        self.bury()
        assert self.fleet.mend() == []
        left = {str(member): self.left(member) for member in self.fleet.members}
        everything = set().union(*left.values())
        turn = next(self.turns)
        self.pace.wait(LOOK_S)
        if turn % TURNS == 0:
            self.request(last_days(1 + turn // TURNS % DAYS))
        if turn % (FORGETS if everything & FORGETTING else 3 * FORGETS) == 0:
            self.forget(everything)
        for member in self.fleet.members:
            self.end(member, left[str(member)])
        return not everything

    def bury(self) -> None:
        """A launcher would start its worker processes again, more and more slowly."""
        for member in self.fleet.all("worker"):
            died = len(self.fleet.marks(member))
            if died > self.died.get(str(member), 0):
                self.died[str(member)] = died
                member.kill()

    def request(self, days: DayRange) -> None:
        """Through the ledger, and through the API, which cancels again."""
        with contextlib.suppress(DatabaseUnavailableError):
            request_runs(self.db, accounts=None, days=days)
        payload = {"account": CANCELLED, "start": str(days.start), "end": str(days.end)}
        answer = self.fleet.ask("/api/v1/runs", method="POST", payload=payload)
        if answer is not None and answer.status == 202:
            self.fleet.ask(f"/api/v1/runs/{answer.body['runs'][0]['id']}", method="DELETE")

    def forget(self, left: set[str]) -> None:
        """Redis loses its memory, by coming back as another server when that is what is left."""
        if left & {*sides(Write.REDIS_RUN_ID)}:
            self.redis.kill()
            self.redis.start()
        else:
            self.redis.wipe()

    def end(self, member: Member, left: set[str]) -> None:
        """SIGTERM, for points that only who ends in an orderly way passes, with a run in hand where that matters."""
        if not left & AT_THE_END or left - AT_THE_END or not member.ready():
            return
        if not left & {*sides(Write.HAND_BACK)} or self.holds(member):
            assert member.process is not None
            member.process.send_signal(signal.SIGTERM)

    def holds(self, member: Member) -> bool:
        """Whether a run is in hand there."""
        with self.db.read() as connection:
            holders = connection.scalars(select(runs.c.holder).where(runs.c.state == RunState.RUNNING)).all()
        return any(f"-{worker.pid}-" in holder for worker in member.workers() for holder in holders if holder)

    def unfinished(self, expected: Expected) -> list[str]:
        """What is left to do, by whoever lives."""
        self.bury()
        assert self.fleet.mend() == []
        return unfinished(self.db, expected)


def last_days(number: int) -> DayRange:
    return last_complete_days(datetime.now(UTC), number)


def die_everywhere(folder: Path, database_url: str, points: Mapping[str, Collection[str]]) -> None:
    expected = source(folder, ACCOUNTS, DAYS)
    environment = {"COST_LOOKBACK_DAYS": str(DAYS), "SHUTDOWN_GRACE_S": "0", "PACED_FETCH_S": "0.6"}
    db = Database(database_url)
    upgrade(db)
    sync_accounts(db, [(name, "focus", False) for name in ACCOUNTS])
    with RedisServer() as redis:
        fleet = Fleet(folder, redis_url=redis.url, database_url=database_url, environment=environment, points=points)
        work = Work(fleet, db, redis, points)
        with running_fleet(fleet):
            for name in points:
                fleet.add(name.partition("-")[0])
            try:
                wait_for(work.done, DEADLINE_S, "somebody to have died at each point")
            except AssertionError as error:
                raise AssertionError({str(member): work.left(member) for member in fleet.members}) from error
            # The days of a cancelled run wait for a fire or a request, and there may be no other run that has them.
            request_runs(db, accounts=[CANCELLED], days=last_days(DAYS))
            redis.wipe()
            wait_none(lambda: work.unfinished(expected), DEADLINE_S)
            assert set(fleet.stop().values()) == {0}
            assert broken(db, expected) == []
            assert fleet.tracebacks() == []
    db.dispose()


def test_every_point_is_died_of_here_or_elsewhere():
    here = {str(point) for points in POINTS.values() for point in points}
    assert here | ELSEWHERE == ALL
    assert not here & ELSEWHERE


@pytest.mark.timeout(450)
def test_a_death_at_any_point_of_any_process_costs_nothing_and_doubles_nothing(tmp_path, long_test_url):
    die_everywhere(tmp_path, long_test_url, POINTS)

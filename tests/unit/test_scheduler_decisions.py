"""The scheduler's decisions, with clocks that are moved and a ledger that only remembers."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
import redis

from scheduler.catchup import Clocks, Planner, Span, newest
from scheduler.dispatcher import REST_S, Dispatcher
from scheduler.lease import LeaseKeeper, look_interval_s
from scheduler.registration import PATIENCE_S, Registration, Step, next_step
from scheduler.timetable import Fire, Timetable
from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError
from shared.core.health import ErrorFacts, RedisDetails, RedisHealth
from shared.core.months import MonthAgain
from shared.core.runs import Run, RunKind, RunState
from shared.ledger.dispatch import Dispatched
from shared.ledger.lease import LeaseWatch, RunBeat

START = datetime(2026, 7, 15, 1, 0, tzinfo=UTC)


def a_run(kind: RunKind = RunKind.CATCHUP) -> Run:
    return Run(
        id=1,
        account="a",
        provider="focus",
        kind=kind,
        slot="s",
        days=DayRange(date(2026, 7, 1), date(2026, 7, 1)),
        state=RunState.PENDING,
        attempt=1,
        failures=0,
        not_before=None,
        created_at=START,
        started_at=None,
        finished_at=None,
        rows=None,
        error=None,
    )


@dataclass
class Clock:
    """Both clocks of a planner, moved by the test."""

    now: datetime = START
    monotonic_s: float = 100.0

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.monotonic_s += timedelta(**span).total_seconds()


@dataclass
class Ledger:
    """Remembers what was asked of it; is away when told to."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    away: bool = False
    gaps: bool = True

    def _answer(self, *facts: str) -> list[Run]:
        if self.away:
            raise DatabaseUnavailableError(summary="away")
        self.asked.append(facts)
        return [a_run()] if self.gaps else []

    def sync_accounts(self) -> None:
        if self.away:
            raise DatabaseUnavailableError(summary="away")

    def plan_scheduled(self, slot: str, days: DayRange, again: MonthAgain | None) -> list[Run]:
        month = (again.name,) if again else ()
        return self._answer("scheduled", slot, f"{days.start}/{days.end}", *month)

    def plan_catchup(self, days: DayRange, fire: str) -> list[Run]:
        return self._answer("catchup", fire, f"{days.start}/{days.end}")

    def kinds(self) -> list[str]:
        return [facts[0] for facts in self.asked]


class Planning:
    """A planner of a daily job at 02:00, 7 days a window, 30 days a look back."""

    def __init__(
        self, line: str = "0 2 * * *", zone: str = "UTC", start: datetime = START, restate: tuple[int, ...] = ()
    ) -> None:
        self.clock = Clock(start)
        self.ledger = Ledger()
        self.planned = 0
        self.planner = Planner(
            self.ledger,
            Timetable.of(line, zone),
            Span(7, 30, restate),
            clocks=Clocks(lambda: self.clock.now, lambda: self.clock.monotonic_s),
            planned=self._count,
        )

    def _count(self) -> None:
        self.planned += 1

    def turns(self, minutes: int) -> None:
        for _ in range(minutes * 60):
            self.clock.pass_(seconds=1)
            self.planner.turn()


def test_the_first_turn_takes_every_day_that_has_ended():
    planning = Planning()

    planning.planner.turn()

    assert planning.ledger.asked == [("catchup", "2026-07-14T02:00", "2026-06-15/2026-07-14")]
    assert planning.planned == 1


def test_gaps_are_looked_for_every_minute_and_at_a_reconnection():
    planning = Planning()
    planning.turns(3)
    assert planning.ledger.kinds() == ["catchup"] * 3

    planning.planner.catch_up()
    planning.planner.turn()
    planning.planner.turn()

    assert planning.ledger.kinds() == ["catchup"] * 4


def test_a_fire_of_a_restate_day_asks_for_the_month_before_as_well():
    planning = Planning(start=datetime(2026, 7, 3, 1, 59, tzinfo=UTC), restate=(3, 5))
    planning.ledger.gaps = False
    planning.planner.registered()
    planning.turns(1)
    planning.planner.fire()
    planning.turns(1)
    fires = [facts for facts in planning.ledger.asked if facts[0] == "scheduled"]
    assert fires == [("scheduled", "2026-07-03T02:00", "2026-06-26/2026-07-02", "2026-06")]


def test_when_no_gap_was_found_nothing_is_hurried():
    planning = Planning()
    planning.ledger.gaps = False

    planning.planner.turn()

    assert planning.planned == 0


def test_while_the_database_is_away_the_first_look_is_repeated_until_it_is_back():
    planning = Planning()
    planning.ledger.away = True
    for _ in range(3):
        with pytest.raises(DatabaseUnavailableError):
            planning.planner.turn()

    planning.ledger.away = False
    planning.planner.turn()
    planning.planner.turn()

    assert planning.ledger.kinds() == ["catchup"]


def test_a_fire_plans_its_window_once():
    planning = Planning()
    planning.planner.registered()
    planning.planner.turn()
    planning.clock.pass_(hours=1)

    planning.planner.fire()
    planning.planner.turn()
    planning.planner.turn()

    scheduled = [facts for facts in planning.ledger.asked if facts[0] == "scheduled"]
    assert scheduled == [("scheduled", "2026-07-15T02:00", "2026-07-08/2026-07-14")]


def test_a_gap_is_not_planned_ahead_of_the_fire_that_fills_it():
    planning = Planning()
    planning.planner.registered()
    planning.planner.turn()
    planning.clock.pass_(days=1, hours=1)

    # The minute's look comes before the job's thread has been heard of.
    planning.planner.turn()

    assert planning.ledger.kinds() == ["catchup", "scheduled", "catchup"]


def test_before_the_job_is_registered_a_fire_plans_nothing_but_lets_the_catch_up_take_the_day():
    planning = Planning()
    planning.planner.turn()
    planning.clock.pass_(days=1, hours=1)

    planning.planner.turn()

    assert planning.ledger.asked[1:] == [("catchup", "2026-07-16T02:00", "2026-06-16/2026-07-15")]


def test_a_registration_that_comes_late_makes_up_for_the_newest_fire_since_the_start():
    planning = Planning()
    planning.clock.pass_(days=2, hours=2)

    planning.planner.registered()
    planning.planner.turn()

    scheduled = [facts for facts in planning.ledger.asked if facts[0] == "scheduled"]
    assert [facts[1] for facts in scheduled] == ["2026-07-17T02:00"]


def test_a_fire_missed_while_no_scheduler_ran_is_left_to_the_catch_up():
    planning = Planning(start=START + timedelta(hours=8))

    planning.planner.registered()
    planning.planner.turn()

    assert planning.ledger.kinds() == ["catchup"]


def test_a_fire_while_the_database_is_away_is_planned_when_it_is_back():
    planning = Planning()
    planning.planner.registered()
    planning.planner.turn()
    planning.clock.pass_(hours=1)
    planning.ledger.away = True
    planning.planner.fire()
    with pytest.raises(DatabaseUnavailableError):
        planning.planner.turn()

    planning.clock.pass_(minutes=90)
    planning.ledger.away = False
    planning.planner.turn()

    assert ("scheduled", "2026-07-15T02:00", "2026-07-08/2026-07-14") in planning.ledger.asked


def test_slots_that_a_clock_change_moves_together_are_all_planned():
    planning = Planning("0,30 2 * * *", "Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC))
    planning.planner.registered()
    planning.clock.pass_(minutes=1)

    planning.planner.fire()
    planning.planner.turn()

    slots = [facts[1] for facts in planning.ledger.asked if facts[0] == "scheduled"]
    assert slots == ["2026-03-29T02:00", "2026-03-29T02:30"]


def test_of_fires_that_are_due_together_the_newest_instant_is_planned():
    one, two, three = Fire("a", START), Fire("b", START + timedelta(hours=1)), Fire("c", START + timedelta(hours=1))

    assert newest([one, two, three]) == [two, three]
    assert newest([]) == []


def health(status: str, *, error: bool = False) -> RedisHealth:
    facts = ErrorFacts("CONNECTION_REFUSED", "s", "h", START) if error else None
    return RedisHealth(status, status == "connected", RedisDetails(error=facts))


@pytest.mark.parametrize(
    ("registered", "told", "found", "waited_s", "expected"),
    [
        (False, False, health("connecting"), 0.0, Step.NOTHING),
        (False, False, health("connecting", error=True), 0.0, Step.TELL_DEFERRED),
        (False, False, health("connecting"), PATIENCE_S, Step.TELL_DEFERRED),
        (False, False, health("failed"), 0.0, Step.TELL_DEFERRED),
        (False, True, health("failed", error=True), 60.0, Step.NOTHING),
        (False, False, health("connected"), 0.0, Step.REGISTER),
        (False, True, health("connected"), 60.0, Step.REGISTER),
        (True, True, health("connecting", error=True), 60.0, Step.NOTHING),
        (True, False, health("connected"), 60.0, Step.NOTHING),
    ],
)
def test_the_job_is_registered_at_the_first_connection_and_a_delay_is_told_once(
    registered, told, found, waited_s, expected
):
    assert next_step(registered=registered, told=told, health=found, waited_s=waited_s) is expected


class Link:
    def __init__(self) -> None:
        self.found = health("connecting", error=True)

    def health(self) -> RedisHealth:
        return self.found


def test_a_registration_that_fails_is_tried_again():
    link, tries = Link(), []

    def register() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("not yet")

    registration = Registration(link, register, clock=lambda: 0.0)
    registration.turn()
    link.found = health("connected")
    with pytest.raises(RuntimeError):
        registration.turn()
    assert not registration.registered

    registration.turn()
    link.found = health("failed", error=True)
    registration.turn()

    assert registration.registered
    assert len(tries) == 2


class Dispatching:
    def __init__(self, *outcomes: Dispatched | Exception) -> None:
        self.outcomes = list(outcomes)
        self.ticks = 0

    def tick(self) -> Dispatched:
        self.ticks += 1
        outcome = self.outcomes.pop(0) if self.outcomes else Dispatched()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    "outcome",
    [
        Dispatched(put_back=(1,), problem="refused"),
        Dispatched(uncertain=(1,), problem="timed out"),
        redis.ConnectionError("gone"),
        redis.ResponseError("NOPERM"),
    ],
)
def test_after_a_refusal_the_dispatcher_rests_unless_redis_comes_back(outcome):
    clock, dispatching = Clock(), Dispatching(outcome, outcome)
    dispatcher = Dispatcher(dispatching, clock=lambda: clock.monotonic_s)
    dispatcher.turn()
    dispatcher.turn()
    assert dispatching.ticks == 1

    clock.pass_(seconds=REST_S)
    dispatcher.turn()
    assert dispatching.ticks == 2

    dispatcher.connected()
    dispatcher.turn()
    assert dispatching.ticks == 3


def test_a_dispatcher_that_is_not_refused_never_rests():
    dispatching = Dispatching(Dispatched(sent=(1,)), Dispatched(), Dispatched(problem="Redis is not connected"))
    dispatcher = Dispatcher(dispatching, clock=lambda: 0.0)

    for _ in range(4):
        dispatcher.turn()

    assert dispatching.ticks == 4


class Leases:
    def __init__(self) -> None:
        self.beats = [RunBeat(1, 1, 5), RunBeat(2, 1, 1)]
        self.taken: list[RunBeat] = []

    def running_beats(self) -> list[RunBeat]:
        return self.beats

    def take_back(self, seen: RunBeat) -> bool:
        self.taken.append(seen)
        return True


def test_a_run_whose_beat_stands_still_is_taken_back_and_its_dispatch_hurried():
    clock, leases, hurried = Clock(), Leases(), []
    keeper = LeaseKeeper(leases, LeaseWatch(30), clock=lambda: clock.monotonic_s, taken_back=lambda: hurried.append(1))
    for beat in range(7):
        leases.beats[1] = RunBeat(2, 1, beat)
        keeper.turn()
        clock.pass_(seconds=5)

    assert leases.taken == [RunBeat(1, 1, 5)]
    assert hurried == [1]


@pytest.mark.parametrize(("lease_s", "expected_s"), [(30, 5.0), (6, 1.0), (0.6, 0.1), (86_400, 5.0)])
def test_leases_are_looked_at_several_times_a_lease(lease_s, expected_s):
    assert look_interval_s(lease_s) == pytest.approx(expected_s)

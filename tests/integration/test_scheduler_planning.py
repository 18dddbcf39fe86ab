"""A planner on a real ledger, through days that a test makes pass: restarts, edited schedules, clock changes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import update

from scheduler.catchup import Clocks, Planner, Span
from scheduler.ledger import SchedulerLedger
from scheduler.timetable import Timetable
from shared.core.costs import CoverageState, FetchedCosts
from shared.core.days import ONE_DAY, DayRange
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy, Run, RunKind
from shared.ledger.claims import claim_next_due, fail_attempt
from shared.ledger.database import Database
from shared.ledger.planning import plan_catchup
from shared.ledger.queries import coverage, find_runs
from shared.ledger.store import store
from shared.ledger.tables import accounts, fires

pytestmark = pytest.mark.integration

WINDOW_DAYS, LOOKBACK_DAYS = 3, 6
DENIED = ProviderError(code="DENIED", summary="no permission", hint="ask for it", permanent=True)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Rig:
    """One scheduler at a time (or several), an accounts file, and clocks that only the test moves."""

    def __init__(self, db: Database, now: str) -> None:
        self.db = db
        self.now = utc(now)
        self.monotonic_s = 0.0
        self.accounts: list[SimpleNamespace] = []
        self.planners: list[Planner] = []
        self.configure("corp")

    def configure(self, *names: str, paused: Sequence[str] = ()) -> None:
        self.accounts = [SimpleNamespace(name=name, provider="focus", paused=name in paused) for name in names]

    def current(self) -> list[SimpleNamespace]:
        return self.accounts

    def start(
        self, line: str = "0 2 * * *", zone: str = "UTC", *, together: bool = False, restate: tuple[int, ...] = ()
    ) -> None:
        """A scheduler started now, in place of what ran, or `together` with it."""
        ledger = SchedulerLedger(self.db, cast("Any", self))
        planner = Planner(
            ledger,
            Timetable.of(line, zone),
            Span(WINDOW_DAYS, LOOKBACK_DAYS, restate),
            clocks=Clocks(lambda: self.now, lambda: self.monotonic_s),
            planned=lambda: None,
        )
        planner.registered()
        self.planners = [*self.planners, planner] if together else [planner]
        self.turn()

    def set_clock(self, by: timedelta) -> None:
        """Somebody sets the wall clock; a minute later all have noticed."""
        self.now += by
        self.monotonic_s += 60
        self.turn()
        self.collect()

    def turn(self) -> None:
        for planner in self.planners:
            planner.turn()

    def until(self, moment: str, *, collect: bool = True) -> None:
        """Let time pass, in steps of two hours, with a worker that collects whatever there is."""
        while self.now < utc(moment):
            self.step(min(timedelta(hours=2), utc(moment) - self.now))
            if collect:
                self.collect()

    def step(self, span: timedelta) -> None:
        """Let `span` pass, and have every scheduler take its turn then."""
        self.now += span
        self.monotonic_s += span.total_seconds()
        self.turn()

    def collect(self) -> None:
        while (held := claim_next_due(self.db, holder="w")) is not None:
            assert store(self.db, held, FetchedCosts([])) is not None

    def fail(self) -> int:
        """Every run that waits fails for good; how many did."""
        failed = 0
        while (held := claim_next_due(self.db, holder="w")) is not None:
            assert fail_attempt(self.db, held, DENIED, RetryPolicy()) is not None
            failed += 1
        return failed

    def runs(self, kind: RunKind, account: str = "corp") -> list[Run]:
        """Oldest first."""
        return find_runs(self.db, kind=kind, account=account, limit=1000).runs[::-1]

    def known_since(self, moment: str) -> None:
        """As if the ledger had come to know every account then: its own clock is the real one."""
        with self.db.write() as connection:
            connection.execute(update(accounts).values(created_at=utc(moment)))

    def months(self, account: str = "corp") -> list[str]:
        """The slots of runs over whole months, oldest first."""
        return [run.slot for run in self.runs(RunKind.SCHEDULED, account) if len(run.days) > WINDOW_DAYS]

    def slots(self) -> list[str]:
        return [run.slot for run in self.runs(RunKind.SCHEDULED)]

    def covered(self, account: str = "corp") -> DayRange:
        """The days that are stored; they have no gap."""
        year = DayRange(date(self.now.year - 1, 1, 1), date(self.now.year + 1, 12, 31))
        (found,) = coverage(self.db, days=year, account=account)
        days = [day.day for day in found.days if day.state is CoverageState.COMPLETE]
        assert len(DayRange(days[0], days[-1])) == len(days)
        return DayRange(days[0], days[-1])


@pytest.mark.parametrize(
    ("before", "restart", "after"),
    [
        (("0 2 * * *", "UTC"), "2026-07-12T01:00", ("0 6 * * *", "UTC")),
        (("0 2 * * *", "UTC"), "2026-07-12T03:00", ("0 6 * * *", "UTC")),
        (("0 6 * * *", "UTC"), "2026-07-12T03:00", ("0 2 * * *", "UTC")),
        (("0 2 * * *", "UTC"), "2026-07-12T03:00", ("0 2 * * 1", "UTC")),
        (("0 2 * * 1", "UTC"), "2026-07-12T03:00", ("0 2,14 * * *", "UTC")),
        (("0 2 * * *", "Asia/Tokyo"), "2026-07-11T20:00", ("0 2 * * *", "UTC")),
        (("0 2 * * *", "UTC"), "2026-07-12T03:00", ("0 2 * * *", "America/Los_Angeles")),
        (("0 2 * * *", "Pacific/Kiritimati"), "2026-07-11T23:30", ("0 2 * * *", "Pacific/Midway")),
        (("30 1 * * *", "Europe/Berlin"), "2026-07-11T23:45", ("30 1 * * *", "Asia/Kolkata")),
    ],
)
def test_a_schedule_or_zone_edited_between_restarts_loses_no_day_and_plans_no_slot_twice(
    sqlite_database, before, restart, after
):
    rig = Rig(sqlite_database, "2026-07-10T12:00")
    rig.start(*before)
    rig.until(restart)
    rig.start(*after)
    rig.until("2026-07-15T12:00")

    first = date(2026, 7, 9) - (LOOKBACK_DAYS - 1) * ONE_DAY
    newest = Timetable.of(*after).last(rig.now)
    assert rig.covered() == DayRange(first, newest.at.date() - ONE_DAY)
    assert len(rig.slots()) == len(set(rig.slots()))


def test_a_slot_that_another_zone_had_already_is_not_planned_again_and_its_day_comes_by_catch_up(database):
    rig = Rig(database, "2026-07-11T16:00")
    rig.start("0 2 * * *", "Asia/Tokyo")
    rig.until("2026-07-11T20:00")
    assert rig.slots() == ["2026-07-12T02:00"]
    rig.start("0 2 * * *", "UTC")
    rig.until("2026-07-12T01:30")
    assert rig.covered().end == date(2026, 7, 10)
    rig.until("2026-07-12T02:00")
    assert rig.slots() == ["2026-07-12T02:00"]
    assert rig.covered().end == date(2026, 7, 11)


def test_several_fires_a_day_each_collect_the_window_again(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start("0 2,10,18 * * *")
    rig.until("2026-07-11T12:00")
    assert rig.slots() == ["2026-07-10T18:00", "2026-07-11T02:00", "2026-07-11T10:00"]
    assert [run.days.end for run in rig.runs(RunKind.SCHEDULED)] == [date(2026, 7, day) for day in (9, 10, 10)]
    assert len(rig.runs(RunKind.CATCHUP)) == 1


@pytest.mark.parametrize(
    ("line", "start", "end", "slots"),
    [
        # Clocks go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
        ("30 2 * * *", "2026-03-28T12:00", "2026-03-30T12:00", ["2026-03-29T02:30", "2026-03-30T02:30"]),
        ("30 2 * * *", "2026-10-24T12:00", "2026-10-26T12:00", ["2026-10-25T02:30", "2026-10-26T02:30"]),
        ("0,30 2 * * *", "2026-03-28T12:00", "2026-03-29T12:00", ["2026-03-29T02:00", "2026-03-29T02:30"]),
        ("0,30 2 * * *", "2026-10-24T12:00", "2026-10-25T12:00", ["2026-10-25T02:00", "2026-10-25T02:30"]),
        ("0 3 * * *", "2026-10-24T12:00", "2026-10-25T12:00", ["2026-10-25T03:00"]),
    ],
)
@pytest.mark.parametrize("restart_each_step", [False, True])
def test_a_clock_change_neither_doubles_nor_swallows_a_slot(
    sqlite_database, line, start, end, slots, restart_each_step
):
    rig = Rig(sqlite_database, start)
    rig.start(line, "Europe/Berlin")
    while rig.now < utc(end):
        rig.step(timedelta(minutes=30))
        rig.collect()
        if restart_each_step:
            rig.start(line, "Europe/Berlin")
    assert rig.slots() == slots
    assert rig.covered().end == utc(end).date() - ONE_DAY


def test_the_look_back_ends_at_its_edge_and_moves_with_the_day(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start()
    edge = DayRange(date(2026, 7, 4), date(2026, 7, 9))
    assert [run.days for run in rig.runs(RunKind.CATCHUP)] == [edge]
    rig.collect()

    # Away for longer than it looks back: what lies before the edge is somebody else's to ask for.
    rig.now = utc("2026-07-30T12:00")
    rig.start()
    assert [run.days for run in rig.runs(RunKind.CATCHUP)][1:] == [DayRange(date(2026, 7, 24), date(2026, 7, 29))]


def test_a_gap_is_shortened_by_what_other_runs_hold_at_both_edges(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start()
    rig.collect()
    rig.now = utc("2026-07-14T12:00")
    rig.start()
    rig.until("2026-07-15T12:00", collect=False)
    assert [run.days for run in rig.runs(RunKind.CATCHUP)][1:] == [DayRange(date(2026, 7, 10), date(2026, 7, 13))]
    assert [run.days for run in rig.runs(RunKind.SCHEDULED)] == [DayRange(date(2026, 7, 12), date(2026, 7, 14))]
    rig.collect()
    rig.until("2026-07-15T18:00")
    assert len(rig.runs(RunKind.CATCHUP)) == 2


def test_accounts_are_added_paused_removed_and_return_while_schedulers_run(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start()
    rig.collect()
    rig.configure("corp", "lab")
    rig.until("2026-07-10T12:30")
    assert rig.covered("lab") == rig.covered("corp")

    rig.configure("corp", "lab", paused=["lab"])
    rig.until("2026-07-13T12:00")
    assert rig.covered("lab").end == date(2026, 7, 9)
    rig.configure("corp", "lab")
    rig.until("2026-07-13T12:30")
    assert rig.covered("lab") == rig.covered("corp")

    rig.configure("corp")
    planned = len(find_runs(database, account="lab", limit=1000).runs)
    rig.until("2026-07-15T12:00")
    assert len(find_runs(database, account="lab", limit=1000).runs) == planned
    rig.configure("corp", "lab")
    rig.until("2026-07-16T12:00")
    assert rig.covered("lab") == rig.covered("corp")


def test_an_account_removed_with_a_run_in_hand_keeps_it_and_is_not_planned_twice_when_it_returns(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start()
    rig.configure("lab")
    rig.until("2026-07-10T18:00")
    rig.configure("corp", "lab")
    rig.until("2026-07-10T18:30")
    assert len(rig.runs(RunKind.CATCHUP, "corp")) == len(rig.runs(RunKind.CATCHUP, "lab")) == 1
    assert rig.covered("corp") == rig.covered("lab")


def test_an_account_added_between_a_fire_and_the_next_is_not_given_that_fire_by_a_second_scheduler(database):
    rig = Rig(database, "2026-07-10T12:00")
    for _ in range(3):
        rig.start(together=True)
    rig.configure("corp", "lab")
    rig.until("2026-07-12T12:00")
    for account in ("corp", "lab"):
        assert [run.slot for run in rig.runs(RunKind.SCHEDULED, account)] == ["2026-07-11T02:00", "2026-07-12T02:00"]
        assert len(rig.runs(RunKind.CATCHUP, account)) == 1


def test_what_failed_is_tried_again_once_at_each_of_several_fires_a_day(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start("0 2,14 * * *")
    assert rig.fail() == 1
    rig.until("2026-07-10T13:30", collect=False)
    assert rig.fail() == 0
    # The fire plans its window, and the catch-up the days before it.
    rig.until("2026-07-10T14:00", collect=False)
    assert rig.fail() == 2
    rig.until("2026-07-11T01:30", collect=False)
    assert rig.fail() == 0
    rig.until("2026-07-11T02:00", collect=False)
    rig.collect()
    assert rig.covered() == DayRange(date(2026, 7, 5), date(2026, 7, 10))


def test_a_clock_that_is_set_forth_an_hour_and_back_fires_once(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start()
    rig.until("2026-07-11T01:30")
    rig.set_clock(timedelta(hours=1))
    assert rig.slots() == ["2026-07-11T02:00"]
    rig.set_clock(timedelta(hours=-1))
    rig.until("2026-07-12T03:00")
    assert rig.slots() == ["2026-07-11T02:00", "2026-07-12T02:00"]
    assert rig.covered().end == date(2026, 7, 11)


def test_a_clock_that_was_a_year_ahead_at_the_start_is_forgotten_once_it_is_set_right(sqlite_database):
    rig = Rig(sqlite_database, "2027-07-10T12:00")
    rig.start()
    rig.collect()
    rig.now = utc("2026-07-10T12:00")
    rig.until("2026-07-11T03:00")
    year = DayRange(date(2026, 7, 1), date(2026, 7, 31))
    (found,) = coverage(sqlite_database, days=year, account="corp")
    days = [day.day for day in found.days if day.state is CoverageState.COMPLETE]
    assert days == list(DayRange(date(2026, 7, 4), date(2026, 7, 10)))
    assert "2026-07-11T02:00" in rig.slots()


def test_a_clock_set_back_behind_the_last_fire_does_not_have_failing_days_planned_again_and_again(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start()
    assert rig.fail() == 1
    with database.write() as connection:
        ahead = datetime.now(UTC) + timedelta(hours=1)
        connection.execute(fires.insert().values(slot="2026-07-10T13:00", fired_at=ahead))
    days = DayRange(date(2026, 7, 4), date(2026, 7, 9))
    for _ in range(3):
        assert plan_catchup(database, days=days, fire="2026-07-10T13:00") == []


def test_schedulers_of_two_schedules_during_a_rolling_restart_lose_nothing_and_double_nothing(database):
    rig = Rig(database, "2026-07-10T12:00")
    rig.start("0 2 * * *")
    rig.start("0 2 * * *", "Europe/Berlin", together=True)
    rig.until("2026-07-13T12:00")
    assert rig.covered() == DayRange(date(2026, 7, 4), date(2026, 7, 12))
    assert rig.slots() == ["2026-07-11T02:00", "2026-07-12T02:00", "2026-07-13T02:00"]
    assert len(rig.runs(RunKind.CATCHUP)) == 1


RESTATE = (3, 5, 10)


def test_the_month_before_is_collected_again_on_each_restate_day_and_on_no_other(database):
    rig = Rig(database, "2026-06-29T12:00")
    rig.start(restate=RESTATE)
    rig.until("2026-07-13T12:00")
    assert rig.months() == ["2026-07-03T02:00 2026-06", "2026-07-05T02:00 2026-06", "2026-07-10T02:00 2026-06"]
    assert {run.days for run in rig.runs(RunKind.SCHEDULED) if run.slot in rig.months()} == {
        DayRange(date(2026, 6, 1), date(2026, 6, 30))
    }
    # Each is there besides the window of its fire, and was planned after it.
    slots = rig.slots()
    assert all(slots.index(slot) == slots.index(slot[:16]) + 1 for slot in rig.months())


@pytest.mark.parametrize(
    ("off", "on", "months"),
    [
        ("2026-07-02T12:00", "2026-07-04T12:00", ["2026-07-05T02:00 2026-06", "2026-07-10T02:00 2026-06"]),
        ("2026-07-02T12:00", "2026-07-06T12:00", ["2026-07-07T02:00 2026-06", "2026-07-10T02:00 2026-06"]),
        ("2026-07-09T12:00", "2026-07-12T12:00", [*(f"2026-07-{day}T02:00 2026-06" for day in ("03", "05", "13"))]),
        ("2026-07-02T12:00", "2026-07-29T12:00", ["2026-07-30T02:00 2026-06"]),
        ("2026-07-02T12:00", "2026-08-01T12:00", []),
    ],
    ids=["the fifth does for the third", "both", "the tenth alone", "all, until the month ends", "a whole month"],
)
def test_a_machine_that_was_off_makes_up_for_the_month_once(sqlite_database, off, on, months):
    rig = Rig(sqlite_database, "2026-06-29T12:00")
    rig.start(restate=RESTATE)
    rig.known_since("2026-06-29T12:00")
    rig.until(off)
    rig.planners.clear()
    rig.until(on)
    rig.start(restate=RESTATE)
    rig.until("2026-08-02T12:00")
    assert [slot for slot in rig.months() if slot.endswith("2026-06")] == months


def test_a_machine_that_slept_fires_once_and_plans_one_month(sqlite_database):
    rig = Rig(sqlite_database, "2026-07-02T12:00")
    rig.start(restate=RESTATE)
    rig.known_since("2026-07-02T12:00")
    rig.step(timedelta(days=9))
    assert rig.months() == ["2026-07-11T02:00 2026-06"]


def test_several_fires_of_a_restate_day_and_several_schedulers_plan_one_month(database):
    rig = Rig(database, "2026-07-02T12:00")
    rig.start("0 */4 * * *", restate=RESTATE)
    rig.start("0 1-23/4 * * *", together=True, restate=RESTATE)
    rig.until("2026-07-04T12:00")
    assert rig.months() == ["2026-07-03T00:00 2026-06"]


def test_a_month_whose_run_failed_is_tried_again_at_the_next_days_fire(sqlite_database):
    rig = Rig(sqlite_database, "2026-07-09T12:00")
    rig.start("0 2,14 * * *", restate=(10,))
    rig.known_since("2026-07-09T12:00")
    rig.collect()
    rig.until("2026-07-10T12:00", collect=False)
    # The windows of two fires, and the month.
    assert rig.fail() == 3
    rig.until("2026-07-13T12:00")
    assert rig.months() == ["2026-07-10T02:00 2026-06", "2026-07-11T02:00 2026-06"]


def test_the_clocks_changing_on_a_restate_day_neither_doubles_nor_swallows_the_month(sqlite_database):
    rig = Rig(sqlite_database, "2026-03-27T12:00")
    rig.start("30 2 * * *", "Europe/Berlin", restate=(28,))
    rig.known_since("2026-03-27T12:00")
    rig.planners.clear()
    rig.until("2026-03-28T12:00")
    # The fire that makes up for the 28th is the one that the clock skips.
    rig.start("30 2 * * *", "Europe/Berlin", restate=(28,))
    rig.until("2026-03-31T12:00")
    assert rig.months() == ["2026-03-29T02:30 2026-02"]


def test_an_account_that_joins_after_a_restate_day_waits_for_the_next_one(sqlite_database):
    rig = Rig(sqlite_database, "2026-07-02T12:00")
    rig.start(restate=RESTATE)
    rig.until("2026-07-03T12:00")
    rig.configure("corp", "new")
    rig.until("2026-07-03T14:00")
    rig.known_since("2026-07-03T13:00")
    rig.until("2026-07-06T12:00")
    assert rig.months("new") == ["2026-07-05T02:00 2026-06"]

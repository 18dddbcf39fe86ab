"""Alerts in the ledger: raised once, sent by one, tried again, and given up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.core.runs import RetryPolicy
from shared.ledger.alerts import Look, look_for_overdue, mark_sent, take_alert
from shared.ledger.claims import fail_attempt
from shared.ledger.clock import now
from shared.ledger.holds import hold_account, release_account
from shared.ledger.outbox import GIVE_UP_S, RETRY_FIRST_S, retry_delay_s
from shared.ledger.tables import accounts, alerts, runs
from tests.support.ledger import claimed, collected, cost_row, requested, with_accounts

pytestmark = pytest.mark.integration

DAY = date(2026, 1, 31)
DAYS = DayRange(DAY, DAY)
# Longer than the ledger takes anything for new.
AGES = timedelta(hours=2)


def aged(db, by=AGES):
    """Let the accounts and runs that are there have come so much earlier."""
    with db.write() as connection:
        for table in (accounts, runs):
            connection.execute(update(table).values(created_at=now(connection) - by))


def with_old_accounts(db, *names, **more):
    with_accounts(db, *names, **more)
    aged(db)


def look(db, *, post=True):
    return look_for_overdue(db, day=DAY, post=post)


def let_retry(db, *, by=timedelta(hours=1)):
    """Let every wait between tries have passed."""
    with db.write() as connection:
        waits = update(alerts).where(alerts.c.next_try_at.is_not(None))
        connection.execute(waits.values(next_try_at=now(connection) - by))


def stored_alerts(db):
    with db.read() as connection:
        return connection.execute(select(alerts).order_by(alerts.c.id)).all()


def test_each_account_without_the_day_is_raised_once(database):
    with_old_accounts(database, "corp", "lab")
    assert look(database) == Look(2, ("corp", "lab"))
    assert look(database) == Look(2, ())
    assert look_for_overdue(database, day=DAY + timedelta(days=1), post=True) == Look(2, ("corp", "lab"))


@pytest.mark.parametrize("estimated", [False, True])
def test_a_day_that_is_there_raises_nothing_estimated_or_not(database, estimated):
    with_old_accounts(database, "corp")
    collected(database, "corp", DAYS, [cost_row(DAY)], estimated_days=frozenset({DAY}) if estimated else frozenset())
    assert look(database) == Look(0, ())


def test_a_day_without_costs_is_complete_all_the_same(database):
    with_old_accounts(database, "corp")
    collected(database, "corp", DAYS, [])
    assert look(database) == Look(0, ())


def test_a_suspect_day_is_not_there(database):
    with_old_accounts(database, "corp")
    collected(database, "corp", DAYS, [cost_row(DAY)])
    collected(database, "corp", DAYS, [])
    assert look(database) == Look(1, ("corp",))
    found = take_alert(database)
    assert found is not None
    assert found.state is CoverageState.SUSPECT


def test_paused_held_and_removed_accounts_are_nobodys_concern(database):
    with_old_accounts(database, "asleep", "held", "gone", paused=["asleep"])
    with_old_accounts(database, "asleep", "held", paused=["asleep"])
    hold_account(database, "held")
    assert look(database) == Look(0, ())
    release_account(database, "held")
    assert look(database) == Look(1, ("held",))


def test_a_first_collection_under_way_gets_a_moment_and_one_that_failed_gets_none(database):
    with_old_accounts(database, "corp", "lab")
    requested(database, "corp", DAYS)
    claim = claimed(database, "lab", DAYS)
    assert look(database) == Look(0, ())
    error = ProviderError(code="DENIED", summary="The role may not read costs.", hint="Grant it.")
    fail_attempt(database, claim, error, RetryPolicy())
    assert look(database) == Look(1, ("lab",))
    aged(database)
    assert look(database) == Look(2, ("corp",))


def test_an_account_that_only_just_came_waits_for_its_first_run(database):
    with_accounts(database, "corp")
    assert look(database) == Look(0, ())
    aged(database)
    assert look(database) == Look(1, ("corp",))


def test_looking_from_many_sides_raises_each_once(database):
    with_old_accounts(database, *(f"account-{number}" for number in range(5)))
    with ThreadPoolExecutor(6) as pool:
        looks = [future.result() for future in [pool.submit(look, database) for _ in range(12)]]
    assert sorted(name for found in looks for name in found.raised) == [f"account-{number}" for number in range(5)]
    assert len(stored_alerts(database)) == 5


def test_an_alert_is_taken_by_one_and_tells_what_is_known(database):
    with_old_accounts(database, "corp")
    error = ProviderError(code="DENIED", summary="The role may not read costs.", hint="Grant it.")
    fail_attempt(database, claimed(database, "corp", DAYS), error, RetryPolicy())
    look(database)
    with ThreadPoolExecutor(6) as pool:
        taken = [future.result() for future in [pool.submit(take_alert, database) for _ in range(12)]]
    (found,) = [alert for alert in taken if alert is not None]
    assert (found.account, found.provider, found.day, found.attempt, found.last) == ("corp", "focus", DAY, 1, False)
    assert found.state is CoverageState.MISSING
    assert found.error is not None
    assert (found.error.code, found.error.hint) == ("DENIED", "Grant it.")


def test_a_day_that_came_after_its_alert_is_told_as_it_is(database):
    with_old_accounts(database, "corp")
    look(database)
    collected(database, "corp", DAYS, [cost_row(DAY)])
    found = take_alert(database)
    assert found is not None
    assert (found.state, found.error) == (CoverageState.COMPLETE, None)


def test_an_alert_not_marked_as_sent_is_taken_again_when_its_wait_is_over(database):
    with_old_accounts(database, "corp")
    look(database)
    first = take_alert(database)
    assert take_alert(database) is None
    let_retry(database)
    second = take_alert(database)
    assert first is not None
    assert second is not None
    assert (second.attempt, second.key) == (2, first.key)
    assert first.key.endswith(f"-{first.id}")


def test_an_alert_marked_as_sent_is_never_taken_again(database):
    with_old_accounts(database, "corp")
    look(database)
    found = take_alert(database)
    assert found is not None
    mark_sent(database, found.id)
    let_retry(database)
    assert take_alert(database) is None
    assert look(database) == Look(1, ())
    assert stored_alerts(database)[0].sent_at is not None


def test_without_an_address_an_alert_is_raised_and_never_sent_later(database):
    with_old_accounts(database, "corp")
    assert look(database, post=False) == Look(1, ("corp",))
    assert look(database, post=True) == Look(1, ())
    assert take_alert(database) is None


def test_after_a_day_there_is_one_last_try(database):
    with_old_accounts(database, "corp")
    look(database)
    with database.write() as connection:
        connection.execute(update(alerts).values(created_at=now(connection) - timedelta(seconds=GIVE_UP_S)))
    found = take_alert(database)
    assert found is not None
    assert found.last
    let_retry(database)
    assert take_alert(database) is None


def test_waits_double_up_to_a_quarter_of_an_hour():
    assert [retry_delay_s(attempt) for attempt in (1, 2, 3, 7, 8, 1000)] == [RETRY_FIRST_S, 30, 60, 900, 900, 900]

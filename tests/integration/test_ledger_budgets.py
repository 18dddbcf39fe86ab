"""Budgets against the ledger: what counts, and each threshold told of once a month."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from shared.core.budgets import Budget
from shared.core.days import DayRange
from shared.ledger.budgets import month_to_date, raise_budgets
from shared.ledger.clock import now
from shared.ledger.notices import take_notice
from shared.ledger.tables import notices
from tests.support.ledger import collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

JANUARY = date(2026, 1, 1)


def budget(amount="100", account="corp", currency="USD"):
    return Budget(account, Decimal(amount), currency)


def spent(db, amount, day=JANUARY, account="corp", **facts):
    collected(db, account, DayRange(day, day), [cost_row(day, billed=amount, effective="0", **facts)])


def reach(db, *budgets, post=True):
    return [
        (one.status.budget.account, one.threshold)
        for one in raise_budgets(db, budgets or [budget()], post=post, month=JANUARY)
    ]


def sent(db):
    found = []
    while (notice := take_notice(db)) is not None:
        found.append((notice.account, notice.document["threshold"]))
    return found


def test_billed_costs_of_the_month_in_the_budgets_currency_count(database):
    with_accounts(database, "corp")
    days = DayRange(date(2025, 12, 31), date(2026, 2, 1))
    rows = [cost_row(day, billed="2", effective="9") for day in days]
    collected(database, "corp", days, [*rows, cost_row(JANUARY, billed="70", currency="EUR")])
    (found,) = month_to_date(database, [budget()], month=date(2026, 1, 15))
    assert (found.month, found.spent, len(found.days)) == (JANUARY, Decimal(62), 31)
    assert found.others == ("EUR",)
    assert found.percent == 62


def test_estimated_days_count_and_suspect_ones_do_not(database):
    with_accounts(database, "corp")
    estimated, suspect = JANUARY, JANUARY + timedelta(days=1)
    collected(database, "corp", DayRange(estimated, estimated), [cost_row(estimated)], estimated_days={estimated})
    spent(database, "5", suspect)
    collected(database, "corp", DayRange(suspect, suspect), [])
    (found,) = month_to_date(database, [budget()], month=JANUARY)
    assert (found.spent, found.estimated, found.through) == (Decimal(1), 1, estimated)


def test_without_a_month_it_is_that_of_the_newest_day_that_has_ended(database):
    with_accounts(database, "corp")
    with database.read() as connection:
        today = now(connection).date()
    newest = today - timedelta(days=1)
    spent(database, "5", newest)
    spent(database, "7", today)
    (found,) = month_to_date(database, [budget()])
    assert (found.month, found.spent) == (newest.replace(day=1), Decimal(5))


def test_accounts_that_are_not_known_yet_are_left_out(database):
    with_accounts(database, "corp")
    found = month_to_date(database, [budget(account="new"), budget()], month=JANUARY)
    assert [(status.budget.account, status.spent) for status in found] == [("corp", Decimal(0))]


def test_each_threshold_is_told_of_once_a_month(database):
    with_accounts(database, "corp")
    spent(database, "79")
    assert reach(database) == []
    spent(database, "80")
    assert reach(database) == [("corp", 80)]
    assert reach(database) == []
    spent(database, "101")
    assert reach(database) == [("corp", 100)]
    spent(database, "10")
    assert reach(database) == []
    spent(database, "101")
    assert reach(database) == []
    assert sent(database) == [("corp", 80), ("corp", 100)]


def test_whoever_passes_both_at_once_is_told_of_the_higher(database):
    with_accounts(database, "corp", "lab")
    spent(database, "250")
    spent(database, "85", account="lab")
    assert reach(database, budget(), budget(account="lab")) == [("corp", 80), ("corp", 100), ("lab", 80)]
    assert sent(database) == [("corp", 100), ("lab", 80)]


def test_a_document_tells_everything(database):
    with_accounts(database, "corp")
    spent(database, "85.5")
    reach(database)
    notice = take_notice(database)
    assert notice is not None
    assert notice.document == {
        "kind": "budget",
        "account": "corp",
        "month": "2026-01",
        "threshold": 80,
        "currency": "USD",
        "budget": "100",
        "spent": "85.5",
        "percent": 85.5,
        "through": "2026-01-01",
        "forecast": None,
        "text": "Holdfast: corp has used 85.5% of its budget of 2026-01: 85.50 of 100.00 USD by 2026-01-01.",
    }


def test_any_number_of_schedulers_tell_once(database):
    with_accounts(database, "corp")
    spent(database, "85")
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(reach, database) for _ in range(8)]
    assert sum(len(done.result()) for done in found) == 1
    with database.read() as connection:
        assert len(connection.execute(select(notices.c.id)).all()) == 1


def test_without_an_address_a_threshold_is_noted_and_never_sent_later(database):
    with_accounts(database, "corp")
    spent(database, "85")
    assert reach(database, post=False) == [("corp", 80)]
    assert reach(database) == []
    assert sent(database) == []


def test_more_budgets_than_a_statement_takes(database):
    names = [f"account-{number}" for number in range(501)]
    with_accounts(database, *names)
    spent(database, "85", account=names[-1])
    assert reach(database, *(budget(account=name) for name in names)) == [(names[-1], 80)]

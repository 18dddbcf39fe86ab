"""Budgets against the ledger: the month to date on days that are there, and each threshold told of once a month."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, select

from shared.core.budgets import Budget, BudgetStatus
from shared.core.costs import CoverageState
from shared.core.days import DayRange, last_complete_day
from shared.ledger.clock import now
from shared.ledger.columns import exact_sum
from shared.ledger.database import Database
from shared.ledger.documents import amount
from shared.ledger.locks import Lock, lock
from shared.ledger.notices import NewNotice, NoticeKind, raise_notices
from shared.ledger.tables import accounts, costs, coverage, notices
from shared.observability.failpoints import Write

# Accounts asked about at once: databases limit how many values a statement has.
STEP: Final = 500


@dataclass(frozen=True, slots=True)
class Reached:
    """A budget that has just been found to be used up to `threshold` per cent."""

    status: BudgetStatus
    threshold: int


def month_to_date(db: Database, budgets: Sequence[Budget], *, month: date | None = None) -> list[BudgetStatus]:
    """How far each budget is used up, in their order, accounts that the ledger does not know yet left out.

    `month` is any day of it; None takes that of the newest day that has ended, by the database's clock. Days count that
    have ended and are complete or estimated: providers call all of a current month estimated.
    """
    found: list[BudgetStatus] = []
    with db.read() as connection:
        days = _days(connection, month)
        remaining = iter(budgets)
        while some := list(islice(remaining, STEP)):
            found += _statuses(connection, some, days)
    return found


def raise_budgets(
    db: Database, budgets: Sequence[Budget], *, post: bool, month: date | None = None
) -> tuple[Reached, ...]:
    """Note each threshold that a budget has reached, once for its account and month; returns what was new.

    With `post` the highest new one of an account waits to be sent.
    """
    reached = [status for status in month_to_date(db, budgets, month=month) if status.reached]
    with db.read() as connection:
        if not _new(connection, reached):
            return ()
    with db.write(Write.BUDGET) as connection:
        lock(connection, Lock.NOTICES)
        new = _new(connection, reached)
        ids = _ids(connection, [one.status.budget.account for one in new])
        highest = {one.status.budget.account: one.threshold for one in new}
        raise_notices(
            connection,
            [
                _notice(ids[account := one.status.budget.account], one, post=post and highest[account] == one.threshold)
                for one in new
            ],
        )
    return tuple(new)


def _days(connection: Connection, month: date | None) -> DayRange:
    newest = last_complete_day(now(connection))
    first = (month or newest).replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return DayRange(first, max(first, min(last, newest)))


def _ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    query = select(accounts.c.name, accounts.c.id).where(accounts.c.name.in_(names))
    return dict(connection.execute(query).tuples().all())


def _statuses(connection: Connection, budgets: Sequence[Budget], days: DayRange) -> list[BudgetStatus]:
    ids = _ids(connection, [budget.account for budget in budgets])
    there = _there(connection, list(ids.values()), days)
    spent = _spent(connection, list(ids.values()), days)
    return [
        _status(budget, days.start, there[key], spent[key])
        for budget in budgets
        if (key := ids.get(budget.account)) is not None
    ]


def _status(
    budget: Budget, month: date, there: Mapping[date, CoverageState], spent: Mapping[str, Mapping[date, Decimal]]
) -> BudgetStatus:
    ours = spent.get(budget.currency, {})
    estimated = sum(state is CoverageState.ESTIMATED for state in there.values())
    others = tuple(sorted(currency for currency in spent if currency != budget.currency))
    return BudgetStatus(budget, month, {day: ours.get(day, Decimal(0)) for day in sorted(there)}, estimated, others)


def _there(connection: Connection, ids: Sequence[int], days: DayRange) -> defaultdict[int, dict[date, CoverageState]]:
    query = select(coverage.c.account_id, coverage.c.day, coverage.c.state).where(
        coverage.c.account_id.in_(ids),
        coverage.c.day.between(days.start, days.end),
        coverage.c.state.in_([CoverageState.COMPLETE.value, CoverageState.ESTIMATED.value]),
    )
    found: defaultdict[int, dict[date, CoverageState]] = defaultdict(dict)
    for key, day, state in connection.execute(query):
        found[key][day] = CoverageState(state)
    return found


def _spent(
    connection: Connection, ids: Sequence[int], days: DayRange
) -> defaultdict[int, defaultdict[str, dict[date, Decimal]]]:
    groups = (costs.c.account_id, costs.c.currency, costs.c.day)
    query = (
        select(*groups, exact_sum(costs.c.billed))
        .where(costs.c.account_id.in_(ids), costs.c.day.between(days.start, days.end))
        .group_by(*groups)
    )
    found: defaultdict[int, defaultdict[str, dict[date, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    for key, currency, day, billed in connection.execute(query):
        found[key][currency][day] = billed
    return found


def _new(connection: Connection, reached: Sequence[BudgetStatus]) -> list[Reached]:
    """Those thresholds that nobody has been told of, of one account the lower first."""
    if not reached:
        return []
    query = (
        select(accounts.c.name, notices.c.day, notices.c.subject)
        .join_from(notices, accounts, accounts.c.id == notices.c.account_id)
        .where(notices.c.kind == NoticeKind.BUDGET.value, notices.c.day == reached[0].month)
    )
    told: set[tuple[Any, ...]] = {tuple(row) for row in connection.execute(query)}
    return [
        Reached(status, threshold)
        for status in reached
        for threshold in status.reached
        if (status.budget.account, status.month, str(threshold)) not in told
    ]


def _notice(account: int, one: Reached, *, post: bool) -> NewNotice:
    status = one.status
    forecast = status.forecast
    document = {
        "kind": NoticeKind.BUDGET.value,
        "account": status.budget.account,
        "month": f"{status.month:%Y-%m}",
        "threshold": one.threshold,
        "currency": status.budget.currency,
        "budget": amount(status.budget.amount),
        "spent": amount(status.spent),
        "percent": float(status.percent),
        "through": str(status.through),
        "forecast": None if forecast is None else amount(forecast),
        "text": _sentence(one),
    }
    return NewNotice(account, status.month, NoticeKind.BUDGET, str(one.threshold), document, post)


def _sentence(one: Reached) -> str:
    status = one.status
    spent = f"{status.spent:.2f} of {status.budget.amount:.2f} {status.budget.currency}"
    return (
        f"Holdfast: {status.budget.account} has used {status.percent}% of its budget of {status.month:%Y-%m}: "
        f"{spent} by {status.through}."
    )

"""Reading an account's costs for the search for anomalies."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, and_, func, select

from shared.core.anomalies import RULES, History
from shared.core.costs import CoverageState
from shared.ledger.clock import now
from shared.ledger.columns import exact_sum
from shared.ledger.tables import accounts, costs, coverage

# What is looked at of days that changed: the previous month is restated until the tenth.
LOOK_DAYS: Final = 45
# What was stored by a transaction that was under way at the last look.
OVERLAP: Final = timedelta(hours=1)
# What the unique index of `anomalies` holds on every database.
MOST_SERVICE_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """Data of `version`, and the `days` of it to be judged, read on the day that is `today` by the database's clock."""

    version: int
    today: date
    history: History
    days: frozenset[date]


def read(connection: Connection, account: int, *, looked_at: datetime | None) -> Reading:
    """What is needed to judge the account's newest complete days, those stored since `looked_at` (None: all)."""
    # First: what is stored after it is looked at again.
    version = connection.execute(select(accounts.c.data_version).where(accounts.c.id == account)).scalar_one()
    today = now(connection).date()
    known = _complete(connection, account, today)
    after = None if looked_at is None else looked_at - OVERLAP
    oldest = max(known, default=today) - timedelta(days=LOOK_DAYS - 1)
    days = frozenset(day for day, at in known.items() if day >= oldest and (after is None or at >= after))
    if not days:
        return Reading(version, today, History(frozenset(), {}), days)
    first = min(days) - timedelta(days=RULES.window_days)
    amounts = _amounts(connection, account, first, max(known))
    return Reading(version, today, History(frozenset(day for day in known if day >= first), amounts), days)


def _complete(connection: Connection, account: int, today: date) -> dict[date, datetime]:
    """When each complete day that may matter was stored."""
    complete = and_(coverage.c.account_id == account, coverage.c.state == CoverageState.COMPLETE.value)
    newest = connection.execute(select(func.max(coverage.c.day)).where(complete, coverage.c.day < today)).scalar_one()
    if newest is None:
        return {}
    since = newest - timedelta(days=LOOK_DAYS - 1 + RULES.window_days)
    query = select(coverage.c.day, coverage.c.collected_at).where(complete, coverage.c.day.between(since, newest))
    return dict(connection.execute(query).tuples().all())


def _amounts(
    connection: Connection, account: int, start: date, end: date
) -> Mapping[tuple[str, str], Mapping[date, Decimal]]:
    query = (
        select(costs.c.service, costs.c.currency, costs.c.day, exact_sum(costs.c.effective))
        .where(costs.c.account_id == account, costs.c.day.between(start, end))
        .where(func.length(costs.c.service) <= MOST_SERVICE_CHARS)
        .group_by(costs.c.service, costs.c.currency, costs.c.day)
    )
    found: defaultdict[tuple[str, str], dict[date, Decimal]] = defaultdict(dict)
    for service, currency, day, total in connection.execute(query):
        found[service, currency][day] = total
    return found

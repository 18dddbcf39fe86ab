"""A ledger with as many cost rows as a test needs, put there by the database itself."""

from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import insert, text

from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.ledger.accounts import list_accounts, sync_accounts
from shared.ledger.database import Database
from shared.ledger.money import total
from shared.ledger.tables import coverage

ACCOUNT = "large"
# In text, as SQLite keeps it: with the last digit that there is room for.
AMOUNT = "(i % 100) || '.000000000000000000000001'"
INSERT = """
    INSERT INTO costs
        (account_id, day, sub_account, provider_name, service, charge_category, currency, billed, effective)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
    SELECT :account, :day, 'sub-account ' || i, 'AWS', 'Amazon Elastic Service ' || (i % 40), 'Usage', 'USD', {0}, {0}
    FROM n
"""


def fill(db: Database, days: DayRange, rows_a_day: int) -> Decimal:
    """Give account ACCOUNT so many rows on each of `days`; returns what they cost."""
    sync_accounts(db, [(ACCOUNT, "focus", False)])
    (account,) = [found.id for found in list_accounts(db) if found.name == ACCOUNT]
    amount = AMOUNT if db.dialect == "sqlite" else f"CAST({AMOUNT} AS numeric)"
    for day in days:
        given = day.isoformat() if db.dialect == "sqlite" else day
        with db.write() as connection:
            values = {"account": account, "day": given, "rows": rows_a_day}
            connection.execute(text(INSERT.format(amount)), values)
            connection.execute(insert(coverage).values(_covered(account, day, rows_a_day)))
    # Exactly: Python's own sum would round to 28 digits.
    return total(Decimal(f"{number % 100}.{'0' * 23}1") for _ in days for number in range(rows_a_day))


def _covered(account: int, day: date, rows: int) -> dict[str, object]:
    at = datetime.now(UTC)
    facts = {"state": CoverageState.COMPLETE.value, "rows": rows, "collected_at": at, "checked_at": at}
    return {"account_id": account, "day": day, "fetch_seq": 1, "run_id": 1, **facts}

"""Whose costs are stored under which account: what tells a member that is collected with its payer, and once more."""

from collections.abc import Collection
from datetime import date

from sqlalchemy import func, select

from shared.ledger.database import Database
from shared.ledger.tables import accounts, costs, coverage


def stored_under(db: Database, sub_accounts: Collection[str], *, since: date) -> set[tuple[str, str]]:
    """The pairs of account and sub-account (of `sub_accounts`, in lower case) for which costs are stored since then.

    Accounts that were removed are left out.
    """
    if not sub_accounts:
        return set()
    lowered = func.lower(costs.c.sub_account)
    query = (
        select(accounts.c.name, lowered)
        .join(costs, costs.c.account_id == accounts.c.id)
        .where(~accounts.c.removed, costs.c.day >= since, lowered.in_(sorted(sub_accounts)))
        .distinct()
    )
    with db.read() as connection:
        return {(account, sub_account) for account, sub_account in connection.execute(query).tuples()}


def busiest_day(db: Database) -> dict[str, int]:
    """By account, the most rows that any of its days has."""
    query = (
        select(accounts.c.name, func.max(coverage.c.rows))
        .join(coverage, coverage.c.account_id == accounts.c.id)
        .group_by(accounts.c.name)
    )
    with db.read() as connection:
        return dict(connection.execute(query).tuples().all())

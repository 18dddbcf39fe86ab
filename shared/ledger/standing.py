"""How each account stands: whether it collects, whether a worker can sign in as it, how far its costs reach."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select

from shared.core.costs import CoverageState
from shared.core.credentials import CHECKED_PROVIDERS, UNKNOWN, Credential
from shared.ledger.accounts import LedgerAccount, list_accounts
from shared.ledger.credentials import credentials_by_account
from shared.ledger.database import Database
from shared.ledger.tables import accounts, coverage


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """One account. `credentials` is None where the provider asks nobody who they are.

    `last_complete_day` is the newest day that is there, `complete` or `estimated`: providers call all of the current
    month estimated.
    """

    account: LedgerAccount
    credentials: Credential | None
    last_complete_day: date | None


def standings(db: Database) -> list[AccountStanding]:
    """Every account there ever was, by name."""
    known = list_accounts(db)
    with db.read() as connection:
        found = credentials_by_account(connection)
        reached = _reached(connection)
    return [AccountStanding(each, _of(each, found.get(each.id)), reached.get(each.id)) for each in known]


def _of(account: LedgerAccount, found: Credential | None) -> Credential | None:
    if account.provider not in CHECKED_PROVIDERS:
        return None
    return found or Credential(account.id, account.name, account.provider, UNKNOWN, None, None)


def _reached(connection: Connection) -> dict[int, date | None]:
    # One look into the key for each account, instead of one over every day there is.
    there = coverage.c.state.in_([CoverageState.COMPLETE.value, CoverageState.ESTIMATED.value])
    newest = select(func.max(coverage.c.day)).where(coverage.c.account_id == accounts.c.id, there).scalar_subquery()
    return {row.id: row.newest for row in connection.execute(select(accounts.c.id, newest.label("newest")))}

"""An operator's hold on an account, besides what the accounts file says: nothing of it begins until it is resumed."""

from sqlalchemy import update

from shared.core.runs import RunState
from shared.ledger.accounts import LedgerAccount, account_id, account_of
from shared.ledger.database import Database
from shared.ledger.rows import UNQUEUED, state_is
from shared.ledger.tables import accounts, runs
from shared.observability.failpoints import Write


def hold_account(db: Database, name: str) -> LedgerAccount:
    """Plan nothing more for the account, and begin none of its runs. One that is running goes on to its end.

    Its queued runs are pending again, so that they leave room in the window; their hints are stale. Holding twice
    changes nothing. Raises UnknownAccountError.
    """
    with db.write(Write.HOLD) as connection:
        key = account_id(connection, name)
        connection.execute(update(accounts).where(accounts.c.id == key).values(held=True))
        queued = update(runs).where(runs.c.account_id == key, state_is(RunState.QUEUED))
        connection.execute(queued.values(UNQUEUED))
        return account_of(connection, key)


def release_account(db: Database, name: str) -> LedgerAccount:
    """Undo `hold_account`: waiting runs go on, and the next catch-up plans what was missed within the look-back.

    An account that the accounts file pauses stays paused. Raises UnknownAccountError.
    """
    with db.write(Write.RELEASE) as connection:
        key = account_id(connection, name)
        connection.execute(update(accounts).where(accounts.c.id == key).values(held=False))
        return account_of(connection, key)

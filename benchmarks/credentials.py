"""What checking the credentials of many accounts takes: processor time for each check, and for showing the results.

    python -m benchmarks.credentials [--accounts 1000]

The provider answers at once, so that what is left is Holdfast's own. On SQLite and PostgreSQL; by the kernel's count of
processor time, so that a busy machine changes little. In use a worker begins at most one check a second.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine
from shared.bootstrap.credentials import CredentialsUpkeep
from shared.core.credentials import UP
from shared.costs.accounts import AccountConfig, AwsAccount
from shared.costs.sign_in import SignIns
from shared.ledger.accounts import sync_accounts
from shared.ledger.credentials import read_credentials
from shared.ledger.database import Database
from shared.ledger.migrate import Migrator
from shared.ledger.standing import standings
from tests.support.signing import SigningProvider
from workers.credentials import CredentialChecks, DatabaseCredentials

TURNS: Final = 20
READY_S: Final = 60.0


class Accounts:
    """The accounts file, in memory."""

    def __init__(self, count: int) -> None:
        self.accounts = tuple(
            AwsAccount(name=f"account-{number:04}", provider="aws", account_id=f"{number:012}")
            for number in range(count)
        )

    def current(self) -> Sequence[AwsAccount]:
        """All of them."""
        return self.accounts


class AtOnce(SigningProvider):
    """Says yes without a look at anything."""

    def __init__(self, account: AccountConfig) -> None:
        pass

    def sign_in(self) -> str:
        """As somebody."""
        return "arn"


def processor_ms(work: Callable[[], object], times: int = 1) -> float:
    """Of all threads of this process, for one call."""
    began_s = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began_s) * 1000 / times


def measure(dialect: str, db: Database, accounts: Accounts) -> None:
    """Check all once, then show them."""
    count = len(accounts.accounts)
    sync_accounts(db, [(account.name, "aws", False) for account in accounts.accounts])
    checks = CredentialChecks(
        DatabaseCredentials(db), accounts, may_check=lambda: True, sign_ins=SignIns(AtOnce), pace_s=0.0
    )
    check_ms = processor_ms(checks.turn) / count
    seen = read_credentials(db).credentials
    assert {each.found for each in seen} == {UP}
    assert len(seen) == count
    migrator = Migrator(db)
    migrator.start()
    assert migrator.wait_ready(READY_S)
    upkeep = CredentialsUpkeep(db, migrator, accounts.current)
    figures = {
        "one check": check_ms,
        "a worker's look when nothing is due": processor_ms(checks.turn, TURNS),
        "any process reading the results": processor_ms(upkeep.turn, TURNS),
        "GET /api/v1/accounts, the query": processor_ms(lambda: standings(db), TURNS),
    }
    for what, took_ms in figures.items():
        print(f"  {dialect:<12}{what:<40}{took_ms:>8.2f} ms", flush=True)
    per_s = check_ms + 1000 / 5000 * (figures["any process reading the results"])
    print(f"  {dialect:<12}{'one check a second, and reading':<40}{per_s / 1000:>8.2%} of a core", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--accounts", type=int, default=1000)
    given = parser.parse_args()
    print(f"{machine()}; {given.accounts} accounts; processor time")
    with durable_postgres() as server:
        for dialect in DIALECTS:
            with fresh_url(dialect, server) as url, ledger(url) as db:
                measure(dialect, db, Accounts(given.accounts))


if __name__ == "__main__":
    main()

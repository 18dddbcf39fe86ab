"""kill -9 on both sides of every commit of the ledger: what is left is sound, and others finish the work."""

import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest

from shared.ledger.accounts import list_accounts
from shared.ledger.database import Database
from shared.observability.failpoints import Write, after_commit, before_commit
from tests.support.exports import SERVICES, amount_of
from tests.support.ledger_check import broken
from tests.support.ledger_life import BEYOND, NAMES, WEEK, recover
from tests.support.system import ROOT

pytestmark = pytest.mark.integration

# The first must be the migration's: there is one in the life of a database.
POINTS = [point for write in Write for point in (before_commit(write), after_commit(write))]
# Of one database: each life leaves accounts and runs, and everything is gone through after each death.
LIVES = 16


def expected(db: Database) -> dict[tuple[str, date], Decimal]:
    """What the source says of every account. The ledger knows all those of one life, or none."""
    costs = {day: sum((amount_of(day, service) for service in SERVICES), Decimal(0)) for day in (*WEEK, *BEYOND)}
    names = [account.name for account in list_accounts(db)]
    assert len(names) % len(NAMES) == 0
    return {(name, day): cost for name in names for day, cost in costs.items()}


def test_the_first_death_is_that_of_the_migration():
    assert POINTS[0] == before_commit(Write.MIGRATION)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, len(POINTS), LIVES))
def test_a_death_at_any_commit_costs_nothing_and_doubles_nothing(database_url, first):
    db = Database(database_url)
    command = [sys.executable, "-m", "tests.support.ledger_life", database_url]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as zygote:
        assert zygote.stdin
        assert zygote.stdout
        for number, point in enumerate(POINTS[first : first + LIVES]):
            zygote.stdin.write(f"{point}\n")
            zygote.stdin.flush()
            assert int(zygote.stdout.readline()) == -signal.SIGKILL, f"nobody died at {point}"
            if point == after_commit(Write.MIGRATION):
                recover(db, point)
                continue
            if point == before_commit(Write.MIGRATION):
                continue
            recover(db, f"life {number:03}")
            assert broken(db, expected(db)) == [], f"after a death at {point}"
        zygote.stdin.close()
    db.dispose()

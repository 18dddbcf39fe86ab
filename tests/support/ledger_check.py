"""Whether a ledger at rest is right: every invariant, and every account-day compared with the source."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from sqlalchemy import select

from shared.ledger.checking import check
from shared.ledger.database import Database
from shared.ledger.rows import is_open
from shared.ledger.tables import accounts, costs, coverage, runs

# Of a source: what each account's days cost.
Expected = Mapping[tuple[str, date], Decimal]


def broken(db: Database, expected: Expected) -> list[str]:
    """What is wrong with a ledger that nobody works on: nothing, one hopes."""
    findings = check(db, grace_s=0, at_rest=True)
    found = [f"{finding.holds} But: {dict(row)}" for finding in findings for row in finding.broken]
    found += [f"not covered: {name} {day}" for name, day in sorted(expected.keys() - covered(db))]
    sums = stored(db)
    for key in sorted(expected.keys() | sums.keys()):
        if sums.get(key, Decimal(0)) != expected.get(key, Decimal(0)):
            found.append(f"{key}: stored {sums.get(key)}, the source says {expected.get(key)}")
    return found


def unfinished(db: Database, expected: Expected) -> list[str]:
    """What is still to be done: runs that are open, days that nobody has stored."""
    open_runs = select(accounts.c.name, *runs.columns).join_from(runs, accounts).where(is_open())
    with db.read() as connection:
        left = [f"open: {dict(row)}" for row in connection.execute(open_runs).mappings()]
    return [*left, *(f"not covered: {name} {day}" for name, day in sorted(expected.keys() - covered(db)))]


def covered(db: Database) -> set[tuple[str, date]]:
    """The account-days that are covered."""
    with db.read() as connection:
        query = select(accounts.c.name, coverage.c.day).join_from(
            coverage, accounts, coverage.c.account_id == accounts.c.id
        )
        return {(name, day) for name, day in connection.execute(query)}


def stored(db: Database) -> Mapping[tuple[str, date], Decimal]:
    """What each account-day costs, as billed."""
    sums: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    with db.read() as connection:
        # Costs have no foreign key: it would cost time at each row, and the invariants look for orphans.
        query = select(accounts.c.name, costs.c.day, costs.c.billed).join_from(
            costs, accounts, costs.c.account_id == accounts.c.id
        )
        for name, day, billed in connection.execute(query):
            sums[name, day] += billed
    return sums

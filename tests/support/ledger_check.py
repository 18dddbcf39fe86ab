"""Whether a ledger at rest is right: every invariant, asked of the database itself and compared with the source."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from sqlalchemy import func, select, text

from shared.ledger.database import Database
from shared.ledger.tables import accounts, costs, coverage

# Of a source: what each account's days cost.
Expected = Mapping[tuple[str, date], Decimal]

# What must find nothing once nobody works any more.
AT_REST = {
    "a run is open": "SELECT id, state FROM runs WHERE finished_at IS NULL",
    "a finished run has a holder": "SELECT id FROM runs WHERE finished_at IS NOT NULL AND holder IS NOT NULL",
    "an attempt has not ended": "SELECT run_id, attempt FROM attempts WHERE ended_at IS NULL OR outcome IS NULL",
    "a run succeeded without one successful attempt": (
        "SELECT runs.id FROM runs WHERE runs.state = 'succeeded' AND 1 <> (SELECT count(*) FROM attempts"
        " WHERE attempts.run_id = runs.id AND attempts.outcome = 'succeeded')"
    ),
    "an attempt succeeded of a run that did not": (
        "SELECT runs.id FROM runs JOIN attempts ON attempts.run_id = runs.id"
        " WHERE attempts.outcome = 'succeeded' AND runs.state <> 'succeeded'"
    ),
    "a day's rows are not as many as its coverage says": (
        "SELECT account_id, day FROM coverage WHERE rows <> (SELECT count(*) FROM costs"
        " WHERE costs.account_id = coverage.account_id AND costs.day = coverage.day)"
    ),
    "a day has costs and no coverage": (
        "SELECT DISTINCT account_id, day FROM costs WHERE NOT EXISTS (SELECT 1 FROM coverage"
        " WHERE costs.account_id = coverage.account_id AND costs.day = coverage.day)"
    ),
    "a group is there twice": (
        "SELECT account_id, day, service FROM costs GROUP BY account_id, day, sub_account, provider_name, service,"
        " charge_category, currency HAVING count(*) > 1"
    ),
    "two coverage rows of a day": "SELECT account_id, day FROM coverage GROUP BY account_id, day HAVING count(*) > 1",
}


def broken(db: Database, expected: Expected) -> list[str]:
    """What is wrong with a ledger that nobody works on: nothing, one hopes."""
    with db.read() as connection:
        found = [f"{name}: {row}" for name, query in AT_REST.items() for row in connection.execute(text(query))]
        sums: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
        amounts = select(accounts.c.name, costs.c.day, costs.c.billed).join_from(
            costs, accounts, costs.c.account_id == accounts.c.id
        )
        for name, day, billed in connection.execute(amounts):
            sums[name, day] += billed
        days = select(accounts.c.name, coverage.c.day, func.count()).join_from(
            coverage, accounts, coverage.c.account_id == accounts.c.id
        )
        covered = {(row[0], row[1]) for row in connection.execute(days.group_by(accounts.c.name, coverage.c.day))}
    found += [f"not covered: {day}" for day in sorted(expected.keys() - covered)]
    for key in sorted(expected.keys() | sums.keys()):
        if sums.get(key, Decimal(0)) != expected.get(key, Decimal(0)):
            found.append(f"{key}: stored {sums.get(key)}, the source says {expected.get(key)}")
    return found


def covered_days(db: Database) -> int:
    """How many account-days are covered."""
    with db.read() as connection:
        return connection.execute(select(func.count()).select_from(coverage)).scalar_one()

"""Sums of costs by day and month, and the journal of changes that they are kept by.

Only adds: what an older release reads and writes stays as it was, so that its processes go on beside newer ones. The
journal is written by triggers of the database and not by the store, since a process of an older release stores without
knowing of it, and its rows must be in the sums all the same. Triggers use nothing that SQLite does not bring itself:
the connections of an older release have no functions of this one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MONEY = sa.Numeric(38, 24).with_variant(sa.Text(), "sqlite")
TOTAL = sa.Numeric().with_variant(sa.Text(), "sqlite")

GROUPS = "account_id, day, sub_account, provider_name, service, charge_category, currency"
JOURNAL = f"INSERT INTO cost_journal ({GROUPS}, rows, billed, effective)"
UNJOURNALED = "SELECT id FROM accounts WHERE NOT journaled"


def upgrade() -> None:
    """Add them. Accounts that have costs already are gone through later, by the scheduler, one at a time."""
    _mark_accounts()
    _create_journal()
    _create_sums()
    op.create_index("ix_coverage_day_collected_at", "coverage", ["day", "collected_at"])
    triggers = _sqlite_triggers() if op.get_bind().dialect.name == "sqlite" else _postgresql_triggers()
    for statement in triggers:
        op.execute(sa.text(statement))


def _mark_accounts() -> None:
    # First of all: on PostgreSQL this waits until no transaction that stores is under way, and keeps out others.
    op.add_column("accounts", sa.Column("journaled", sa.Boolean(), nullable=False, server_default=sa.text("true")))
    op.execute(
        sa.text(
            "UPDATE accounts SET journaled = false"
            " WHERE EXISTS (SELECT 1 FROM costs WHERE costs.account_id = accounts.id)"
        )
    )
    where = sa.text("NOT journaled")
    op.create_index("ix_accounts_unjournaled", "accounts", ["id"], sqlite_where=where, postgresql_where=where)


def _create_journal() -> None:
    op.create_table(
        "cost_journal",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sub_account", sa.Text(), nullable=False),
        sa.Column("provider_name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("charge_category", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("rows", sa.SmallInteger(), nullable=False),
        sa.Column("billed", MONEY, nullable=False),
        sa.Column("effective", MONEY, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cost_journal"),
    )


def _create_sums() -> None:
    op.create_table(
        "cost_sums",
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("span", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("sub_account", sa.Text(), nullable=False),
        sa.Column("provider_name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("charge_category", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("billed", TOTAL, nullable=False),
        sa.Column("effective", TOTAL, nullable=False),
        sa.PrimaryKeyConstraint("kind", "span", "day", "account_id", "key", name="pk_cost_sums"),
        sqlite_with_rowid=False,
    )


def _postgresql_triggers() -> list[str]:
    # Once for each statement, with all its rows: a store inserts up to a hundred thousand with one.
    kept = f"WHERE account_id NOT IN ({UNJOURNALED})"
    function = f"""
        CREATE FUNCTION journal_costs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP <> 'INSERT' THEN
                {JOURNAL} SELECT {GROUPS}, -1, -billed, -effective FROM gone {kept};
            END IF;
            IF TG_OP <> 'DELETE' THEN
                {JOURNAL} SELECT {GROUPS}, 1, billed, effective FROM came {kept};
            END IF;
            RETURN NULL;
        END $$"""
    tables = {
        "INSERT": "NEW TABLE AS came",
        "DELETE": "OLD TABLE AS gone",
        "UPDATE": "OLD TABLE AS gone NEW TABLE AS came",
    }
    return [function] + [
        f"CREATE TRIGGER journal_{event.lower()} AFTER {event} ON costs REFERENCING {referenced}"
        " FOR EACH STATEMENT EXECUTE FUNCTION journal_costs()"
        for event, referenced in tables.items()
    ]


def _sqlite_triggers() -> list[str]:
    events = {"INSERT": ("NEW",), "DELETE": ("OLD",), "UPDATE": ("OLD", "NEW")}
    return [
        f"CREATE TRIGGER journal_{event.lower()} AFTER {event} ON costs"
        f" WHEN NOT EXISTS ({UNJOURNALED} AND id = {rows[0]}.account_id)"
        f" BEGIN {' '.join(_sqlite_entry(row) for row in rows)} END"
        for event, rows in events.items()
    ]


def _sqlite_entry(row: str) -> str:
    values = ", ".join(f"{row}.{column}" for column in GROUPS.split(", "))
    if row == "NEW":
        return f"{JOURNAL} VALUES ({values}, 1, NEW.billed, NEW.effective);"
    negated = ", ".join(
        f"CASE WHEN OLD.{amount} = '0' THEN '0' WHEN OLD.{amount} LIKE '-%' THEN substr(OLD.{amount}, 2)"
        f" ELSE '-' || OLD.{amount} END"
        for amount in ("billed", "effective")
    )
    return f"{JOURNAL} VALUES ({values}, -1, {negated});"

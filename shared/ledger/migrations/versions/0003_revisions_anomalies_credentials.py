"""Revisions, anomalies, checks of credentials, lanes, and alerts that differ by a subject.

Only adds: what an older release reads and writes stays as it was, so that its processes go on beside newer ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)
MONEY = sa.Numeric(38, 24).with_variant(sa.Text(), "sqlite")
# A sum of amounts may be larger than each of them may be.
MONEY_SUM = sa.Numeric().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add them."""
    _add_lanes()
    _create_revisions()
    _create_anomalies()
    _create_credentials()
    _create_notices()


def _add_lanes() -> None:
    op.add_column("accounts", sa.Column("lane", sa.Text()))
    op.add_column("runs", sa.Column("lane", sa.Text()))
    running = sa.text("state = 'running'")
    op.create_index("uq_runs_lane", "runs", ["lane"], unique=True, sqlite_where=running, postgresql_where=running)


def _create_revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("billed_before", MONEY_SUM),
        sa.Column("billed_after", MONEY_SUM),
        sa.Column("effective_before", MONEY_SUM),
        sa.Column("effective_after", MONEY_SUM),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revisions"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_revisions_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_revisions_account_id_day", "revisions", ["account_id", "day"])


def _create_anomalies() -> None:
    op.create_table(
        "anomalies",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("expected", MONEY, nullable=False),
        sa.Column("actual", MONEY, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("cleared_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_anomalies"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_anomalies_account_id"),
        sa.UniqueConstraint(
            "account_id", "day", "service", "currency", name="uq_anomalies_account_id_day_service_currency"
        ),
        sa.CheckConstraint("kind IN ('spike', 'drop', 'new', 'vanished')", name=op.f("ck_anomalies_kind")),
        sqlite_autoincrement=True,
    )


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("summary", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("checked_at", INSTANT, nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("account_id", name="pk_credentials"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_credentials_account_id"),
        sa.CheckConstraint("status IN ('up', 'degraded', 'down')", name=op.f("ck_credentials_status")),
    )


def _create_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_try_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_notices_account_id"),
        sa.UniqueConstraint("account_id", "day", "kind", "subject", name="uq_notices_account_id_day_kind_subject"),
    )

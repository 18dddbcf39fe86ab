"""Alerts that were raised, accounts that an operator holds, and indexes to forget old runs by and find runs of a kind.

Only adds: what an older release reads and writes stays as it was, so that its processes go on beside newer ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add them. The defaults are the database's: an older release does not name them."""
    op.add_column("accounts", sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.create_index("ix_request_keys_run_id", "request_keys", ["run_id"])
    op.create_index("ix_runs_kind_id", "runs", ["kind", "id"])
    op.create_table(
        "alerts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_try_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_alerts_account_id"),
        sa.UniqueConstraint("account_id", "day", "kind", name="uq_alerts_account_id_day_kind"),
    )

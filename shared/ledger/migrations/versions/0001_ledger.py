"""The ledger's first schema, and the id of this ledger."""

from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)
# SQLite has no decimal type: exact text there.
MONEY = sa.Numeric(38, 24).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    _create_installation()
    _create_accounts()
    _create_runs()
    _create_attempts()
    _create_request_keys()
    _create_costs()
    _create_processes()


def _create_installation() -> None:
    installation = op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ledger_id", sa.Text(), nullable=False),
        sa.Column("redis_run_id", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
    )
    now = datetime.now(UTC)
    created_at = now.replace(tzinfo=None) if op.get_bind().dialect.name == "sqlite" else now
    op.bulk_insert(installation, [{"id": 1, "ledger_id": str(uuid4()), "created_at": created_at}])


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("data_version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
    )
    op.create_table(
        "fires",
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("fired_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_fires"),
    )
    op.create_index("ix_fires_fired_at", "fires", ["fired_at"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("start_day", sa.Date(), nullable=False),
        sa.Column("end_day", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("not_before", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("queued_at", INSTANT),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("next_send_at", INSTANT),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.Column("holder", sa.Text()),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_summary", sa.Text()),
        sa.Column("error_hint", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_runs_account_id"),
        sa.UniqueConstraint("account_id", "kind", "slot", name="uq_runs_account_id_kind_slot"),
        sa.CheckConstraint("start_day <= end_day", name=op.f("ck_runs_days")),
        sa.CheckConstraint("kind IN ('scheduled', 'catchup', 'manual', 'backfill')", name=op.f("ck_runs_kind")),
        sa.CheckConstraint(
            "state IN ('pending', 'queued', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("ck_runs_state")
        ),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (state IN ('pending', 'queued', 'running'))", name=op.f("ck_runs_open")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_runs_account_id_id", "runs", ["account_id", "id"])
    op.create_index("ix_runs_state_id", "runs", ["state", "id"])
    _partial("uq_runs_running", ["account_id"], "state = 'running'", unique=True)
    _partial("ix_runs_pending", ["state", "priority", "id"], "state = 'pending'")
    _partial("ix_runs_queued", ["next_send_at"], "state = 'queued'")
    _partial("ix_runs_open", ["account_id", "start_day"], "finished_at IS NULL")
    _partial("ix_runs_given_up", ["account_id", "finished_at"], "state IN ('failed', 'cancelled')")


def _partial(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, "runs", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("direct", sa.Boolean(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("outcome", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_summary", sa.Text()),
        sa.Column("error_hint", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_attempts_run_id"),
        sa.UniqueConstraint("run_id", "attempt", name="uq_attempts_run_id_attempt"),
        sqlite_autoincrement=True,
    )


def _create_request_keys() -> None:
    op.create_table(
        "request_keys",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind", "key", name="pk_request_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_request_keys_account_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_request_keys_run_id"),
    )


def _create_costs() -> None:
    op.create_table(
        "coverage",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("collected_at", INSTANT, nullable=False),
        sa.Column("checked_at", INSTANT, nullable=False),
        sa.Column("fetch_seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "day", name="pk_coverage"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_coverage_account_id"),
        sa.CheckConstraint("state IN ('complete', 'estimated', 'suspect')", name=op.f("ck_coverage_state")),
    )
    op.create_table(
        "costs",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sub_account", sa.Text(), nullable=False),
        sa.Column("provider_name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("charge_category", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("billed", MONEY, nullable=False),
        sa.Column("effective", MONEY, nullable=False),
    )
    op.create_index("ix_costs_account_id_day", "costs", ["account_id", "day"])


def _create_processes() -> None:
    op.create_table(
        "processes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("redis", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )

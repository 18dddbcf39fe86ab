"""The tables. The migrations build them; a test holds the two equal."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shared.ledger.columns import Instant, Money, MoneySum, SerialKey

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row: whose ledger this is, and which Redis server it last sent to.
installation: Final = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("ledger_id", Text, nullable=False),
    Column("redis_run_id", Text),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    # No longer in the accounts file. Its history stays.
    Column("removed", Boolean, nullable=False),
    # Paused by an operator's command, besides what the file says.
    Column("held", Boolean, nullable=False, server_default=text("false")),
    # What accounts share that may have one request in flight: of those with the same lane, one is collected at a time.
    Column("lane", Text),
    # Raised by every store; caches carry it in their keys.
    Column("data_version", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", Instant, nullable=False),
    # Whether its costs are in the journal or the sums. Not so what was stored before there were any, until the
    # scheduler has gone through it.
    Column("journaled", Boolean, nullable=False, server_default=text("true")),
)
_UNJOURNALED: Final = text("NOT journaled")
Index("ix_accounts_unjournaled", accounts.c.id, sqlite_where=_UNJOURNALED, postgresql_where=_UNJOURNALED)

# When the ledger first heard of each fire of the schedule, by its nominal local time. What failed, was cancelled or was
# answered with nothing before the newest of them may be planned again.
fires: Final = Table(
    "fires",
    metadata,
    Column("slot", Text, primary_key=True),
    Column("fired_at", Instant, nullable=False),
    Index(None, "fired_at"),
)

runs: Final = Table(
    "runs",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("start_day", Date, nullable=False),
    Column("end_day", Date, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    # The attempt under way or next, from 1. Raised whenever one ends without ending the run: a holder that was given
    # up finds its number stale.
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("not_before", Instant),
    Column("created_at", Instant, nullable=False),
    Column("queued_at", Instant),
    # How often this attempt's hint was sent, and when it is sent again.
    Column("sends", Integer, nullable=False),
    Column("next_send_at", Instant),
    Column("started_at", Instant),
    # Set exactly while the run has ended: `IS NULL` is "open" in terms that an index can hold.
    Column("finished_at", Instant),
    Column("holder", Text),
    Column("beat", BigInteger, nullable=False),
    Column("rows", BigInteger),
    Column("error_code", Text),
    Column("error_summary", Text),
    Column("error_hint", Text),
    # The account's lane, from the claim on.
    Column("lane", Text),
    UniqueConstraint("account_id", "kind", "slot"),
    CheckConstraint("start_day <= end_day", name="days"),
    CheckConstraint("kind IN ('scheduled', 'catchup', 'manual', 'backfill')", name="kind"),
    CheckConstraint("state IN ('pending', 'queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
    CheckConstraint("(finished_at IS NULL) = (state IN ('pending', 'queued', 'running'))", name="open"),
    Index(None, "account_id", "id"),
    Index(None, "state", "id"),
    # A page of the few backfills there are must not read through every run there ever was.
    Index(None, "kind", "id"),
    sqlite_autoincrement=True,
)
_RUNNING: Final = text("state = 'running'")
_PENDING: Final = text("state = 'pending'")
_QUEUED: Final = text("state = 'queued'")
_OPEN: Final = text("finished_at IS NULL")
_GIVEN_UP: Final = text("state IN ('failed', 'cancelled')")
# The database itself keeps two runs of one account from running at once.
ONE_RUNNING: Final = Index(
    "uq_runs_running", runs.c.account_id, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING
)
ONE_IN_LANE: Final = Index("uq_runs_lane", runs.c.lane, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
# The state is in it although it is the same in every row: without, SQLite prefers the index on state and id, and sorts
# every pending run to find the first.
Index("ix_runs_pending", runs.c.state, runs.c.priority, runs.c.id, sqlite_where=_PENDING, postgresql_where=_PENDING)
Index("ix_runs_queued", runs.c.next_send_at, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
Index("ix_runs_open", runs.c.account_id, runs.c.start_day, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_runs_given_up", runs.c.account_id, runs.c.finished_at, sqlite_where=_GIVEN_UP, postgresql_where=_GIVEN_UP)

# One row per claim. Its id is the fetch sequence number: it orders what was fetched, whoever fetched it.
attempts: Final = Table(
    "attempts",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("run_id", BigInteger, ForeignKey("runs.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("holder", Text, nullable=False),
    # Claimed from the ledger itself, without Redis.
    Column("direct", Boolean, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", Text),
    Column("error_code", Text),
    Column("error_summary", Text),
    Column("error_hint", Text),
    UniqueConstraint("run_id", "attempt"),
    sqlite_autoincrement=True,
)

# What a request asked for under an Idempotency-Key, and the run it was answered with.
request_keys: Final = Table(
    "request_keys",
    metadata,
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("run_id", BigInteger, ForeignKey("runs.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    # Runs are forgotten after a time, and their keys with them.
    Index(None, "run_id"),
)

coverage: Final = Table(
    "coverage",
    metadata,
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("state", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    # When the rows that are there were stored, and when the provider last answered for the day: a suspect day keeps
    # its rows, so the two differ.
    Column("collected_at", Instant, nullable=False),
    Column("checked_at", Instant, nullable=False),
    Column("fetch_seq", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    CheckConstraint("state IN ('complete', 'estimated', 'suspect')", name="state"),
    # When the newest of a day's costs were collected, without reading every account's.
    Index("ix_coverage_day_collected_at", "day", "collected_at"),
)

# No key over the groups: the store replaces whole days under the account's lock and checks that groups are unique,
# and texts may be longer than an index takes. No foreign key: it would be checked for each of 100,000 rows.
costs: Final = Table(
    "costs",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("day", Date, nullable=False),
    Column("sub_account", Text, nullable=False),
    Column("provider_name", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("charge_category", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("billed", Money, nullable=False),
    Column("effective", Money, nullable=False),
    Index(None, "account_id", "day"),
)

# Every row that came to `costs` (1) or left it (-1, its amounts negated) and is not in `cost_sums` yet. Written by
# triggers: whoever stores, of whatever release, cannot forget it.
cost_journal: Final = Table(
    "cost_journal",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("day", Date, nullable=False),
    Column("sub_account", Text, nullable=False),
    Column("provider_name", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("charge_category", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("rows", SmallInteger, nullable=False),
    Column("billed", Money, nullable=False),
    Column("effective", Money, nullable=False),
)

# Sums of `costs` less what the journal still has (see `sums`): of each kind, over each day and each month, `day` being
# its first. What a kind does not tell apart is 0 or "". `key` stands for the texts, which may be longer than an index
# takes.
cost_sums: Final = Table(
    "cost_sums",
    metadata,
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("span", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, primary_key=True),
    Column("sub_account", Text, nullable=False),
    Column("provider_name", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("charge_category", Text, nullable=False),
    Column("currency", Text, nullable=False),
    # How many cost rows are in it; with 0 it is the sum of nothing.
    Column("rows", BigInteger, nullable=False),
    Column("billed", MoneySum, nullable=False),
    Column("effective", MoneySum, nullable=False),
    # Kept in the order of its key: a range of days lies side by side.
    sqlite_with_rowid=False,
)

# What a collected day's costs were before they changed, and since: one row for each service and currency that did.
# NULL stands for none at all.
revisions: Final = Table(
    "revisions",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("day", Date, nullable=False),
    Column("service", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("billed_before", MoneySum),
    Column("billed_after", MoneySum),
    Column("effective_before", MoneySum),
    Column("effective_after", MoneySum),
    Column("changed_at", Instant, nullable=False),
    # Runs are forgotten after a time, what they changed is not.
    Column("run_id", BigInteger, nullable=False),
    Index(None, "account_id", "day"),
    sqlite_autoincrement=True,
)

# Days whose costs of one service are far from what its past made likely.
anomalies: Final = Table(
    "anomalies",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("day", Date, nullable=False),
    Column("service", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("expected", Money, nullable=False),
    Column("actual", Money, nullable=False),
    # How many of its usual deviations the day is away.
    Column("score", Float, nullable=False),
    Column("found_at", Instant, nullable=False),
    # When the provider restated the day and nothing was left of it.
    Column("cleared_at", Instant),
    UniqueConstraint("account_id", "day", "service", "currency"),
    CheckConstraint("kind IN ('spike', 'drop', 'new', 'vanished')", name="kind"),
    sqlite_autoincrement=True,
)

# Whether the workers can sign in as each account: what one of them found, for every process to show.
credentials: Final = Table(
    "credentials",
    metadata,
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("code", Text),
    Column("summary", Text),
    Column("hint", Text),
    # Since when the status is what it is, and when it was last found so.
    Column("since", Instant, nullable=False),
    Column("checked_at", Instant, nullable=False),
    # Whoever raises it first checks next.
    Column("turn", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("status IN ('up', 'degraded', 'down')", name="status"),
)

# What was told to somebody outside: once per account, day and kind, however many schedulers look.
alerts: Final = Table(
    "alerts",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("day", Date, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    # When it arrived; until then, how often it was tried and when it is tried next.
    Column("sent_at", Instant),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", Instant),
    UniqueConstraint("account_id", "day", "kind"),
)

# Alerts of which a day may have several of a kind, told apart by their subject, such as a service. A table of its own:
# a release that knows one kind alone takes everything in `alerts` for it. Rows of the kind `looked` are no alerts, but
# remember how far anomalies were looked for (shared/ledger/notices.py).
notices: Final = Table(
    "notices",
    metadata,
    Column("id", SerialKey, primary_key=True),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("day", Date, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    # What is posted, as JSON.
    Column("document", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", Instant),
    UniqueConstraint("account_id", "day", "kind", "subject"),
)

# The fleet: every process writes that it lives.
processes: Final = Table(
    "processes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("redis", Text, nullable=False),
)

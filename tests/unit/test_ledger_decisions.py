import sqlite3
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import dialect as postgresql_dialect
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from shared.core.costs import CostRow
from shared.core.days import DayRange
from shared.core.errors import ProviderError, RequestError, SettingsError
from shared.ledger.answers import check
from shared.ledger.columns import Instant, Money
from shared.ledger.cost_queries import CostQuery
from shared.ledger.database import Database
from shared.ledger.dispatch import resend_delay_s
from shared.ledger.failures import NOT_MIGRATED, POOL_EXHAUSTED, summary_of
from shared.ledger.store import KnownDay, decide
from shared.ledger.texts import is_storable, storable

DAY = date(2026, 1, 5)
DAYS = DayRange(DAY, DAY)
ROW = CostRow(DAY, "sub", "AWS", "compute", "Usage", "USD", Decimal("1.5"), Decimal("1.5"))


@pytest.mark.parametrize(
    ("known_rows", "known_seq", "answered", "fate"),
    [
        (None, None, 3, "stored"),
        (None, None, 0, "stored"),
        (0, 4, 0, "stored"),
        (0, 4, 3, "stored"),
        (7, 4, 3, "stored"),
        (7, 4, 0, "suspect"),
        (7, 6, 3, "left_alone"),
        (7, 6, 0, "left_alone"),
        (0, 6, 3, "left_alone"),
    ],
)
def test_what_an_answer_means_for_a_day(known_rows, known_seq, answered, fate):
    known = {} if known_rows is None else {DAY: KnownDay(known_rows, datetime(2026, 1, 6, tzinfo=UTC), known_seq)}
    outcome = decide(DAYS, 5, known, {DAY: answered})
    fates = {"stored": outcome.days, "suspect": outcome.suspect, "left_alone": outcome.left_alone}
    assert [name for name, days in fates.items() if days] == [fate]
    assert outcome.rows == (answered if fate == "stored" else 0)


@pytest.mark.parametrize(("sends", "delay_s"), [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (500, 3600)])
def test_a_queued_run_is_sent_again_ever_more_rarely(sends, delay_s):
    assert resend_delay_s(sends) == delay_s


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (ROW._replace(day=DAY + timedelta(days=1)), "outside the range"),
        (ROW._replace(billed=Decimal("NaN")), "billed cost: NaN is not an amount"),
        (ROW._replace(effective=Decimal("1E-25")), "effective cost: .*24 are kept"),
        (ROW._replace(service="a\x00b"), "no database holds"),
        (ROW._replace(sub_account="\ud800"), "no database holds"),
    ],
)
def test_an_answer_that_cannot_be_kept_exactly_is_refused_for_good(row, problem):
    with pytest.raises(ProviderError, match=problem) as caught:
        check([ROW._replace(service="storage"), row], DAYS)
    assert caught.value.permanent
    assert caught.value.code == "ANSWER_NOT_STORABLE"


def test_one_group_twice_is_refused_since_it_would_count_double():
    with pytest.raises(ProviderError, match="same group twice"):
        check([ROW, ROW._replace(billed=Decimal(2))], DAYS)


def test_an_answer_without_mistakes_is_taken():
    check([ROW, ROW._replace(service="storage")], DAYS)


@pytest.mark.parametrize(
    ("group_by", "problem"), [(("day", "colour"), "'colour' is not known"), (("day", "day"), "twice")]
)
def test_costs_are_grouped_by_what_there_is_and_once(group_by, problem):
    with pytest.raises(RequestError, match=problem) as caught:
        CostQuery(DAYS, group_by)
    assert caught.value.field == "groupBy"


@pytest.mark.parametrize(
    "url", ["sqlite:///:memory:", "sqlite://", "mysql://host/db", "postgresql://host:port/db", "nonsense"]
)
def test_a_url_that_can_be_no_ledger_is_a_settings_error(url):
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Database(url)


@pytest.mark.parametrize(
    "url", ["postgresql://user:hunter22@db.example/holdfast", "postgresql://db.example/holdfast?password=hunter22"]
)
def test_the_redacted_url_holds_no_password(url):
    db = Database(url)
    assert "hunter22" not in db.url_redacted
    assert "db.example" in db.url_redacted


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (exc.TimeoutError("pool"), POOL_EXHAUSTED),
        (psycopg.OperationalError("server closed\nmore"), "server closed"),
        (psycopg.InterfaceError("the connection is closed"), "the connection is closed"),
        (psycopg.errors.ReadOnlySqlTransaction("read only"), "read only"),
        (psycopg.errors.UndefinedTable("no relation"), NOT_MIGRATED),
        (sqlite3.OperationalError("no such table: runs"), NOT_MIGRATED),
        (psycopg.errors.UndefinedColumn("a mistake of ours"), None),
        (psycopg.errors.UniqueViolation("a rule of ours"), None),
        (sqlite3.OperationalError("a mistake of ours"), None),
        (ValueError("anything"), None),
    ],
)
def test_a_database_that_is_away_is_told_from_a_mistake_of_ours(error, summary):
    assert summary_of(error) == summary


def test_text_that_no_database_holds_is_recognised_and_replaced():
    assert is_storable("Zürich 東京 🚀")
    assert not is_storable("a\x00")
    assert not is_storable("\udfff")
    assert is_storable(storable("a\x00b\ud800c"))
    assert len(storable("x" * 5000)) == 1000


@pytest.mark.parametrize(
    ("dialect", "bound"),
    [(sqlite_dialect(), "-0.5"), (postgresql_dialect(), Decimal("-0.5"))],
    ids=["sqlite", "postgresql"],
)
def test_a_money_column_binds_exactly_and_refuses_what_it_cannot_keep(dialect, bound):
    column = Money()
    assert column.process_bind_param(Decimal("-0.50"), dialect) == bound
    assert column.process_bind_param(None, dialect) is None
    with pytest.raises(ValueError, match="24 are kept"):
        column.process_bind_param(Decimal("1E-25"), dialect)


@pytest.mark.parametrize("dialect", [sqlite_dialect(), postgresql_dialect()], ids=["sqlite", "postgresql"])
def test_an_instant_column_binds_utc_and_refuses_a_time_without_a_zone(dialect):
    noon_in_berlin = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    bound = Instant().process_bind_param(noon_in_berlin, dialect)
    assert bound is not None
    assert bound.replace(tzinfo=UTC) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        Instant().process_bind_param(noon_in_berlin.replace(tzinfo=None), dialect)


@pytest.mark.parametrize(("option", "told"), [("nonsense", "'nonsense'"), ("s3cret", "no option in a URL")])
def test_an_option_that_postgresql_does_not_know_is_a_mistake_in_the_settings(option, told):
    with pytest.raises(SettingsError, match=told) as caught:
        Database(f"postgresql://bob@h/d?connect_timeout=3&{option}=1")
    assert "s3cret" not in str(caught.value)

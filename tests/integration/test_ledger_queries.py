"""What readers see: pages, coverage, costs by group, counts, the fleet."""

import base64
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.core.errors import RequestError, UnknownAccountError
from shared.core.runs import RunKind, RunState
from shared.ledger.claims import cancel_run
from shared.ledger.clock import now
from shared.ledger.fleet import ProcessBeat, beat, forget, processes
from shared.ledger.queries import CostQuery, costs, coverage, data_version, find_runs, run_counts
from shared.ledger.tables import processes as processes_table
from tests.support.ledger import JANUARY, collected, cost_row, requested, with_accounts

pytestmark = pytest.mark.integration

DAY = date(2026, 1, 5)
TWO_DAYS = DayRange(DAY, DAY + timedelta(days=1))
STARTED_AT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def many_runs(db, count):
    with_accounts(db, "corp", "lab")
    return [requested(db, ("corp", "lab")[n % 2], DayRange(day, day)).id for n, day in enumerate(list(JANUARY)[:count])]


def test_pages_hold_every_run_once_newest_first_even_while_runs_are_made(database):
    made = many_runs(database, 7)
    seen, cursor = [], None
    while True:
        page = find_runs(database, limit=3, cursor=cursor)
        seen += [run.id for run in page.runs]
        if page.next is None:
            break
        cursor = page.next
        requested(database, "corp", DayRange(DAY, DAY + timedelta(days=len(seen))))
    assert seen == sorted(made, reverse=True)


def test_a_page_that_is_just_full_is_the_last(database):
    many_runs(database, 3)
    assert find_runs(database, limit=3).next is None
    assert find_runs(database, limit=2).next is not None


def test_runs_are_found_by_account_state_and_kind_together(database):
    made = many_runs(database, 4)
    requested(database, "corp", JANUARY, RunKind.BACKFILL)
    cancel_run(database, made[0])
    found = find_runs(database, account="corp", state=RunState.PENDING, kind=RunKind.MANUAL)
    assert [run.id for run in found.runs] == [made[2]]
    assert [run.id for run in find_runs(database, state=RunState.CANCELLED).runs] == [made[0]]
    assert find_runs(database, account="lab", kind=RunKind.BACKFILL).runs == []


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "!!!!", "é", "\x00"),
        *(base64.urlsafe_b64encode(text).decode() for text in (b"before:", b"before:-1", b"before:0", b"after:1")),
        base64.urlsafe_b64encode(b"before:1" + b"0" * 30).decode(),
    ],
)
def test_a_cursor_that_was_never_given_out_is_the_client_s_mistake(database, cursor):
    with pytest.raises(RequestError) as caught:
        find_runs(database, cursor=cursor)
    assert caught.value.field == "cursor"


@pytest.mark.parametrize("name", ["nobody", "", "a\x00b", "\ud800", "Corp"])
def test_an_account_that_never_was_is_unknown_everywhere(database, name):
    with_accounts(database, "corp")
    for ask in (
        lambda: find_runs(database, account=name),
        lambda: coverage(database, days=JANUARY, account=name),
        lambda: costs(database, CostQuery(JANUARY, account=name)),
        lambda: data_version(database, name),
    ):
        with pytest.raises(UnknownAccountError):
            ask()


def test_coverage_has_every_day_of_every_account_by_name(database):
    with_accounts(database, "lab", "corp")
    collected(database, "lab", TWO_DAYS, [cost_row(DAY)])
    found = coverage(database, days=DayRange(DAY, DAY + timedelta(days=2)))
    assert [(account.account, account.provider) for account in found] == [("corp", "focus"), ("lab", "focus")]
    states = [[(day.state, day.rows, day.collected_at is not None) for day in account.days] for account in found]
    assert states == [
        [(CoverageState.MISSING, 0, False)] * 3,
        [(CoverageState.COMPLETE, 1, True), (CoverageState.COMPLETE, 0, True), (CoverageState.MISSING, 0, False)],
    ]
    collected_at = found[1].days[0].collected_at
    assert collected_at is not None
    assert abs(collected_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_removed_account_is_shown_where_it_has_history(database):
    with_accounts(database, "gone", "never", "corp")
    collected(database, "gone", TWO_DAYS, [cost_row(DAY)])
    with_accounts(database, "corp")
    assert [account.account for account in coverage(database, days=TWO_DAYS)] == ["corp", "gone"]
    earlier = DayRange(DAY - timedelta(days=9), DAY - timedelta(days=1))
    assert [account.account for account in coverage(database, days=earlier)] == ["corp"]
    assert len(coverage(database, days=TWO_DAYS, account="never")) == 1
    assert costs(database, CostQuery(TWO_DAYS)).totals == [{"currency": "USD", "amount": Decimal(1)}]


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("day", [date(2026, 1, 5), date(2026, 1, 6)]),
        ("account", ["corp", "lab"]),
        ("subAccount", ["", "z"]),
        ("service", ["Zürich", "compute"]),
        ("provider", ["AWS", "Microsoft"]),
        ("chargeCategory", ["Tax", "Usage"]),
    ],
)
def test_costs_are_grouped_by_any_of_their_names(database, group, values):
    with_accounts(database, "corp", "lab")
    collected(database, "corp", TWO_DAYS, [cost_row(DAY, billed="1", sub_account="")])
    other = cost_row(
        DAY + timedelta(days=1),
        billed="2",
        sub_account="z",
        service="Zürich",
        provider_name="Microsoft",
        charge_category="Tax",
    )
    collected(database, "lab", TWO_DAYS, [other])
    report = costs(database, CostQuery(TWO_DAYS, (group,)))
    assert [row[group] for row in report.rows] == sorted(values)
    assert sorted(row["amount"] for row in report.rows) == [Decimal(1), Decimal(2)]
    assert all(list(row) == [group, "currency", "amount"] for row in report.rows)


def test_groups_keep_the_order_they_were_asked_in_and_rows_are_sorted_by_it(database):
    with_accounts(database, "corp")
    rows = [cost_row(day, service=service) for day in TWO_DAYS for service in ("b", "a", "B")]
    collected(database, "corp", TWO_DAYS, rows)
    report = costs(database, CostQuery(TWO_DAYS, ("service", "day")))
    assert list(report.rows[0]) == ["service", "day", "currency", "amount"]
    assert [(row["service"], row["day"]) for row in report.rows] == [
        (service, day) for service in ("B", "a", "b") for day in TWO_DAYS
    ]


def test_without_groups_there_is_one_row_per_currency(database):
    with_accounts(database, "corp")
    collected(database, "corp", TWO_DAYS, [cost_row(DAY), cost_row(DAY, currency="EUR")])
    assert [row["currency"] for row in costs(database, CostQuery(TWO_DAYS, ())).rows] == ["EUR", "USD"]


def test_costs_of_nothing_are_empty(database):
    report = costs(database, CostQuery(JANUARY))
    assert (report.rows, report.totals, report.as_of) == ([], [], None)


def test_runs_are_counted_by_state_with_every_state_there(database):
    assert run_counts(database) == dict.fromkeys(RunState, 0)
    made = many_runs(database, 3)
    cancel_run(database, made[0])
    assert run_counts(database) == {**dict.fromkeys(RunState, 0), RunState.PENDING: 2, RunState.CANCELLED: 1}


def process(name, redis="connected"):
    return ProcessBeat(name, "worker", "host-1", 42, "0.1.0", STARTED_AT, redis)


def test_the_fleet_shows_who_was_seen_lately(database):
    beat(database, process("one"))
    beat(database, process("two"))
    beat(database, process("one", "failed"))
    one, two = sorted(processes(database), key=lambda found: found.id)
    assert (one.redis, two.redis) == ("failed", "connected")
    assert one.started_at == STARTED_AT
    assert one.seen_at is not None
    forget(database, "two")
    assert [found.id for found in processes(database)] == ["one"]


def test_a_process_that_is_gone_is_dropped(database):
    beat(database, process("one"))
    with database.write() as connection:
        connection.execute(update(processes_table).values(seen_at=now(connection) - timedelta(seconds=61)))
    assert processes(database) == []
    beat(database, process("two"))
    assert [found.id for found in processes(database)] == ["two"]
    with database.read() as connection:
        assert len(connection.execute(processes_table.select()).all()) == 1

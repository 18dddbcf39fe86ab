"""Sums of costs: whatever is stored, restated or carried over, every question has the answer that the rows give."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, combinations

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from shared.core.costs import EXACT, CostRow, Metric
from shared.core.days import DayRange
from shared.ledger.checking import LIVING_HOLDER, check
from shared.ledger.cost_queries import GROUPS, CostQuery, costs
from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from shared.ledger.schema import config
from shared.ledger.summing import Waiting, carry_over, journal_next_account, waiting
from shared.ledger.tables import accounts, cost_journal, cost_sums
from shared.ledger.tables import costs as cost_table
from tests.support.ledger import collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

# Over the end of a month and of a year, so that months, thirds and days all take part.
FIRST = date(2025, 12, 8)
LAST = date(2026, 2, 3)
SPAN = (LAST - FIRST).days
NAMES = ("corp", "lab")
LARGEST = Decimal("99999999999999.999999999999999999999999")

days = st.integers(0, SPAN).map(lambda offset: FIRST + timedelta(days=offset))
ranges = st.tuples(days, days).map(lambda ends: DayRange(min(ends), max(ends)))
# Not -LARGEST: that rounds to the 28 digits of Python's usual context.
amounts = st.sampled_from(
    [LARGEST, LARGEST.copy_negate(), Decimal("1E-24"), Decimal(0), Decimal("-0.1")]
) | st.decimals(-1000, 1000, places=10)
# Long texts, and texts that run into one another when they are put side by side.
texts = st.sampled_from(["", "a", "ab", "b", "1:a", "Zürich", "x" * 3000])
rows = st.builds(
    CostRow,
    day=days,
    sub_account=texts,
    provider_name=texts,
    service=texts,
    charge_category=st.sampled_from(["Usage", "Tax"]),
    currency=st.sampled_from(["USD", "EUR"]),
    billed=amounts,
    effective=amounts,
)
answers = st.lists(rows, max_size=8, unique_by=lambda row: row[:6])
group_bys = st.lists(st.sampled_from(list(GROUPS)), min_size=1, max_size=3, unique=True).map(tuple)
stores = st.tuples(st.sampled_from(NAMES), ranges, answers)
events = st.lists(stores | st.sampled_from([1, 7, 1000]), max_size=8)
questions = st.lists(
    st.builds(
        CostQuery,
        days=ranges,
        group_by=group_bys,
        metric=st.sampled_from(Metric),
        account=st.sampled_from([None, None, *NAMES]),
    ),
    min_size=3,
    max_size=6,
)


def by_hand(db: Database, query: CostQuery) -> dict[tuple[object, ...], Decimal]:
    """The answer, added up row by row."""
    found: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    with db.read() as connection:
        joined = select(accounts.c.name, *cost_table.columns).join_from(
            cost_table, accounts, cost_table.c.account_id == accounts.c.id
        )
        for row in connection.execute(joined).mappings():
            if row["day"] in query.days and query.account in {None, row["name"]}:
                values = [row["name" if group == "account" else GROUPS[group]] for group in query.group_by]
                key = (*values, row["currency"])
                found[key] = EXACT.add(found[key], row[query.metric.value])
    return found


def asked(db: Database, query: CostQuery) -> dict[tuple[object, ...], Decimal]:
    report = costs(db, query)
    assert [*report.values] == sorted(report.values)
    return {tuple(row.values())[:-1]: row["amount"] for row in report.rows}  # type: ignore[misc]


def store_as_is(db: Database, name: str, span: DayRange, answer: list[CostRow]) -> None:
    collected(db, name, span, [row for row in answer if row.day in span])


def unsound(db: Database) -> list[str]:
    return [found.name for found in check(db, grace_s=0) if found.broken and found.name != LIVING_HOLDER]


def all_questions() -> Iterator[CostQuery]:
    groups = chain.from_iterable(combinations(GROUPS, size) for size in range(1, len(GROUPS) + 1))
    for group_by in groups:
        for account in (None, NAMES[0]):
            yield CostQuery(DayRange(FIRST, LAST), group_by, account=account)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=events, wanted=questions)
def test_any_question_is_answered_as_its_rows_are(database, happened, wanted):
    with_accounts(database, *NAMES)
    for event in happened:
        if isinstance(event, int):
            carry_over(database, step=event)
        else:
            store_as_is(database, *event)
    for query in wanted:
        assert asked(database, query) == by_hand(database, query), query
    assert unsound(database) == []
    while carry_over(database):
        pass
    for query in wanted:
        assert asked(database, query) == by_hand(database, query), query
    assert unsound(database) == []


def test_every_group_by_is_answered_as_its_rows_are_before_and_after_the_journal_is_carried_over(database):
    with_accounts(database, *NAMES)
    for number, name in enumerate(NAMES):
        answer = [
            cost_row(
                FIRST + timedelta(days=offset),
                billed=f"{(-1) ** offset * (offset + number)}.0000000001",
                effective="0.1",
                service=f"s{offset % 3}",
                sub_account=f"u{offset % 2}",
                charge_category=("Usage", "Tax")[offset % 2],
                currency=("USD", "EUR")[offset % 5 == 0],
            )
            for offset in range(SPAN + 1)
        ]
        store_as_is(database, name, DayRange(FIRST, LAST), answer)
    for step in (10, 1000):
        for query in all_questions():
            assert asked(database, query) == by_hand(database, query), query
        assert carry_over(database, step=step) > 0
    for query in all_questions():
        assert asked(database, query) == by_hand(database, query), query


def test_a_day_restated_as_it_was_changes_no_sum(database):
    with_accounts(database, "corp")
    day = DayRange(FIRST, FIRST)
    collected(database, "corp", day, [cost_row(FIRST)])
    carry_over(database)
    with database.read() as connection:
        before = connection.execute(select(cost_sums)).all()
    collected(database, "corp", day, [cost_row(FIRST)])
    assert carry_over(database) == 2
    with database.read() as connection:
        assert connection.execute(select(cost_sums)).all() == before


def test_a_group_that_is_no_longer_there_is_not_shown_with_nothing(database):
    with_accounts(database, "corp")
    for service in ("old", "new"):
        collected(database, "corp", DayRange(FIRST, FIRST), [cost_row(FIRST, service=service)])
        carry_over(database)
    for group_by in (("service",), ("day", "service", "provider", "chargeCategory")):
        assert [row["service"] for row in costs(database, CostQuery(DayRange(FIRST, LAST), group_by)).rows] == ["new"]


def test_a_suspect_day_keeps_its_sums(database):
    with_accounts(database, "corp")
    collected(database, "corp", DayRange(FIRST, FIRST), [cost_row(FIRST, billed="3")])
    assert collected(database, "corp", DayRange(FIRST, FIRST), []).suspect == (FIRST,)
    carry_over(database)
    assert costs(database, CostQuery(DayRange(FIRST, LAST))).totals == [{"currency": "USD", "amount": Decimal(3)}]


def test_rows_that_a_person_changes_or_removes_are_journaled_too(database):
    with_accounts(database, "corp")
    collected(database, "corp", DayRange(FIRST, LAST), [cost_row(FIRST, billed="3"), cost_row(LAST, billed="-5")])
    carry_over(database)
    with database.write() as connection:
        connection.execute(text("UPDATE costs SET billed = '4' WHERE billed = '3'"))
        connection.execute(text("DELETE FROM costs WHERE billed = '-5'"))
    for _ in range(2):
        report = costs(database, CostQuery(DayRange(FIRST, LAST)))
        assert report.values == [(FIRST, "USD", "4")]
        assert carry_over(database) in {0, 3}


@pytest.fixture
def upgraded(database_url):
    """A ledger with costs that a release without a journal has stored."""
    db = Database(database_url)
    with db.write() as connection:
        command.upgrade(config(connection), "0003")
        connection.execute(
            text(
                "INSERT INTO accounts (name, provider, paused, removed, created_at) VALUES"
                " ('corp', 'focus', false, false, '2026-01-01 00:00:00.000000'),"
                " ('lab', 'focus', false, false, '2026-01-01 00:00:00.000000'),"
                " ('empty', 'focus', false, false, '2026-01-01 00:00:00.000000')"
            )
        )
        for number in range(1, 3):
            connection.execute(
                text(
                    "INSERT INTO costs VALUES (:id, '2025-12-09', 'u', 'AWS', 's', 'Usage', 'USD', '1.5', '1'),"
                    " (:id, '2026-01-09', 'u', 'AWS', 's', 'Usage', 'USD', '-2.5', '1')"
                ),
                {"id": number},
            )
    upgrade(db)
    yield db
    db.dispose()


def test_what_an_earlier_release_stored_counts_before_and_after_it_is_in_the_sums(upgraded):
    assert waiting(upgraded) == Waiting(entries=False, accounts=True)
    steps = [lambda: None, lambda: journal_next_account(upgraded), lambda: carry_over(upgraded, step=1)]
    for step in (*steps, steps[1], steps[2], lambda: carry_over(upgraded)):
        step()
        for query in all_questions():
            assert asked(upgraded, query) == by_hand(upgraded, query), query
    assert journal_next_account(upgraded) is None
    assert waiting(upgraded) == Waiting(entries=False, accounts=False)
    with upgraded.read() as connection:
        total = select(func.sum(cost_sums.c.rows)).where(cost_sums.c.kind == 0, cost_sums.c.span == 2)
        assert connection.execute(total).scalar_one() == 4


def test_an_account_that_was_not_gone_through_yet_is_restated_without_a_trace_in_the_journal(upgraded):
    with_accounts(upgraded, *NAMES)
    january = DayRange(date(2026, 1, 9), date(2026, 1, 9))
    collected(upgraded, "corp", january, [cost_row(january.start, billed="7")])
    with upgraded.read() as connection:
        assert connection.execute(select(func.count()).select_from(cost_journal)).scalar_one() == 0
    for _ in range(3):
        for query in all_questions():
            assert asked(upgraded, query) == by_hand(upgraded, query), query
        journal_next_account(upgraded)
    assert carry_over(upgraded) == 4


def test_questions_stores_and_carrying_over_at_once_never_disagree(database):
    with_accounts(database, *NAMES)
    stopped = threading.Event()
    failures: list[BaseException] = []
    days = DayRange(FIRST, FIRST + timedelta(days=2))
    # Whatever moment a question falls into, the two services of a day add up to nothing.
    versions = [
        [
            cost_row(day, billed=f"{sign}{size}", service=service)
            for day in days
            for sign, service in (("", "a"), ("-", "b"))
        ]
        for size in (3, 8)
    ]

    def work(task):
        try:
            while not stopped.is_set():
                task()
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    def ask():
        for group_by in (("day",), ("account",), ("subAccount",), ("provider",)):
            report = costs(database, CostQuery(days, group_by))
            assert all(amount == "0" for *_, amount in report.values), report.values

    tasks = [ask, lambda: carry_over(database, step=3), lambda: carry_over(database)]
    threads = [threading.Thread(target=work, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for turn in range(12):
        collected(database, NAMES[turn % 2], days, versions[turn // 2 % 2])
    stopped.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert unsound(database) == []

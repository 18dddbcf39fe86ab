"""Restatement: a day that is collected again shows its new figure, and the ledger keeps what it was."""

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from shared.core.costs import FetchedCosts, Metric
from shared.core.days import DayRange
from shared.core.errors import RequestError, UnknownAccountError
from shared.ledger import restating
from shared.ledger.checking import check
from shared.ledger.queries import CostQuery, costs
from shared.ledger.retention import forget_old
from shared.ledger.revisions import RevisionFilter, find_revisions
from shared.ledger.store import store
from shared.ledger.tables import accounts, revisions, runs
from tests.support.ledger import claimed, collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

DAY = date(2026, 1, 5)
ONE_DAY = DayRange(DAY, DAY)
THREE_DAYS = DayRange(DAY, DAY + timedelta(days=2))


def kept(db):
    """Every revision, oldest first: account, day of the month, service, currency, billed before and after."""
    columns = (accounts.c.name, *(revisions.c[name] for name in restating.COLUMNS[1:6]))
    with db.read() as connection:
        rows = connection.execute(
            select(*columns).join_from(revisions, accounts).order_by(revisions.c.id),
        ).all()
    return [(row[0], row[1].day, *row[2:4], *(side if side is None else str(side) for side in row[4:])) for row in rows]


def total(db, days=ONE_DAY):
    return {row["currency"]: str(row["amount"]) for row in costs(db, CostQuery(days)).totals}


def test_a_restated_day_shows_its_new_figure_and_keeps_the_old_one(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10", effective="9")])
    again = collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="12.50", effective="9")])
    assert total(database) == {"USD": "12.5"}
    assert kept(database) == [("corp", 5, "compute", "USD", "10", "12.5")]
    assert [change.risen(Metric.BILLED) for change in again.changed] == [Decimal("2.5")]


def test_a_change_of_the_effective_cost_alone_is_one(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10", effective="9")])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10", effective="8.75")])
    with database.read() as connection:
        (row,) = connection.execute(select(revisions)).all()
    assert (row.billed_before, row.billed_after) == (Decimal(10), Decimal(10))
    assert (row.effective_before, row.effective_after) == (Decimal(9), Decimal("8.75"))


def test_a_revision_tells_which_run_changed_the_day_and_when(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    claim = claimed(database, "corp", ONE_DAY)
    store(database, claim, FetchedCosts([cost_row(DAY, billed="2")]))
    with database.read() as connection:
        (found,) = connection.execute(select(revisions.c.run_id, revisions.c.changed_at))
        ended = connection.execute(select(runs.c.started_at, runs.c.finished_at).where(runs.c.id == claim.run.id)).one()
    assert found.run_id == claim.run.id
    assert ended.started_at <= found.changed_at <= ended.finished_at


def test_a_renamed_service_is_counted_once_and_both_names_have_a_revision(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10"), cost_row(DAY, billed="5", service="old name")])
    again = collected(
        database, "corp", ONE_DAY, [cost_row(DAY, billed="10"), cost_row(DAY, billed="5", service="new name")]
    )
    assert total(database) == {"USD": "15"}
    assert kept(database) == [("corp", 5, "new name", "USD", None, "5"), ("corp", 5, "old name", "USD", "5", None)]
    assert sum(change.risen(Metric.BILLED) for change in again.changed) == 0


def test_the_first_collection_of_a_day_is_no_revision(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    collected(database, "corp", THREE_DAYS, [cost_row(day) for day in THREE_DAYS])
    assert kept(database) == []


def test_an_empty_answer_wipes_nothing_and_revises_nothing(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10")])
    for _ in range(2):
        again = collected(database, "corp", ONE_DAY, [])
        assert again.suspect == (DAY,)
        assert again.changed == ()
    assert total(database) == {"USD": "10"}
    assert kept(database) == []


def test_a_suspect_day_is_compared_with_what_it_kept_when_it_is_answered_again(database):
    with_accounts(database, "corp")
    for rows in ([cost_row(DAY, billed="10")], [], [cost_row(DAY, billed="10.0")], [], [cost_row(DAY, billed="11")]):
        collected(database, "corp", ONE_DAY, rows)
    assert kept(database) == [("corp", 5, "compute", "USD", "10", "11")]


def test_a_day_that_was_complete_without_costs_and_has_some_now_is_revised(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="3")])
    assert kept(database) == [("corp", 5, "compute", "USD", None, "3")]


def test_an_estimated_day_that_becomes_final_with_the_same_costs_is_not_revised(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)], estimated_days=frozenset({DAY}))
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    assert kept(database) == []


def test_no_costs_at_all_are_not_the_same_as_a_cost_of_zero(database):
    with_accounts(database, "corp")
    free = cost_row(DAY, billed="0", service="free")
    for rows in ([cost_row(DAY)], [cost_row(DAY), free], [cost_row(DAY)]):
        collected(database, "corp", ONE_DAY, rows)
    assert kept(database) == [("corp", 5, "free", "USD", None, "0"), ("corp", 5, "free", "USD", "0", None)]


@pytest.mark.parametrize(("was", "now"), [("1.5", "1.5000"), ("100000", "1E+5"), ("0", "-0.00"), ("0.1", "0.10")])
def test_amounts_are_compared_as_numbers_and_not_as_text(database, was, now):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed=was)])
    again = collected(database, "corp", ONE_DAY, [cost_row(DAY, billed=now)])
    assert again.changed == ()
    assert kept(database) == []


def test_the_smallest_difference_that_can_be_kept_is_a_revision(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="99999999999999.999999999999999999999998")])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="99999999999999.999999999999999999999999")])
    before, after = kept(database)[0][-2:]
    assert (before[-1], after[-1]) == ("8", "9")


def test_rows_that_are_only_split_anew_are_no_revision(database):
    """Sub-accounts and categories may move; what a service cost that day has not changed."""
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="3", sub_account="a")])
    split = [cost_row(DAY, billed="1", sub_account="a"), cost_row(DAY, billed="2", sub_account="b")]
    collected(database, "corp", ONE_DAY, split)
    assert kept(database) == []


def test_sums_larger_than_any_single_amount_are_kept_as_they_are(database):
    with_accounts(database, "corp")
    huge = "99999999999999.999999999999999999999999"
    for count in (20, 30):
        rows = [cost_row(DAY, billed=huge, sub_account=f"s{number}") for number in range(count)]
        collected(database, "corp", ONE_DAY, rows)
    before, after = kept(database)[0][-2:]
    assert (Decimal(before), Decimal(after)) == (
        Decimal("1999999999999999.999999999999999999999980"),
        Decimal("2999999999999999.999999999999999999999970"),
    )


def test_currencies_are_revised_apart(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="3"), cost_row(DAY, billed="3", currency="EUR")])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="3"), cost_row(DAY, billed="4", currency="EUR")])
    assert kept(database) == [("corp", 5, "compute", "EUR", "3", "4")]


def test_only_the_days_that_changed_have_revisions_and_only_of_their_account(database):
    with_accounts(database, "corp", "lab")
    for name in ("corp", "lab"):
        collected(database, name, THREE_DAYS, [cost_row(day, billed="1") for day in THREE_DAYS])
    collected(database, "corp", THREE_DAYS, [cost_row(day, billed="1" if day == DAY else "2") for day in THREE_DAYS])
    assert kept(database) == [("corp", 6, "compute", "USD", "1", "2"), ("corp", 7, "compute", "USD", "1", "2")]


def test_an_answer_that_was_fetched_earlier_revises_nothing_of_the_days_it_leaves_alone(database):
    with_accounts(database, "corp")
    collected(database, "corp", THREE_DAYS, [cost_row(day, billed="5") for day in THREE_DAYS])
    claim = claimed(database, "corp", THREE_DAYS)
    middle = DAY + timedelta(days=1)
    with database.write() as connection:
        # As if the first and last day had been stored by who fetched after this claim.
        connection.exec_driver_sql(
            f"UPDATE coverage SET fetch_seq = {claim.fetch_seq + 1} WHERE day <> '{middle.isoformat()}'"
        )
    stored = store(database, claim, FetchedCosts([cost_row(day, billed="1") for day in THREE_DAYS]))
    assert stored is not None
    assert stored.left_alone == (DAY, THREE_DAYS.end)
    assert kept(database) == [("corp", 6, "compute", "USD", "5", "1")]


def test_who_lost_the_run_revises_nothing(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    claim = claimed(database, "corp", ONE_DAY)
    assert store(database, claim, FetchedCosts([cost_row(DAY, billed="2")])) is not None
    assert store(database, claim, FetchedCosts([cost_row(DAY, billed="3")])) is None
    assert kept(database) == [("corp", 5, "compute", "USD", "1", "2")]


def test_revisions_are_undone_with_the_store_that_made_them(database, monkeypatch):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    claim = claimed(database, "corp", ONE_DAY)

    def broken(*_: object) -> None:
        raise RuntimeError("the process dies here")

    monkeypatch.setattr("shared.ledger.store._finish", broken)
    with pytest.raises(RuntimeError):
        store(database, claim, FetchedCosts([cost_row(DAY, billed="2")]))
    assert kept(database) == []
    assert total(database) == {"USD": "1"}


def test_many_rows_that_come_in_another_order_revise_nothing_and_one_that_differs_is_found(database):
    with_accounts(database, "corp")
    rows = [
        cost_row(day, billed=f"{number}.{number:08}", service=f"service {number % 50}", sub_account=f"sub {number}")
        for day in THREE_DAYS
        for number in range(5000)
    ]
    collected(database, "corp", THREE_DAYS, rows)
    assert collected(database, "corp", THREE_DAYS, rows[::-1]).changed == ()
    rows[7777] = rows[7777]._replace(billed=rows[7777].billed + Decimal("1E-24"))
    again = collected(database, "corp", THREE_DAYS, rows)
    assert [change.of for change in again.changed] == [(rows[7777].day, rows[7777].service, "USD")]
    assert again.changed[0].risen(Metric.BILLED) == Decimal("1E-24")
    assert len(kept(database)) == 1


def test_what_a_day_was_and_is_can_be_followed_through_every_revision(database):
    with_accounts(database, "corp")
    for amount in ("1", "2", "2", "5", "1"):
        collected(database, "corp", ONE_DAY, [cost_row(DAY, billed=amount)])
    assert [row[-2:] for row in kept(database)] == [("1", "2"), ("2", "5"), ("5", "1")]


def test_odd_names_are_kept_as_they_are(database):
    with_accounts(database, "corp")
    service = "Zürich\t東京 \\N \"quoted\" 'x', 🚀 NULL \n"
    collected(database, "corp", ONE_DAY, [cost_row(DAY, service=service)])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, service=service, billed="2")])
    assert kept(database) == [("corp", 5, service, "USD", "1", "2")]


def history(db, **wanted):
    page = find_revisions(db, RevisionFilter(**wanted))
    return [(one.account, one.change.of.day.day, one.change.of.service) for one in page.revisions], page.next


def test_the_history_is_read_newest_first_by_account_day_and_page(database):
    with_accounts(database, "corp", "lab")
    for name in ("corp", "lab"):
        for amount in ("1", "2"):
            collected(database, name, THREE_DAYS, [cost_row(day, billed=amount) for day in THREE_DAYS])
    everything = [(name, day, "compute") for name in ("lab", "corp") for day in (7, 6, 5)]
    assert history(database) == (everything, None)
    assert history(database, account="corp")[0] == everything[3:]
    middle = DAY + timedelta(days=1)
    assert history(database, start=middle, end=middle)[0] == [("lab", 6, "compute"), ("corp", 6, "compute")]
    assert history(database, start=middle)[0] == [one for one in everything if one[1] >= 6]
    assert history(database, end=middle)[0] == [one for one in everything if one[1] <= 6]
    pages, cursor = history(database, limit=4)
    # What is added meanwhile moves nothing.
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="3")])
    rest, end = history(database, limit=4, cursor=cursor)
    assert (pages + rest, end) == (everything, None)


@pytest.mark.parametrize("cursor", ["", "abc", "YmVmb3JlOjA", "é"])
def test_a_cursor_that_no_page_gave_is_refused(database, cursor):
    with pytest.raises(RequestError):
        find_revisions(database, RevisionFilter(cursor=cursor))


def test_the_history_of_an_unknown_account_is_refused(database):
    with pytest.raises(UnknownAccountError):
        find_revisions(database, RevisionFilter(account="nobody"))


def test_the_history_outlives_the_run_that_made_it(database):
    with_accounts(database, "corp")
    for amount in ("1", "2"):
        collected(database, "corp", ONE_DAY, [cost_row(DAY, billed=amount)])
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with database.write() as connection:
        connection.execute(update(runs).values(created_at=long_ago, finished_at=long_ago))
    assert forget_old(database, keep_days=1).runs == 2
    (revision,) = find_revisions(database, RevisionFilter()).revisions
    assert (revision.account, revision.run_id) == ("corp", 2)
    assert all(not finding.broken for finding in check(database, grace_s=0))


def test_concurrent_stores_of_different_accounts_keep_each_their_own(database):
    names = [f"account {number}" for number in range(4)]
    with_accounts(database, *names)
    for name in names:
        collected(database, name, THREE_DAYS, [cost_row(day, service=name) for day in THREE_DAYS])
    held = {name: claimed(database, name, THREE_DAYS) for name in names}
    threads = [
        threading.Thread(
            target=store,
            args=(database, held[name], FetchedCosts([cost_row(day, service=name, billed="2") for day in THREE_DAYS])),
        )
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {(name, day.day, name, "USD", "1", "2") for name in names for day in THREE_DAYS}
    assert len(kept(database)) == len(expected)
    assert set(kept(database)) == expected

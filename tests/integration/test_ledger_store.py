"""Storing: exact, once, and never older over newer."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from sqlalchemy import select

from shared.core.costs import CoverageState, FetchedCosts, Metric
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.core.runs import RunState
from shared.ledger.claims import cancel_run, running_beats, take_back
from shared.ledger.queries import CostQuery, costs, coverage, data_version, get_run
from shared.ledger.store import store
from shared.ledger.tables import attempts
from tests.support.ledger import JANUARY, claimed, collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

DAY = date(2026, 1, 5)
ONE_DAY = DayRange(DAY, DAY)
THREE_DAYS = DayRange(DAY, DAY + timedelta(days=2))


def amounts(db, days=JANUARY, metric=Metric.BILLED, **facts):
    report = costs(db, CostQuery(days, ("day", "service"), metric, **facts))
    found: dict[tuple[int, object, object], object] = {}
    for row in report.rows:
        assert isinstance(row["day"], date)
        found[row["day"].day, row["service"], row["currency"]] = row["amount"]
    return found


def states(db, days=THREE_DAYS):
    return [(day.state, day.rows) for day in coverage(db, days=days, account="corp")[0].days]


def test_collecting_again_replaces_even_when_services_were_renamed(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10"), cost_row(DAY, billed="5", service="old name")])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="10"), cost_row(DAY, billed="5", service="new name")])
    assert amounts(database) == {(5, "compute", "USD"): Decimal(10), (5, "new name", "USD"): Decimal(5)}


def test_other_accounts_and_other_days_are_not_touched(database):
    with_accounts(database, "corp", "lab")
    collected(database, "corp", THREE_DAYS, [cost_row(day) for day in THREE_DAYS])
    collected(database, "lab", THREE_DAYS, [cost_row(day, billed="7") for day in THREE_DAYS])
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="3")])
    assert amounts(database, account="corp") == {
        (5, "compute", "USD"): Decimal(3),
        (6, "compute", "USD"): Decimal(1),
        (7, "compute", "USD"): Decimal(1),
    }
    assert set(amounts(database, account="lab").values()) == {Decimal(7)}


@pytest.mark.parametrize(
    "amount",
    [
        "0.000000000000000000000001",
        "-0.000000000000000000000001",
        "99999999999999.999999999999999999999999",
        "-99999999999999.999999999999999999999999",
        "0.00000080000",
        "1E+5",
        "-13.37",
        "0",
    ],
)
def test_money_comes_back_exactly_as_it_was(database, amount):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed=amount, effective="0")])
    report = costs(database, CostQuery(ONE_DAY))
    assert [row["amount"] for row in report.rows] == [Decimal(amount)]
    assert [total["amount"] for total in report.totals] == [Decimal(amount)]
    effective = costs(database, CostQuery(ONE_DAY, metric=Metric.EFFECTIVE))
    assert [row["amount"] for row in effective.rows] == [Decimal(0)]


def test_sums_of_many_small_amounts_are_exact(database):
    with_accounts(database, "corp")
    rows = [cost_row(DAY, billed=f"{'-' if n % 7 == 0 else ''}0.{n:024d}", service=f"s{n}") for n in range(1, 1001)]
    rows.append(cost_row(DAY, billed="99999999999999", service="huge"))
    collected(database, "corp", ONE_DAY, rows)
    exact = sum(Fraction(row.billed) for row in rows)
    report = costs(database, CostQuery(ONE_DAY, ("account",)))
    assert [Fraction(str(row["amount"])) for row in report.rows] == [exact]
    assert Fraction(str(report.totals[0]["amount"])) == exact


def test_a_sum_may_be_larger_than_any_amount_that_is_kept(database):
    with_accounts(database, "corp")
    rows = [cost_row(DAY, billed=f"{'9' * 14}.{'9' * 24}", service=f"s{n}") for n in range(1000)]
    collected(database, "corp", ONE_DAY, rows)
    exact = sum(Fraction(row.billed) for row in rows)
    report = costs(database, CostQuery(ONE_DAY, ("account",)))
    assert [Fraction(str(row["amount"])) for row in report.rows] == [exact]
    assert Fraction(str(report.totals[0]["amount"])) == exact


def test_currencies_are_never_summed_together(database):
    with_accounts(database, "corp")
    rows = [cost_row(DAY, billed="1", currency="USD"), cost_row(DAY, billed="2", currency="EUR")]
    collected(database, "corp", ONE_DAY, rows)
    report = costs(database, CostQuery(ONE_DAY, ("day",)))
    assert [(row["currency"], row["amount"]) for row in report.rows] == [("EUR", Decimal(2)), ("USD", Decimal(1))]
    assert report.totals == [{"currency": "EUR", "amount": Decimal(2)}, {"currency": "USD", "amount": Decimal(1)}]


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E-25", "1E+14"])
def test_an_amount_that_cannot_be_kept_is_refused_and_nothing_of_the_answer_is_stored(database, amount):
    with_accounts(database, "corp")
    claim = claimed(database, "corp", ONE_DAY)
    rows = [cost_row(DAY), cost_row(DAY, service="bad", billed=amount)]
    with pytest.raises(ProviderError, match="billed cost"):
        store(database, claim, FetchedCosts(rows))
    assert amounts(database) == {}
    assert get_run(database, claim.run.id).state is RunState.RUNNING


def test_an_empty_answer_keeps_a_day_that_had_rows_and_calls_it_suspect(database):
    with_accounts(database, "corp")
    collected(database, "corp", THREE_DAYS, [cost_row(DAY), cost_row(DAY, service="storage")])
    (before,) = coverage(database, days=ONE_DAY)[0].days
    again = collected(database, "corp", THREE_DAYS, [cost_row(DAY + timedelta(days=1), billed="4")])
    assert again.suspect == (DAY,)
    assert states(database) == [
        (CoverageState.SUSPECT, 2),
        (CoverageState.COMPLETE, 1),
        (CoverageState.COMPLETE, 0),
    ]
    assert amounts(database, ONE_DAY) == {(5, "compute", "USD"): Decimal(1), (5, "storage", "USD"): Decimal(1)}
    assert coverage(database, days=ONE_DAY)[0].days[0].collected_at == before.collected_at


def test_a_suspect_day_that_is_answered_again_is_complete_with_the_new_rows(database):
    with_accounts(database, "corp")
    for rows in ([cost_row(DAY)], [], [cost_row(DAY, billed="9")]):
        collected(database, "corp", ONE_DAY, rows)
    assert states(database, ONE_DAY) == [(CoverageState.COMPLETE, 1)]
    assert amounts(database) == {(5, "compute", "USD"): Decimal(9)}


def test_days_marked_as_not_final_are_estimated(database):
    with_accounts(database, "corp")
    collected(database, "corp", THREE_DAYS, [cost_row(DAY)], estimated_days=frozenset({DAY, THREE_DAYS.end}))
    assert states(database) == [
        (CoverageState.ESTIMATED, 1),
        (CoverageState.COMPLETE, 0),
        (CoverageState.ESTIMATED, 0),
    ]


def test_every_store_raises_the_data_version_of_its_account_alone(database):
    with_accounts(database, "corp", "lab")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    assert (data_version(database, "corp"), data_version(database, "lab"), data_version(database)) == (2, 0, 2)


def test_who_was_taken_back_stores_nothing(database):
    with_accounts(database, "corp")
    claim = claimed(database, "corp", ONE_DAY)
    (beat,) = running_beats(database)
    assert take_back(database, beat)
    assert store(database, claim, FetchedCosts([cost_row(DAY)])) is None
    assert amounts(database) == {}
    assert data_version(database) == 0


def test_who_was_cancelled_stores_nothing(database):
    with_accounts(database, "corp")
    claim = claimed(database, "corp", ONE_DAY)
    cancel_run(database, claim.run.id)
    assert store(database, claim, FetchedCosts([cost_row(DAY)])) is None
    assert states(database, ONE_DAY) == [(CoverageState.MISSING, 0)]


def test_a_second_store_of_the_same_claim_changes_nothing(database):
    with_accounts(database, "corp")
    claim = claimed(database, "corp", ONE_DAY)
    assert store(database, claim, FetchedCosts([cost_row(DAY)])) is not None
    assert store(database, claim, FetchedCosts([cost_row(DAY, billed="99")])) is None
    assert amounts(database) == {(5, "compute", "USD"): Decimal(1)}


def test_data_fetched_earlier_never_overwrites_data_fetched_later(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY, billed="5")])
    claim = claimed(database, "corp", THREE_DAYS)
    older = type(claim)(claim.run, claim.holder, 0)
    stored = store(database, older, FetchedCosts([cost_row(day, billed="1") for day in THREE_DAYS]))
    assert stored is not None
    assert stored.left_alone == (DAY,)
    assert stored.rows == 2
    assert amounts(database) == {
        (5, "compute", "USD"): Decimal(5),
        (6, "compute", "USD"): Decimal(1),
        (7, "compute", "USD"): Decimal(1),
    }


def test_odd_text_is_kept_as_it_is(database):
    with_accounts(database, "corp")
    service = "Zürich\t東京 \\N \"quoted\" 'x' 🚀 NULL \n" + "long " * 2000
    collected(database, "corp", ONE_DAY, [cost_row(DAY, service=service, sub_account="")])
    assert list(amounts(database)) == [(5, service, "USD")]


def test_each_attempt_is_kept_with_its_outcome(database):
    with_accounts(database, "corp")
    collected(database, "corp", ONE_DAY, [cost_row(DAY)])
    with database.read() as connection:
        rows = connection.execute(select(attempts.c.attempt, attempts.c.outcome, attempts.c.holder)).all()
    assert [tuple(row) for row in rows] == [(1, "succeeded", "worker-1")]

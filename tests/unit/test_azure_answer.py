"""Azure's answers: columns by name in any order, exact amounts, days in the range, and what is refused."""

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.costs import EXACT, CostRow, DayTotal
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.azure.answer import COST_NAMES, Group, amount, page
from shared.costs.azure.query import Scope
from shared.costs.azure.rows import charge_category, day_totals_of, merged, rows_of, sub_account_id

DAYS = DayRange(date(2026, 1, 1), date(2026, 1, 31))
GROUPING = ("ServiceName", "ChargeType")
NAMES = ["Cost", "ServiceName", "ChargeType", "UsageDate", "Currency"]
ROW = {"Cost": "1.5", "ServiceName": '"Storage"', "ChargeType": '"Usage"', "UsageDate": "20260105", "Currency": '"EUR"'}
GROUP = Group(date(2026, 1, 5), "EUR", ("Storage", "Usage"))
SUBSCRIPTION = "/subscriptions/ABCD-01"


def answer(*rows, names=NAMES, link="null"):
    """A page as Azure sends it; values are JSON texts."""
    columns = ", ".join(json.dumps({"name": name, "type": "String"}) for name in names)
    texts = ", ".join("[" + ", ".join(row[name] for name in names) + "]" for row in rows)
    return f'{{"id": "x", "properties": {{"nextLink": {link}, "columns": [{columns}], "rows": [{texts}]}}}}'.encode()


def refusal(raw, grouping=GROUPING):
    with pytest.raises(ProviderError) as caught:
        page(raw, DAYS, grouping)
    return caught.value


@settings(deadline=None)
@given(names=st.permutations([*NAMES, "CostUSD", "Cost Status"]), upper=st.booleans())
def test_columns_are_found_by_name_wherever_they_stand(names, upper):
    row = {**ROW, "CostUSD": "99", "Cost Status": "null"}
    shown = [name.upper() if upper else name for name in names]
    found = page(answer({name.upper() if upper else name: row[name] for name in names}, names=shown), DAYS, GROUPING)
    assert found.sums == {GROUP: Decimal("1.5")}
    assert found.next_link is None


@settings(deadline=None)
@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=15, min_value=-(10**9), max_value=10**9)))
def test_rows_of_one_group_are_added_up_exactly(amounts):
    found = page(answer(*({**ROW, "Cost": str(one)} for one in amounts)), DAYS, GROUPING)
    total = Decimal(0)
    for one in amounts:
        total = EXACT.add(total, one)
    assert found.sums.get(GROUP, Decimal(0)) == total


def test_the_cost_may_have_its_older_name():
    names = [COST_NAMES[1], *NAMES[1:]]
    assert page(answer({**ROW, "PreTaxCost": "2"}, names=names), DAYS, GROUPING).sums == {GROUP: Decimal(2)}


def test_the_next_page_is_named():
    assert page(answer(link='"https://x/y"'), DAYS, GROUPING).next_link == "https://x/y"
    assert page(answer(link='""'), DAYS, GROUPING).next_link is None


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_column_is_named(name):
    names = [one for one in NAMES if one != name]
    error = refusal(answer(ROW, names=names))
    assert (error.code, error.permanent) == ("AZURE_BAD_COLUMNS", True)
    assert f"no {name}" in error.summary


def test_a_column_that_is_there_twice_is_no_column():
    assert refusal(answer(ROW, names=[*NAMES, "Cost"])).code == "AZURE_BAD_COLUMNS"


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [
        ("Cost", '"1.5"', "not a number"),
        ("Cost", "true", "not a number"),
        ("Cost", "null", "not a number"),
        ("Cost", "1e14", "digits before the point"),
        ("Cost", "123456789012345", "digits before the point"),
        ("UsageDate", "20261301", "UsageDate"),
        ("UsageDate", '"20260105"', "not a day"),
        ("UsageDate", "202601", "not a day"),
        ("UsageDate", "20260105.5", "not a day"),
        ("UsageDate", "1e999999", "not a day"),
        ("UsageDate", "true", "not a day"),
        ("UsageDate", "20260201", "not in 2026-01-01 to 2026-01-31"),
        ("UsageDate", "20251231", "not in"),
        ("Currency", '"euro"', "three capital letters"),
        ("Currency", "null", "three capital letters"),
        ("ServiceName", "5", "not a text"),
        ("ServiceName", '"a\\u0000b"', "not a text"),
    ],
)
def test_a_bad_value_is_an_error_that_names_its_row(column, value, word):
    error = refusal(answer(ROW, {**ROW, column: value}))
    assert (error.code, error.permanent) == ("AZURE_BAD_ROW", True)
    assert "row 2" in error.summary or column == "UsageDate"
    if column != "UsageDate" or value != "20261301":
        assert word in error.summary


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>sign in</html>",
        b'{"properties": {"rows": [[1.5',
        b"[]",
        b'{"properties": null}',
        b'{"properties": {"rows": null, "columns": []}}',
        b'{"properties": {"rows": [], "columns": 5}}',
        b'{"properties": {"rows": [], "columns": [], "nextLink": 5}}',
        b'{"x": NaN}',
        b'{"x": 1e99999999999999999999}',
        b"[" * 200_000,
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_answer_of_azure_is_tried_again(raw):
    error = refusal(raw)
    assert error.code in {"AZURE_BAD_ANSWER", "AZURE_BAD_COLUMNS"}
    assert error.permanent is (error.code == "AZURE_BAD_COLUMNS")


def test_a_row_of_another_length_is_no_row():
    raw = answer(ROW).replace(b'"EUR"]', b'"EUR", 1]')
    assert refusal(raw).code == "AZURE_BAD_ROW"


@settings(deadline=None)
@given(st.integers(-(10**17), 10**17), st.integers(-45, -4))
def test_amounts_are_kept_to_the_last_digit_that_is_stored(digits, exponent):
    exact = Decimal(digits).scaleb(exponent)
    if exact and exact.adjusted() >= 14:
        return
    found = amount(exact)
    assert abs(found - exact) <= Decimal("5e-25")
    if exponent >= -24:
        assert found == exact
    places = found.as_tuple().exponent
    assert isinstance(places, int)
    assert places >= -24


@settings(deadline=None)
@given(st.integers(-(10**13), 10**13))
def test_whole_amounts_are_amounts(whole):
    assert amount(whole) == whole


def test_exponents_beyond_measure_are_zero():
    assert amount(Decimal("1e-99999999")) == 0
    assert str(amount(Decimal("0e-99999999"))) == "0"


def test_a_group_of_one_kind_of_cost_alone_has_zero_in_the_other():
    bought = Group(date(2026, 1, 1), "EUR", ("Virtual Machines", "Purchase"))
    used = Group(date(2026, 1, 2), "EUR", ("Virtual Machines", "Usage"))
    both = merged({bought: Decimal(31)}, {used: Decimal(1)})
    assert both == {bought: (Decimal(31), Decimal(0)), used: (Decimal(0), Decimal(1))}
    assert day_totals_of(both) == [
        DayTotal(date(2026, 1, 1), "EUR", Decimal(31), Decimal(0)),
        DayTotal(date(2026, 1, 2), "EUR", Decimal(0), Decimal(1)),
    ]


def test_kinds_of_charge_that_are_one_to_focus_are_one_row():
    day = date(2026, 1, 2)
    both = {
        Group(day, "EUR", ("VM", "Usage")): (Decimal(0), Decimal("7.5")),
        Group(day, "EUR", ("VM", "UnusedReservation")): (Decimal(0), Decimal("2.5")),
        Group(day, "USD", ("VM", "Usage")): (Decimal(1), Decimal(1)),
    }
    assert rows_of(both, Scope(SUBSCRIPTION)) == [
        CostRow(day, "/subscriptions/abcd-01", "Microsoft", "VM", "Usage", "EUR", Decimal(0), Decimal(10)),
        CostRow(day, "/subscriptions/abcd-01", "Microsoft", "VM", "Usage", "USD", Decimal(1), Decimal(1)),
    ]


def test_a_wider_scope_tells_subscriptions_apart_and_no_kinds_of_charge():
    scope = Scope("/providers/Microsoft.Management/managementGroups/all")
    assert scope.grouping == ("SubscriptionId", "ServiceName")
    both = {Group(date(2026, 1, 2), "EUR", ("ABCD", "VM")): (Decimal(1), Decimal(2))}
    assert rows_of(both, scope) == [
        CostRow(date(2026, 1, 2), "/subscriptions/abcd", "Microsoft", "VM", "", "EUR", Decimal(1), Decimal(2))
    ]


@pytest.mark.parametrize(
    ("path", "subscription"),
    [
        (SUBSCRIPTION, "ABCD-01"),
        (f"{SUBSCRIPTION}/resourceGroups/web", "ABCD-01"),
        ("/Subscriptions/x", "x"),
        ("/providers/Microsoft.Billing/billingAccounts/1", None),
    ],
)
def test_a_scope_within_a_subscription_is_grouped_by_kind_of_charge(path, subscription):
    assert Scope(path).subscription == subscription
    assert ("ChargeType" in Scope(path).grouping) is (subscription is not None)


def test_names_are_those_of_focus_exports():
    assert sub_account_id("/Subscriptions/ABC") == sub_account_id("abc") == "/subscriptions/abc"
    assert sub_account_id("") == ""
    assert [charge_category(kind) for kind in ("Usage", "REFUND", "Tax", "SomethingNew")] == [
        "Usage",
        "Purchase",
        "Tax",
        "SomethingNew",
    ]


@settings(deadline=None)
@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 60))
def test_every_day_of_a_range_is_in_one_page_of_its_own(start, length):
    days = DayRange(start, start + timedelta(days=length))
    rows = [{**ROW, "UsageDate": f"{day:%Y%m%d}"} for day in days]
    assert len(page(answer(*rows), days, GROUPING).sums) == len(days)

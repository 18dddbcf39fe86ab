"""Finding the columns of FOCUS in a file's header, and saying which are missing."""

import pytest

from shared.core.errors import ProviderError
from shared.costs.focus.columns import find_columns
from shared.costs.focus.errors import VALUE_SHOWN_CHARS, shortened
from shared.costs.focus.rows import amount_problem, currency_problem, period_problem

HEADER = [
    *("BilledCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "EffectiveCost", "ProviderName"),
    *("ServiceName", "SubAccountId"),
]


def without(name: str) -> list[str]:
    return [column for column in HEADER if column != name]


def test_columns_are_found_wherever_they_stand_and_strange_ones_are_passed_over():
    columns = find_columns("x.csv", ["x_Own", *reversed(HEADER), "Tags"])
    assert (columns.at("BilledCost"), columns.at("SubAccountId"), columns.at("ServiceProviderName")) == (8, 1, None)


def test_capital_letters_and_spaces_around_names_do_not_matter():
    assert find_columns("x.csv", [f" {name.lower()}" for name in HEADER]).at("BilledCost") == 0


@pytest.mark.parametrize("name", ["BilledCost", "BillingCurrency", "ChargeCategory", "EffectiveCost", "ServiceName"])
def test_a_missing_column_is_named_with_the_versions_that_have_it(name):
    with pytest.raises(ProviderError) as caught:
        find_columns("x.csv", without(name))
    assert caught.value.summary == f"x.csv: column missing: {name} (FOCUS 1.0 to 1.4 have it)"
    assert caught.value.code == "FOCUS_BAD_COLUMNS"
    assert caught.value.permanent
    assert "ServiceName" in caught.value.hint or name == "ServiceName"


def test_all_missing_columns_are_named_at_once():
    with pytest.raises(ProviderError, match=r"columns missing: ChargePeriodStart .*, BilledCost .*, ProviderName"):
        find_columns("x.csv", ["a", "b"])


def test_sub_accounts_are_conditional_in_focus_and_may_be_absent():
    assert find_columns("x.csv", without("SubAccountId")).at("SubAccountId") is None


def test_the_provider_may_stand_in_either_column():
    columns = find_columns("x.csv", [*without("ProviderName"), "ServiceProviderName"])
    assert columns.at("ServiceProviderName") == len(HEADER) - 1


def test_without_either_column_of_the_provider_both_are_named_with_their_versions():
    with pytest.raises(ProviderError) as caught:
        find_columns("x.csv", without("ProviderName"))
    assert caught.value.summary == (
        "x.csv: column missing: ProviderName (FOCUS 1.0 to 1.3) or ServiceProviderName (FOCUS 1.3 and 1.4)"
    )


def test_a_column_that_is_read_may_not_stand_there_twice():
    with pytest.raises(ProviderError, match="column BilledCost stands there twice"):
        find_columns("x.csv", [*HEADER, "billedcost"])


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_another_separator_than_the_comma_is_told(separator, word):
    with pytest.raises(ProviderError) as caught:
        find_columns("x.csv", [separator.join(HEADER)])
    assert f"separated by {word}" in caught.value.hint


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (amount_problem(""), "is empty, where FOCUS wants an amount"),
        (amount_problem("12,50"), "'12,50' is not a number"),
        (amount_problem("."), "'.' is not a number"),
        (amount_problem("1e14"), "'1e14' has more digits than are kept exactly (14 before the point, 24 after)"),
        (period_problem(""), "is empty, where FOCUS wants a date and time"),
        (period_problem("soon"), "'soon' is not a date and time such as 2024-09-01T00:00:00Z"),
        (currency_problem(""), "is empty, where FOCUS wants a currency"),
        (currency_problem("usd"), "'usd' is not a currency code of three capital letters, such as EUR"),
    ],
)
def test_a_bad_value_is_told_with_what_is_wrong_with_it(problem, expected):
    assert problem == expected


def test_a_long_value_is_shortened_and_stays_on_one_line():
    shown = shortened("a\n" * 1000)
    assert len(shown) < 2 * VALUE_SHOWN_CHARS
    assert "\n" not in shown
    assert shown.endswith("…'")

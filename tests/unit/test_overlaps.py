"""Accounts that bring the same costs are found before they are counted twice."""

import pytest

from shared.costs.accounts import AwsAccount, AzureAccount, FocusAccount
from shared.costs.overlaps import configured_overlaps, stored_overlaps, sub_accounts_of

GUID = "0aA00000-0000-0000-0000-000000000001"


def aws(name: str, account_id: str) -> AwsAccount:
    return AwsAccount(name=name, provider="aws", account_id=account_id)


def azure(name: str, scope: str) -> AzureAccount:
    return AzureAccount(name=name, provider="azure", scope=scope)


def pairs(*accounts: AwsAccount | AzureAccount | FocusAccount) -> list[tuple[str, str]]:
    return [overlap.accounts for overlap in configured_overlaps(accounts)]


PAYER, MEMBER = aws("payer", "111111111111"), aws("member", "222222222222")


def test_an_aws_account_that_stands_there_twice_is_told():
    assert pairs(PAYER, MEMBER) == []
    (overlap,) = configured_overlaps([PAYER, MEMBER, aws("again", "111111111111")])
    assert overlap.accounts == ("payer", "again")
    assert overlap.problem == "both are AWS account 111111111111"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (f"/subscriptions/{GUID}", f"/SUBSCRIPTIONS/{GUID.upper()}", [("a", "b")]),
        (f"/subscriptions/{GUID}", f"/subscriptions/{GUID.lower()}/resourceGroups/web", [("a", "b")]),
        (f"/subscriptions/{GUID}/resourceGroups/web", f"/subscriptions/{GUID}", [("b", "a")]),
        (f"/subscriptions/{GUID}/resourceGroups/web", f"/subscriptions/{GUID}/resourceGroups/web2", []),
        (f"/subscriptions/{GUID}", f"/subscriptions/{GUID}0", []),
        ("/providers/Microsoft.Billing/billingAccounts/1", f"/subscriptions/{GUID}", []),
    ],
)
def test_azure_scopes_that_lie_in_one_another_are_told_the_wider_one_first(first, second, expected):
    assert pairs(azure("a", first), azure("b", second)) == expected


def test_what_stored_costs_show_of_members():
    assert sub_accounts_of([PAYER, azure("prod", f"/subscriptions/{GUID}")]) == {
        "111111111111": "payer",
        GUID.lower(): "prod",
        f"/subscriptions/{GUID.lower()}": "prod",
    }
    (overlap,) = stored_overlaps([PAYER, MEMBER], [("payer", "111111111111"), ("payer", "222222222222")])
    assert overlap.accounts == ("payer", "member")
    assert overlap.problem == "'payer' brings the costs of 222222222222, which is account 'member' of its own"


@pytest.mark.parametrize(
    "stored",
    [("member", "222222222222"), ("gone", "222222222222"), ("payer", "333333333333")],
    ids=["its own", "of an account that is not there", "of nobody"],
)
def test_other_stored_costs_show_nothing(stored):
    assert stored_overlaps([PAYER, MEMBER], [stored]) == []


def test_exports_of_a_payer_hold_the_account_that_is_asked_itself():
    exports = FocusAccount(name="exports", provider="focus", path="none/*.csv")
    (overlap,) = stored_overlaps([exports, MEMBER], [("exports", "222222222222")])
    assert overlap.accounts == ("exports", "member")


def test_a_management_group_holds_its_subscription_and_two_groups_of_one_subscription_share_nothing():
    group = azure("group", "/providers/Microsoft.Management/managementGroups/all")
    web = azure("web", f"/subscriptions/{GUID}/resourceGroups/web")
    data = azure("data", f"/subscriptions/{GUID}/resourceGroups/data")
    stored = [("group", GUID.lower()), ("web", GUID.lower())]
    assert [overlap.accounts for overlap in stored_overlaps([group, web], stored)] == [("group", "web")]
    assert stored_overlaps([web, data], [("web", GUID.lower())]) == []

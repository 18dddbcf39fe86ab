"""Accounts whose costs are the same costs, and so would be counted twice."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

from shared.core.errors import ProviderError
from shared.costs.accounts import AccountConfig, AwsAccount, AzureAccount, FocusAccount
from shared.costs.focus.files import find_files

SUBSCRIPTION: Final = "/subscriptions/"
KEEP_ONE: Final = "Keep one of the two, or set paused = true for the other"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two accounts that bring the same costs, the one that brings more of them first."""

    accounts: tuple[str, str]
    problem: str
    hint: str = KEEP_ONE


def configured_overlaps(accounts: Sequence[AccountConfig]) -> list[Overlap]:
    """What the accounts file alone shows, and the files on this machine that its paths mean."""
    return [*_same_aws(accounts), *_nested_azure(accounts), *_shared_files(accounts)]


def sub_accounts_of(accounts: Iterable[AccountConfig]) -> dict[str, str]:
    """By the names under which another account's costs may hold its own, in lower case: the account."""
    found: dict[str, str] = {}
    for account in accounts:
        if isinstance(account, AwsAccount):
            found[account.account_id] = account.name
        elif isinstance(account, AzureAccount) and (subscription := _subscription(account)):
            found |= {subscription: account.name, SUBSCRIPTION + subscription: account.name}
    return found


def stored_overlaps(accounts: Sequence[AccountConfig], stored: Iterable[tuple[str, str]]) -> list[Overlap]:
    """What stored costs show: `stored` pairs an account with a sub-account, in lower case, that it brought costs of."""
    known = {account.name: account for account in accounts}
    owners = sub_accounts_of(accounts)
    found = {}
    for brought_by, sub_account in sorted(stored):
        owner = owners.get(sub_account)
        if owner is None or brought_by not in known or not _may_differ(known[brought_by], known[owner]):
            continue
        problem = f"'{brought_by}' brings the costs of {sub_account}, which is account '{owner}' of its own"
        found[brought_by, owner] = Overlap((brought_by, owner), problem)
    return list(found.values())


def _may_differ(brings: AccountConfig, member: AccountConfig) -> bool:
    """Whether stored costs tell more of the two than the accounts file does."""
    if brings.name == member.name:
        return False
    if isinstance(brings, AwsAccount) and isinstance(member, AwsAccount):
        return brings.account_id != member.account_id
    if isinstance(brings, AzureAccount) and isinstance(member, AzureAccount):
        # Two resource groups of one subscription both name it, and share nothing.
        return _subscription(brings) != _subscription(member)
    return True


def _same_aws(accounts: Iterable[AccountConfig]) -> Iterator[Overlap]:
    aws = [account for account in accounts if isinstance(account, AwsAccount)]
    for first, second in combinations(aws, 2):
        if first.account_id == second.account_id:
            yield Overlap((first.name, second.name), f"both are AWS account {first.account_id}")


def _nested_azure(accounts: Iterable[AccountConfig]) -> Iterator[Overlap]:
    azure = [account for account in accounts if isinstance(account, AzureAccount)]
    for first, second in combinations(azure, 2):
        outer, inner = sorted((first, second), key=lambda account: len(account.scope))
        # Azure takes scopes in any case.
        outside, inside = outer.scope.lower(), inner.scope.lower()
        if inside == outside:
            yield Overlap((first.name, second.name), f"both are the scope {first.scope}")
        elif inside.startswith(outside + "/"):
            yield Overlap((outer.name, inner.name), f"the scope of '{inner.name}' lies in that of '{outer.name}'")


def _shared_files(accounts: Iterable[AccountConfig]) -> Iterator[Overlap]:
    files: Mapping[str, set[Path]] = {
        account.name: _files(account) for account in accounts if isinstance(account, FocusAccount)
    }
    for (first, one), (second, other) in combinations(files.items(), 2):
        shared = sorted(one & other)
        if shared:
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            problem = f"both read {shared[0]}{more}"
            yield Overlap((first, second), problem, "Let their paths match different files")


def _files(account: FocusAccount) -> set[Path]:
    try:
        return {Path(file.path).resolve() for file in find_files(account.path)}
    except ProviderError:
        return set()  # a mistake of its own, told by its own check


def _subscription(account: AzureAccount) -> str | None:
    scope = account.scope.lower()
    return scope.removeprefix(SUBSCRIPTION).split("/")[0] if scope.startswith(SUBSCRIPTION) else None

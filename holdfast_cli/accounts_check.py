"""`holdfast accounts check`: the accounts file, overlaps, credentials, and on request a one-day trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import typer
from rich.console import Console

from holdfast_cli import failures
from holdfast_cli.accounts_trial import Trial, agreed, refuse_unasked, trial_document, trial_text, try_out
from holdfast_cli.output import print_json, stderr, stdout
from shared.bootstrap.accounts import accounts_file
from shared.bootstrap.command import open_ledger
from shared.core.credentials import CHECKED_PROVIDERS, CredentialStatus
from shared.core.days import DayRange, last_complete_day
from shared.core.errors import DatabaseUnavailableError, UnknownAccountError
from shared.costs.accounts import AccountConfig
from shared.costs.overlaps import Overlap, configured_overlaps, stored_overlaps, sub_accounts_of
from shared.costs.sign_in import SignedIn, SignIns
from shared.ledger.members import busiest_day, stored_under
from shared.settings import Settings

# How many days of stored costs are looked through for members.
LOOK_BACK_DAYS: Final = 10


@dataclass(frozen=True)
class Options:
    """What to check, and how: `trial` fetches a day of each account, `yes` does not ask before."""

    account: str | None = None
    trial: bool = False
    yes: bool = False
    as_json: bool = False


@dataclass(frozen=True)
class Stored:
    """What the ledger adds: whose costs lie under whom, and how many rows a day has. `problem` when it is away."""

    under: frozenset[tuple[str, str]] = frozenset()
    rows_a_day: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class Checked:
    """One account."""

    account: AccountConfig
    signed_in: SignedIn
    trial: Trial | None = None

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.signed_in.found.status is CredentialStatus.UP and not (self.trial and self.trial.error)


def check_accounts(settings: Settings, options: Options, *, now: datetime) -> None:
    """Check, and exit with 1 if anything is wrong. Raises AccountsFileError with every mistake of the file."""
    file = accounts_file(settings)
    every = file.load()
    chosen = _chosen(every, options.account)
    if options.trial and not options.yes:
        refuse_unasked(chosen)
    # With --json nothing but the document goes to standard output.
    told = Console(quiet=True) if options.as_json else stdout()
    told.print(f"{file.path}: {len(every)} account{'' if len(every) == 1 else 's'}, no mistakes", markup=False)
    stored = _stored(settings, every, now)
    overlaps = _overlaps(every, chosen, stored)
    _tell_overlaps(told, overlaps)
    checked = [_signed_in(told, account) for account in chosen]
    if options.trial:
        day = last_complete_day(now)
        days = DayRange(day, day)
        checked = _tried(told, checked, days=days, rows_a_day=stored.rows_a_day, yes=options.yes)
    well = not overlaps and all(each.well for each in checked)
    if options.as_json:
        print_json(_document(str(file.path), overlaps, checked, looked=stored.problem is None))
    if not well:
        raise typer.Exit(failures.FAILED)


def _chosen(every: Sequence[AccountConfig], name: str | None) -> list[AccountConfig]:
    chosen = [account for account in every if name in {None, account.name}]
    if name is not None and not chosen:
        raise UnknownAccountError(account=name)
    return chosen


def _stored(settings: Settings, accounts: Sequence[AccountConfig], now: datetime) -> Stored:
    since = last_complete_day(now) - timedelta(days=LOOK_BACK_DAYS - 1)
    try:
        with open_ledger(settings) as ledger:
            under = stored_under(ledger.db, sub_accounts_of(accounts).keys(), since=since)
            return Stored(frozenset(under), busiest_day(ledger.db))
    except DatabaseUnavailableError as error:
        told = f"Stored costs were not looked through for overlaps, the database is away: {error.summary}"
        stderr().print(told, markup=False)
        return Stored(problem=error.summary)


def _overlaps(every: Sequence[AccountConfig], chosen: Sequence[AccountConfig], stored: Stored) -> list[Overlap]:
    found = [*configured_overlaps(every), *stored_overlaps(every, stored.under)]
    names = {account.name for account in chosen}
    return [overlap for overlap in found if names.intersection(overlap.accounts)]


def _tell_overlaps(told: Console, overlaps: Sequence[Overlap]) -> None:
    for overlap in overlaps:
        first, second = overlap.accounts
        told.print(f"{first}, {second}: counted twice: {overlap.problem}. {overlap.hint}.", markup=False)


def _signed_in(told: Console, account: AccountConfig) -> Checked:
    # One of its own: what hangs of one account must not keep the others from being checked.
    signed_in = SignIns().check(account)
    found = signed_in.found
    if found.status is CredentialStatus.UP:
        needed = account.provider in CHECKED_PROVIDERS
        line = f"signed in as {signed_in.identity}" if needed else "needs no credentials"
    else:
        word = "refused" if found.status is CredentialStatus.DOWN else "cannot be checked"
        line = f"{word} ({found.code}): {found.summary}. {found.hint}."
    told.print(f"{account.name}: {line}", markup=False)
    return Checked(account, signed_in)


def _tried(
    told: Console, checked: Sequence[Checked], *, days: DayRange, rows_a_day: Mapping[str, int], yes: bool
) -> list[Checked]:
    """With a trial of each that is not refused already, if it is agreed to."""
    able = [each.account for each in checked if each.signed_in.found.status is not CredentialStatus.DOWN]
    if not agreed(able, days, rows_a_day=rows_a_day, yes=yes):
        stderr().print("No trial was made.")
        return list(checked)
    tried = []
    for each in checked:
        trial = try_out(each.account, days) if each.account in able else None
        if trial:
            told.print(f"{each.account.name}: {trial_text(trial)}", markup=False)
        tried.append(replace(each, trial=trial))
    return tried


def _document(path: str, overlaps: Sequence[Overlap], checked: Sequence[Checked], *, looked: bool) -> dict[str, Any]:
    return {
        "file": path,
        "overlaps": [
            {"accounts": list(overlap.accounts), "problem": overlap.problem, "hint": overlap.hint}
            for overlap in overlaps
        ],
        "storedCostsLookedThrough": looked,
        "accounts": [
            {
                "account": each.account.name,
                "provider": each.account.provider,
                "paused": each.account.paused,
                "status": each.signed_in.found.status.value,
                "identity": each.signed_in.identity or None,
                "code": each.signed_in.found.code,
                "summary": each.signed_in.found.summary,
                "hint": each.signed_in.found.hint,
                "trial": trial_document(each.trial) if each.trial else None,
            }
            for each in checked
        ],
    }

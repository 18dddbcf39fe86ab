"""`holdfast pause ACCOUNT` and `holdfast resume ACCOUNT`: an operator's hold on an account, kept in the ledger."""

from holdfast_cli.output import print_json, stderr, stdout
from shared.bootstrap.command import Ledger
from shared.ledger.accounts import LedgerAccount
from shared.ledger.holds import hold_account, release_account


def pause(ledger: Ledger, account: str, *, as_json: bool) -> None:
    """Hold `account`."""
    held = hold_account(ledger.db, account)
    _answer(held, "nothing more is planned or begun; a run under way goes on to its end", as_json=as_json)


def resume(ledger: Ledger, account: str, *, as_json: bool) -> None:
    """Let `account` go on, as far as the accounts file does."""
    released = release_account(ledger.db, account)
    _answer(released, "what was missed within the look-back is planned within a minute", as_json=as_json)


def _answer(account: LedgerAccount, consequence: str, *, as_json: bool) -> None:
    stopped_by_file = "paused" if account.paused else "removed" if account.removed else None
    if as_json:
        print_json({"account": account.name, "paused": account.held or account.paused, "removed": account.removed})
    elif account.held:
        stdout().print(f"{account.name}: paused; {consequence}.", markup=False)
    elif stopped_by_file is None:
        stdout().print(f"{account.name}: resumed; {consequence}.", markup=False)
    else:
        stdout().print(f"{account.name}: no longer paused by command.", markup=False)
        stderr().print(f"It is {stopped_by_file} in the accounts file all the same: nothing is collected.")

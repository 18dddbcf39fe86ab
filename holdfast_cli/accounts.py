"""`holdfast accounts`: whether each account collects, whether the workers can sign in, how far its costs reach."""

from datetime import datetime

from rich.text import Text

from holdfast_cli.output import print_json, print_table, stderr, stdout
from holdfast_cli.runs import minute
from shared.bootstrap.command import Ledger
from shared.core.credentials import Credential, CredentialStatus
from shared.ledger.accounts import LedgerAccount
from shared.ledger.documents import account_document
from shared.ledger.standing import AccountStanding, standings

COLUMNS = ("account", "provider", "state", "credentials", "since", "last complete day")
WORDS = {CredentialStatus.UP: "up", CredentialStatus.DEGRADED: "unknown", CredentialStatus.DOWN: "refused"}
STYLES = {CredentialStatus.UP: "green", CredentialStatus.DEGRADED: "yellow", CredentialStatus.DOWN: "red"}


def show_accounts(ledger: Ledger, *, as_json: bool) -> None:
    """Print every account there ever was, by name."""
    found = standings(ledger.db)
    if as_json:
        print_json({"accounts": [account_document(each) for each in found]})
        return
    if not found:
        stderr().print("No accounts yet: the processes and `holdfast collect` take them from the accounts file.")
        return
    print_table(stdout(), columns=COLUMNS, rows=[_row(each) for each in found])
    for each in found:
        if each.credentials and _says(each.account) == "active" and each.credentials.found.hint:
            known = each.credentials.found
            stderr().print(f"{each.account.name}: {known.code}: {known.summary}; {known.hint}", markup=False)


def _row(standing: AccountStanding) -> tuple[str | Text, ...]:
    account, last_day = standing.account, standing.last_complete_day
    return (
        account.name,
        account.provider,
        _says(account),
        *_credentials(standing.credentials),
        last_day.isoformat() if last_day else "",
    )


def _says(account: LedgerAccount) -> str:
    if account.removed:
        return "removed"
    return "held" if account.held else "paused" if account.paused else "active"


def _credentials(credential: Credential | None) -> tuple[str | Text, str]:
    if credential is None:
        return "not needed", ""
    if not credential.checked:
        return "not checked", ""
    status = credential.found.status
    since: datetime | None = credential.since
    return Text(WORDS[status], style=STYLES[status]), minute(since) if since else ""

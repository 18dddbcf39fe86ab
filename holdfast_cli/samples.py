"""`holdfast samples`, and what `make run` begins with: invented exports, and the accounts file that reads them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from holdfast_cli.output import print_json, stdout
from shared.core.days import last_complete_days
from shared.costs.accounts import FocusAccount
from shared.costs.accounts_file import load_accounts
from shared.costs.samples import SampleSet, write_accounts_file, write_samples

DEFAULT_SEED: Final = 1
DEV_FOLDER: Final = Path("var/exports")
DEV_DAYS: Final = 30


def make_samples(folder: Path, *, accounts_file: Path, day_count: int, seed: int, as_json: bool) -> None:
    """Write exports of the newest complete days into `folder`; what is there already stays."""
    made = write_samples(folder, days=last_complete_days(datetime.now(UTC), day_count), seed=seed)
    named = write_accounts_file(accounts_file, made)
    if as_json:
        print_json(document(made, accounts_file if named else None))
        return
    console = stdout()
    console.print(f"{made.written} files written: {made.days.start} to {made.days.end} below {folder}", markup=False)
    for account in made.accounts:
        console.print(f"  {account.name}: {account.path}, in {account.currency}", markup=False)
    named_text = f"{accounts_file} written" if named else f"{accounts_file} is there already and stays as it is"
    console.print(named_text, markup=False)


def document(made: SampleSet, accounts_file: Path | None) -> dict[str, Any]:
    """What was made; `accountsFile` is null when there was one already."""
    return {
        "folder": str(made.folder),
        "start": made.days.start.isoformat(),
        "end": made.days.end.isoformat(),
        "written": made.written,
        "anomalies": [day.isoformat() for day in made.anomalies],
        "accounts": [{"account": each.name, "path": each.path, "currency": each.currency} for each in made.accounts],
        "accountsFile": str(accounts_file) if accounts_file else None,
    }


def prepare_dev(accounts_file: Path) -> bool:
    """Bring the sample exports up to the newest days, where the accounts file reads them or there is none.

    Whoever has accounts of their own gets no samples: then False. Raises AccountsFileError.
    """
    if accounts_file.exists() and not _reads_samples(accounts_file):
        return False
    made = write_samples(DEV_FOLDER, days=last_complete_days(datetime.now(UTC), DEV_DAYS), seed=DEFAULT_SEED)
    write_accounts_file(accounts_file, made)
    return True


def _reads_samples(accounts_file: Path) -> bool:
    return any(
        isinstance(account, FocusAccount) and DEV_FOLDER in Path(account.path).parents
        for account in load_accounts(accounts_file)
    )
